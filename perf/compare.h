// Are the results right? Asked of every problem before it is timed.
#pragma once

#include <cstdint>
#include <string>

#include "perf/case.h"

namespace oct::perf {

struct Difference {
  int64_t compared = 0, different = 0;
  double largest = 0;
  std::string first;  // "row 5, channel 17: 12, expected 13"

  bool any() const { return different > 0; }
};

// Our output `c` against the scalar reference, bit for bit: all rows of a small problem, a random
// choice of rows, with the first and the last, of a large one.
Difference compare_with_reference(const Case& problem, const void* c);

// Our output against the peer's. 8-bit values may differ by one and floats by their last bit,
// since the peer rounds in another order.
Difference compare_with_peer(const Case& problem, const void* ours, const void* peers);

}  // namespace oct::perf
