#include "dispatch/conv_plan.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <string_view>

#include "dispatch/conv_fold.h"
#include "dispatch/conv_source.h"
#include "dispatch/plan.h"
#include "dispatch/status.h"
#include "kernels/gemm_vector.h"
#include "kernels/pack.h"

namespace oct {
namespace {

constexpr uint32_t kKnownFlags =
    OCT_QCONV_ALLOW_WRAP | OCT_QCONV_RELU | OCT_QCONV_CLAMP | OCT_QCONV_TRANSPOSED;
static_assert(OCT_QCONV_ALLOW_WRAP == static_cast<int>(OCT_QGEMM_ALLOW_WRAP) &&
              OCT_QCONV_RELU == static_cast<int>(OCT_QGEMM_RELU) &&
              OCT_QCONV_CLAMP == static_cast<int>(OCT_QGEMM_CLAMP));

constexpr int64_t kMaxPhases = 64;      // of one axis: the stride of a transposed convolution
constexpr int64_t kDefaultPixels = 28;  // of an output row, when no size is hinted
// Tiles of 8 rows need no more; more would make code for cases that hardly occur.
constexpr int kMaxClip = 7;
constexpr double kDiagonalDot = 2;  // cycles of a dot that shuffles A, against one that does not
constexpr int kHeldTileRows = 4;    // of gemm_holds_panel
constexpr int64_t kMostFixedSteps = 8;  // of K in a tap: beyond, a loop costs next to nothing

LayerDesc layer_of(const oct_qconv_desc& d, const ConvShape& shape) {
  return {"w_scales",
          "w_scale_count",
          "out_channels",
          d.flags & ~uint32_t{OCT_QCONV_TRANSPOSED},
          d.out_channels,
          shape.taps() * shape.group_in(),
          d.a_type,
          d.a_zero_point,
          d.a_scale,
          d.a_min,
          d.a_max,
          false,
          0,
          d.w_scales,
          d.w_scale_count,
          {"w_type", "w_zero_points", "w_zero_point_count", d.w_type, d.w_zero_points,
           d.w_zero_point_count},
          d.bias_type,
          d.bias,
          d.add_type,
          d.add_scale,
          d.add_zero_point,
          d.c_type,
          d.c_scale,
          d.c_zero_point,
          d.clamp_min,
          d.clamp_max,
          d.post,
          d.post_count,
          d.kernel_name};
}

oct_status check_limits(const oct_qconv_desc& d, const ConvShape& shape) {
  if (shape.taps() > kMaxTaps)
    return fail(OCT_UNSUPPORTED, "the kernel has %" PRId64 " taps; at most %" PRId64, shape.taps(),
                kMaxTaps);
  for (const ConvAxis& axis : shape.axes)
    if (axis.transposed && axis.stride > kMaxPhases)
      return fail(OCT_UNSUPPORTED,
                  "stride %" PRId64 " of a transposed convolution; at most %" PRId64, axis.stride,
                  kMaxPhases);
  if (!d.w) return fail(OCT_INVALID_ARGUMENT, "w is null");
  if (d.w_layout != OCT_WEIGHTS_OHWI && d.w_layout != OCT_WEIGHTS_OIHW)
    return fail(OCT_INVALID_ARGUMENT,
                "w_layout is %d; it must be OCT_WEIGHTS_OHWI or OCT_WEIGHTS_OIHW", d.w_layout);
  return OCT_OK;
}

// The weights as [out_channels][taps][group_in], less `shift` (0 or 128), copied into `copy` if
// they are laid out otherwise or shifted.
const int8_t* channels_last(const oct_qconv_desc& d, const ConvShape& s, int shift,
                            std::vector<int8_t>* copy) {
  const int8_t* const w = static_cast<const int8_t*>(d.w);
  const bool in_order = d.w_layout == OCT_WEIGHTS_OHWI;
  const int flip = -shift;
  if (in_order && !flip) return w;
  const int64_t taps = s.taps(), in = s.group_in(), out = s.group_out();
  copy->resize(static_cast<size_t>(s.out_channels * taps * in));
  int8_t* to = copy->data();
  for (int64_t o = 0; o < s.out_channels; ++o)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t i = 0; i < in; ++i) {
        const int64_t row = d.flags & OCT_QCONV_TRANSPOSED
                                ? (o / out * in + i) * out + o % out  // [I of all][O of a group]
                                : o * in + i;
        const int64_t from = in_order ? (o * taps + t) * in + i : row * taps + t;
        *to++ = static_cast<int8_t>(w[from] ^ flip);
      }
  return copy->data();
}

class ConvBuilder {
 public:
  ConvBuilder(oct_qconv& plan, const int8_t* w)
      : plan_(plan), shape_(plan.shape),
        layer_(plan.layer), filters_{w, BLayout::kNK, plan.tap_count * plan.tap_k,
                                     plan.tap_count * plan.tap_k, plan.shape.out_channels} {}

  void build() {
    const KernelRow& main = *plan_.layout().main;
    plan_.packed_a = main.a_form == AForm::kPairs16;
    const int shift = shift_of_a(layer_, main);
    plan_.a_shift = static_cast<uint8_t>(shift);
    plan_.shifted_zero_point = layer_.a_zero_point + shift;
    plan_.w_shift = layer_.w_shift(main);
    plan_.params = spread(layer_.scalars);
    plan_.in_lanes = plan_.diagonal && shape_.group_in() == shape_.group_out() &&
                     shape_.out_channels % kLaneChannels == 0 &&
                     keeps_lanes(main, layer_.epilogue, shape_.group_in());
    list_panels();
    pack();
  }

 private:
  void list_panels() {
    const Layout& layout = plan_.layout();
    const GemmCode* full = layout.full ? code_for(*layout.main, layout.main->nr) : nullptr;
    const GemmCode* tails[2] = {};
    for (int i = 0; i < layout.tails; ++i)
      tails[i] = code_for(*layout.tail[i].row, layout.tail[i].n);
    plan_.panels.reserve(static_cast<size_t>(shape_.groups * (layout.full + layout.tails)));
    for (int64_t g = 0; g < (plan_.diagonal ? 1 : shape_.groups); ++g) {
      for (int64_t i = 0; i < layout.full; ++i) add_panel({layout.main, layout.main->nr}, full);
      for (int i = 0; i < layout.tails; ++i) add_panel(layout.tail[i], tails[i]);
    }
  }

  void add_panel(const PanelShape& s, const GemmCode* code) {
    const auto bytes = static_cast<int64_t>(packed_b_bytes(*s.row, plan_.tap_k, s.n));
    const int64_t tap_bytes =
        plan_.row_taps
            ? static_cast<int64_t>(packed_b_bytes(*s.row, row_runs(shape_).whole * kKr, s.n))
            : bytes;
    const int64_t a_channel = channel_ / shape_.group_out() * shape_.group_in();
    plan_.panels.push_back({channel_, a_channel, s.n, s.row, code, 0, tap_bytes, plan_.columns});
    channel_ += s.n;
    b_bytes_ += static_cast<size_t>(bytes * plan_.tap_count);
    plan_.columns += static_cast<size_t>((s.n + s.row->lanes - 1) / s.row->lanes * s.row->lanes);
  }

  const GemmCode* code_for(const KernelRow& row, int n) {
    GemmSpec spec;
    spec.n = n;
    spec.epilogue = layer_.epilogue;
    spec.taps = plan_.diagonal || !plan_.sees_one_tap();
    set_k(row, plan_.tap_k, plan_.tap_count, &spec);
    if (row.isa != Isa::kAmx) {
      const int64_t steps = k_steps(row, plan_.tap_k).whole;
      if (steps <= kMostFixedSteps) spec.k_fixed = static_cast<int>(steps);
    }
    spec.clip = plan_.clip;
    if (plan_.row_taps) {
      const RowRuns runs = row_runs(shape_);
      spec.k_fixed = runs.whole;
      spec.k_tail = 0;
      spec.run_tail = runs.tail;
      spec.run_count = static_cast<int>(runs.count);
      spec.k_last = std::min(gemm_last_steps(row, spec), runs.whole);
      if (gemm_holds_panel(row, spec)) plan_.tile_rows = std::min(row.mr, kHeldTileRows);
    }
    if (plan_.diagonal) {
      spec.k_fixed = static_cast<int>((plan_.tap_k + kKr - 1) / kKr);
      spec.k_tail = 0;
      spec.group_in = static_cast<int>(shape_.group_in());
      spec.group_out = static_cast<int>(shape_.group_out());
      spec.in_lanes = plan_.in_lanes;
      if (plan_.in_lanes) spec.k_fixed = 1;  // all of a tap is one
    }
    spec.a_shift = plan_.a_shift != 0 && !plan_.packed_a;
    spec.row_terms = plan_.layout().row_sums;
    plan_.codes.push_back(std::make_unique<GemmCode>(gemm_code(global_code_cache(), row, spec)));
    return plan_.codes.back().get();
  }

  void pack() {
    plan_.packed_b = Buffer(b_bytes_);
    plan_.packed_b.reach(sure_bytes(*plan_.layout().main, b_bytes_));
    const auto taps = static_cast<size_t>(plan_.tap_count);
    size_t at = 0;
    plan_.bias.resize(plan_.columns);
    plan_.init.resize(plan_.columns);
    if (plan_.shifted_zero_point != 0 || plan_.packed_a)
      plan_.tap_term.resize(plan_.columns * static_cast<size_t>(plan_.tap_count));
    if (plan_.layout().row_sums) plan_.row_sum_factor.resize(plan_.columns);
    plan_.mult.resize(plan_.columns);
    plan_.bias_f32.resize(plan_.columns);
    fetch_weights(weight_run(filters_, 0, plan_.panels[0].n));
    for (ConvPanel& panel : plan_.panels) {
      panel.b_offset = at;
      const size_t most = most_tap_bytes(panel);
      plan_.packed_b.reach(at + most * taps);
      uint8_t* const to = plan_.packed_b.data() + at;
      const size_t tap_bytes = pack_panel(panel, to);
      if (tap_bytes != most) {
        for (size_t t = 1; t < taps; ++t)
          std::memmove(to + t * tap_bytes, to + t * most, tap_bytes);
        panel.tap_bytes = static_cast<int64_t>(tap_bytes);
      }
      at += tap_bytes * taps;
    }
    plan_.packed_b.shrink(at);
  }

  size_t most_tap_bytes(const ConvPanel& panel) const {
    return packed_b_bytes(*panel.row, plan_.tap_k, panel.n);
  }

  // Returns the bytes that its longest tap needs.
  size_t pack_panel(const ConvPanel& panel, uint8_t* to) {
    const auto channel = [&](int i) {
      return static_cast<size_t>(panel.channel + plan_.channel_of(i));
    };
    const auto copy = [&](const auto& from, auto& to) {
      for (int i = 0; !from.empty() && i < panel.n; ++i)
        to[panel.column + static_cast<size_t>(i)] = from[channel(i)];
    };
    copy(layer_.bias_s32, plan_.bias);
    copy(layer_.bias_s32, plan_.init);
    copy(layer_.mult, plan_.mult);
    copy(layer_.bias_f32, plan_.bias_f32);
    if (plan_.layout().row_sums)
      for (int i = 0; i < panel.n; ++i)
        plan_.row_sum_factor[panel.column + static_cast<size_t>(i)] =
            -layer_.w_zero_point(channel(i), plan_.w_shift);
    const int64_t first = panel.channel * filters_.stride_bytes;
    size_t bytes = 0;
    for (int64_t t = 0; t < plan_.tap_count; ++t, to += most_tap_bytes(panel)) {
      ColumnSums sums[kMaxNr];
      BView tap = filters_;
      tap.data += first + t * plan_.tap_k;
      tap.k = plan_.tap_k;
      tap.n = panel.n;
      tap.is_unsigned = (panel.row->flags & kRowUnsignedB) != 0;
      tap.ahead = weight_run(filters_, panel.channel + panel.n, panel.n, t, plan_.tap_count);
      bytes = std::max(bytes, pack_b_panel(*panel.row, tap, 0, panel.n, to,
                                           plan_.tap_term.empty() ? nullptr : sums));
      if (!plan_.tap_term.empty()) correct(panel, t, sums);
      if (plan_.in_lanes) pack_lanes(static_cast<int>(shape_.group_in()), to);
    }
    return bytes;
  }

  // All sums wrap: corrections are exact modulo 2^32.
  void correct(const ConvPanel& panel, int64_t tap, const ColumnSums* sums) {
    int32_t* term = plan_.tap_term.data() + static_cast<size_t>(tap) * plan_.columns + panel.column;
    int32_t* init = plan_.init.data() + panel.column;
    for (int i = 0; i < panel.n; ++i) {
      const ColumnSums& of = sums[plan_.channel_of(i)];
      uint32_t sum = static_cast<uint32_t>(of.sum);  // of weights less their zero point
      if (plan_.layout().row_sums) {
        const auto channel = static_cast<size_t>(panel.channel + plan_.channel_of(i));
        sum -= static_cast<uint32_t>(plan_.real_tap_k()) *
               static_cast<uint32_t>(layer_.w_zero_point(channel, plan_.w_shift));
      }
      uint32_t v = static_cast<uint32_t>(plan_.shifted_zero_point) * sum;
      if (plan_.packed_a) v += static_cast<uint32_t>(of.product);
      term[i] = static_cast<int32_t>(v);
      init[i] = static_cast<int32_t>(static_cast<uint32_t>(init[i]) - v);
    }
  }

  oct_qconv& plan_;
  const ConvShape& shape_;
  const Layer& layer_;
  const BView filters_;  // a column for each output channel
  int64_t channel_ = 0;
  size_t b_bytes_ = 0;
};

// Whether vectors of columns, of 8 and up to `lanes` lanes, span whole groups, whose channels lie
// in at most 16 bytes. Of single channels, the last vector may hold fewer.
bool should_be_diagonal(const ConvShape& s, int lanes) {
  const int64_t in = s.group_in(), out = s.group_out();
  const auto power = [](int64_t x) { return x > 0 && (x & (x - 1)) == 0; };
  return s.groups > 1 && power(in) && power(out) && in <= out && out <= lanes &&
         (out == 1 || s.out_channels % vector_lanes(Isa::kAvx512Vnni) == 0);
}

int widest_vector(const UsableIsas& isas) {
  return isas[Isa::kAvx512bw] || isas[Isa::kAvx512Vnni] ? 16 : 8;
}

// Outputs at either end of a row that a tap can miss.
int most_clipped(const ConvAxis& width) {
  int64_t most = 0;
  for (const AxisPhase& phase : width.phases) {
    if (phase.taps.empty()) continue;
    const int64_t right =
        width.transposed ? phase.taps.back().offset : ceil_div(width.pad_end, width.stride);
    most = std::max({most, ceil_div(-phase.taps.front().offset, phase.in_step), right});
  }
  return static_cast<int>(std::min<int64_t>(most, kMaxClip));
}

// Output pixels that kernels see one after the other: of a row, or of the whole image where rows
// follow each other without a gap in what they need.
int64_t pixels_hint(const oct_qconv_desc& d, const ConvShape& s) {
  int64_t row = 0, image = 1;
  bool joined = true;
  for (int i = 0; i < d.rank; ++i) {
    const ConvAxis& axis = s.axes[static_cast<size_t>(OCT_MAX_SPATIAL - d.rank + i)];
    row = d.size_hint[i] > 0 ? std::max<int64_t>(0, axis.output_size(d.size_hint[i])) : 0;
    joined &= is_pointwise(axis);
    if (__builtin_mul_overflow(image, row, &image)) image = 0;
  }
  if (joined && image > 0) return image;
  return row > 0 ? row : kDefaultPixels;
}

bool is_padded(const ConvShape& s) {
  return std::any_of(s.axes.begin(), s.axes.end(), [](const ConvAxis& axis) {
    return axis.pad_begin > 0 || axis.pad_end > 0 || axis.transposed;
  });
}

// Kernels see padding as pixels that hold the zero point, which need not lie in A's promised range.
void span_zero_point(Layer* layer) {
  layer->a_min = std::min(layer->a_min, layer->a_zero_point);
  layer->a_max = std::max(layer->a_max, layer->a_zero_point);
}

// The cheapest of the depthwise and the tap kernels; an error if there is neither.
oct_status choose(oct_qconv& plan, const Work& work, const int8_t* w) {
  const UsableIsas& isas = plan.context->isas;
  plan.depthwise_candidates = depthwise_candidates(plan, isas, w);
  for (const DepthwiseCandidate& c : plan.depthwise_candidates)
    if (c.rejected.empty() && (!plan.row || c.cycles_per_pixel < plan.cycles_per_pixel)) {
      plan.row = c.row;
      plan.cycles_per_pixel = c.cycles_per_pixel;
    }
  const bool forced = plan.row && plan.layer.forced == plan.row;
  if (oct_status s = select_kernels(work, cpu_facts(), isas, &plan.selection)) {
    for (const DepthwiseCandidate& c : plan.depthwise_candidates)
      if (c.row == plan.layer.forced && !forced)
        return fail(OCT_UNSUPPORTED, "kernel %s cannot be used: %s", c.row->name,
                    c.rejected.c_str());
    return forced ? OCT_OK : s;
  }
  const double times = plan.diagonal ? kDiagonalDot : static_cast<double>(plan.shape.groups);
  const double cycles =
      times * layout_cycles(cpu_facts(), plan.layout(), work.size()) / static_cast<double>(work.m);
  if (plan.row && plan.cycles_per_pixel <= cycles) return OCT_OK;
  plan.row = plan.layout().main;
  plan.cycles_per_pixel = cycles;
  return OCT_OK;
}

// How the chosen kernel takes a folded K.
void set_fold(oct_qconv* plan) {
  const ConvShape& shape = plan->shape;
  plan->row_taps = takes_row_runs(shape, *plan->row);
  if (plan->row_taps)
    plan->tap_k = row_runs(shape).k();
  else
    plan->interleaver.emplace(static_cast<int>(shape.axes[0].kernel * shape.axes[1].kernel),
                              shape.in_channels);
}

void build_depthwise(oct_qconv& plan, const int8_t* w) {
  const Layer& layer = plan.layer;
  plan.params = spread(layer.scalars);
  const auto data = [](const auto& v) { return v.empty() ? nullptr : v.data(); };
  const DepthwiseDesc desc{depthwise_shape(plan.shape),
                           w,
                           static_cast<uint8_t>(layer.a_zero_point),
                           static_cast<uint8_t>(shift_of_a(layer, *plan.row)),
                           layer.epilogue,
                           data(layer.bias_s32),
                           data(layer.mult),
                           data(layer.bias_f32),
                           &plan.params};
  plan.depthwise = std::make_unique<Depthwise>(global_code_cache(), *plan.row, desc);
}

}  // namespace

std::array<int64_t, 3> full_rank(const oct_qconv& plan, const int64_t* values) {
  std::array<int64_t, 3> all{1, 1, 1};
  const auto rank = static_cast<size_t>(plan.shape.rank);
  for (size_t i = 0; i < rank; ++i) all[3 - rank + i] = values[i];
  return all;
}

oct_status create_conv(const oct_context& context, const oct_qconv_desc& d, oct_qconv** out) {
  return guarded([&]() -> oct_status {
    const ScopedFloatMode float_mode;
    if (d.flags & ~kKnownFlags)
      return fail(OCT_INVALID_ARGUMENT, "flags is 0x%x; bits 0x%x are not known", d.flags,
                  d.flags & ~kKnownFlags);
    auto plan = std::make_unique<oct_qconv>();
    ConvShape& shape = plan->shape;
    if (oct_status s = make_shape(d, &shape)) return s;
    if (oct_status s = check_limits(d, shape)) return s;
    const LayerDesc layer = layer_of(d, shape);
    if (oct_status s = check_layer(layer)) return s;
    make_layer(layer, &plan->layer);
    if (is_padded(shape)) span_zero_point(&plan->layer);
    plan->adds = d.add_type != OCT_NONE;
    plan->has_tensors = has_tensor(plan->layer.epilogue.post);
    for (ConvAxis& axis : shape.axes) make_phases(&axis);
    plan->context = &context;
    plan->folded =
        should_fold(shape, full_rank(*plan, d.size_hint), context.isas.vnni() != nullptr);
    const int to_s8 = plan->layer.w_shift_to_s8();
    const bool affine = plan->layer.has_zero_points(to_s8);
    plan->diagonal = !affine && should_be_diagonal(shape, widest_vector(context.isas));
    plan->tap_k = plan->folded ? folded_k(shape) : shape.group_in();
    plan->tap_count = plan->folded ? 1 : shape.taps();

    const auto weights = [&](int shift, bool by_rows, std::vector<int8_t>* copy) {
      const int8_t* const w = channels_last(d, shape, shift, copy);
      if (!plan->folded) return w;
      *copy = fold_weights(shape, w, by_rows);
      return static_cast<const int8_t*>(copy->data());
    };
    const auto filters = [&](const int8_t* w, int64_t k) {
      return BView{w, BLayout::kNK, k, k, shape.out_channels * plan->tap_count};
    };
    // Kernels that need the proof take a folded K by rows where they can.
    const auto pairs_safe = [&] {
      std::vector<int8_t> copy;
      const bool by_rows = plan->folded && row_runs(shape).whole > 0;
      const int64_t k = by_rows ? row_runs(shape).k() : plan->tap_k;
      return weight_pairs_safe(filters(weights(to_s8, by_rows, &copy), k));
    };
    std::vector<int8_t> copy;
    const int8_t* w = weights(to_s8, false, &copy);
    const Work work{
        plan->layer,
        pixels_hint(d, shape),
        plan->diagonal ? shape.out_channels : shape.group_out(),
        plan->diagonal ? shape.taps() * ((shape.group_in() + kKr - 1) / kKr * kKr) : layer.k,
        affine ? 0 : source_pixels(shape, plan->folded, true),
        pairs_safe,
        [&](int a_max) { return mixed_shares(filters(w, plan->tap_k), a_max); },
        plan->diagonal ? shape.group_out() : 0,
        plan->diagonal ? "the groups' weights are block-diagonal" : nullptr,
        plan->tap_count,
        kDefaultPixels,
        true};
    if (oct_status s = choose(*plan, work, w)) return s;
    if (plan->row->op == std::string_view("depthwise")) {
      build_depthwise(*plan, w);
    } else {
      const int shift = plan->layer.w_shift(*plan->row);
      if (plan->folded) set_fold(plan.get());
      if (shift != to_s8 || plan->row_taps) w = weights(shift, plan->row_taps, &copy);
      if (!plan->folded) plan->clip = most_clipped(shape.axes[2]);
      ConvBuilder(*plan, w).build();
    }
    *out = plan.release();
    return OCT_OK;
  });
}

}  // namespace oct
