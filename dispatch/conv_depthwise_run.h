// Running depthwise kernels, and how threads share them.
//
// A unit is a pair of output rows, which kernels compute together, of one block of channels.
// Threads take runs of units: of large images all blocks of some rows, so that each reads a part of
// the image in order; of small ones all rows of some blocks, so that each reads a part of the
// weights.
#pragma once

#include "dispatch/conv_task.h"

namespace oct {

class DepthwiseUnits {
 public:
  DepthwiseUnits(int64_t rows, int64_t blocks) : rows_(rows), blocks_(blocks) {}

  // In every image of the batch.
  int64_t count() const { return ceil_div(rows_, 2) * blocks_; }

  // Share i of `parts`. An odd last row counts half of a pair.
  IndexRange share(int64_t i, int64_t parts) const {
    return {begin(i, parts), begin(i + 1, parts)};
  }

  // Calls f(rows, blocks) for the rectangles that make up `units`: whole pairs, and before and
  // behind them some blocks of one.
  template <class F>
  void for_rectangles(IndexRange units, F f) const {
    for (int64_t u = units.begin; u < units.end;) {
      const int64_t pair = u / blocks_, block = u % blocks_, left = units.end - u;
      const int64_t pairs = block == 0 ? std::max<int64_t>(1, left / blocks_) : 1;
      const int64_t end = std::min(blocks_, block + left);
      f(IndexRange{2 * pair, std::min(2 * (pair + pairs), rows_)}, IndexRange{block, end});
      u += (pairs - 1) * blocks_ + end - block;
    }
  }

 private:
  int64_t begin(int64_t i, int64_t parts) const;

  const int64_t rows_, blocks_;
};

// Task i of job.row_tasks. `scratch` may be null: the stack.
void run_depthwise_task(const ConvJob& job, int64_t i, uint8_t* scratch);

}  // namespace oct
