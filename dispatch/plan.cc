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
    set_k(row, p_.k(), 1, &spec);
    spec.a_shift = !plan_.packed_a && plan_.a_shift != 0;
    spec.row_terms = p_.w_zero_points.empty() ? 0 : 1;
    plan_.codes.push_back(std::make_unique<GemmCode>(gemm_code(global_code_cache(), row, spec)));
    return plan_.codes.back().get();
  }

  void pack() {
    plan_.packed_b = Buffer(b_bytes_);
    plan_.init.resize(columns_);
    plan_.mult.resize(columns_);
    plan_.bias.resize(columns_);
    if (!p_.w_zero_points.empty()) plan_.row_sum_factor.resize(columns_);
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
      uint32_t sum = static_cast<uint32_t>(sums[i].sum);  // of weights less their zero point
      if (!p_.w_zero_points.empty()) {
        sum -= static_cast<uint32_t>(p_.k()) * static_cast<uint32_t>(p_.w_zero_points[n]);
        plan_.row_sum_factor[column] = -p_.w_zero_points[n];
      }
      init -= zero_point * sum;
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

// One block of rows: A as the kernels read it, the block's first row of C.
struct Block {
  int64_t rows;
  const uint8_t* a;
  int64_t a_stride;
  const int32_t* row_init;
  const int32_t* row_sums;  // where the weights have zero points
  uint8_t* c;
  int64_t row;  // its number, of C
};

// A block against panels of B.
class BlockRun {
 public:
  BlockRun(const Job& job, GemmCalls& calls, const Block& block)
      : job_(job), plan_(job.plan), calls_(calls), block_(block) {
    g_.a_stride_bytes = block.a_stride;
    g_.c_stride_bytes = job.args.c_stride_bytes;
    g_.epilogue = &plan_.params;
    g_.k_groups = k_steps(*plan_.layout().main, plan_.problem.k()).whole;
    g_.a_shift = plan_.a_shift * 0x01010101u;
    tensors_ = has_tensor(plan_.problem.epilogue.post);
  }

  // Vector kernels take a panel while it is in L1. Tile kernels take all panels with tiles of one
  // height, since another height means another configuration.
  void run(IndexRange panels) {
    const bool by_height = plan_.layout().main->isa == Isa::kAmx;
    for (int64_t i = panels.begin; i < panels.end; ++i) {
      tall(panel(i));
      if (!by_height) rest(panel(i));
    }
    if (by_height)
      for (int64_t i = panels.begin; i < panels.end; ++i) rest(panel(i));
  }

 private:
  const Panel& panel(int64_t i) const { return plan_.panels[static_cast<size_t>(i)]; }

  void tall(const Panel& panel) {
    const RowSplit split = split_rows(block_.rows, *panel.row);
    call(panel, 0, split.tall, split.height);
  }
  void rest(const Panel& panel) {
    const RowSplit split = split_rows(block_.rows, *panel.row);
    if (split.rest) call(panel, split.tall * split.height, split.rest, split.rest_height);
  }

  void call(const Panel& panel, int64_t row, int64_t tiles, int height) {
    const auto size = static_cast<int64_t>(dtype_bytes(plan_.problem.c_type));
    g_.b = plan_.packed_b.data() + panel.b_offset;
    g_.init = plan_.init.data() + panel.column;
    g_.mult = plan_.mult.data() + panel.column;
    g_.bias = plan_.bias.data() + panel.column;
    g_.a = block_.a + row * g_.a_stride_bytes;
    g_.row_init = block_.row_init ? block_.row_init + row : nullptr;
    if (block_.row_sums) {
      g_.row_factor[0] = block_.row_sums + row;
      g_.col_factor[0] = plan_.row_sum_factor.data() + panel.column;
    }
    g_.c = block_.c + row * g_.c_stride_bytes + panel.n0 * size;
    g_.tiles = tiles;
    if (tensors_) set_tensors(block_.row + row, panel.n0);
    calls_.call(*panel.code, height, g_);
  }

  void set_tensors(int64_t row, int64_t column) {
    const PostSpecs& specs = plan_.problem.epilogue.post;
    for (size_t i = 0; i < specs.size(); ++i) {
      if (!has_tensor(specs[i].kind)) continue;
      const oct_post_tensor& x = job_.args.post[i];
      const int64_t offset =
          row * x.stride_bytes + column * static_cast<int64_t>(dtype_bytes(specs[i].type));
      g_.post[i] = {static_cast<const uint8_t*>(x.data) + offset, x.stride_bytes};
    }
  }

  const Job& job_;
  const oct_qgemm& plan_;
  GemmCalls& calls_;
  const Block block_;
  bool tensors_;
  GemmArgs g_;
};

void run_packed_block(const Job& job, GemmCalls& calls, IndexRange panels, Block block) {
  constexpr int64_t kMaxRows = kPackedABytes / 64;  // K <= 32
  alignas(64) uint8_t packed[kPackedABytes];
  int32_t row_init[kMaxRows];
  const int64_t k = job.plan.problem.k();
  pack_a_rows(block.a, block.a_stride, static_cast<int>(block.rows), k, job.plan.a_shift, packed,
              row_init);
  block.a = packed;
  block.a_stride = static_cast<int64_t>(packed_a_row_bytes(k));
  block.row_init = row_init;
  BlockRun(job, calls, block).run(panels);
}

void sum_rows(const oct_qgemm& plan, const Block& block, int32_t* sums) {
  constexpr Tap kOne{0, 0};
  const bool is_signed = plan.layout().main->flags & kRowSignedA;
  sum_a_rows({block.a, block.a_stride, &kOne, &kOne + 1, plan.problem.k(), plan.a_shift, is_signed},
             block.rows, sums);
}

void run_rows(const Job& job, GemmCalls& calls, IndexRange panels, Block block) {
  int32_t sums[kMaxRowFactors];
  if (!job.plan.row_sum_factor.empty()) {
    sum_rows(job.plan, block, sums);
    block.row_sums = sums;
  }
  if (job.plan.packed_a)
    run_packed_block(job, calls, panels, block);
  else
    BlockRun(job, calls, block).run(panels);
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
  GemmCalls calls;
  for (int64_t row = tiles.begin * mr; row < end; row += s.block_rows) {
    run_rows(job, calls, panels,
             {std::min(s.block_rows, end - row),
              static_cast<const uint8_t*>(job.args.a) + row * job.args.a_stride_bytes,
              job.args.a_stride_bytes, nullptr, nullptr,
              static_cast<uint8_t*>(job.args.c) + row * job.args.c_stride_bytes, row});
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
  int64_t fit =
      plan.packed_a ? max_packed_rows(k) : static_cast<int64_t>(cpu_facts().l2_bytes) / 2 / k;
  if (!plan.row_sum_factor.empty()) fit = std::min(fit, kMaxRowFactors);
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
