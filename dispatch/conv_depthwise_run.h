// Running depthwise kernels, and how threads share them.
//
// A unit is a pair of output rows, which kernels compute together, of one block of channels.
// Threads take runs of units: as a rule all blocks of some rows, so that each reads a part of the
// image in order; of small images all rows of some blocks, so that each reads a part of the
// weights.
#pragma once

#include "dispatch/conv_task.h"

namespace oct {

class DepthwiseUnits {
 public:
  DepthwiseUnits(int64_t rows, int64_t blocks, bool by_blocks)
      : rows_(rows), blocks_(blocks), by_blocks_(by_blocks) {}
  explicit DepthwiseUnits(const ConvJob& job);

  // In every image of the batch.
  int64_t count() const { return pairs() * blocks_; }

  // Share i of `parts`, as nearly equal in time as units allow.
  IndexRange share(int64_t i, int64_t parts) const {
    return {begin(i, parts), begin(i + 1, parts)};
  }

  // Calls f(rows, blocks) for the rectangles that make up `units`: whole pairs (or blocks), and
  // before and behind them some blocks (or pairs) of one.
  template <class F>
  void for_rectangles(IndexRange units, Order order, F f) const {
    if (units.begin == units.end) return;
    const int64_t line = by_blocks_ ? pairs() : blocks_;
    const auto rectangle = [&](IndexRange lines, IndexRange across) {
      by_blocks_ ? f(rows_of(across), lines) : f(rows_of(lines), across);
    };
    const auto some = [&](IndexRange u) {  // of one line
      const int64_t i = u.begin / line;
      if (u.begin < u.end) rectangle({i, i + 1}, {u.begin - i * line, u.end - i * line});
    };
    const int64_t first = ceil_div(units.begin, line), last = units.end / line;
    const IndexRange before{units.begin, std::min(first * line, units.end)};
    const IndexRange behind{std::max(last * line, before.end), units.end};
    some(order == Order::kForwards ? before : behind);
    if (first < last) rectangle({first, last}, {0, line});
    some(order == Order::kForwards ? behind : before);
  }

 private:
  int64_t pairs() const { return ceil_div(rows_, 2); }
  int64_t begin(int64_t i, int64_t parts) const;
  IndexRange rows_of(IndexRange pairs) const {
    return {2 * pairs.begin, std::min(2 * pairs.end, rows_)};
  }

  const int64_t rows_, blocks_;
  const bool by_blocks_;
};

// Task i of job.row_tasks. `scratch` may be null: the stack.
void run_depthwise_task(const ConvJob& job, int64_t i, uint8_t* scratch);

}  // namespace oct
