// The pitfalls of numerics.md B9 that concern the maths of quantisation, by their numbers there.
// Each test has the numbers on which an implementation with the mistake differs. Number 9 is in
// test_quant_float_mode.cc, those of sums and outputs are in test_pitfalls.cc.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "quant/affine.h"
#include "quant/observer.h"
#include "quant/requant.h"
#include "quant/search.h"
#include "quant/weights.h"
#include "tests/quant_support.h"

namespace oct {
namespace {

using test::flat_view;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr QRange kU8 = {0, 255}, kS8 = {-128, 127};

QScheme u8(uint32_t flags = 0, int lo = 0, int hi = 0) { return {DType::kU8, flags, lo, hi}; }
QScheme s8(uint32_t flags = 0, int lo = 0, int hi = 0) { return {DType::kS8, flags, lo, hi}; }

int divide(float x, float scale, int zero_point, QRange q) {
  return quantize_divide(x, scale, zero_point, q);
}
int reciprocal(float x, float scale, int zero_point, QRange q) {
  return quantize_reciprocal(x, 1.0f / scale, zero_point, q);
}

// Both forms, where they must agree.
void expect_quantized(float x, float scale, int zero_point, QRange q, int expected) {
  EXPECT_EQ(divide(x, scale, zero_point, q), expected) << x << " / " << scale;
  EXPECT_EQ(reciprocal(x, scale, zero_point, q), expected) << x << " / " << scale;
}

TEST(QuantPitfalls, Pitfall01ReciprocalInsteadOfDivision) {
  EXPECT_EQ(divide(-2.5f, 5.0f / 255, 153, kU8), 26);
  EXPECT_EQ(reciprocal(-2.5f, 5.0f / 255, 153, kU8), 25);
  EXPECT_EQ(divide(0.273939937f, 0.00214854861f, 0, kU8), 127);
  EXPECT_EQ(reciprocal(0.273939937f, 0.00214854861f, 0, kU8), 128);
}

TEST(QuantPitfalls, Pitfall02ZeroPointBeforeRounding) { expect_quantized(0.5f, 1, 1, kU8, 1); }

TEST(QuantPitfalls, Pitfall03RoundingTiesAwayOrByAddingAHalf) {
  expect_quantized(2.5f, 1, 0, kU8, 2);
  expect_quantized(0.49999997f, 1, 0, kU8, 0);
  expect_quantized(-1.2f, 1, 0, kS8, -1);
}

TEST(QuantPitfalls, Pitfall04MagicNumberRounding) {
  EXPECT_EQ(divide(4194305.0f, 1, 0, {-5000000, 5000000}), 4194305);
}

TEST(QuantPitfalls, Pitfall05ConversionOverflow) {
  expect_quantized(3e9f, 1, 0, kU8, 255);
  expect_quantized(-3e9f, 1, 0, kS8, -128);
}

TEST(QuantPitfalls, Pitfall06InfinityWithAHighZeroPoint) {
  for (int z : {0, 127, 128, 255}) {
    expect_quantized(kInf, 0.5f, z, kU8, 255);
    expect_quantized(-kInf, 0.5f, z, kU8, 0);
  }
}

TEST(QuantPitfalls, Pitfall07NanIsTheLowerBound) {
  for (int z : {0, 127, 128, 255}) {
    expect_quantized(kNan, 0.5f, z, kU8, 0);
    expect_quantized(-kNan, 0.5f, z, kU8, 0);
  }
  expect_quantized(kNan, 0.5f, 3, kS8, -128);
}

TEST(QuantPitfalls, Pitfall08DenormalScale) {
  EXPECT_FALSE(is_valid_scale(1e-39f));
  // No formula returns one, however narrow the range.
  for (float x : {0.0f, 1e-44f, 1e-39f, 1e-37f}) {
    EXPECT_TRUE(is_valid_scale(observer_qparams(u8(), {-x, x}).scale)) << x;
    EXPECT_TRUE(is_valid_scale(choose_qparams_fbgemm(u8(), {-x, x}).scale)) << x;
    EXPECT_TRUE(is_valid_scale(choose_qparams_aten(u8(), {-x, x}).scale)) << x;
    EXPECT_TRUE(is_valid_scale(dynamic_qparams_onnx({-x, x}).scale)) << x;
  }
}

TEST(QuantPitfalls, Pitfall10RangeNotExtendedToZero) {
  const QParams p = observer_qparams(u8(), {2, 6});
  EXPECT_EQ(p, (QParams{6.0f / 255, 0}));
  EXPECT_EQ(divide(6, p.scale, p.zero_point, kU8), 255);
  EXPECT_NEAR(dequantize_value(255, p.scale, p.zero_point), 6.0f, 1e-6);
}

TEST(QuantPitfalls, Pitfall11SymmetricFullRangeClipsThePositiveEnd) {
  const QParams full = observer_qparams(s8(kSymmetric), {-0.75f, 0.75f});
  EXPECT_EQ(full, (QParams{0.00588235306f, 0}));
  expect_quantized(0.75f, full.scale, 0, kS8, 127);
  expect_quantized(-0.75f, full.scale, 0, kS8, -128);
  const QParams narrow = observer_qparams(s8(kSymmetric | kNarrow), {-0.75f, 0.75f});
  EXPECT_EQ(narrow, (QParams{0.75f / 127, 0}));
  EXPECT_EQ(divide(0.75f, narrow.scale, 0, kS8), 127);
  EXPECT_EQ(divide(-0.75f, narrow.scale, 0, kS8), -127);
}

TEST(QuantPitfalls, Pitfall12MixingTheFormulas) {
  EXPECT_EQ(observer_qparams(u8(), {-1.5f, 1.5f}).zero_point, 128);
  EXPECT_EQ(choose_qparams_fbgemm(u8(), {-1.5f, 1.5f}).zero_point, 127);
  // In binary64 -1.5 / scale is -127.5; in binary32, as FBGEMM has the scale, a little less.
  EXPECT_EQ(choose_qparams_aten(u8(), {-1.5f, 1.5f}).zero_point, 128);
}

TEST(QuantPitfalls, Pitfall13RangeOfOnePointIsNotSpecial) {
  EXPECT_EQ(observer_qparams(u8(), {5, 5}), (QParams{5.0f / 255, 0}));
}

TEST(QuantPitfalls, Pitfall14SymmetricU8ZeroPoint) {
  EXPECT_EQ(observer_qparams(u8(kSymmetric), {-1, 1}).zero_point, 128);
  EXPECT_EQ(observer_qparams(u8(kSymmetric, 0, 255), {-1, 1}).zero_point, 127);
  EXPECT_EQ(observer_qparams(u8(kSymmetric, 0, 127), {-1, 1}).zero_point, 63);
}

TEST(QuantPitfalls, Pitfall15ReducedRangeHoldsForQuantisingToo) {
  const QScheme scheme = u8(kReduced);
  const QParams p = observer_qparams(scheme, {0, 1});
  EXPECT_EQ(p.scale, 1.0f / 127);
  expect_quantized(2.0f, p.scale, p.zero_point, quant_range(scheme), 127);
  // At half a step: 63.5 would round to 64, beyond [-64, 63].
  const QScheme weights = s8(kSymmetric | kReduced);
  const QParams w = observer_qparams(weights, {-1, 1});
  expect_quantized(1.0f, w.scale, 0, quant_range(weights), 63);
}

TEST(QuantPitfalls, Pitfall25EightBitSubtraction) {
  EXPECT_EQ(dequantize_value(3, 1.0f, 5), -2.0f);
  const uint8_t q = 3;
  const float scale = 1;
  const int32_t zero_point = 5;
  float x = 0;
  dequantize(&q, {1, 1, 1}, DType::kU8, &scale, &zero_point, &x);
  EXPECT_EQ(x, -2.0f);
}

TEST(QuantPitfalls, Pitfall26ZeroPointInEightBits) { expect_quantized(200, 1, 100, kU8, 255); }

TEST(QuantPitfalls, Pitfall32DequantisedZeroPointIsExactlyZero) {
  for (int z = -128; z <= 255; ++z) EXPECT_EQ(dequantize_value(z, 0.1f, z), 0.0f);
}

TEST(QuantPitfalls, Pitfall33BiasOfADeadChannel) {
  const float scale = 0.01f * std::numeric_limits<float>::epsilon();
  EXPECT_EQ(quantize_bias_value(5, scale).value, INT32_MAX);
  EXPECT_FALSE(quantize_bias_value(5, scale).fits);
  EXPECT_EQ(quantize_bias_value(-5, scale).value, INT32_MIN);
  EXPECT_FALSE(quantize_bias_value(-5, scale).fits);
  EXPECT_TRUE(quantize_bias_value(0, scale).fits);
}

TEST(QuantPitfalls, Pitfall36ChannelAxis) {
  // [OC, IC] by rows, and the same weights transposed, [K, N], by columns.
  const std::vector<float> by_rows = {1, 2, 3, 10, 20, 30}, by_columns = {1, 10, 2, 20, 3, 30};
  const std::vector<QParams> rows = weight_qparams(by_rows.data(), {1, 2, 3}, s8(kSymmetric));
  EXPECT_EQ(rows, (std::vector<QParams>{{3 / 127.5f, 0}, {30 / 127.5f, 0}}));
  EXPECT_EQ(weight_qparams(by_columns.data(), {3, 2, 1}, s8(kSymmetric)), rows);
  // ConvTranspose [IC, OC, KW]: the middle axis.
  const std::vector<float> middle = {1, 2, 10, 20, 3, 2, 30, 20};
  EXPECT_EQ(weight_qparams(middle.data(), {2, 2, 2}, s8(kSymmetric)), rows);

  for (int axis : {0, 1}) {
    ObserverConfig config;
    config.scheme = s8(kSymmetric);
    config.channels = 2;
    config.channel_axis = axis;
    Observer observer(config);
    observer.observe(axis == 0 ? test::dense_view(by_rows, {2, 3})
                               : test::dense_view(by_columns, {3, 2}));
    EXPECT_EQ(observer.qparams(), rows) << axis;
  }
}

TEST(QuantPitfalls, Pitfall37MovingAverageKeepsTheFirstBatch) {
  ObserverConfig config;
  config.kind = ObserverKind::kMovingAverage;
  Observer observer(config);
  const std::vector<float> outlier = {0, 100}, usual = {0, 0};
  observer.observe(flat_view(outlier));
  for (int i = 0; i < 100; ++i) observer.observe(flat_view(usual));
  EXPECT_NEAR(observer.ranges()[0].max, 36.6, 0.01);
}

TEST(QuantPitfalls, Pitfall38HistogramSearchIsGreedyAndAssumes256Levels) {
  test::Rng rng("pitfall38");
  Histogram h(2048);
  const std::vector<float> data = test::normal_tensor(rng, 100000);
  h.add(flat_view(data), Counted::kValues);
  int evaluations = 0;
  const Range full = histogram_search(h, &evaluations);
  EXPECT_GE(evaluations, 2);
  EXPECT_LE(evaluations, 40);  // of up to 2048 that a global search would need
  // A reduced range does not change what is chosen.
  for (uint32_t flags : {0u, kReduced}) {
    ObserverConfig config;
    config.kind = ObserverKind::kHistogram;
    config.scheme = u8(flags);
    Observer observer(config);
    observer.observe(flat_view(data));
    EXPECT_EQ(observer.ranges()[0], full);
  }
}

TEST(QuantPitfalls, Pitfall39EntropyWithOneCandidateIsRefused) {
  ObserverConfig config;
  config.kind = ObserverKind::kEntropy;
  EXPECT_EQ(config_error(config), "");
  config.scheme = s8(kSymmetric);
  config.bins = 128;
  EXPECT_NE(config_error(config).find("128"), std::string::npos);
  config.bins = 129;
  EXPECT_EQ(config_error(config), "");
}

}  // namespace
}  // namespace oct
