// Small products whose right answer is known by hand; each catches one well-known mistake.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <functional>
#include <vector>

#include "tests/api_support.h"

namespace oct::test {
namespace {

using Set = std::function<void(oct_qgemm_desc&)>;

// The one value of all C[m,n], where every row of A is `a` and every column of B is `w`. Checked to
// be the same for all elements, on every instruction set, from a single element to several tiles.
double one_value(const std::vector<int>& a, const std::vector<int>& w, const Set& set) {
  std::vector<double> values;
  for (oct_isa cap : distinct_caps())
    for (const auto& [m, n] : {std::pair{1, 1}, {3, 17}, {7, 70}}) {
      const Context context(cap);
      QgemmProblem p;
      p.m = m;
      p.desc.n = n;
      p.desc.k = static_cast<int64_t>(a.size());
      for (int i = 0; i < m; ++i)
        for (int x : a) p.a.push_back(static_cast<uint8_t>(x));
      for (int j = 0; j < n; ++j)
        for (int x : w) p.b.push_back(static_cast<int8_t>(x));
      p.desc.b = p.b.data();
      p.desc.b_layout = OCT_B_NK;
      p.b_scales = {1.0f};
      p.desc.b_scales = p.b_scales.data();
      p.desc.b_scale_count = 1;
      p.bias_s32.assign(static_cast<size_t>(n), 0);
      p.bias_f32.assign(static_cast<size_t>(n), 0);
      set(p.desc);
      // `set` leaves a scalar bias in place of the pointer's target.
      if (p.desc.bias_type == OCT_S32) {
        p.bias_s32.assign(static_cast<size_t>(n), *static_cast<const int32_t*>(p.desc.bias));
        p.desc.bias = p.bias_s32.data();
      } else if (p.desc.bias_type == OCT_F32) {
        p.bias_f32.assign(static_cast<size_t>(n), *static_cast<const float*>(p.desc.bias));
        p.desc.bias = p.bias_f32.data();
      }
      const std::vector<uint8_t> c = p.run(context);
      for (size_t i = 0; i < c.size(); i += p.element_bytes()) {
        uint32_t bits = 0;
        std::memcpy(&bits, &c[i], p.element_bytes());
        switch (p.desc.c_type) {
          case OCT_U8: values.push_back(bits); break;
          case OCT_S8: values.push_back(static_cast<int8_t>(bits)); break;
          case OCT_S32: values.push_back(static_cast<int32_t>(bits)); break;
          case OCT_BF16: values.push_back(std::bit_cast<float>(bits << 16)); break;
          default: values.push_back(std::bit_cast<float>(bits));
        }
      }
    }
  for (double v : values) EXPECT_EQ(v, values[0]) << "elements differ";
  return values[0];
}

// T itself.
double sum_of(const std::vector<int>& a, const std::vector<int>& w, int zero_point = 0,
              oct_dtype a_type = OCT_U8) {
  return one_value(a, w, [=](oct_qgemm_desc& d) {
    d.a_type = a_type;
    d.a_zero_point = zero_point;
    d.c_type = OCT_S32;
  });
}

// C for T + bias = acc.
double output_of(int32_t acc, const Set& set) {
  return one_value({0}, {1}, [&](oct_qgemm_desc& d) {
    d.bias_type = OCT_S32;
    d.bias = &acc;
    set(d);
  });
}

void per_tensor(oct_qgemm_desc& d, float a_scale, float b_scale, float c_scale) {
  d.a_scale = a_scale;
  const_cast<float*>(d.b_scales)[0] = b_scale;
  d.c_scale = c_scale;
}

class ApiNumbers : public testing::Test {
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }
};

TEST_F(ApiNumbers, SumsNeverSaturate) {
  EXPECT_EQ(sum_of({255, 255}, {127, 127}), 64770);  // vpmaddubsw: 32767
  EXPECT_EQ(sum_of({255, 255}, {-128, -128}), -65280);
  EXPECT_EQ(sum_of({255, 255, 255, 255}, {127, 127, 127, 127}), 129540);
  EXPECT_EQ(sum_of({127, 127}, {127, 127}, 0, OCT_S8), 32258);  // shifted by 128 carelessly: 255
  const std::vector<int> a(8, 100), w(8, 60);
  EXPECT_EQ(sum_of(a, w), 48000);  // int16 sums: 32767
}

TEST_F(ApiNumbers, SignednessOfEachOperand) {
  EXPECT_EQ(sum_of({200, 200, 200, 200}, {-1, -1, -1, -1}), -800);  // swapped: -57120
  EXPECT_EQ(sum_of({-128, -128}, {-128, -128}, 0, OCT_S8), 32768);
  EXPECT_EQ(sum_of({-1, -128}, {-128, -128}, 0, OCT_S8), 16512);
}

TEST_F(ApiNumbers, ZeroPointsOfA) {
  EXPECT_EQ(sum_of({3}, {1}, 5), -2);  // uint8 arithmetic: 254
  EXPECT_EQ(sum_of({0, 0, 0, 0, 0}, {1, 2, 3, 4, 5}, 255), -3825);
  EXPECT_EQ(sum_of({-128, -128, -128}, {127, 127, 127}, 127, OCT_S8), -97155);
  EXPECT_EQ(sum_of({127, 127, 127}, {-128, -128, -128}, -128, OCT_S8), -97920);
}

TEST_F(ApiNumbers, TheMultiplierIsMadeInOneOrder) {
  EXPECT_EQ(
      output_of(84810,
                [](oct_qgemm_desc& d) { per_tensor(d, 0.0129878791f, 0.00510666333f, 0.05f); }),
      112);  // (acc * sa * sw) / sy: 113
}

TEST_F(ApiNumbers, FloatOfTheSumIsRounded) {
  EXPECT_EQ(
      output_of(33554431, [](oct_qgemm_desc& d) { per_tensor(d, 127.5f / 33554432.0f, 1, 1); }),
      128);  // the exact product, 127.499996: 127
}

TEST_F(ApiNumbers, TiesGoToEvenBeforeTheZeroPointIsAdded) {
  const auto at = [](int32_t acc, int zero_point) {
    return output_of(acc, [=](oct_qgemm_desc& d) {
      per_tensor(d, 0.5f, 1, 1);
      d.c_zero_point = zero_point;
    });
  };
  EXPECT_EQ(at(1, 1), 1);  // added before rounding: 2
  EXPECT_EQ(at(3, 1), 3);
  EXPECT_EQ(at(5, 0), 2);
  EXPECT_EQ(at(-1, 1), 1);
  EXPECT_EQ(at(-3, 100), 98);
}

TEST_F(ApiNumbers, NothingOverflowsOnTheWayToABytes) {
  const auto at = [](int32_t acc, float multiplier, int zero_point) {
    return output_of(acc, [=](oct_qgemm_desc& d) {
      per_tensor(d, multiplier, 1, 1);
      d.c_zero_point = zero_point;
    });
  };
  EXPECT_EQ(at(2000000000, 1.5f, 0), 255);  // vcvtps2dq of 3e9 is INT_MIN: 0
  EXPECT_EQ(at(-2000000000, 1.5f, 255), 0);
  EXPECT_EQ(at(INT32_MAX, 0.99999994f, 128), 255);
  EXPECT_EQ(at(INT32_MIN, 0.99999994f, 128), 0);
  EXPECT_EQ(at(32767, 0.99999994f, 255), 255);
  EXPECT_EQ(at(200, 0.99999994f, 100), 255);  // added in eight bits: 44
}

// One large multiplier among small ones is enough to overflow.
TEST_F(ApiNumbers, NothingOverflowsInOneColumnOfMany) {
  for (oct_isa cap : distinct_caps())
    for (int64_t large : {0, 5, 39}) {
      const Context context(cap);
      Rng rng("columns");
      QgemmProblem p = simple_problem(rng, 3, 40, 4);
      p.b_scales.assign(40, 0.5f);
      p.b_scales[static_cast<size_t>(large)] = 1.5f;
      p.desc.b_scales = p.b_scales.data();
      p.desc.b_scale_count = 40;
      p.bias_s32.assign(40, 2000000000);
      p.desc.bias_type = OCT_S32;
      p.desc.bias = p.bias_s32.data();
      EXPECT_EQ(p.run(context), std::vector<uint8_t>(3 * 40, 255)) << "column " << large;
    }
}

TEST_F(ApiNumbers, ReluStopsAtTheZeroPoint) {
  const auto at = [](int32_t acc, oct_dtype type, int zero_point) {
    return output_of(acc, [=](oct_qgemm_desc& d) {
      per_tensor(d, 0.5f, 1, 1);
      d.c_type = type;
      d.c_zero_point = zero_point;
      d.flags = OCT_QGEMM_RELU;
    });
  };
  EXPECT_EQ(at(-56, OCT_U8, 128), 128);  // clamped at 0 instead: 100
  EXPECT_EQ(at(-56, OCT_S8, -20), -20);
  EXPECT_EQ(at(56, OCT_S8, -20), 8);
  EXPECT_EQ(at(1000, OCT_S8, 127), 127);
}

TEST_F(ApiNumbers, ClampBoundsAreQuantised) {
  const auto at = [](int32_t acc) {
    return output_of(acc, [](oct_qgemm_desc& d) {
      per_tensor(d, 0.01f, 1, 0.1f);
      d.c_zero_point = 10;
      d.flags = OCT_QGEMM_CLAMP;
      d.clamp_min = 0;
      d.clamp_max = 6;
    });
  };
  EXPECT_EQ(at(100000), 70);
  EXPECT_EQ(at(-100000), 10);
  EXPECT_EQ(at(300), 40);
}

// 698626 * 0.000157509174 - 17.54 = 92.5 in two rounded steps, 92.5000076 in one.
TEST_F(ApiNumbers, MultiplyAndAddAreNotFused) {
  std::vector<int> a(21, 255), w(21, 127);
  a.insert(a.end(), {145, 126});
  w.insert(w.end(), {127, 1});
  const float bias = -17.54f;
  const auto with = [&](oct_dtype type) {
    return one_value(a, w, [=, &bias](oct_qgemm_desc& d) {
      per_tensor(d, 0.000157509174f, 1, 1);
      d.bias_type = OCT_F32;
      d.bias = &bias;
      d.c_type = type;
    });
  };
  EXPECT_EQ(sum_of(a, w), 698626);
  EXPECT_EQ(with(OCT_F32), 92.5);
  EXPECT_EQ(with(OCT_U8), 92);
}

TEST_F(ApiNumbers, Bf16RoundsTiesToEven) {
  const auto at = [](int32_t acc) {
    return output_of(acc, [](oct_qgemm_desc& d) { d.c_type = OCT_BF16; });
  };
  EXPECT_EQ(at(257), 256);
  EXPECT_EQ(at(259), 260);
  EXPECT_EQ(at(-257), -256);
  EXPECT_EQ(at(513), 512);
}

}  // namespace
}  // namespace oct::test
