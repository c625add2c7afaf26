#include "kernels/post_math.h"

#include <bit>
#include <cmath>

namespace oct::post_math {
namespace {

float min_of(float a, float b) { return a < b ? a : b; }
float max_of(float a, float b) { return a > b ? a : b; }

float polynomial(const Table& t, float a) {
  const float u = (t.last < t.high ? min_of(t.last, a) : a) + t.offset;
  const auto i = (std::bit_cast<uint32_t>(u) >> kIntervalShift) % kIntervals;
  const float d = a - t.rows[kCentre][i];
  float h = t.rows[kFirst + kDegree][i];
  for (size_t k = kDegree - 1; k > 0; --k) h = std::fma(h, d, t.rows[kFirst + k][i]);
  const float first = t.rows[kFirst][i];
  return std::fma(h, d, t.has_slope() ? std::fma(d, t.rows[kSlope][i], first) : first);
}

// x * 2^n, n in the low bits of k, rounded once even where that is denormal: 2^n as two factors,
// the first of which is exact.
float scale(float x, float k) {
  const uint32_t n = std::bit_cast<uint32_t>(k) << 23, half = (n >> 1) & 0x7f800000u;
  return x * std::bit_cast<float>(half) * std::bit_cast<float>(n - half);
}

// h * 2^n * e^(unit r), n in k.
float times_exponential(float h, float r, const ExpTerms& terms, float k) {
  float p = terms[kExpTerms - 1];
  for (size_t i = kExpTerms - 1; i-- > 0;) p = std::fma(p, r, terms[i]);
  return scale(std::fma(h * r, p, h), k);
}

float times_exponential_of_a(float h, float a) {
  const Exponential& e = kExpOfA;
  const float k = std::fma(a, e.to_n, kMagic), n = k - kMagic;
  const float r = std::fma(n, e.step_low, std::fma(n, e.step_high, a));
  return times_exponential(h, r, e.terms, k);
}

float times_exponential_of_square(float h, float a) {
  const Exponential& e = kExpOfSquare;
  const float k = std::fma(a * a, e.to_n, kMagic), n = k - kMagic;
  const float r = std::fma(n, e.step_low, std::fma(a, a, n * e.step_high));
  return times_exponential(h, r, e.terms, k);
}

// Of a w, where w + w_low = x1 + a^2.
float times_exponential_of_cubic(float h, float a) {
  const Exponential& e = kExpOfCubic;
  const float w = std::fma(a, a, kX1High), w_low = std::fma(a, a, -(w - kX1High)) + kX1Low;
  const float b = a * e.to_n;
  const float k = std::fma(b, w, kMagic), n = k - kMagic;
  const float rest = std::fma(a, w, n * e.step_high);
  const float r = std::fma(rest, e.to_n, std::fma(n, e.step_low, w_low * b));
  return times_exponential(h, r, e.terms, k);
}

float bounded(const Table& t, float x) { return min_of(t.high, std::fabs(x)); }

}  // namespace

float sigmoid(float x) {
  const float a = bounded(kSigmoid, x);
  const float v = times_exponential_of_a(polynomial(kSigmoid, a), a);
  return std::fabs((std::signbit(x) ? 0.0f : 1.0f) - v);
}

float tanh(float x) { return std::copysign(polynomial(kTanh, bounded(kTanh, x)), x); }

float silu(float x) {
  const float a = bounded(kSilu, x);
  return max_of(0.0f, x) - times_exponential_of_a(polynomial(kSilu, a), a);
}

float gelu_erf(float x) {
  const float a = bounded(kErf, x);
  return max_of(0.0f, x) - times_exponential_of_square(polynomial(kErf, a), a);
}

float gelu_tanh(float x) {
  const float a = bounded(kTanhForm, x);
  return max_of(0.0f, x) - times_exponential_of_cubic(polynomial(kTanhForm, a), a);
}

}  // namespace oct::post_math
