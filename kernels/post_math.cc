#include "kernels/post_math.h"

#include <bit>
#include <cmath>

namespace oct::post_math {
namespace {

float min_of(float a, float b) { return a < b ? a : b; }
float max_of(float a, float b) { return a > b ? a : b; }

float first_term(const Table& t, size_t i, float d) {
  const float first = t.rows[kFirst][i];
  switch (t.slope) {
    case Slope::kUnit: return max_of(first, d);
    case Slope::kTable: return std::fma(d, t.rows[kSlope][i], first);
    case Slope::kNone: break;
  }
  return first;
}

float polynomial(const Table& t, float a) {
  const float u = (t.last < t.high ? min_of(t.last, a) : a) + t.offset;
  const auto i = (std::bit_cast<uint32_t>(u) >> kIntervalShift) % kIntervals;
  const float d = a - t.rows[kCentre][i];
  float h = t.rows[kFirst + kDegree][i];
  for (size_t k = kDegree - 1; k > 0; --k) h = std::fma(h, d, t.rows[kFirst + k][i]);
  return std::fma(h, d, first_term(t, i, d));
}

// x * 2^n, n in the low bits of k, rounded once even where that is denormal: 2^n as two factors,
// the first of which is exact.
float scale(float x, float k) {
  const uint32_t n = std::bit_cast<uint32_t>(k) << 23, half = (n >> 1) & 0x7f800000u;
  return x * std::bit_cast<float>(half) * std::bit_cast<float>(n - half);
}

// The table's h(a) * 2^n * e^(unit r), n in k.
float product(const Table& t, float a, float r, const ExpTerms& terms, float k) {
  float p = terms[kExpTerms - 1];
  for (size_t i = kExpTerms - 1; i-- > 0;) p = std::fma(p, r, terms[i]);
  const float h = polynomial(t, a);
  return scale(std::fma(h * r, p, h), k - static_cast<float>(t.exponent));
}

float times_exponential_of_a(const Table& t, float a) {
  const Exponential& e = kExpOfA;
  const float k = std::fma(a, e.to_n, kMagic), n = k - kMagic;
  const float r = std::fma(n, e.step_low, std::fma(n, e.step_high, a));
  return product(t, a, r, e.terms, k);
}

float times_exponential_of_square(const Table& t, float a) {
  const Exponential& e = kExpOfSquare;
  const float k = std::fma(a * a, e.to_n, kMagic), n = k - kMagic;
  const float r = std::fma(n, e.step_low, std::fma(a, a, n * e.step_high));
  return product(t, a, r, e.terms, k);
}

// Of a (w + w_low), where w + w_low = x1 + a^2. The rounded product's n steps leave no rounding.
float times_exponential_of_cubic(const Table& t, float a) {
  const Exponential& e = kExpOfCubic;
  const float w = std::fma(a, a, kX1High), w_low = std::fma(a, a, -(w - kX1High)) + kX1Low;
  const float g = a * w, g_low = std::fma(w_low, a, std::fma(a, w, -g));
  const float k = std::fma(g, e.to_n, kMagic), n = k - kMagic;
  const float r = std::fma(n, e.step_high, g) + std::fma(n, e.step_low, g_low);
  return product(t, a, r, e.terms, k);
}

float bounded(const Table& t, float x) { return min_of(t.high, std::fabs(x)); }

}  // namespace

float sigmoid(float x) {
  const float a = bounded(kSigmoid, x);
  const float v = times_exponential_of_a(kSigmoid, a);
  return std::fabs((std::signbit(x) ? 0.0f : 1.0f) - v);
}

float tanh(float x) { return std::copysign(polynomial(kTanh, bounded(kTanh, x)), x); }

float silu(float x) {
  const float a = bounded(kSilu, x);
  return max_of(0.0f, x) - times_exponential_of_a(kSilu, a);
}

float gelu_erf(float x) {
  const float a = bounded(kErf, x);
  return max_of(0.0f, x) - times_exponential_of_square(kErf, a);
}

float gelu_tanh(float x) {
  const float a = bounded(kTanhForm, x);
  return max_of(0.0f, x) - times_exponential_of_cubic(kTanhForm, a);
}

}  // namespace oct::post_math
