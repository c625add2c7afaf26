// Running a plan: blocks of rows against panels of B, on as many threads as are worth it.

#include <algorithm>

#include "dispatch/plan.h"
#include "kernels/index_range.h"
#include "kernels/pack.h"

namespace oct {
namespace {

struct Job {
  const oct_qgemm& plan;
  const oct_qgemm_args& args;
  Schedule schedule;
  QParams tensor;  // of A, dynamic per tensor
};

// What the rows of a block have of their own.
struct RowNumbers {
  int32_t sums[kMaxRowSums];  // with groups of K, those of all rows for each group
  int32_t zero_points[kMaxRowFactors];
  float scales[kMaxRowFactors];
};

// Whether there is room for the sums of every group over enough rows for a panel to be in L1 for
// most of them. Without it, each panel takes those sums anew, which costs a tenth of the time.
bool keeps_group_sums(const oct_qgemm& plan) {
  constexpr int64_t kFewestTiles = 4;
  return plan.problem.group_k && !plan.row_sum_factor.empty() &&
         kMaxRowSums / plan.problem.groups() >= kFewestTiles * plan.layout().main->mr;
}

// One block of rows: A as the kernels read it, the block's first row of C.
struct Block {
  int64_t rows;
  const uint8_t* a;
  int64_t a_stride;
  const int32_t* row_init;
  uint8_t* c;
  int64_t row;  // its number, of C
  Order order;
  RowNumbers* numbers;
};

// Of the bytes that rows of dynamic A become.
int64_t dynamic_stride(int64_t k) { return (k + 63) / 64 * 64; }

// What fits a tile of every kernel, and the rows of such sums: vectors have at least eight.
constexpr int64_t kGroupSums = 1024, kGroupRows = kGroupSums / 8;

// The sums of the first k bytes of each row.
void sum_bytes(const oct_qgemm& plan, const uint8_t* a, int64_t stride, int64_t k, int64_t rows,
               int32_t* sums) {
  constexpr Tap kOne{0, 0, 0};
  const bool is_signed = plan.layout().main->flags & kRowSignedA;
  sum_a_rows({a, stride, &kOne, &kOne + 1, k, plan.a_shift, is_signed}, rows, sums);
}

// A block against panels of B.
class BlockRun {
 public:
  BlockRun(const Job& job, GemmCalls& calls, const Block& block)
      : job_(job), plan_(job.plan), calls_(calls), block_(block) {
    g_.a_stride_bytes = block.a_stride;
    g_.c_stride_bytes = job.args.c_stride_bytes;
    g_.epilogue = &plan_.params;
    g_.k_groups = k_steps(*plan_.layout().main, plan_.problem.kernel_k()).whole;
    g_.a_shift = plan_.a_shift * 0x01010101u;
    tensors_ = has_tensor(plan_.problem.epilogue.post);
    sums_kept_ = keeps_group_sums(plan_);
    backwards_ = block.order == Order::kBackwards && !plan_.problem.group_k && !block.row_init &&
                 !plan_.has_row_factors();
  }

  // Vector kernels take a panel while it is in L1. Tile kernels take all panels with tiles of one
  // height, since another height means another configuration.
  void run(IndexRange panels) {
    const bool by_height = plan_.layout().main->isa == Isa::kAmx;
    for (int64_t i = panels.begin; i < panels.end; ++i) {
      if (by_height) {
        tall(panel(i));
        continue;
      }
      if (backwards_) rest(panel(i));
      tall(panel(i));
      if (!backwards_) rest(panel(i));
    }
    if (by_height)
      for (int64_t i = panels.begin; i < panels.end; ++i) rest(panel(i));
  }

 private:
  RowSplit split_block(const Panel& panel) const {
    return split_rows(block_.rows, *panel.row, tile_height(*panel.row, block_.a_stride));
  }
  const Panel& panel(int64_t i) const { return plan_.panels[static_cast<size_t>(i)]; }

  void tall(const Panel& panel) {
    const RowSplit split = split_block(panel);
    call(panel, 0, split.tall, split.height);
  }
  void rest(const Panel& panel) {
    const RowSplit split = split_block(panel);
    if (split.rest) call(panel, split.tall * split.height, split.rest, split.rest_height);
  }

  void call(const Panel& panel, int64_t row, int64_t tiles, int height) {
    if (plan_.problem.group_k) return call_groups(panel, row, tiles, height);
    place(panel, row);
    g_.tiles = tiles;
    if (backwards_) turn_rows(g_, tiles * height);
    calls_.call(*panel.code, height, g_);
    if (backwards_) turn_rows(g_, tiles * height);
  }

  // Group after group of B's rows, for as many tiles as the sums on the stack have room.
  void call_groups(const Panel& panel, int64_t row, int64_t tiles, int height) {
    alignas(64) float sums[kGroupSums];
    int32_t row_sums[kGroupRows];
    const Problem& p = plan_.problem;
    const int64_t lanes = panel.row->lanes, width = (panel.n + lanes - 1) / lanes * lanes;
    const int64_t most = std::max<int64_t>(1, kGroupSums / (width * height));
    const PostTensor of_sums{sums, width * 4};
    const auto group_bytes = static_cast<int64_t>(packed_b_bytes(*panel.row, p.group_k, panel.n));
    for (int64_t tile = 0; tile < tiles; tile += most) {
      place(panel, row + tile * height);
      g_.tiles = std::min(most, tiles - tile);
      GemmArgs group = g_;
      group.c = sums;
      group.c_stride_bytes = of_sums.stride_bytes;
      group.epilogue = &plan_.sum_params;
      group.post[0] = g_.post[0] = of_sums;
      for (int64_t i = 0; i + 1 < p.groups(); ++i) {
        sum_group(group, height, row_sums);
        calls_.call(i == 0 ? *panel.first_code : *panel.middle_code, height, group);
        next_group(group, group_bytes);
      }
      group.c = g_.c;
      group.c_stride_bytes = g_.c_stride_bytes;
      group.epilogue = g_.epilogue;
      sum_group(group, height, row_sums);
      calls_.call(*panel.code, height, group);
    }
  }

  void sum_group(GemmArgs& g, int height, int32_t* row_sums) const {
    if (plan_.row_sum_factor.empty() || sums_kept_) return;
    sum_bytes(plan_, static_cast<const uint8_t*>(g.a), g.a_stride_bytes, plan_.problem.group_k,
              g.tiles * height, row_sums);
    g.row_factor[0] = row_sums;
  }

  void next_group(GemmArgs& g, int64_t b_bytes) const {
    g.a = static_cast<const uint8_t*>(g.a) + plan_.problem.group_k;
    g.b = static_cast<const uint8_t*>(g.b) + b_bytes;
    g.init += plan_.columns;
    g.mult += plan_.columns;
    const int terms = !plan_.row_sum_factor.empty() + !plan_.zero_point_factor.empty();
    for (int t = 0; t < terms; ++t) g.col_factor[t] += plan_.columns;
    if (sums_kept_) g.row_factor[0] += block_.rows;
  }

  // Everything but the number of tiles, from that row of the block on.
  void place(const Panel& panel, int64_t row) {
    const auto size = static_cast<int64_t>(dtype_bytes(plan_.problem.c_type));
    g_.b = plan_.packed_b.data() + panel.b_offset;
    g_.init = plan_.init.data() + panel.column;
    g_.mult = plan_.mult.data() + panel.column;
    g_.bias = plan_.bias.data() + panel.column;
    g_.a = block_.a + row * g_.a_stride_bytes;
    g_.row_init = block_.row_init ? block_.row_init + row : nullptr;
    set_row_factors(panel, row);
    g_.c = block_.c + row * g_.c_stride_bytes + panel.n0 * size;
    if (tensors_) set_tensors(block_.row + row, panel.n0);
  }

  void set_row_factors(const Panel& panel, int64_t row) {
    int term = 0;
    const auto set = [&](const Columns<int32_t>& of_columns, const int32_t* of_rows) {
      if (of_columns.empty()) return;
      g_.row_factor[term] = of_rows + row;
      g_.col_factor[term++] = of_columns.data() + panel.column;
    };
    set(plan_.row_sum_factor, block_.numbers->sums);
    set(plan_.zero_point_factor, block_.numbers->zero_points);
    g_.row_scale = block_.numbers->scales + row;
  }

  void set_tensors(int64_t row, int64_t column) {
    const PostSpecs& specs = plan_.problem.epilogue.post;
    const size_t first = plan_.problem.first_post();
    for (size_t i = first; i < specs.size(); ++i) {
      if (!has_tensor(specs[i].kind)) continue;
      const oct_post_tensor& x = job_.args.post[i - first];
      const int64_t offset =
          row * x.stride_bytes + column * static_cast<int64_t>(dtype_bytes(specs[i].type));
      g_.post[i] = {static_cast<const uint8_t*>(x.data) + offset, x.stride_bytes};
    }
  }

  const Job& job_;
  const oct_qgemm& plan_;
  GemmCalls& calls_;
  const Block block_;
  bool tensors_, sums_kept_, backwards_;
  GemmArgs g_{};
};

// A block whose rows of A are packed one after another on the stack.
class PackedBlock {
 public:
  PackedBlock(const oct_qgemm& plan) : plan_(plan) {}

  void add(const uint8_t* row) {
    const int64_t k = plan_.problem.k();
    pack_a_rows(row, 0, 1, k, plan_.a_shift, bytes_ + rows_ * packed_a_row_bytes(k),
                row_init_ + rows_);
    ++rows_;
  }

  void run(const Job& job, GemmCalls& calls, IndexRange panels, Block block) const {
    block.a = bytes_;
    block.a_stride = static_cast<int64_t>(packed_a_row_bytes(plan_.problem.k()));
    block.row_init = row_init_;
    BlockRun(job, calls, block).run(panels);
  }

 private:
  static constexpr int64_t kMaxRows = kPackedABytes / 64;  // K <= 32

  const oct_qgemm& plan_;
  size_t rows_ = 0;
  alignas(64) uint8_t bytes_[kPackedABytes];
  int32_t row_init_[kMaxRows];
};

// Groups have sums of their own, which their calls take where there is no room for them here.
void sum_rows(const oct_qgemm& plan, const uint8_t* a, int64_t stride, int64_t rows,
              int32_t* sums) {
  const Problem& p = plan.problem;
  if (plan.row_sum_factor.empty() || (p.group_k && !keeps_group_sums(plan))) return;
  for (int64_t i = 0; i < p.groups(); ++i)
    sum_bytes(plan, a + i * p.kernel_k(), stride, p.kernel_k(), rows, sums + i * rows);
}

// Zero points as the kernels see them: of shifted values.
void shift_zero_points(const oct_qgemm& plan, int64_t rows, int32_t* zero_points) {
  for (int64_t i = 0; i < rows; ++i) zero_points[i] += plan.shift;
}

// Each kind of block has a frame of its own, since their buffers would not fit the stack together.

[[gnu::noinline]] void run_packed(const Job& job, GemmCalls& calls, IndexRange panels,
                                  const Block& block) {
  PackedBlock packed(job.plan);
  for (int64_t i = 0; i < block.rows; ++i) packed.add(block.a + i * block.a_stride);
  packed.run(job, calls, panels, block);
}

// The floats of a block, quantised in one go.
[[gnu::noinline]] void run_dynamic(const Job& job, GemmCalls& calls, IndexRange panels,
                                   const FloatRows& a, Block block) {
  alignas(64) uint8_t bytes[kMaxDynamicK];
  const oct_qgemm& plan = job.plan;
  const DynamicA& d = plan.problem.dynamic;
  block.a_stride = dynamic_stride(plan.problem.k());
  quantize_rows(d, a, d.per_tensor ? &job.tensor : nullptr, bytes, block.a_stride,
                block.numbers->scales, block.numbers->zero_points);
  shift_zero_points(plan, block.rows, block.numbers->zero_points);
  sum_rows(plan, bytes, block.a_stride, block.rows, block.numbers->sums);
  block.a = bytes;
  BlockRun(job, calls, block).run(panels);
}

// And row by row, on their way to the packed form.
[[gnu::noinline]] void run_dynamic_packed(const Job& job, GemmCalls& calls, IndexRange panels,
                                          const FloatRows& a, const Block& block) {
  PackedBlock packed(job.plan);
  alignas(64) uint8_t bytes[kPackedABytes / 6];  // K of the fewest rows that packed kernels take
  const oct_qgemm& plan = job.plan;
  const DynamicA& d = plan.problem.dynamic;
  RowNumbers& numbers = *block.numbers;
  FloatRows row = a;
  row.rows = 1;
  for (int64_t i = 0; i < block.rows; ++i) {
    row.data = static_cast<const uint8_t*>(a.data) + i * a.stride_bytes;
    quantize_rows(d, row, d.per_tensor ? &job.tensor : nullptr, bytes, 0, numbers.scales + i,
                  numbers.zero_points + i);
    sum_rows(plan, bytes, 0, 1, numbers.sums + i);
    packed.add(bytes);
  }
  shift_zero_points(plan, block.rows, numbers.zero_points);
  packed.run(job, calls, panels, block);
}

// What the caller gives for the block's rows, or what follows from their bytes.
void fill_numbers(const Job& job, const Block& block) {
  const oct_qgemm& plan = job.plan;
  RowNumbers& numbers = *block.numbers;
  sum_rows(plan, block.a, block.a_stride, block.rows, numbers.sums);
  if (plan.problem.epilogue.row_scale)
    std::copy_n(job.args.a_scales + block.row, block.rows, numbers.scales);
  if (plan.zero_point_factor.empty()) return;
  if (job.args.a_zero_points)
    std::copy_n(job.args.a_zero_points + block.row, block.rows, numbers.zero_points);
  else
    std::fill_n(numbers.zero_points, block.rows, 0);
  shift_zero_points(plan, block.rows, numbers.zero_points);
}

void run_rows(const Job& job, GemmCalls& calls, IndexRange panels, const Block& block) {
  const oct_qgemm& plan = job.plan;
  if (plan.problem.dynamic) {
    const FloatRows a{block.a, block.a_stride, block.rows, plan.problem.k()};
    return plan.packed_a ? run_dynamic_packed(job, calls, panels, a, block)
                         : run_dynamic(job, calls, panels, a, block);
  }
  fill_numbers(job, block);
  plan.packed_a ? run_packed(job, calls, panels, block) : BlockRun(job, calls, block).run(panels);
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
  RowNumbers numbers;
  const Order order = share_order(i % s.row_tasks, s.row_tasks);
  for_steps({tiles.begin * mr, end}, s.block_rows, order, [&](IndexRange rows) {
    run_rows(job, calls, panels,
             {rows.end - rows.begin,
              static_cast<const uint8_t*>(job.args.a) + rows.begin * job.args.a_stride_bytes,
              job.args.a_stride_bytes, nullptr,
              static_cast<uint8_t*>(job.args.c) + rows.begin * job.args.c_stride_bytes, rows.begin,
              order, &numbers});
  });
}

// Blocks of rows whose A takes half of L2, or the stack buffer where it is packed or quantised.
int64_t block_rows(const oct_qgemm& plan, int64_t m) {
  const int64_t mr = plan.layout().main->mr, k = plan.problem.k();
  const bool dynamic = static_cast<bool>(plan.problem.dynamic);
  int64_t fit = plan.packed_a ? max_packed_rows(k)
                : dynamic     ? kMaxDynamicK / dynamic_stride(k)
                              : static_cast<int64_t>(cpu_facts().l2_bytes) / 2 / k;
  if (plan.has_row_factors()) fit = std::min(fit, kMaxRowFactors);
  if (keeps_group_sums(plan)) fit = std::min(fit, kMaxRowSums / plan.problem.groups());
  if (!dynamic) return std::max(fit / mr, int64_t{1}) * mr;
  // Blocks of one size: each reads all of B.
  fit = std::min(fit, kMaxDynamicRows);
  const int64_t blocks = std::max<int64_t>(1, (m + fit - 1) / fit);
  const int64_t even = (m + blocks - 1) / blocks;
  return std::min((even + mr - 1) / mr * mr, std::max(fit / mr * mr, std::min(fit, mr)));
}

}  // namespace

// Threads split the larger operand, so that each streams its own part of it.
Schedule make_schedule(const oct_qgemm& plan, int64_t m) {
  const Problem& p = plan.problem;
  const int64_t mr = plan.layout().main->mr;
  Schedule s{block_rows(plan, m), 1, 1};
  const Threads& threads = plan.context->threads;
  if (threads.count() == 1) return s;
  const int64_t t = threads.useful(static_cast<double>(m) * plan.cycles_per_row);
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
  Job job{plan, args, make_schedule(plan, args.m), {}};
  const DynamicA& d = plan.problem.dynamic;
  if (d && d.per_tensor)
    job.tensor =
        tensor_qparams(*plan.context, d, {args.a, args.a_stride_bytes, args.m, plan.problem.k()});
  plan.context->threads.run(static_cast<size_t>(job.schedule.tasks()), run_task, &job);
}

}  // namespace oct
