#include "dispatch/plan.h"

#include <algorithm>

#include "dispatch/status.h"
#include "kernels/pack.h"

namespace oct {
namespace {

class PlanBuilder {
 public:
  PlanBuilder(oct_qgemm& plan) : plan_(plan), p_(plan.problem) {}

  void build() {
    const KernelRow& main = *plan_.layout().main;
    plan_.packed_a = main.a_form == AForm::kPairs16;
    plan_.shift = shift_of_a(p_, main);
    plan_.a_shift = static_cast<uint8_t>(plan_.shift);
    if (p_.dynamic) find_kernels(*plan_.context, &plan_.problem.dynamic);
    plan_.params = spread(p_.scalars);
    list_panels();
    pack();
  }

 private:
  void list_panels() {
    const Layout& layout = plan_.layout();
    int64_t n0 = 0;
    const auto add = [&](const KernelRow* row, int n, const GemmCode* code) {
      plan_.panels.push_back({n0, n, row, code, b_bytes_, columns_});
      n0 += n;
      b_bytes_ += packed_b_bytes(*row, p_.k(), n);
      columns_ += static_cast<size_t>((n + row->lanes - 1) / row->lanes * row->lanes);
    };
    plan_.panels.reserve(static_cast<size_t>(layout.full + layout.tails));
    const GemmCode* full = layout.full ? code_for(*layout.main, layout.main->nr) : nullptr;
    for (int64_t i = 0; i < layout.full; ++i) add(layout.main, layout.main->nr, full);
    for (int i = 0; i < layout.tails; ++i)
      add(layout.tail[i].row, layout.tail[i].n, code_for(*layout.tail[i].row, layout.tail[i].n));
  }

  const GemmCode* code_for(const KernelRow& row, int n) {
    GemmSpec spec;
    spec.n = n;
    spec.epilogue = p_.epilogue;
    set_k(row, p_.k(), 1, &spec);
    spec.a_shift = !plan_.packed_a && plan_.a_shift != 0;
    spec.row_terms = !p_.w_zero_points.empty() + p_.varying_zero_points;
    plan_.codes.push_back(std::make_unique<GemmCode>(gemm_code(global_code_cache(), row, spec)));
    return plan_.codes.back().get();
  }

  void pack() {
    plan_.packed_b = Buffer(b_bytes_);
    plan_.init.resize(columns_);
    plan_.mult.resize(columns_);
    plan_.bias.resize(columns_);
    if (!p_.w_zero_points.empty()) plan_.row_sum_factor.resize(columns_);
    if (p_.varying_zero_points) plan_.zero_point_factor.resize(columns_);
    for (const Panel& panel : plan_.panels) pack_panel(panel);
  }

  // The panel and its columns' parameters. All sums wrap: corrections are exact modulo 2^32.
  void pack_panel(const Panel& panel) {
    ColumnSums sums[kMaxNr];
    pack_b_panel(*panel.row, p_.b, panel.n0, panel.n, plan_.packed_b.data() + panel.b_offset, sums);
    const uint32_t zero_point = static_cast<uint32_t>(p_.a_zero_point + plan_.shift);
    for (int i = 0; i < panel.n; ++i) {
      const auto n = static_cast<size_t>(panel.n0 + i);
      const size_t column = panel.column + static_cast<size_t>(i);
      uint32_t init = p_.bias_s32.empty() ? 0 : static_cast<uint32_t>(p_.bias_s32[n]);
      uint32_t sum = static_cast<uint32_t>(sums[i].sum);  // of weights less their zero point
      if (!p_.w_zero_points.empty()) {
        sum -= static_cast<uint32_t>(p_.k()) * static_cast<uint32_t>(p_.w_zero_points[n]);
        plan_.row_sum_factor[column] = -p_.w_zero_points[n];
      }
      if (p_.varying_zero_points)
        plan_.zero_point_factor[column] = static_cast<int32_t>(0u - sum);
      else
        init -= zero_point * sum;
      if (plan_.packed_a) init -= static_cast<uint32_t>(sums[i].product);
      plan_.init[column] = static_cast<int32_t>(init);
      if (!p_.mult.empty()) plan_.mult[column] = p_.mult[n];
      if (!p_.bias_f32.empty()) plan_.bias[column] = p_.bias_f32[n];
    }
  }

  oct_qgemm& plan_;
  const Problem& p_;
  size_t b_bytes_ = 0, columns_ = 0;
};

}  // namespace

oct_status create_plan(const oct_context& context, const oct_qgemm_desc& desc, oct_qgemm** out) {
  return guarded([&] {
    const ScopedFloatMode float_mode;
    auto plan = std::make_unique<oct_qgemm>();
    plan->context = &context;
    if (oct_status s = make_problem(desc, &plan->problem)) return s;
    const Problem& p = plan->problem;
    const Work work{
        p, p.m_hint ? p.m_hint : kDefaultRows, p.n(), p.k(), max_packed_rows(p.k()), [&] {
          return weight_pairs_safe(p.b);
        }};
    if (oct_status s = select_kernels(work, cpu_facts(), context.isas, &plan->selection)) return s;
    PlanBuilder(*plan).build();
    plan->cycles_per_row =
        layout_cycles(cpu_facts(), plan->layout(), kDefaultRows, plan->problem.k()) / kDefaultRows;
    *out = plan.release();
    return OCT_OK;
  });
}

}  // namespace oct
