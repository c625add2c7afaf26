// A qgemm problem, checked and normalised: what selection, packing and planning work from.
#pragma once

#include <cstdint>
#include <vector>

#include "dispatch/dynamic.h"
#include "dispatch/layer.h"
#include "kernels/pack.h"
#include "octavo/octavo.h"
#include "quant/types.h"

namespace oct {

// A row of dynamic A, as bytes, must fit the stack buffer of a run.
inline constexpr int64_t kMaxDynamicK = 64 << 10;

struct Problem : Layer {
  BView b;  // the caller's memory: valid during creation only
  int64_t m_hint = 0;
  DynamicA dynamic;  // false: A is given quantised
  // Rows of A have zero points of their own, so that a_zero_point is not used.
  bool varying_zero_points = false;
  // Rows of B that share scales, or 0; and A's times B's scale, [group][column]. The sum of earlier
  // groups is the tensor of the first post-operation.
  int64_t group_k = 0;
  std::vector<float> group_mult;

  int64_t n() const { return b.n; }
  int64_t k() const { return b.k; }
  int64_t groups() const { return group_k ? k() / group_k : 1; }
  int64_t kernel_k() const { return group_k ? group_k : k(); }  // of one sum
  // Of a group's column, as packed with that shift.
  int group_zero_point(int64_t group, size_t column, int shift) const {
    const auto n = static_cast<size_t>(b.n);
    const bool own = w_zero_points.size() > n;
    return w_zero_point(own ? static_cast<size_t>(group) * n + column : column, shift);
  }
  size_t first_post() const { return group_k ? 1 : 0; }  // the caller's first operation
};

// Checks every field of `desc` and fills `problem`; on failure says which number is wrong and why.
// Allocates per-column arrays only after every other check has passed.
oct_status make_problem(const oct_qgemm_desc& desc, Problem* problem);

// [data, data + extent) for `rows` >= 1 rows; false if it has no representable end.
bool extent_of(const void* data, int64_t rows, int64_t stride, int64_t row_bytes, uintptr_t* begin,
               uintptr_t* end);

// What a run is asked for, checked against the plan's problem.
oct_status check_args(const oct_qgemm_args& args, const Problem& problem);

}  // namespace oct
