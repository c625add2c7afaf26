// Operands for exact integer kernels: random, and the extremes that random data never reaches.
#pragma once

#include <cstdint>

#include "tests/guard_buffer.h"
#include "tests/support.h"

namespace oct::test {

inline Flush either_end(Rng& rng) { return rng.one_in(2) ? Flush::kLeft : Flush::kRight; }

enum class Fill { kRandom, kExtremes, kAllMax, kAllMin, kAlternating };
inline constexpr Fill kFills[] = {Fill::kRandom, Fill::kExtremes, Fill::kAllMax, Fill::kAllMin,
                                  Fill::kAlternating};
const char* fill_name(Fill fill);

// One value in [lo, hi]; the extremes are both ends, their neighbours and the middle: for u8
// {0, 1, 127, 128, 254, 255}, for s8 {-128, -127, -1, 0, 1, 126, 127}. `i` is its index along K.
int fill_value(Rng& rng, Fill fill, int lo, int hi, int64_t i);

// Two adjacent weights whose products with any two u8 add up within int16.
struct WeightPair {
  int8_t w0, w1;
};
WeightPair safe_pair(Rng& rng, Fill fill);

}  // namespace oct::test
