#include "dispatch/conv_plan.h"

#include <algorithm>
#include <cinttypes>
#include <string_view>

#include "dispatch/conv_fold.h"
#include "dispatch/conv_source.h"
#include "dispatch/plan.h"
#include "dispatch/status.h"
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
    if (!c.rejected && (!plan.row || c.cycles_per_pixel < plan.cycles_per_pixel)) {
      plan.row = c.row;
      plan.cycles_per_pixel = c.cycles_per_pixel;
    }
  const bool forced = plan.row && plan.layer.forced == plan.row;
  if (oct_status s = select_kernels(work, cpu_facts(), isas, &plan.selection)) {
    for (const DepthwiseCandidate& c : plan.depthwise_candidates)
      if (c.row == plan.layer.forced && !forced)
        return fail(OCT_UNSUPPORTED, "kernel %s cannot be used: %s", c.row->name,
                    c.rejected.in_words().c_str());
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
      build_panels(*plan, w);
    }
    plan->layer.drop_columns();
    *out = plan.release();
    return OCT_OK;
  });
}

}  // namespace oct
