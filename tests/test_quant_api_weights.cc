// Weights, biases and equalisation through the C API: results, and refusals that leave outputs
// alone.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "octavo/octavo.h"
#include "tests/quant_api_support.h"
#include "tests/quant_support.h"

namespace oct::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(ApiWeights, QuantisesEachChannel) {
  oct_weights_desc desc = OCT_WEIGHTS_DESC_INIT;
  const std::vector<float> w = {1, -2, 0.5f, 30, 15, -7.5f};
  desc.weights = w.data();
  desc.channels = 2;
  desc.inner = 3;
  desc.scheme.flags |= OCT_QSCHEME_NARROW;
  int8_t q[6] = {};
  float scales[2];
  // No form is the default.
  expect_refused(oct_quantize_weights(&desc, q, scales, nullptr), OCT_INVALID_ARGUMENT,
                 "form is 0");
  desc.form = OCT_QUANTIZE_RECIPROCAL;
  ASSERT_EQ(oct_quantize_weights(&desc, q, scales, nullptr), OCT_OK) << oct_last_error();
  EXPECT_EQ(scales[0], 2.0f / 127);
  EXPECT_EQ(std::vector<int8_t>(q, q + 6), (std::vector<int8_t>{64, -127, 32, 127, 63, -32}));

  desc.scheme.type = OCT_U8;
  desc.scheme.flags = 0;
  expect_refused(oct_quantize_weights(&desc, q, scales, nullptr), OCT_INVALID_ARGUMENT,
                 "zero_points is null");
  int32_t zero_points[2];
  ASSERT_EQ(oct_quantize_weights(&desc, q, scales, zero_points), OCT_OK);
  EXPECT_EQ(zero_points[0], 170);
}

TEST(ApiWeights, Refusals) {
  std::vector<float> w = {1, 2, 3, 4};
  int8_t q[4] = {9, 9, 9, 9};
  float scales[2] = {9, 9};
  const auto refused = [&](auto spoil, const char* mention) {
    oct_weights_desc desc = OCT_WEIGHTS_DESC_INIT;
    desc.form = OCT_QUANTIZE_DIVIDE;
    desc.weights = w.data();
    desc.channels = desc.inner = 2;
    spoil(desc);
    expect_refused(oct_quantize_weights(&desc, q, scales, nullptr), OCT_INVALID_ARGUMENT, mention);
  };
  refused([](auto& d) { d.weights = nullptr; }, "weights is null");
  refused([](auto& d) { d.outer = 0; }, "[0, 2, 2]");
  refused([](auto& d) { d.channels = INT64_MAX; }, "2^59");
  refused([](auto& d) { d.form = static_cast<oct_quantize_form>(3); }, "form is 3");
  w[2] = kNan;
  refused([](auto&) {}, "weights[2] is nan");
  w[2] = -3e38f;
  w[3] = 3e38f;
  refused([](auto& d) { d.scheme.flags = 0, d.scheme.type = OCT_U8; }, "zero_points");
  oct_weights_desc desc = OCT_WEIGHTS_DESC_INIT;
  desc.form = OCT_QUANTIZE_DIVIDE;
  desc.scheme.flags = 0;
  desc.weights = w.data();
  desc.channels = desc.inner = 2;
  int32_t zero_points[2];
  expect_refused(oct_quantize_weights(&desc, q, scales, zero_points), OCT_INVALID_ARGUMENT,
                 "channel 1");
  EXPECT_EQ(q[0], 9);
  EXPECT_EQ(scales[0], 9);
}

TEST(ApiBias, SaturatesAndCounts) {
  const float bias[] = {5, -5, 1, 0}, b_scales[] = {1.1920929e-07f, 1.1920929e-07f, 0.5f, 1};
  int32_t q[4];
  int64_t saturated = 0;
  ASSERT_EQ(oct_quantize_bias(bias, 4, 0.01f, b_scales, 4, q, &saturated), OCT_OK);
  EXPECT_EQ(std::vector<int32_t>(q, q + 4), (std::vector<int32_t>{INT32_MAX, INT32_MIN, 200, 0}));
  EXPECT_EQ(saturated, 2);
  ASSERT_EQ(oct_quantize_bias(bias, 4, 1, b_scales + 2, 1, q, nullptr), OCT_OK);
  EXPECT_EQ(std::vector<int32_t>(q, q + 4), (std::vector<int32_t>{10, -10, 2, 0}));

  const float tiny = 1e-30f, bad = kInf;
  q[0] = 77;
  expect_refused(oct_quantize_bias(bias, 4, tiny, &tiny, 1, q, nullptr), OCT_INVALID_ARGUMENT,
                 "normal");
  expect_refused(oct_quantize_bias(bias, 4, 1, b_scales, 3, q, nullptr), OCT_INVALID_ARGUMENT,
                 "b_scale_count is 3");
  expect_refused(oct_quantize_bias(&bad, 1, 1, b_scales, 1, q, nullptr), OCT_INVALID_ARGUMENT,
                 "bias[0] is inf");
  expect_refused(oct_quantize_bias(bias, 0, 1, b_scales, 1, q, nullptr), OCT_INVALID_ARGUMENT,
                 "[1, 0, 1]");
  EXPECT_EQ(q[0], 77);
}

TEST(ApiEqualize, WritesOverItsInputsOnlyWhenAsked) {
  Rng rng("in place");
  auto w1 = normal_tensor(rng, 12), b1 = normal_tensor(rng, 4), w2 = normal_tensor(rng, 8);
  oct_equalize_desc desc = OCT_EQUALIZE_DESC_INIT;
  desc.channels = 4;
  desc.weights1 = w1.data();
  desc.inner1 = 3;
  desc.bias1 = b1.data();
  desc.weights2 = w2.data();
  desc.outer2 = 2;
  std::vector<float> o1(12), ob(4), o2(8), f(4);
  int32_t iterations = 0;
  const auto copy = w1;
  ASSERT_EQ(oct_cross_layer_equalize(&desc, o1.data(), ob.data(), o2.data(), f.data(), &iterations),
            OCT_OK)
      << oct_last_error();
  EXPECT_EQ(w1, copy);
  EXPECT_GE(iterations, 2);
  expect_refused(oct_cross_layer_equalize(&desc, o1.data(), nullptr, o2.data(), nullptr, nullptr),
                 OCT_INVALID_ARGUMENT, "bias1 is null");
  ASSERT_EQ(oct_cross_layer_equalize(&desc, w1.data(), b1.data(), w2.data(), nullptr, nullptr),
            OCT_OK);
  EXPECT_EQ(w1, o1);
  EXPECT_EQ(b1, ob);
  EXPECT_EQ(w2, o2);

  desc.max_iterations = 0;
  expect_refused(oct_cross_layer_equalize(&desc, o1.data(), ob.data(), o2.data(), nullptr, nullptr),
                 OCT_INVALID_ARGUMENT, "max_iterations is 0");
  desc.max_iterations = 1;
  desc.threshold = kNan;
  expect_refused(oct_cross_layer_equalize(&desc, o1.data(), ob.data(), o2.data(), nullptr, nullptr),
                 OCT_INVALID_ARGUMENT, "threshold is");
}

TEST(ApiEqualize, FactorsAndTheirUse) {
  const float x_max[] = {16, 4}, w_max[] = {1, 4}, zero[] = {0, 0};
  float f[2] = {-1, -1}, y[2];
  expect_refused(oct_smoothquant_factors(2, x_max, w_max, 1.5, f), OCT_INVALID_ARGUMENT,
                 "alpha is 1.5");
  const float negative[] = {1, -1};
  expect_refused(oct_smoothquant_factors(2, x_max, negative, 0.5, f), OCT_INVALID_ARGUMENT,
                 "w_absmax[1] is -1");
  expect_refused(oct_input_weight_factors(2, x_max, zero, zero, w_max, f), OCT_INVALID_ARGUMENT,
                 "[16, 0]");
  EXPECT_EQ(f[0], -1);
  ASSERT_EQ(oct_input_weight_factors(2, zero, x_max, zero, w_max, f), OCT_OK);
  EXPECT_EQ(f[0], 0.25f);
  ASSERT_EQ(oct_scale_channels(OCT_SCALE_DIVIDE, x_max, 1, 2, 1, f, y), OCT_OK);
  EXPECT_EQ(y[0], 64);
  ASSERT_EQ(oct_scale_channels(OCT_SCALE_MULTIPLY, x_max, 1, 2, 1, f, y), OCT_OK);
  EXPECT_EQ(y[0], 4);
  expect_refused(oct_scale_channels(OCT_SCALE_MULTIPLY, x_max, 1, 2, 1, zero, y),
                 OCT_INVALID_ARGUMENT, "factors[0] is 0");
  expect_refused(oct_scale_channels(static_cast<oct_scale_operation>(0), x_max, 1, 2, 1, f, y),
                 OCT_INVALID_ARGUMENT, "operation is 0");
}

}  // namespace
}  // namespace oct::test
