#include "dispatch/plan.h"

#include <algorithm>

#include "dispatch/status.h"
#include "kernels/index_range.h"
#include "kernels/pack.h"

namespace oct {
namespace {

class PlanBuilder {
 public:
  PlanBuilder(oct_qgemm& plan) : plan_(plan), p_(plan.problem) {}

  void build() {
    const KernelRow& main = *plan_.layout().main;
    plan_.packed_a = main.a_form == AForm::kPairs16;
    shift_ = shift_of_a(p_, main);
    plan_.a_shift = static_cast<uint8_t>(shift_);
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
    if (row.a_form == AForm::kBytes) {
      spec.k_tail = static_cast<int>(p_.k() % kKr);
      spec.a_shift = plan_.a_shift != 0;
    }
    plan_.codes.push_back(std::make_unique<GemmCode>(gemm_code(global_code_cache(), row, spec)));
    return plan_.codes.back().get();
  }

  void pack() {
    plan_.packed_b = Buffer(b_bytes_);
    plan_.init.resize(columns_);
    plan_.mult.resize(columns_);
    plan_.bias.resize(columns_);
    for (const Panel& panel : plan_.panels) pack_panel(panel);
  }

  // The panel and its columns' parameters. All sums wrap: corrections are exact modulo 2^32.
  void pack_panel(const Panel& panel) {
    ColumnSums sums[kMaxNr];
    pack_b_panel(*panel.row, p_.b, panel.n0, panel.n, plan_.packed_b.data() + panel.b_offset, sums);
    const uint32_t zero_point = static_cast<uint32_t>(p_.a_zero_point + shift_);
    for (int i = 0; i < panel.n; ++i) {
      const auto n = static_cast<size_t>(panel.n0 + i);
      const size_t column = panel.column + static_cast<size_t>(i);
      uint32_t init = p_.bias_s32.empty() ? 0 : static_cast<uint32_t>(p_.bias_s32[n]);
      init -= zero_point * static_cast<uint32_t>(sums[i].sum);
      if (plan_.packed_a) init -= static_cast<uint32_t>(sums[i].product);
      plan_.init[column] = static_cast<int32_t>(init);
      if (!p_.mult.empty()) plan_.mult[column] = p_.mult[n];
      if (!p_.bias_f32.empty()) plan_.bias[column] = p_.bias_f32[n];
    }
  }

  oct_qgemm& plan_;
  const Problem& p_;
  int shift_ = 0;
  size_t b_bytes_ = 0, columns_ = 0;
};

struct Job {
  const oct_qgemm& plan;
  const oct_qgemm_args& args;
  Schedule schedule;
};

// All panels of the range for one block of rows, whose A begins at `a`.
void run_block(const Job& job, IndexRange panels, int64_t row0, int64_t rows, const uint8_t* a,
               int64_t a_stride, const int32_t* row_init) {
  const oct_qgemm& plan = job.plan;
  const int64_t k = plan.problem.k();
  const auto size = static_cast<int64_t>(dtype_bytes(plan.problem.c_type));
  GemmArgs g;
  g.a_stride_bytes = a_stride;
  g.c_stride_bytes = job.args.c_stride_bytes;
  g.epilogue = &plan.params;
  g.k_groups = plan.packed_a ? (k + kKr - 1) / kKr : k / kKr;
  g.a_shift = plan.a_shift * 0x01010101u;
  uint8_t* const c = static_cast<uint8_t*>(job.args.c) + row0 * g.c_stride_bytes;
  for (int64_t i = panels.begin; i < panels.end; ++i) {
    const Panel& panel = plan.panels[static_cast<size_t>(i)];
    const RowSplit split = split_rows(rows, panel.row->mr);
    g.b = plan.packed_b.data() + panel.b_offset;
    g.init = plan.init.data() + panel.column;
    g.mult = plan.mult.data() + panel.column;
    g.bias = plan.bias.data() + panel.column;
    g.a = a;
    g.row_init = row_init;
    g.c = c + panel.n0 * size;
    g.tiles = split.tall;
    panel.code->entry[split.height](&g);
    if (split.rest == 0) continue;
    const int64_t done = split.tall * split.height;
    g.a = a + done * a_stride;
    if (row_init) g.row_init = row_init + done;
    g.c = c + panel.n0 * size + done * g.c_stride_bytes;
    g.tiles = split.rest;
    panel.code->entry[split.height - 1](&g);
  }
}

void run_packed_block(const Job& job, IndexRange panels, int64_t row0, int64_t rows,
                      const uint8_t* a) {
  constexpr int64_t kMaxRows = kPackedABytes / 64;  // K <= 32
  alignas(64) uint8_t packed[kPackedABytes];
  int32_t row_init[kMaxRows];
  const int64_t k = job.plan.problem.k();
  pack_a_rows(a, job.args.a_stride_bytes, static_cast<int>(rows), k, job.plan.a_shift, packed,
              row_init);
  run_block(job, panels, row0, rows, packed, static_cast<int64_t>(packed_a_row_bytes(k)), row_init);
}

void run_task(void* arg, size_t index) {
  const Job& job = *static_cast<const Job*>(arg);
  const ScopedFloatMode float_mode;
  const Schedule& s = job.schedule;
  const auto i = static_cast<int64_t>(index);
  const int64_t mr = job.plan.layout().main->mr, m = job.args.m;
  const IndexRange tiles = part((m + mr - 1) / mr, s.row_tasks, i % s.row_tasks);
  const IndexRange panels =
      part(static_cast<int64_t>(job.plan.panels.size()), s.panel_tasks, i / s.row_tasks);
  const int64_t end = std::min(tiles.end * mr, m);
  for (int64_t row = tiles.begin * mr; row < end; row += s.block_rows) {
    const int64_t rows = std::min(s.block_rows, end - row);
    const auto* a = static_cast<const uint8_t*>(job.args.a) + row * job.args.a_stride_bytes;
    if (job.plan.packed_a)
      run_packed_block(job, panels, row, rows, a);
    else
      run_block(job, panels, row, rows, a, job.args.a_stride_bytes, nullptr);
  }
}

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

// Blocks of rows whose A takes half of L2 (or the stack buffer, packed). Threads split the larger
// operand, so that each streams its own part of it.
Schedule make_schedule(const oct_qgemm& plan, int64_t m) {
  const Problem& p = plan.problem;
  const int64_t mr = plan.layout().main->mr, k = p.k();
  const int64_t fit =
      plan.packed_a ? max_packed_rows(k) : static_cast<int64_t>(cpu_facts().l2_bytes) / 2 / k;
  Schedule s{std::max(fit / mr, int64_t{1}) * mr, 1, 1};
  const int threads = plan.context->threads.count();
  if (threads == 1) return s;
  const int64_t t = useful_threads(static_cast<double>(m) * plan.cycles_per_row, threads);
  if (t == 1) return s;
  const int64_t tiles = (m + mr - 1) / mr, panels = static_cast<int64_t>(plan.panels.size());
  // The first dimension takes all the threads it can use, the other what remains.
  const bool split_n = p.n() > m ? panels >= t : tiles < t;
  int64_t &first = split_n ? s.panel_tasks : s.row_tasks,
          &second = split_n ? s.row_tasks : s.panel_tasks;
  first = std::min(split_n ? panels : tiles, t);
  second = std::min(split_n ? tiles : panels, t / first);
  return s;
}

void run_plan(const oct_qgemm& plan, const oct_qgemm_args& args) {
  const ScopedFloatMode float_mode;  // the schedule is computed in floating point, too
  Job job{plan, args, make_schedule(plan, args.m)};
  plan.context->threads.run(static_cast<size_t>(job.schedule.tasks()), run_task, &job);
}

}  // namespace oct
