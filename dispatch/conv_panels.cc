// The panels of a convolution's plan: their code, packed weights, and what columns have of their
// own.

#include <algorithm>
#include <cstring>

#include "dispatch/conv_fold.h"
#include "dispatch/conv_plan.h"
#include "dispatch/plan.h"
#include "kernels/gemm_vector.h"
#include "kernels/pack.h"

namespace oct {
namespace {

constexpr int kHeldTileRows = 4;        // of gemm_holds_panel
constexpr int64_t kMostFixedSteps = 8;  // of K in a tap: beyond, a loop costs next to nothing

class ConvBuilder {
 public:
  ConvBuilder(oct_qconv& plan, const int8_t* w)
      : plan_(plan), shape_(plan.shape), layer_(plan.layer),
        filters_{w, BLayout::kNK, plan.tap_count * plan.tap_k, plan.tap_count * plan.tap_k,
                 plan.shape.out_channels} {}

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
    if (plan_.shifted_zero_point != 0 || plan_.packed_a) {
      plan_.init.resize(plan_.columns);
      plan_.tap_term.resize(plan_.columns * static_cast<size_t>(plan_.tap_count));
    }
    if (plan_.layout().row_sums) plan_.row_sum_factor.resize(plan_.columns);
    plan_.mult.resize(plan_.columns);
    if (!layer_.bias_f32.empty()) plan_.bias_f32.resize(plan_.columns);
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
    if (!plan_.init.empty()) copy(layer_.bias_s32, plan_.init);
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

}  // namespace

void build_panels(oct_qconv& plan, const int8_t* w) { ConvBuilder(plan, w).build(); }

}  // namespace oct
