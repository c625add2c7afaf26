// Half-open ranges of indices, and how work is cut into them.
#pragma once

#include <algorithm>
#include <cstdint>

namespace oct {

struct IndexRange {
  int64_t begin, end;

  friend bool operator==(const IndexRange&, const IndexRange&) = default;
};

// Part i of `count` indices cut into `parts` of nearly equal length. The first is never shorter
// than others: who hands out the parts takes it and begins a little earlier.
constexpr IndexRange part(int64_t count, int64_t parts, int64_t i) {
  return {(count * i + parts - 1) / parts, (count * (i + 1) + parts - 1) / parts};
}

// In which order a thread takes its share of rows. Hardware prefetchers run on past the end of what
// a thread writes, by a page and more, and take the lines from the thread whose share begins there,
// which then waits for every one of them. So of two neighbours the first goes backwards: both begin
// where they meet.
enum class Order { kForwards, kBackwards };

constexpr Order share_order(int64_t i, int64_t parts) {
  return i % 2 == 0 && i + 1 < parts ? Order::kBackwards : Order::kForwards;
}

// Calls f(part) for the parts of `range`, `step` long but for its last one.
template <class F>
void for_steps(IndexRange range, int64_t step, Order order, F f) {
  const int64_t steps = (range.end - range.begin + step - 1) / step;
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t at = range.begin + (order == Order::kForwards ? i : steps - 1 - i) * step;
    f(IndexRange{at, std::min(at + step, range.end)});
  }
}

}  // namespace oct
