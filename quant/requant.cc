#include "quant/requant.h"

#include <bit>
#include <cmath>

namespace oct {

int quantize_value(float x, float scale, int zero_point, DType type) {
  return round_and_clamp(x / scale, dtype_min(type), dtype_max(type), zero_point);
}

// The clamp comes before the conversion, which then cannot overflow, and has the operand order of
// maxps and minps: a NaN becomes the lower bound.
int round_and_clamp(float t, int lo, int hi, int zero_point) {
  const float t_lo = static_cast<float>(lo - zero_point);
  const float t_hi = static_cast<float>(hi - zero_point);
  t = t > t_lo ? t : t_lo;
  t = t < t_hi ? t : t_hi;
  return static_cast<int>(std::lrintf(t)) + zero_point;
}

// Adding just under half of the dropped part, or exactly half if the kept part is odd, carries
// into it precisely when nearest-even rounds up; past the largest finite value this gives infinity.
uint16_t bf16_from_float(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace oct
