#include "tests/operands.h"

#include <algorithm>

namespace oct::test {

const char* fill_name(Fill fill) {
  constexpr const char* kNames[] = {"random", "extremes", "all-max", "all-min", "alternating"};
  return kNames[static_cast<int>(fill)];
}

int fill_value(Rng& rng, Fill fill, int lo, int hi, int64_t i) {
  switch (fill) {
    case Fill::kRandom: return static_cast<int>(rng.between(lo, hi));
    case Fill::kExtremes: {
      const int middle = (lo + hi + 1) / 2;
      const int extremes[] = {lo, lo + 1, middle - 1, middle, middle + 1, hi - 1, hi};
      return std::clamp(rng.pick(extremes), lo, hi);
    }
    case Fill::kAllMax: return hi;
    case Fill::kAllMin: return lo;
    case Fill::kAlternating: return i % 2 ? lo : hi;
  }
  return lo;
}

WeightPair safe_pair(Rng& rng, Fill fill) {
  // Pairs on the edge of what is allowed: positive parts, and negative parts, add up to 128.
  constexpr WeightPair kEdges[] = {{127, 1},  {1, 127},   {64, 64},    {-64, -64},  {-128, 0},
                                   {0, -128}, {-127, -1}, {127, -128}, {-128, 127}, {0, 0}};
  switch (fill) {
    case Fill::kRandom: {
      const int w0 = static_cast<int>(rng.between(-128, 127));
      const int lo = -128 - std::min(w0, 0), hi = std::min(127, 128 - std::max(w0, 0));
      return {static_cast<int8_t>(w0), static_cast<int8_t>(rng.between(lo, hi))};
    }
    case Fill::kExtremes: return rng.pick(kEdges);
    case Fill::kAllMax: return {64, 64};
    case Fill::kAllMin: return {-64, -64};
    case Fill::kAlternating: return {127, -128};
  }
  return {0, 0};
}

}  // namespace oct::test
