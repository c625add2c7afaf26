#include "dispatch/plan.h"

#include <algorithm>

#include "dispatch/status.h"
#include "kernels/pack.h"

namespace oct {
namespace {

// How a group's sum is added to the next one's: f32 as it is.
constexpr PostOp kAddSums{PostKind::kAdd, 0, 0, DType::kF32, 1, 0};

class PlanBuilder {
 public:
  PlanBuilder(oct_qgemm& plan) : plan_(plan), p_(plan.problem) {}

  void build() {
    const KernelRow& main = *plan_.layout().main;
    plan_.packed_a = main.a_form == AForm::kPairs16;
    plan_.shift = shift_of_a(p_, main);
    plan_.a_shift = static_cast<uint8_t>(plan_.shift);
    plan_.w_shift = p_.w_shift(main);
    if (p_.dynamic) find_kernels(*plan_.context, &plan_.problem.dynamic);
    plan_.params = spread(p_.scalars);
    EpilogueScalars sums;
    sums.post[0] = kAddSums;
    plan_.sum_params = spread(sums);
    list_panels();
    pack();
  }

 private:
  void list_panels() {
    const Layout& layout = plan_.layout();
    int64_t n0 = 0;
    const auto add = [&](Panel panel) {
      panel.n0 = n0;
      panel.column = plan_.columns;
      plan_.panels.push_back(panel);
      n0 += panel.n;
      b_bytes_ += most_bytes(panel) * static_cast<size_t>(p_.groups());
      plan_.columns += static_cast<size_t>(padded(panel));
    };
    plan_.panels.reserve(static_cast<size_t>(layout.full + layout.tails));
    if (layout.full) {
      const Panel full = panel_of(*layout.main, layout.main->nr);
      for (int64_t i = 0; i < layout.full; ++i) add(full);
    }
    for (int i = 0; i < layout.tails; ++i) add(panel_of(*layout.tail[i].row, layout.tail[i].n));
  }

  Panel panel_of(const KernelRow& row, int n) {
    Panel panel{0, n, &row, code_for(row, n, p_.epilogue), 0, 0, nullptr, nullptr};
    if (!p_.group_k) return panel;
    EpilogueSpec sums;
    sums.c_type = DType::kF32;
    sums.row_scale = p_.epilogue.row_scale;
    panel.first_code = code_for(row, n, sums);
    sums.post[0] = {kAddSums.kind, kAddSums.type};
    panel.middle_code = code_for(row, n, sums);
    return panel;
  }

  const GemmCode* code_for(const KernelRow& row, int n, const EpilogueSpec& epilogue) {
    GemmSpec spec;
    spec.n = n;
    spec.epilogue = epilogue;
    set_k(row, p_.kernel_k(), 1, &spec);
    spec.a_shift = !plan_.packed_a && plan_.a_shift != 0;
    spec.row_terms = plan_.layout().row_sums + p_.varying_zero_points;
    plan_.codes.push_back(std::make_unique<GemmCode>(gemm_code(global_code_cache(), row, spec)));
    return plan_.codes.back().get();
  }

  void pack() {
    plan_.packed_b = Buffer(b_bytes_);
    plan_.packed_b.reach(sure_bytes(*plan_.layout().main, b_bytes_));
    const size_t all = plan_.columns * static_cast<size_t>(p_.groups());
    plan_.init.resize(all);
    plan_.mult.resize(all);
    plan_.bias.resize(plan_.columns);
    if (plan_.layout().row_sums) plan_.row_sum_factor.resize(all);
    if (p_.varying_zero_points) plan_.zero_point_factor.resize(all);
    fetch_weights(weight_run(p_.b, 0, plan_.panels[0].n));
    size_t at = 0;
    for (Panel& panel : plan_.panels) {
      panel.b_offset = at;
      for (int64_t group = 0; group < p_.groups(); ++group) {
        plan_.packed_b.reach(at + most_bytes(panel));
        const size_t bytes = pack_panel(panel, group, plan_.packed_b.data() + at);
        at += p_.groups() > 1 ? most_bytes(panel) : bytes;
      }
    }
    plan_.packed_b.shrink(at);
  }

  size_t most_bytes(const Panel& panel) const {
    return packed_b_bytes(*panel.row, p_.kernel_k(), panel.n);
  }

  // A group of the panel, whose bytes are returned, and its columns' parameters. All sums wrap:
  // corrections are exact modulo 2^32.
  size_t pack_panel(const Panel& panel, int64_t group, uint8_t* to) {
    ColumnSums sums[kMaxNr];
    BView b = p_.b;
    b.k = p_.kernel_k();
    b.data += group * b.k * (b.layout == BLayout::kKN ? b.stride_bytes : 1);
    b.ahead = weight_run(p_.b, panel.n0 + panel.n, panel.n, group, p_.groups());
    const size_t first = panel.column + plan_.columns * static_cast<size_t>(group);
    const size_t bytes = pack_b_panel(*panel.row, b, panel.n0, panel.n, to, sums);
    const uint32_t zero_point = static_cast<uint32_t>(p_.a_zero_point + plan_.shift);
    for (int i = 0; i < panel.n; ++i) {
      const auto n = static_cast<size_t>(panel.n0 + i);
      const size_t column = first + static_cast<size_t>(i);
      uint32_t init = p_.bias_s32.empty() ? 0 : static_cast<uint32_t>(p_.bias_s32[n]);
      uint32_t sum = static_cast<uint32_t>(sums[i].sum);  // of weights less their zero point
      if (plan_.layout().row_sums) {
        const int w_zero_point = p_.group_zero_point(group, n, plan_.w_shift);
        sum -= static_cast<uint32_t>(p_.kernel_k()) * static_cast<uint32_t>(w_zero_point);
        plan_.row_sum_factor[column] = -w_zero_point;
      }
      if (p_.varying_zero_points)
        plan_.zero_point_factor[column] = static_cast<int32_t>(0u - sum);
      else
        init -= zero_point * sum;
      if (plan_.packed_a) init -= static_cast<uint32_t>(sums[i].product);
      plan_.init[column] = static_cast<int32_t>(init);
      if (p_.group_k)
        plan_.mult[column] = p_.group_mult[static_cast<size_t>(group * p_.n()) + n];
      else if (!p_.mult.empty())
        plan_.mult[column] = p_.mult[n];
      if (!p_.bias_f32.empty() && group == 0) plan_.bias[column] = p_.bias_f32[n];
    }
    return bytes;
  }

  oct_qgemm& plan_;
  const Problem& p_;
  static int padded(const Panel& panel) {
    const int lanes = panel.row->lanes;
    return (panel.n + lanes - 1) / lanes * lanes;
  }

  size_t b_bytes_ = 0;
};

}  // namespace

oct_status create_plan(const oct_context& context, const oct_qgemm_desc& desc, oct_qgemm** out) {
  return guarded([&] {
    const ScopedFloatMode float_mode;
    auto plan = std::make_unique<oct_qgemm>();
    plan->context = &context;
    if (oct_status s = make_problem(desc, &plan->problem)) return s;
    const Problem& p = plan->problem;
    // Packed rows have one correction term each, which groups would need one by one.
    const int64_t packed_rows = p.group_k ? 0 : max_packed_rows(p.k());
    const Work work{p,
                    p.m_hint ? p.m_hint : kDefaultRows,
                    p.n(),
                    p.k(),
                    packed_rows,
                    [&] { return weight_pairs_safe(p.b); },
                    [&](int a_max) { return mixed_shares(p.b, a_max); }};
    if (oct_status s = select_kernels(work, cpu_facts(), context.isas, &plan->selection)) return s;
    PlanBuilder(*plan).build();
    plan->cycles_per_row =
        layout_cycles(cpu_facts(), plan->layout(), {kDefaultRows, plan->problem.k()}) /
        kDefaultRows;
    *out = plan.release();
    return OCT_OK;
  });
}

}  // namespace oct
