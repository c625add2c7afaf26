// The pitfalls of numerics.md B9 that concern sums, padding and outputs, by their numbers there:
// each through the C API, on every instruction set, with the numbers on which an implementation
// with the mistake differs. Those of scales and observers are in test_quant_pitfalls.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "tests/api_support.h"

namespace oct::test {
namespace {

using Ints = std::vector<int>;

// A[1,K] . B[K,N], as integers; `set` completes the description.
struct Product {
  Ints a, b;  // b: K rows of N
  int64_t n = 1;
  oct_dtype a_type = OCT_U8, b_type = OCT_S8;
  int a_zero_point = 0, b_zero_point = 0;
  size_t spare = 0;  // bytes of 255 behind A that are not part of it

  oct_status create(oct_context* context, const std::function<void(oct_qgemm_desc&)>& set,
                    oct_qgemm** plan, oct_dtype* c_type) const {
    std::vector<uint8_t> weights(b.begin(), b.end());
    const float one = 1;
    const int32_t b_zero = b_zero_point;
    oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
    d.n = n;
    d.k = static_cast<int64_t>(a.size());
    d.a_type = a_type;
    d.a_zero_point = a_zero_point;
    d.b = reinterpret_cast<const int8_t*>(weights.data());
    d.b_type = b_type;
    d.b_zero_points = &b_zero;
    d.b_zero_point_count = 1;
    d.b_scales = &one;
    d.b_scale_count = 1;
    d.c_type = OCT_S32;
    set(d);
    *c_type = d.c_type;
    return oct_qgemm_create(context, &d, plan);
  }

  Ints run(oct_context* context, const std::function<void(oct_qgemm_desc&)>& set) const {
    oct_qgemm* plan = nullptr;
    oct_dtype c_type;
    EXPECT_EQ(create(context, set, &plan, &c_type), OCT_OK) << oct_last_error();
    if (!plan) return {};
    std::vector<uint8_t> bytes(a.begin(), a.end());
    bytes.resize(bytes.size() + spare, 255);
    std::vector<int32_t> words(static_cast<size_t>(n));
    std::vector<uint8_t> c(static_cast<size_t>(n));
    const bool wide = c_type == OCT_S32;
    oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
    args.m = 1;
    args.a = bytes.data();
    args.a_stride_bytes = static_cast<int64_t>(bytes.size());
    args.c = wide ? static_cast<void*>(words.data()) : c.data();
    args.c_stride_bytes = wide ? 4 * n : n;
    EXPECT_EQ(oct_qgemm_run(plan, &args), OCT_OK) << oct_last_error();
    oct_qgemm_destroy(plan);
    if (wide) return {words.begin(), words.end()};
    if (c_type == OCT_S8)
      return {reinterpret_cast<int8_t*>(c.data()), reinterpret_cast<int8_t*>(c.data()) + n};
    return {c.begin(), c.end()};
  }
};

void for_every_isa(const std::function<void(oct_context*)>& body) {
  for (oct_isa cap : distinct_caps()) {
    SCOPED_TRACE(testing::Message() << "cap " << cap);
    const Context context(cap);
    body(context);
  }
}

// The first column of every ISA's result.
void expect_first(
    const Product& p, int expected,
    const std::function<void(oct_qgemm_desc&)>& set = [](oct_qgemm_desc&) {}) {
  for_every_isa([&](oct_context* context) {
    const Ints c = p.run(context, set);
    ASSERT_FALSE(c.empty());
    EXPECT_EQ(c[0], expected);
  });
}

// Requantised to `type` with scales whose quotient is the multiplier.
std::function<void(oct_qgemm_desc&)> output(oct_dtype type, float a_scale, float c_scale,
                                            int zero_point) {
  return [=](oct_qgemm_desc& d) {
    d.c_type = type;
    d.a_scale = a_scale;
    d.c_scale = c_scale;
    d.c_zero_point = zero_point;
  };
}

// A product with sum `value`: 255 * 127 as often as it fits, and the rest.
Product with_sum(int value) {
  Product p;
  const int sign = value < 0 ? -1 : 1;
  int rest = std::abs(value);
  const auto add = [&](int a, int b) {
    p.a.push_back(a);
    p.b.push_back(sign * b);
    rest -= a * b;
  };
  while (rest >= 255 * 127) add(255, 127);
  if (rest >= 127) add(rest / 127, 127);
  if (rest > 0) add(rest, 1);
  if (p.a.empty()) add(0, 0);
  return p;
}

TEST(Pitfalls, Pitfall16SaturatingPairSums) {
  expect_first({{255, 255}, {127, 127}}, 64770);
  expect_first({{255, 255}, {-128, -128}}, -65280);
}

TEST(Pitfalls, Pitfall17SwappedOperands) {
  expect_first({{200, 200, 200, 200}, {-1, -1, -1, -1}}, -800);
}

TEST(Pitfalls, Pitfall18SignTricksWithMinus128) {
  Product p{{-1, -1}, {-128, -128}};
  p.a_type = OCT_S8;
  expect_first(p, 256);
  p.a = {-128, -128};
  expect_first(p, 32768);
}

// Sums wrap, also on the way: a bias at the end of int32 comes back.
TEST(Pitfalls, Pitfall19SaturatingAccumulation) {
  const int32_t bias = INT_MAX;
  const auto biased = [&](oct_qgemm_desc& d) {
    d.bias_type = OCT_S32;
    d.bias = &bias;
  };
  Product p{{1, 1, 1, 1}, {1, 1, 1, 1}};
  expect_first(p, INT_MIN + 3, biased);
  p.a = {3, 3, 3, 3};
  p.a_zero_point = 4;
  expect_first(p, INT_MAX - 4, biased);
}

TEST(Pitfalls, Pitfall20SixteenBitAccumulation) {
  expect_first({Ints(8, 100), Ints(8, 60)}, 8 * 100 * 60);
}

// 3x3 over 2x2 pixels with a border of one: in every corner four taps are within.
Ints convolve(oct_context* context, oct_dtype a_type, int zero_point, const Ints& image,
              const Ints& weights) {
  std::vector<uint8_t> a(image.begin(), image.end());
  std::vector<int8_t> w(weights.begin(), weights.end());
  oct_qconv_desc d = OCT_QCONV_DESC_INIT;
  d.in_channels = d.out_channels = 1;
  for (int i = 0; i < 2; ++i) {
    d.kernel[i] = 3;
    d.pad_begin[i] = d.pad_end[i] = 1;
  }
  d.a_type = a_type;
  d.a_zero_point = zero_point;
  d.w = w.data();
  d.c_type = OCT_S32;
  oct_qconv* plan = nullptr;
  EXPECT_EQ(oct_qconv_create(context, &d, &plan), OCT_OK) << oct_last_error();
  std::vector<int32_t> c(4);
  oct_qconv_args args = OCT_QCONV_ARGS_INIT;
  args.in_size[0] = args.in_size[1] = 2;
  args.a.data = a.data();
  args.c.data = c.data();
  EXPECT_EQ(oct_qconv_run(plan, &args), OCT_OK) << oct_last_error();
  oct_qconv_destroy(plan);
  return {c.begin(), c.end()};
}

TEST(Pitfalls, Pitfall21PaddingIsTheZeroPoint) {
  for_every_isa([](oct_context* context) {
    EXPECT_EQ(convolve(context, OCT_U8, 128, Ints(4, 130), Ints(9, 1)), Ints(4, 8));
  });
}

TEST(Pitfalls, Pitfall22PaddingOfShiftedOperands) {
  for_every_isa([](oct_context* context) {
    EXPECT_EQ(convolve(context, OCT_S8, 0, Ints(4, 2), Ints(9, 1)), Ints(4, 8));
    EXPECT_EQ(convolve(context, OCT_S8, -3, Ints(4, -1), Ints(9, 1)), Ints(4, 8));
  });
}

// Five of K in a row that goes on with 255s.
TEST(Pitfalls, Pitfall23RowSumsEndWithK) {
  Product p{{1, 2, 3, 4, 5}, {10, 20, 30, 40, 50}};
  p.b_zero_point = 3;
  p.spare = 3;
  expect_first(p, 550 - 3 * 15);
}

TEST(Pitfalls, Pitfall24TheTermOfBothZeroPoints) {
  Product p{Ints(64, 130), Ints(64, 5)};
  p.a_zero_point = 128;
  p.b_zero_point = 3;
  expect_first(p, 64 * 2 * 2);
}

TEST(Pitfalls, Pitfall27ReluClampsAtTheZeroPoint) {
  const auto relu = [](oct_qgemm_desc& d) {
    output(OCT_U8, 1, 1, 128)(d);
    d.flags = OCT_QGEMM_RELU;
  };
  expect_first(with_sum(-28), 128, relu);
  expect_first(with_sum(28), 156, relu);
}

TEST(Pitfalls, Pitfall28NoContraction) {
  const float bias = -17.54f;
  expect_first(with_sum(698626), 92, [&](oct_qgemm_desc& d) {
    output(OCT_U8, 0.000157509174f, 1, 0)(d);
    d.bias_type = OCT_F32;
    d.bias = &bias;
  });
}

TEST(Pitfalls, Pitfall29OrderOfTheScales) {
  const float b_scale = 0.00510666333f;
  expect_first(with_sum(84810), 112, [&](oct_qgemm_desc& d) {
    output(OCT_U8, 0.0129878791f, 0.05f, 0)(d);
    d.b_scales = &b_scale;
  });
}

// What one multiplication in binary32 loses, as documented: the exact product rounds to 127.
TEST(Pitfalls, Pitfall30SumsBeyondTwoToThe24) {
  const int32_t bias = 33554431;
  expect_first(with_sum(0), 128, [&](oct_qgemm_desc& d) {
    output(OCT_U8, 127.5f / (1 << 25), 1, 0)(d);
    d.bias_type = OCT_S32;
    d.bias = &bias;
  });
}

TEST(Pitfalls, Pitfall31RoundingTwice) {
  expect_first(with_sum(406), 0, output(OCT_S8, 0.00123f, 1, 0));
}

TEST(Pitfalls, Pitfall34HalvedWeights) {
  expect_first({{1}, {1}}, 1);
  expect_first({{1, 1}, {127, 3}}, 130);
  expect_first({Ints(4, 255), Ints(4, 127)}, 4 * 255 * 127);
}

TEST(Pitfalls, Pitfall35KBeyondInt32) {
  constexpr int kMost = 65793, kConv = 3 * 3 * 8192;
  const Context context;
  oct_qgemm* plan = nullptr;
  oct_dtype type;
  const auto as_is = [](oct_qgemm_desc&) {};
  const Product too_long{Ints(kConv, 255), Ints(kConv, -128)};
  EXPECT_EQ(too_long.create(context, as_is, &plan, &type), OCT_INVALID_ARGUMENT);
  EXPECT_NE(std::string(oct_last_error()).find("65793"), std::string::npos) << oct_last_error();
  expect_first({Ints(kMost, 255), Ints(kMost, -128)}, kMost * 255 * -128);
  const int64_t sum = int64_t{kConv} * 255 * -128;
  expect_first(too_long, static_cast<int32_t>(sum),
               [](oct_qgemm_desc& d) { d.flags = OCT_QGEMM_ALLOW_WRAP; });
}

TEST(Pitfalls, Pitfall40PackedLanesKeepTheirOrder) {
  Product p{{1}, {}, 200};
  for (int i = 0; i < 200; ++i) p.b.push_back(i % 127);
  for_every_isa([&](oct_context* context) {
    EXPECT_EQ(p.run(context, output(OCT_U8, 1, 1, 0)), p.b);
    EXPECT_EQ(p.run(context, output(OCT_S8, 1, 1, 0)), p.b);
  });
}

// The same column everywhere: no output depends on its place in a vector, or on N.
TEST(Pitfalls, Pitfall41TailsUseTheSameFormula) {
  const Product one = with_sum(-62693);
  const std::vector<float> bias(70, -0.6195f);
  for (int64_t n = 1; n <= 70; ++n) {
    Product p = one;
    p.n = n;
    p.b.clear();
    for (int w : one.b) p.b.insert(p.b.end(), static_cast<size_t>(n), w);
    for_every_isa([&](oct_context* context) {
      const Ints c = p.run(context, [&](oct_qgemm_desc& d) {
        output(OCT_S8, 7.50482468e-06f, 0.02f, 0)(d);
        d.bias_type = OCT_F32;
        d.bias = bias.data();
      });
      EXPECT_EQ(c, Ints(static_cast<size_t>(n), c[0])) << n;
      EXPECT_EQ(c[0], -54);  // FBGEMM's scalar code, which adds bias / scale to the sum: -55
    });
  }
}

}  // namespace
}  // namespace oct::test
