// Requantisation against an oracle in integers, which shares no code and no floating-point
// arithmetic with the kernels: a binary32 is read as mantissa * 2^exponent, and rounding is done on
// the bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "tests/api_support.h"

namespace oct::test {
namespace {

// mantissa * 2^exponent.
struct Number {
  uint64_t mantissa;
  int exponent;
};

// v / 2^shift to the nearest integer, ties to even.
uint64_t shift_to_nearest_even(uint64_t v, int shift) {
  if (shift <= 0) return v;
  if (shift > 62) return 0;
  const uint64_t kept = v >> shift, rest = v & ((uint64_t{1} << shift) - 1);
  const uint64_t half = uint64_t{1} << (shift - 1);
  return kept + (rest > half || (rest == half && kept % 2 == 1));
}

// To the 24 bits of a binary32 mantissa.
Number to_binary32(Number x) {
  const int excess = 64 - std::countl_zero(x.mantissa) - 24;
  if (x.mantissa == 0 || excess <= 0) return x;
  return {shift_to_nearest_even(x.mantissa, excess), x.exponent + excess};
}

Number parts(float positive_normal) {
  const uint32_t bits = std::bit_cast<uint32_t>(positive_normal);
  return {(bits & 0x7fffff) | 0x800000, static_cast<int>(bits >> 23) - 150};
}

Number product(Number a, Number b) { return {a.mantissa * b.mantissa, a.exponent + b.exponent}; }

// sign * x to the nearest integer, plus the zero point, in [lo, hi].
int64_t quantize(Number x, bool negative, int zero_point, int lo, int hi) {
  constexpr int64_t kHuge = 1 << 20;
  const bool large =
      x.exponent >= 0 && x.mantissa != 0 && 64 - std::countl_zero(x.mantissa) + x.exponent > 20;
  const int64_t q = large             ? kHuge
                    : x.exponent >= 0 ? static_cast<int64_t>(x.mantissa << x.exponent)
                                      : static_cast<int64_t>(std::min<uint64_t>(
                                            shift_to_nearest_even(x.mantissa, -x.exponent), kHuge));
  return std::clamp<int64_t>((negative ? -q : q) + zero_point, lo, hi);
}

// Whether x is a tie but for one part in 2^22: rounding twice to 24 bits moves it by less.
bool next_to_tie(Number x) {
  if (x.exponent >= 0 || x.exponent < -62) return false;
  const uint64_t half = uint64_t{1} << (-x.exponent - 1);
  const uint64_t rest = x.mantissa & (2 * half - 1);
  const uint64_t distance = rest > half ? rest - half : half - rest;
  return distance <= x.mantissa >> 22;
}

struct Columns {
  std::vector<int32_t> sums;
  std::vector<float> multipliers;
};

// Sums of every size with multipliers that bring them into range and beyond; every fourth is a
// power of two, which makes ties.
Columns draw(Rng& rng, size_t n) {
  Columns c;
  for (size_t i = 0; i < n; ++i) {
    const double size = rng.log_real(1, 2147483647);
    const auto sum = static_cast<int32_t>(size);
    c.sums.push_back(rng.one_in(2) ? sum : -sum);
    if (rng.one_in(4))
      c.multipliers.push_back(
          std::bit_cast<float>(static_cast<uint32_t>(rng.between(90, 130)) << 23));
    else
      c.multipliers.push_back(static_cast<float>(rng.log_real(0.1, 400) / size));
  }
  c.sums[0] = INT32_MAX;
  c.sums[1] = INT32_MIN;
  c.sums[2] = 0;
  return c;
}

// The kernels' outputs: sums of nothing but the bias.
std::vector<uint8_t> outputs(oct_context* context, const Columns& c, oct_dtype type,
                             int zero_point) {
  const std::vector<int8_t> b(c.sums.size(), 0);
  oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
  d.n = static_cast<int64_t>(c.sums.size());
  d.k = 1;
  d.b = b.data();
  d.b_scales = c.multipliers.data();
  d.b_scale_count = d.n;
  d.bias_type = OCT_S32;
  d.bias = c.sums.data();
  d.c_type = type;
  d.c_zero_point = zero_point;
  const Plan plan(context, d);
  std::vector<uint8_t> out(c.sums.size());
  const uint8_t a = 0;
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = 1;
  args.a = &a;
  args.a_stride_bytes = 1;
  args.c = out.data();
  args.c_stride_bytes = d.n;
  EXPECT_EQ(oct_qgemm_run(plan, &args), OCT_OK) << oct_last_error();
  return out;
}

class RequantExact : public testing::TestWithParam<oct_isa> {};

TEST_P(RequantExact, EqualsIntegerArithmeticAndMissesTheExactQuotientOnlyNextToTies) {
  const Context context(GetParam());
  constexpr size_t kColumns = 4096;
  int64_t missed = 0, total = 0;
  for (int round = 0; round < by_effort(10, 60, 2000); ++round) {
    Rng rng("requant exact", static_cast<uint64_t>(round));
    const Columns c = draw(rng, kColumns);
    const bool is_signed = rng.one_in(2);
    const int lo = is_signed ? -128 : 0, hi = lo + 255;
    const int zero_point = static_cast<int>(rng.between(lo, hi));
    const auto got = outputs(context, c, is_signed ? OCT_S8 : OCT_U8, zero_point);
    for (size_t i = 0; i < kColumns; ++i) {
      const int q = is_signed ? static_cast<int8_t>(got[i]) : got[i];
      const auto magnitude = static_cast<uint64_t>(std::llabs(c.sums[i]));
      const bool negative = c.sums[i] < 0;
      const Number m = parts(c.multipliers[i]), sum{magnitude, 0};
      const Number by_spec = to_binary32(product(to_binary32(sum), m));
      ASSERT_EQ(q, quantize(by_spec, negative, zero_point, lo, hi))
          << "seed " << base_seed() << ": " << c.sums[i] << " * " << c.multipliers[i] << " + "
          << zero_point;
      const Number exact = product(sum, m);
      ++total;
      if (q == quantize(exact, negative, zero_point, lo, hi)) continue;
      ++missed;
      EXPECT_TRUE(next_to_tie(exact)) << c.sums[i] << " * " << c.multipliers[i];
    }
  }
  RecordProperty("missed", std::to_string(missed) + " of " + std::to_string(total));
  EXPECT_LT(static_cast<double>(missed), 1e-4 * static_cast<double>(total));
}

INSTANTIATE_TEST_SUITE_P(Caps, RequantExact, testing::ValuesIn(distinct_caps()),
                         [](const auto& info) { return "cap" + std::to_string(info.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RequantExact);

}  // namespace
}  // namespace oct::test
