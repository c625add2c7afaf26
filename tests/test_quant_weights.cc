// Weights, biases, and the moving of magnitude between layers.
#include "quant/weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quant/equalize.h"
#include "tests/quant_support.h"

namespace oct {
namespace {

using test::normal_tensor;
using test::Rng;

TEST(Quantize, EveryChannelWithItsParameters) {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};  // [2, 3, 2]
  const float scales[] = {1, 2, 4};
  const int32_t zero_points[] = {0, 10, -10};
  uint8_t q[12];
  quantize(x.data(), {2, 3, 2}, QuantizeForm::kDivide, {-128, 127}, scales, zero_points, q);
  const int8_t expected[] = {1, 2, 12, 12, -9, -8, 7, 8, 14, 15, -7, -7};
  for (int i = 0; i < 12; ++i) EXPECT_EQ(static_cast<int8_t>(q[i]), expected[i]) << i;
  float back[12];
  dequantize(q, {2, 3, 2}, DType::kS8, scales, zero_points, back);
  EXPECT_EQ(back[2], 4.0f);
  EXPECT_EQ(back[10], 12.0f);
  quantize(x.data(), {1, 1, 12}, QuantizeForm::kReciprocal, {0, 255}, scales, nullptr, q);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(q[i], i + 1);
}

TEST(Quantize, RoundTripErrsByHalfAStep) {
  Rng rng("round trip");
  const auto x = normal_tensor(rng, 6000);
  for (const QScheme& scheme :
       {QScheme{DType::kS8, kSymmetric | kNarrow}, QScheme{DType::kU8}, QScheme{DType::kS8},
        QScheme{DType::kU8, kReduced}, QScheme{DType::kU8, kNarrow}}) {
    const ChannelLayout layout = {10, 20, 30};
    const auto params = weight_qparams(x.data(), layout, scheme);
    std::vector<float> scales, back(x.size());
    std::vector<int32_t> zero_points;
    std::vector<uint8_t> q(x.size());
    for (const QParams& p : params) {
      scales.push_back(p.scale);
      zero_points.push_back(p.zero_point);
    }
    quantize(x.data(), layout, QuantizeForm::kDivide, quant_range(scheme), scales.data(),
             zero_points.data(), q.data());
    dequantize(q.data(), layout, scheme.type, scales.data(), zero_points.data(), back.data());
    for_each_channel_element(layout, [&](int64_t c, int64_t i) {
      const size_t j = static_cast<size_t>(i);
      // At the ends the rounded zero point can cost as much again.
      EXPECT_LE(std::fabs(back[j] - x[j]), scales[static_cast<size_t>(c)] * 1.0001f) << i;
    });
  }
}

TEST(QuantizeBias, RoundsOnceToNearestEven) {
  EXPECT_EQ(quantize_bias_value(2.5f, 1).value, 2);
  EXPECT_EQ(quantize_bias_value(-3.5f, 1).value, -4);
  // Beyond 2^24 a quotient in binary32 has no bits left for the units.
  EXPECT_EQ(quantize_bias_value(1.0f, 1.0f / 16777217).value, 16777216);
  EXPECT_EQ(quantize_bias_value(1.0f, 4.9999997e-08f).value,
            static_cast<int32_t>(std::nearbyint(1.0 / 4.9999997e-08f)));
  EXPECT_TRUE(quantize_bias_value(2147483520.0f, 1).fits);
  EXPECT_FALSE(quantize_bias_value(2147483648.0f, 1).fits);
  EXPECT_TRUE(quantize_bias_value(-2147483648.0f, 1).fits);
}

// y = W2 relu(W1 x + b1): what equalisation must leave as it is.
std::vector<float> run_layers(const std::vector<float>& w1, const std::vector<float>& b1,
                              const std::vector<float>& w2, const std::vector<float>& x,
                              size_t channels) {
  std::vector<float> hidden(channels), y(w2.size() / channels);
  for (size_t c = 0; c < channels; ++c) {
    float sum = b1[c];
    for (size_t i = 0; i < x.size(); ++i) sum += w1[c * x.size() + i] * x[i];
    hidden[c] = std::max(sum, 0.0f);
  }
  for (size_t o = 0; o < y.size(); ++o)
    for (size_t c = 0; c < channels; ++c) y[o] += w2[o * channels + c] * hidden[c];
  return y;
}

TEST(CrossLayerEqualization, KeepsTheFunctionAndEqualisesRanges) {
  Rng rng("equalise");
  const int64_t inputs = 6, channels = 5, outputs = 7;
  auto w1 = normal_tensor(rng, 30), b1 = normal_tensor(rng, 5), w2 = normal_tensor(rng, 35);
  for (size_t c = 0; c < 5; ++c)
    for (size_t i = 0; i < 6; ++i) w1[c * 6 + i] *= std::pow(10.0f, static_cast<float>(c) - 2);
  const auto x = normal_tensor(rng, 6);
  const auto before = run_layers(w1, b1, w2, x, 5);
  std::vector<float> factors(5);
  const LayerPair layers = {
      {1, channels, inputs}, {outputs, channels, 1}, w1.data(), b1.data(), w2.data()};
  const int iterations = cross_layer_equalize(layers, 1e-4, 100, factors.data());
  EXPECT_GE(iterations, 2);
  EXPECT_LE(iterations, 5);
  const auto after = run_layers(w1, b1, w2, x, 5);
  for (size_t o = 0; o < after.size(); ++o)
    EXPECT_NEAR(after[o], before[o], 1e-6 * std::fabs(before[o]) + 1e-5) << o;
  const auto width = [](const std::vector<float>& w, size_t first, size_t step, size_t count) {
    Range r;
    for (size_t i = 0; i < count; ++i) r.include(w[first + i * step]);
    return r.max - r.min;
  };
  for (size_t c = 0; c < 5; ++c) {
    const float width1 = width(w1, c * 6, 1, 6), width2 = width(w2, c, 5, 7);
    EXPECT_NEAR(width1 / width2, 1, 1e-4) << c;
  }
}

TEST(CrossLayerEqualization, LeavesDeadChannelsAlone) {
  std::vector<float> w1 = {0, 0, 1, 2}, b1 = {3, 4}, w2 = {5, 6, 7, 8};
  std::vector<float> factors(2);
  cross_layer_equalize({{1, 2, 2}, {2, 2, 1}, w1.data(), b1.data(), w2.data()}, 1e-4, 100,
                       factors.data());
  EXPECT_EQ(factors[0], 1);
  EXPECT_EQ(w1[0], 0);
  EXPECT_EQ(b1[0], 3);
  EXPECT_EQ(w2[0], 5);
  for (const auto& v : {w1, b1, w2})
    for (float x : v) EXPECT_TRUE(std::isfinite(x));
}

TEST(SmoothQuant, FactorsAndFolding) {
  const float x_max[] = {16, 4, 0}, w_max[] = {1, 4, 0};
  float f[3];
  smoothquant_factors(3, x_max, w_max, 0.5, f);
  EXPECT_NEAR(f[0], 4, 1e-5);
  EXPECT_NEAR(f[1], 1, 1e-6);
  EXPECT_EQ(f[2], 1);  // eps over eps
  smoothquant_factors(3, x_max, w_max, 1, f);
  EXPECT_NEAR(f[0], 16, 1e-5);
  smoothquant_factors(3, x_max, w_max, 0, f);
  EXPECT_NEAR(f[0], 1, 1e-6);

  // (gain / f) * (W * f) = gain * W for powers of two, exactly.
  const float factors[] = {4, 0.5f, 1}, gain[] = {3, 5, 7};
  const std::vector<float> w = {1, 2, 3, 4, 5, 6};  // [2, 3]: per input channel
  float folded_gain[3], folded_w[6];
  divide_channels(gain, {1, 3, 1}, factors, folded_gain);
  multiply_channels(w.data(), {2, 3, 1}, factors, folded_w);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(folded_gain[i % 3] * folded_w[i], gain[i % 3] * w[i]);
}

TEST(InputWeightFactors, ReplacesUselessFactors) {
  const float x_min[] = {-1, 0, 0}, x_max[] = {1, 0, 1}, w_min[] = {-4, 0, 0}, w_max[] = {4, 1, 0};
  float f[3];
  input_weight_factors(3, x_min, x_max, w_min, w_max, f);
  EXPECT_EQ(f[0], 2);
  EXPECT_EQ(f[1], 1);  // a division by zero
  EXPECT_EQ(f[2], 1);  // a factor of zero
}

}  // namespace
}  // namespace oct
