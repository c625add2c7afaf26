// Convolutions of few input channels: K is what lies under the filter, without regard to pixels.
//
//   interleaved   | r0x0 r1x0 r2x0 | r0x1 r1x1 r2x1 | ..        one run, a column of pixels at a
//   time by rows       | r0x0 r0x1 .. | r1x0 r1x1 .. | ..            a run for each row of the
//   filter, in
//                                                               place, and what they leave over
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dispatch/conv_shape.h"
#include "kernels/table.h"

namespace oct {

// Whether that pays, with or without VNNI: a filter's row is short, and taps of their own would
// fill K groups badly or have few of them. `size_hint`: of the input, 0 where it is not known.
bool should_fold(const ConvShape& shape, const std::array<int64_t, 3>& size_hint, bool vnni);

// K by rows. A row of the filter is `whole` K groups; beyond them lie `tail` bytes, 1 or 2, which
// shared groups collect (GemmSpec::run_tail). Three bytes make a group of their own.
struct RowRuns {
  int64_t count, bytes;  // of runs, and of each
  int whole, tail;
  int64_t shared;  // groups

  int64_t k() const { return (count * whole + shared) * kKr; }
};
RowRuns row_runs(const ConvShape& shape);

// Whether the row's kernels can take K by rows.
bool takes_row_runs(const ConvShape& shape, const KernelRow& row);

// K interleaved: everything under the filter, filled up to whole groups.
int64_t folded_k(const ConvShape& shape);

// Weights [out_channels][depth x height][width][in_channels] in the order of K, [out_channels][k];
// what fills K up is zero.
std::vector<int8_t> fold_weights(const ConvShape& shape, const int8_t* w, bool by_rows);

}  // namespace oct
