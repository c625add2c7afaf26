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

  // Share i of `parts`, as nearly equal in time as units allow.
  IndexRange share(int64_t i, int64_t parts) const {
    return {begin(i, parts), begin(i + 1, parts)};
  }

  // Calls f(rows, blocks) for the rectangles that make up `units`: whole pairs, and before and
  // behind them some blocks of one.
  template <class F>
  void for_rectangles(IndexRange units, Order order, F f) const {
    if (units.begin == units.end) return;
    const int64_t first = ceil_div(units.begin, blocks_), last = units.end / blocks_;
    const auto some = [&](IndexRange u) {  // of one pair
      const int64_t pair = u.begin / blocks_;
      if (u.begin < u.end)
        f(rows_of({pair, pair + 1}), IndexRange{u.begin - pair * blocks_, u.end - pair * blocks_});
    };
    const IndexRange before{units.begin, std::min(first * blocks_, units.end)};
    const IndexRange behind{std::max(last * blocks_, before.end), units.end};
    some(order == Order::kForwards ? before : behind);
    if (first < last) f(rows_of({first, last}), IndexRange{0, blocks_});
    some(order == Order::kForwards ? behind : before);
  }

 private:
  int64_t begin(int64_t i, int64_t parts) const;
  IndexRange rows_of(IndexRange pairs) const {
    return {2 * pairs.begin, std::min(2 * pairs.end, rows_)};
  }

  const int64_t rows_, blocks_;
};

// Task i of job.row_tasks. `scratch` may be null: the stack.
void run_depthwise_task(const ConvJob& job, int64_t i, uint8_t* scratch);

}  // namespace oct
