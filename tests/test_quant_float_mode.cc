// The quantisation layer's results do not depend on the caller's MXCSR, which is kept.
#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <cstdint>
#include <vector>

#include "octavo/octavo.h"
#include "tests/quant_api_support.h"
#include "tests/quant_support.h"

namespace oct::test {
namespace {

struct Inputs {
  std::vector<float> x, w, w2;
};

// Everything that computes, with its results as bytes.
std::vector<uint8_t> compute_all(const Inputs& inputs) {
  const auto& [x, w, w2] = inputs;
  std::vector<uint8_t> bytes;
  const auto keep = [&](const auto& values) {
    const auto* p = reinterpret_cast<const uint8_t*>(values.data());
    bytes.insert(bytes.end(), p, p + values.size() * sizeof values[0]);
  };
  for (int kind = 1; kind <= 7; ++kind) {
    oct_observer_desc desc = desc_of(static_cast<oct_observer_kind>(kind));
    desc.scale = 0.1f;
    const ApiObserver observer(desc);
    for (size_t rows : {5, 7, 20}) {
      const oct_f32_view view = view_of(x, {static_cast<int64_t>(rows), 30});
      EXPECT_EQ(oct_observer_observe(observer, &view), OCT_OK);
    }
    std::vector<float> scale(1);
    std::vector<int32_t> zero_point(1);
    EXPECT_EQ(oct_observer_qparams(observer, scale.data(), zero_point.data(), 1), OCT_OK);
    keep(scale), keep(zero_point);
  }
  oct_weights_desc weights = OCT_WEIGHTS_DESC_INIT;
  weights.form = OCT_QUANTIZE_DIVIDE;
  weights.weights = w.data();
  weights.channels = 6;
  weights.inner = 10;
  std::vector<int8_t> q(60);
  std::vector<float> scales(6), bias(w.begin(), w.begin() + 6), factors(6), out(60), out2(42);
  std::vector<int32_t> q_bias(6);
  EXPECT_EQ(oct_quantize_weights(&weights, q.data(), scales.data(), nullptr), OCT_OK);
  EXPECT_EQ(oct_quantize_bias(bias.data(), 6, 0.01f, scales.data(), 6, q_bias.data(), nullptr),
            OCT_OK);
  keep(q), keep(scales), keep(q_bias);
  oct_equalize_desc pair = OCT_EQUALIZE_DESC_INIT;
  pair.channels = 6;
  pair.weights1 = w.data();
  pair.inner1 = 10;
  pair.weights2 = w2.data();
  pair.outer2 = 7;
  EXPECT_EQ(
      oct_cross_layer_equalize(&pair, out.data(), nullptr, out2.data(), factors.data(), nullptr),
      OCT_OK)
      << oct_last_error();
  keep(out), keep(out2), keep(factors);
  std::vector<float> magnitudes = {1e-39f, 1e-20f, 0.3f, 7, 1e20f, 0};
  EXPECT_EQ(oct_smoothquant_factors(6, magnitudes.data(), scales.data(), 0.7, factors.data()),
            OCT_OK);
  keep(factors);
  float scale;
  int32_t zero_point;
  const oct_qscheme u8 = OCT_QSCHEME_INIT;
  EXPECT_EQ(oct_qparams_aten(&u8, -1e-39f, 1e-38f, &scale, &zero_point), OCT_OK);
  keep(std::vector<float>{scale, static_cast<float>(zero_point)});
  return bytes;
}

TEST(QuantPitfalls, Pitfall09CallersRoundingMode) {
  Rng rng("everything");
  const Inputs inputs = {normal_tensor(rng, 600), normal_tensor(rng, 60), normal_tensor(rng, 42)};
  const std::vector<uint8_t> expected = compute_all(inputs);
  const unsigned saved = _mm_getcsr();
  for (unsigned mode : {0x2000u, 0x4000u, 0x6000u, 0x8040u, 0xe040u}) {
    // Rounding down, up, to zero; flush to zero with denormals as zero; both.
    const std::vector<uint8_t> got = [&] {
      _mm_setcsr((saved & ~0xe040u) | mode);
      auto bytes = compute_all(inputs);
      EXPECT_EQ(_mm_getcsr() & 0xe040u, mode);
      _mm_setcsr(saved);
      return bytes;
    }();
    EXPECT_EQ(got, expected) << std::hex << mode;
  }
}

}  // namespace
}  // namespace oct::test
