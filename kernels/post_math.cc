#include "kernels/post_math.h"

#include <bit>
#include <cmath>

namespace oct::post_math {
namespace {

float min_of(float a, float b) { return a < b ? a : b; }
float max_of(float a, float b) { return a > b ? a : b; }

float polynomial(const Table& t, float a) {
  const float u = min_of(t.last, a) + t.offset;
  const auto i = (std::bit_cast<uint32_t>(u) >> kIntervalShift) % kIntervals;
  const float d = a - t.rows[kCentre][i];
  float h = t.rows[kFirst + kDegree][i];
  for (size_t k = kDegree - 1; k > 0; --k) h = std::fma(h, d, t.rows[kFirst + k][i]);
  return std::fma(h, d, std::fma(d, t.rows[kSlope][i], t.rows[kFirst][i]));
}

// x * 2^n, n in the low bits of k, rounded once even where that is denormal: 2^n as two factors,
// the first of which is exact.
float scale(float x, float k) {
  const uint32_t n = std::bit_cast<uint32_t>(k) << 23, half = (n >> 1) & 0x7f800000u;
  return x * std::bit_cast<float>(half) * std::bit_cast<float>(n - half);
}

// h * e^(y + y_low).
float times_exponential(float h, float y, float y_low) {
  const float k = std::fma(y, kLog2E, kMagic), n = k - kMagic;
  float r = std::fma(n, -kLn2High, y);
  r = std::fma(n, -kLn2Low, r);
  r = r + y_low;
  float q = kExp[4];
  for (int i = 3; i >= 0; --i) q = std::fma(q, r, kExp[i]);
  const float m = std::fma(r * r, q, r);
  return scale(std::fma(h, m, h), k);
}

float bounded(const Table& t, float x) { return min_of(t.high, std::fabs(x)); }

}  // namespace

float sigmoid(float x) {
  const float a = bounded(kSigmoid, x);
  const float v = times_exponential(polynomial(kSigmoid, a), -a, 0);
  return std::fabs((std::signbit(x) ? 0.0f : 1.0f) - v);
}

float tanh(float x) { return std::copysign(polynomial(kTanh, bounded(kTanh, x)), x); }

float silu(float x) {
  const float a = bounded(kSilu, x);
  return max_of(0.0f, x) - times_exponential(polynomial(kSilu, a), -a, 0);
}

float gelu_erf(float x) {
  const float a = bounded(kErf, x), b = -0.5f * a, y = a * b;
  return max_of(0.0f, x) - times_exponential(polynomial(kErf, a), y, std::fma(a, b, -y));
}

float gelu_tanh(float x) {
  const float a = bounded(kTanhForm, x);
  const float s = a * a, s_low = std::fma(a, a, -s);
  const float p = s * kZ3High, p_low = std::fma(s, kZ3High, -p);
  const float big = min_of(kZ1High, p), small = max_of(kZ1High, p);  // both are negative
  const float w = big + small;
  float w_low = (small - (w - big)) + std::fma(s_low, kZ3High, p_low);
  w_low = w_low + std::fma(s, kZ3Low, kZ1Low);
  const float y = a * w;
  const float y_low = std::fma(a, w_low, std::fma(a, w, -y));
  return max_of(0.0f, x) - times_exponential(polynomial(kTanhForm, a), y, y_low);
}

}  // namespace oct::post_math
