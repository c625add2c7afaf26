// The plan behind oct_qgemm: decisions, packed weights, parameters and code, immutable once made.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dispatch/buffer.h"
#include "dispatch/columns.h"
#include "dispatch/context.h"
#include "dispatch/problem.h"
#include "dispatch/select.h"
#include "kernels/gemm.h"

namespace oct {

// Rows of a block where they have sums, zero points or scales of their own, on the stack.
inline constexpr int64_t kMaxRowFactors = 384;
// Sums of such rows over groups of K, likewise.
inline constexpr int64_t kMaxRowSums = 640;
// Stack that a thread spends on packed rows of A.
inline constexpr int64_t kPackedABytes = 64 << 10;

// Columns [n0, n0 + n) of B as packed, and the code for them.
struct Panel {
  int64_t n0;
  int n;
  const KernelRow* row;
  const GemmCode* code;
  size_t b_offset;  // into Plan::packed_b
  size_t column;    // into the per-column arrays, which pad panels to whole vectors
  // Where groups of B's rows have scales of their own, one follows the other in packed_b, `code` is
  // for the last, and these, which leave f32 sums, for the first and those between.
  const GemmCode *first_code, *middle_code;
};

// Of `bytes` reserved for packed panels, those that will be needed: mixed ones reserve twice as
// many.
inline size_t sure_bytes(const KernelRow& row, size_t bytes) {
  return row.b_form == BForm::kMixed ? bytes / 2 : bytes;
}

// How a run cuts M x N: blocks of rows whose A stays in cache, and a grid of tasks for threads.
struct Schedule {
  int64_t block_rows;
  int64_t row_tasks, panel_tasks;
  int64_t tasks() const { return row_tasks * panel_tasks; }
};

}  // namespace oct

struct oct_qgemm {
  const oct_context* context = nullptr;
  oct::Problem problem;  // its B is no longer valid
  oct::Selection selection;
  double cycles_per_row = 0;  // predicted, for large M
  uint8_t a_shift = 0;
  int shift = 0;  // the same, for zero points
  bool packed_a = false;
  std::vector<std::unique_ptr<oct::GemmCode>> codes;
  std::vector<oct::Panel> panels;
  oct::Buffer packed_b;
  int w_shift = 0;  // taken from every weight
  oct::Columns<int32_t> init;
  // Per column, of all groups: what the sum of a row of A is multiplied by, minus the zero point of
  // the weights.
  oct::Columns<int32_t> row_sum_factor;  // empty: all zero
  // Per column: what the zero point of a row of A is multiplied by, minus the sum of the weights
  // less their zero points.
  oct::Columns<int32_t> zero_point_factor;  // empty: A's zero point does not vary
  oct::Columns<float> mult, bias;
  oct::EpilogueParams params;
  oct::EpilogueParams sum_params;  // of all groups of B but the last
  size_t columns = 0;              // of a group, in the per-column arrays

  bool has_row_factors() const {
    return !row_sum_factor.empty() || !zero_point_factor.empty() || problem.epilogue.row_scale;
  }
  const oct::Layout& layout() const { return selection.best(); }
};

namespace oct {

oct_status create_plan(const oct_context& context, const oct_qgemm_desc& desc, oct_qgemm** plan);

Schedule make_schedule(const oct_qgemm& plan, int64_t m);

// C = epilogue(A . B); `args` have been checked.
void run_plan(const oct_qgemm& plan, const oct_qgemm_args& args);

std::string explain_plan(const oct_qgemm& plan, int64_t m);
std::string describe(const oct_context* context);

}  // namespace oct
