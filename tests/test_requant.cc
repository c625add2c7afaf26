// Scalar requantisation, with numbers each of which catches one well-known mistake.
#include "quant/requant.h"

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>

#include "tests/support.h"

namespace oct {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

int to_u8(float t, int zero_point = 0) { return round_and_clamp(t, 0, 255, zero_point); }
int to_s8(float t, int zero_point = 0) { return round_and_clamp(t, -128, 127, zero_point); }

TEST(RoundAndClamp, RoundsTiesToEven) {
  EXPECT_EQ(to_u8(0.5f), 0);
  EXPECT_EQ(to_u8(1.5f), 2);
  EXPECT_EQ(to_u8(2.5f), 2);
  EXPECT_EQ(to_s8(-0.5f), 0);
  EXPECT_EQ(to_s8(-1.5f), -2);
  EXPECT_EQ(to_s8(-2.5f), -2);
}

TEST(RoundAndClamp, DoesNotRoundByAddingOneHalf) {
  EXPECT_EQ(to_u8(0.49999997f), 0);
  EXPECT_EQ(to_s8(-1.2f), -1);
  EXPECT_EQ(round_and_clamp(4194305.0f, -5000000, 5000000, 0), 4194305);
}

TEST(RoundAndClamp, AddsTheZeroPointAfterRounding) {
  EXPECT_EQ(to_u8(0.5f, 1), 1);
  EXPECT_EQ(to_u8(1.5f, 1), 3);
  EXPECT_EQ(to_s8(-0.5f, -3), -3);
}

TEST(RoundAndClamp, ClampsBeforeItConverts) {
  EXPECT_EQ(to_u8(3e9f), 255);
  EXPECT_EQ(to_u8(-3e9f), 0);
  EXPECT_EQ(to_u8(kInf, 128), 255);
  EXPECT_EQ(to_u8(-kInf, 128), 0);
  EXPECT_EQ(to_s8(kInf, -128), 127);
  EXPECT_EQ(to_u8(200.0f, 100), 255);  // not 44
}

TEST(RoundAndClamp, TakesNanToTheLowerBound) {
  EXPECT_EQ(to_u8(kNan, 7), 0);
  EXPECT_EQ(to_u8(-kNan, 200), 0);
  EXPECT_EQ(to_s8(kNan, 7), -128);
}

TEST(RoundAndClamp, ReluIsALowerBoundAtTheZeroPoint) {
  EXPECT_EQ(round_and_clamp(-28.0f, 128, 255, 128), 128);
  EXPECT_EQ(round_and_clamp(28.0f, 128, 255, 128), 156);
}

TEST(RequantMultiplier, MultipliesFirstAndDividesThen) {
  // (acc * sa * sw) / sy would give 113.
  const float m = requant_multiplier(0.0129878791f, 0.00510666333f, 0.05f);
  EXPECT_EQ(to_u8(84810.0f * m), 112);
  // In double the product and the quotient of two floats round to the same float.
  test::Rng rng("multiplier");
  for (int i = 0; i < 1000; ++i) {
    const auto scale = [&] { return static_cast<float>(rng.log_real(1e-4, 1e4)); };
    const float a = scale(), b = scale(), c = scale();
    const auto product = static_cast<float>(static_cast<double>(a) * b);
    ASSERT_EQ(requant_multiplier(a, b, c), static_cast<float>(static_cast<double>(product) / c));
  }
}

TEST(RequantMultiplier, WorksInBinary32) {
  // The exact result, 127.499996, would round to 127.
  EXPECT_EQ(to_u8(static_cast<float>(33554431) * (127.5f / 33554432.0f)), 128);
}

TEST(QuantizeValue, Divides) {
  EXPECT_EQ(quantize_value(-2.5f, 5.0f / 255.0f, 153, DType::kU8), 26);         // reciprocal: 25
  EXPECT_EQ(quantize_value(0.273939937f, 0.00214854861f, 0, DType::kU8), 127);  // reciprocal: 128
}

TEST(QuantizeValue, Saturates) {
  EXPECT_EQ(quantize_value(kInf, 0.1f, 5, DType::kU8), 255);
  EXPECT_EQ(quantize_value(-kInf, 0.1f, 5, DType::kS8), -128);
  EXPECT_EQ(quantize_value(kNan, 0.1f, 5, DType::kS8), -128);
  EXPECT_EQ(quantize_value(FLT_MAX, FLT_MIN, 255, DType::kU8), 255);
}

uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }
uint16_t bf16(uint32_t pattern) { return bf16_from_float(std::bit_cast<float>(pattern)); }

TEST(Bf16, RoundsTiesToEven) {
  EXPECT_EQ(bf16(0x3f800000), 0x3f80);
  EXPECT_EQ(bf16(0x3f807fff), 0x3f80);
  EXPECT_EQ(bf16(0x3f808000), 0x3f80);
  EXPECT_EQ(bf16(0x3f808001), 0x3f81);
  EXPECT_EQ(bf16(0x3f818000), 0x3f82);
  EXPECT_EQ(bf16(0xbf818000), 0xbf82);
}

TEST(Bf16, KeepsSpecialValues) {
  EXPECT_EQ(bf16(bits(-0.0f)), 0x8000);
  EXPECT_EQ(bf16(bits(kInf)), 0x7f80);
  EXPECT_EQ(bf16(bits(-kInf)), 0xff80);
  EXPECT_EQ(bf16(bits(FLT_MAX)), 0x7f80);
  EXPECT_EQ(bf16(0x00010000), 0x0001);  // a denormal
  EXPECT_EQ(bf16(0x00008001), 0x0001);
}

TEST(ValidScale, IsFinitePositiveAndNormal) {
  for (float good : {1.0f, FLT_MIN, FLT_MAX, 1e-30f}) EXPECT_TRUE(is_valid_scale(good)) << good;
  for (float bad : {0.0f, -0.0f, -1.0f, 1e-39f, kInf, -kInf, kNan, -kNan})
    EXPECT_FALSE(is_valid_scale(bad)) << bad;
}

}  // namespace
}  // namespace oct
