// The reference against an oracle that shares no code with it: exact integers, and binary32 steps
// done in double, where the product, quotient or sum of two floats rounds to the same float.
#include "kernels/reference.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "tests/operands.h"
#include "tests/output_case.h"
#include "tests/support.h"

namespace oct::test {
namespace {

double fl(double x) { return static_cast<float>(x); }

// Nearest integer, ties to even, by comparing distances.
double nearest_even(double t) {
  const double below = std::floor(t), distance = t - below;
  if (distance != 0.5) return distance < 0.5 ? below : below + 1;
  return std::fmod(below, 2) == 0 ? below : below + 1;
}

// clamp(rne(t) + zero_point): clamping after rounding instead of before is the same for finite t.
int quantized(double t, int zero_point, int lo, int hi) {
  const double q = nearest_even(t) + zero_point;
  return static_cast<int>(q < lo ? lo : q > hi ? hi : q);
}

struct Oracle {
  const ReferenceGemm& g;

  int64_t wrapped_sum(const uint8_t* a, int64_t n) const {
    int64_t t = 0;
    for (int64_t k = 0; k < g.b.k; ++k) {
      const int value = g.a_type == DType::kS8 ? static_cast<int8_t>(a[k]) : a[k];
      const int w = g.b.layout == BLayout::kKN ? g.b.data[k * g.b.stride_bytes + n]
                                               : g.b.data[n * g.b.stride_bytes + k];
      t += static_cast<int64_t>(value - g.a_zero_point) * w;
    }
    if (g.bias_type == DType::kS32) t += static_cast<const int32_t*>(g.bias)[n];
    return static_cast<int32_t>(static_cast<uint64_t>(t) & 0xffffffffu);
  }

  double real(double t, int64_t n) const {
    double y = fl(fl(t) * fl(static_cast<double>(g.a_scale) * g.b_scales[n]));
    if (g.bias_type == DType::kF32) y = fl(y + static_cast<const float*>(g.bias)[n]);
    if (g.relu && y < 0) y = 0;
    if (g.clamp) y = y < g.clamp_min ? g.clamp_min : y > g.clamp_max ? g.clamp_max : y;
    return y;
  }

  int integer(double t, int64_t n) const {
    int lo = g.c_type == DType::kU8 ? 0 : -128, hi = lo + 255;
    if (g.bias_type == DType::kF32)
      return quantized(fl(real(t, n) * fl(1.0 / g.c_scale)), g.c_zero_point, lo, hi);
    const double product = fl(static_cast<double>(g.a_scale) * g.b_scales[n]);
    const double scaled = fl(fl(t) * fl(product / g.c_scale));
    const auto bound = [&](double x) {
      return quantized(fl(x / g.c_scale), g.c_zero_point, lo, hi);
    };
    int new_lo = g.relu ? g.c_zero_point : lo, new_hi = hi;
    if (g.clamp) new_lo = bound(g.clamp_min), new_hi = bound(g.clamp_max);
    return quantized(scaled, g.c_zero_point, new_lo, new_hi);
  }

  // The element's bits.
  uint32_t element(const uint8_t* a, int64_t n) const {
    const auto t = static_cast<double>(wrapped_sum(a, n));
    switch (g.c_type) {
      case DType::kS32: return static_cast<uint32_t>(static_cast<int32_t>(t));
      case DType::kF32: return std::bit_cast<uint32_t>(static_cast<float>(real(t, n)));
      case DType::kBf16: return bf16(static_cast<float>(real(t, n)));
      default: return static_cast<uint32_t>(integer(t, n)) & 0xff;
    }
  }

  // The nearer of the two bf16 neighbours, or the even one.
  static uint32_t bf16(float x) {
    const uint32_t down = std::bit_cast<uint32_t>(x) >> 16, up = down + 1;
    const double lower = std::bit_cast<float>(down << 16), upper = std::bit_cast<float>(up << 16);
    const double to_lower = std::abs(x - lower), to_upper = std::abs(upper - x);
    if (to_lower != to_upper) return to_lower < to_upper ? down : up;
    return down % 2 == 0 ? down : up;
  }
};

TEST(Reference, AgreesWithAnIndependentOracle) {
  Rng rng("reference");
  for (const OutputCase& output : all_output_cases(Chains::kNone))
    for (int repeat = 0; repeat < by_effort(10, 60, 400); ++repeat) {
      const int64_t k = rng.between(1, 40);
      const int n = static_cast<int>(rng.between(1, 12)), m = 3;
      ReferenceGemm g = {};
      OutputData data;
      draw_output(output, k, n, rng, g, data);
      for (float& bias : data.bias_f32)  // the API takes finite ones only
        if (std::isinf(bias)) bias = 0;
      g.a_type = rng.one_in(2) ? DType::kU8 : DType::kS8;
      g.a_zero_point = static_cast<int>(rng.between(dtype_min(g.a_type), dtype_max(g.a_type)));
      std::vector<int8_t> b(static_cast<size_t>(k * n));
      std::vector<uint8_t> a(static_cast<size_t>(k * m));
      const Fill fill = rng.pick(kFills);
      for (size_t i = 0; i < b.size(); ++i)
        b[i] = static_cast<int8_t>(fill_value(rng, fill, -128, 127, static_cast<int64_t>(i)));
      rng.fill_bytes(a.data(), a.size());
      const bool kn = rng.one_in(2);
      g.b = {b.data(), kn ? BLayout::kKN : BLayout::kNK, kn ? n : k, k, n};

      const size_t element = dtype_bytes(g.c_type);
      std::vector<uint8_t> c(element * static_cast<size_t>(m * n));
      reference_gemm(g, m, a.data(), k, c.data(), n * static_cast<int64_t>(element));
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j) {
          uint32_t got = 0;
          std::memcpy(&got, &c[static_cast<size_t>(i * n + j) * element], element);
          ASSERT_EQ(got, (Oracle{g}.element(&a[static_cast<size_t>(i * k)], j)))
              << "seed " << base_seed() << ", C " << dtype_name(g.c_type) << ", bias "
              << dtype_name(g.bias_type) << ", post " << post_name(output.post) << ", repeat "
              << repeat << ", k " << k << ", n " << n << ", element " << i << ", " << j;
        }
    }
}

}  // namespace
}  // namespace oct::test
