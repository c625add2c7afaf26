// Every description that must be refused: with what status, naming which numbers, leaving `*plan`
// alone.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/api_support.h"

namespace oct::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kMax64 = std::numeric_limits<int64_t>::max();

struct BadDesc {
  const char* name;
  std::function<void(QgemmProblem&)> spoil;  // makes a good problem bad
  std::vector<std::string> mentions;         // what the message must contain
  oct_status status = OCT_INVALID_ARGUMENT;
};

// Applies `set` to the description alone.
template <class Set>
std::function<void(QgemmProblem&)> desc(Set set) {
  return [set](QgemmProblem& p) { set(p.desc); };
}
constexpr int32_t kZeroPoints[20] = {-128, 127, 0, 0, 0, 0, 0, 0, 0, 0,
                                     0,    0,   0, 0, 0, 0, 0, 0, 0, 128};

#define DESC(statement) desc([](oct_qgemm_desc& d) { statement; })

float per_channel(QgemmProblem& p, size_t index, float value) {
  p.b_scales.assign(static_cast<size_t>(p.desc.n), 0.01f);
  p.b_scales[index] = value;
  p.desc.b_scales = p.b_scales.data();
  p.desc.b_scale_count = p.desc.n;
  return value;
}

void f32_bias(QgemmProblem& p, size_t index, float value) {
  p.bias_f32.assign(static_cast<size_t>(p.desc.n), 0.5f);
  p.bias_f32[index] = value;
  p.desc.bias_type = OCT_F32;
  p.desc.bias = p.bias_f32.data();
}

template <class T>
T enumerator(int value) {
  return static_cast<T>(value);
}

const std::vector<BadDesc>& bad_descs() {
  static const std::vector<BadDesc> all = {
      {"struct_size_zero", DESC(d.struct_size = 0), {"struct_size", " 0;"}, OCT_VERSION_MISMATCH},
      {"struct_size_smaller",
       DESC(d.struct_size -= 8),
       {"struct_size", std::to_string(sizeof(oct_qgemm_desc)),
        std::to_string(sizeof(oct_qgemm_desc) - 8)},
       OCT_VERSION_MISMATCH},
      {"struct_size_larger",
       DESC(d.struct_size += 8),
       {std::to_string(sizeof(oct_qgemm_desc) + 8)},
       OCT_VERSION_MISMATCH},

      {"n_zero", DESC(d.n = 0), {"n = 0"}},
      {"n_negative", DESC(d.n = -3), {"n = -3"}},
      {"n_beyond_31_bits", DESC(d.n = 1LL << 31), {"2147483648", "2147483647"}},
      {"k_zero", DESC(d.k = 0), {"k = 0"}},
      {"k_negative", DESC(d.k = -1), {"k = -1"}},
      {"k_beyond_31_bits", DESC(d.k = 1LL << 31), {"2147483648", "2147483647"}},
      {"unknown_flags", DESC(d.flags = 0x88), {"0x88"}},

      {"a_type_none", DESC(d.a_type = OCT_NONE), {"a_type", "0"}},
      {"a_type_f32", DESC(d.a_type = OCT_F32), {"a_type", "4"}},
      {"a_type_unknown", DESC(d.a_type = enumerator<oct_dtype>(77)), {"a_type", "77"}},
      {"a_zero_point_below", DESC(d.a_zero_point = -1), {"a_zero_point", "-1", "0", "255"}},
      {"a_zero_point_above", DESC(d.a_zero_point = 256), {"a_zero_point", "256"}},
      {"a_zero_point_s8",
       DESC(d.a_type = OCT_S8; d.a_zero_point = 128),
       {"a_zero_point", "128", "-128", "127"}},
      {"a_range_reversed", DESC(d.a_min = 9; d.a_max = 8), {"[9, 8]"}},
      {"a_range_below_type", DESC(d.a_min = -1; d.a_max = 8), {"[-1, 8]", "255"}},
      {"a_range_above_type",
       DESC(d.a_type = OCT_S8; d.a_zero_point = 0; d.a_min = 0; d.a_max = 128),
       {"[0, 128]", "127"}},
      {"a_scale_zero", DESC(d.a_scale = 0), {"a_scale", "0"}},
      {"a_scale_negative", DESC(d.a_scale = -2), {"a_scale", "-2"}},
      {"a_scale_nan", DESC(d.a_scale = kNan), {"a_scale", "nan"}},
      {"a_scale_infinite", DESC(d.a_scale = kInf), {"a_scale", "inf"}},
      {"a_scale_denormal", DESC(d.a_scale = 1e-39f), {"a_scale", "1e-39"}},

      {"b_null", DESC(d.b = nullptr), {"b is null"}},
      {"b_type_f32", DESC(d.b_type = OCT_F32), {"b_type is 4"}},
      {"b_zero_point_count",
       DESC(d.b_zero_points = kZeroPoints; d.b_zero_point_count = 3),
       {"b_zero_point_count is 3", "20"}},
      {"b_zero_point_range",
       DESC(d.b_zero_points = kZeroPoints; d.b_zero_point_count = 20),
       {"b_zero_points[19] is 128", "-128 .. 127"}},
      {"b_layout_unknown", DESC(d.b_layout = enumerator<oct_b_layout>(2)), {"b_layout", "2"}},
      {"b_stride_short", DESC(d.b_stride_bytes = 19), {"b_stride_bytes", "19", "20"}},
      {"b_stride_short_nk",
       DESC(d.b_layout = OCT_B_NK; d.b_stride_bytes = 29),
       {"b_stride_bytes", "29", "30"}},
      {"b_stride_negative", DESC(d.b_stride_bytes = -20), {"b_stride_bytes", "-20"}},
      {"b_overflows", DESC(d.b_stride_bytes = kMax64 / 2), {std::to_string(kMax64 / 2)}},
      {"b_wraps_the_address_space",
       DESC(d.b_stride_bytes = kMax64 / 29),
       {std::to_string(kMax64 / 29)}},
      {"b_scales_null", DESC(d.b_scales = nullptr), {"b_scales", "null"}},
      {"b_scale_count_zero", DESC(d.b_scale_count = 0), {"b_scale_count", "0"}},
      {"b_scale_count_other", DESC(d.b_scale_count = 19), {"b_scale_count", "19", "20"}},
      {"b_scales_misaligned",
       DESC(d.b_scales =
                reinterpret_cast<const float*>(reinterpret_cast<uintptr_t>(d.b_scales) + 1)),
       {"b_scales", "align"}},
      {"b_scale_zero", [](QgemmProblem& p) { per_channel(p, 7, 0.0f); }, {"b_scales[7]", "0"}},
      {"b_scale_negative",
       [](QgemmProblem& p) { per_channel(p, 0, -0.5f); },
       {"b_scales[0]", "-0.5"}},
      {"b_scale_nan", [](QgemmProblem& p) { per_channel(p, 19, kNan); }, {"b_scales[19]", "nan"}},
      {"b_scale_infinite",
       [](QgemmProblem& p) { per_channel(p, 3, kInf); },
       {"b_scales[3]", "inf"}},
      {"b_scale_denormal", [](QgemmProblem& p) { per_channel(p, 3, 1e-40f); }, {"b_scales[3]"}},
      {"scale_product_vanishes",
       [](QgemmProblem& p) {
         p.desc.a_scale = 1e-30f;
         per_channel(p, 2, 1e-30f);
       },
       {"b_scales[2]", "1e-30"}},
      {"scale_product_infinite",
       [](QgemmProblem& p) {
         p.desc.a_scale = 1e30f;
         per_channel(p, 2, 1e30f);
       },
       {"b_scales[2]", "1e+30"}},

      {"bias_type_bf16", DESC(d.bias_type = OCT_BF16; d.bias = d.b_scales), {"bias_type", "5"}},
      {"bias_null", DESC(d.bias_type = OCT_S32), {"bias"}},
      {"bias_without_type", DESC(d.bias = d.b_scales), {"bias"}},
      {"bias_misaligned",
       DESC(d.bias_type = OCT_S32; d.bias = reinterpret_cast<const char*>(d.b_scales) + 2),
       {"bias", "align"}},
      {"bias_nan", [](QgemmProblem& p) { f32_bias(p, 11, kNan); }, {"bias[11]", "nan"}},
      {"bias_infinite", [](QgemmProblem& p) { f32_bias(p, 0, -kInf); }, {"bias[0]", "-inf"}},

      {"c_type_none", DESC(d.c_type = OCT_NONE), {"c_type", "0"}},
      {"c_type_unknown", DESC(d.c_type = enumerator<oct_dtype>(-6)), {"c_type", "-6"}},
      {"c_scale_zero", DESC(d.c_scale = 0), {"c_scale", "0"}},
      {"c_scale_negative", DESC(d.c_scale = -1e-3f), {"c_scale", "-0.001"}},
      {"c_scale_nan", DESC(d.c_scale = kNan), {"c_scale", "nan"}},
      {"c_scale_infinite", DESC(d.c_scale = kInf), {"c_scale", "inf"}},
      {"c_scale_denormal", DESC(d.c_scale = 1e-39f), {"c_scale", "1e-39"}},
      {"c_zero_point_below", DESC(d.c_zero_point = -1), {"c_zero_point", "-1"}},
      {"c_zero_point_above", DESC(d.c_zero_point = 256), {"c_zero_point", "256"}},
      {"c_zero_point_s8", DESC(d.c_type = OCT_S8; d.c_zero_point = -129), {"c_zero_point", "-129"}},

      {"relu_and_clamp", DESC(d.flags = OCT_QGEMM_RELU | OCT_QGEMM_CLAMP), {"RELU", "CLAMP"}},
      {"relu_for_s32", DESC(d.c_type = OCT_S32; d.flags = OCT_QGEMM_RELU), {"s32"}},
      {"clamp_for_s32", DESC(d.c_type = OCT_S32; d.flags = OCT_QGEMM_CLAMP), {"s32"}},
      {"f32_bias_for_s32",
       [](QgemmProblem& p) {
         p.desc.c_type = OCT_S32;
         f32_bias(p, 0, 0);
       },
       {"s32", "bias"}},
      {"clamp_reversed",
       DESC(d.flags = OCT_QGEMM_CLAMP; d.clamp_min = 2; d.clamp_max = 1),
       {"[2, 1]"}},
      {"clamp_nan", DESC(d.flags = OCT_QGEMM_CLAMP; d.clamp_min = kNan; d.clamp_max = 1), {"nan"}},
      {"clamp_nan_max", DESC(d.flags = OCT_QGEMM_CLAMP; d.clamp_max = kNan), {"nan"}},

      {"m_hint_negative", DESC(d.m_hint = -4), {"m_hint", "-4"}},
      {"kernel_unknown", DESC(d.kernel = "gemm_u8s8s32_1x1x4_vax"), {"gemm_u8s8s32_1x1x4_vax"}},
  };
  return all;
}

class BadDescs : public testing::TestWithParam<BadDesc> {
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }
};

TEST_P(BadDescs, AreRefusedWithTheNumbers) {
  const Context context;
  Rng rng("bad desc");
  QgemmProblem p = simple_problem(rng, 4, 20, 30);
  ASSERT_TRUE(Plan(context, p.desc)) << "the problem must be good before it is spoilt";
  GetParam().spoil(p);

  auto* const untouched = reinterpret_cast<oct_qgemm*>(0x1234);
  oct_qgemm* plan = untouched;
  EXPECT_EQ(oct_qgemm_create(context, &p.desc, &plan), GetParam().status) << oct_last_error();
  EXPECT_EQ(plan, untouched);
  for (const std::string& text : GetParam().mentions)
    EXPECT_NE(std::string(oct_last_error()).find(text), std::string::npos)
        << "no \"" << text << "\" in: " << oct_last_error();
}

INSTANTIATE_TEST_SUITE_P(Create, BadDescs, testing::ValuesIn(bad_descs()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(NullArguments, AreRefusedByCreate) {
  oct_qgemm_desc desc = OCT_QGEMM_DESC_INIT;
  auto* const untouched = reinterpret_cast<oct_qgemm*>(0x1234);
  oct_qgemm* plan = untouched;
  auto* const fake = reinterpret_cast<oct_context*>(0x1000);  // not read before the null is found
  EXPECT_EQ(oct_qgemm_create(nullptr, &desc, &plan), OCT_INVALID_ARGUMENT);
  EXPECT_STREQ(oct_last_error(), "context is null");
  EXPECT_EQ(oct_qgemm_create(fake, nullptr, &plan), OCT_INVALID_ARGUMENT);
  EXPECT_STREQ(oct_last_error(), "desc is null");
  EXPECT_EQ(oct_qgemm_create(fake, &desc, nullptr), OCT_INVALID_ARGUMENT);
  EXPECT_STREQ(oct_last_error(), "plan is null");
  EXPECT_EQ(plan, untouched);
  oct_qgemm_destroy(nullptr);
}

// Scales are not looked at where they are not used.
TEST(Scales, AreIgnoredForS32) {
  if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  const Context context;
  Rng rng("s32 scales");
  QgemmProblem p = simple_problem(rng, 4, 20, 30);
  p.desc.c_type = OCT_S32;
  p.desc.b_scales = nullptr;
  p.desc.a_scale = p.desc.c_scale = 0;
  p.desc.c_zero_point = 12345;
  EXPECT_EQ(first_difference(p.run(context), p.expected(), p), "");
}

}  // namespace
}  // namespace oct::test
