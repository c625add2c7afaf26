// Half-open ranges of indices, and how work is cut into them.
#pragma once

#include <cstdint>

namespace oct {

struct IndexRange {
  int64_t begin, end;

  friend bool operator==(const IndexRange&, const IndexRange&) = default;
};

// Part i of `count` indices cut into `parts` of nearly equal length.
constexpr IndexRange part(int64_t count, int64_t parts, int64_t i) {
  return {count * i / parts, count * (i + 1) / parts};
}

}  // namespace oct
