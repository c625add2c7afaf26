// Where K ends: sums at the edge of int32, wrapping beyond it, and very long K.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "tests/api_support.h"

namespace oct::test {
namespace {

class ApiLimits : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }
};

// s32 C of one constant times another, K times.
QgemmProblem constant_problem(oct_dtype a_type, int a, int8_t w, int64_t k) {
  QgemmProblem p;
  p.m = 2;
  p.desc.n = 3;
  p.desc.k = k;
  p.desc.a_type = a_type;
  p.desc.c_type = OCT_S32;
  p.a.assign(static_cast<size_t>(p.m * k), static_cast<uint8_t>(a));
  p.b.assign(static_cast<size_t>(p.desc.n * k), w);
  p.desc.b = p.b.data();
  return p;
}

int32_t first_element(const std::vector<uint8_t>& c) {
  int32_t x = 0;
  if (c.size() >= sizeof x) std::memcpy(&x, c.data(), sizeof x);
  return x;
}

struct Bound {
  oct_dtype a_type;
  int zero_point, a_min, a_max;
  int64_t last_k;
  int worst_a;  // with weight -128
};
constexpr Bound kBounds[] = {
    {OCT_U8, 0, 0, 0, 65793, 255},    {OCT_U8, 255, 0, 0, 65793, 0},
    {OCT_U8, 128, 0, 0, 131071, 0},   {OCT_U8, 0, 0, 127, 132104, 127},
    {OCT_U8, 10, 0, 20, 1677721, 0},  {OCT_S8, 0, 0, 0, 131071, -128},
    {OCT_S8, 127, 0, 0, 65793, -128}, {OCT_S8, -128, 0, 0, 65793, 127},
};

TEST_F(ApiLimits, SumsAreExactUpToTheLastK) {
  for (const Bound& bound : kBounds)
    for (oct_isa cap : distinct_caps()) {
      const Context context(cap);
      QgemmProblem p = constant_problem(bound.a_type, bound.worst_a, -128, bound.last_k);
      p.desc.a_zero_point = bound.zero_point;
      p.desc.a_min = bound.a_min;
      p.desc.a_max = bound.a_max;
      const int64_t sum = int64_t{bound.worst_a - bound.zero_point} * -128 * bound.last_k;
      ASSERT_EQ(sum, static_cast<int32_t>(sum)) << "the test's own arithmetic";
      EXPECT_EQ(first_element(p.run(context)), sum) << p.text() << ", cap " << cap;
    }
}

TEST_F(ApiLimits, TheNextKIsRefusedUnlessWrapIsAllowed) {
  const Context context;
  for (const Bound& bound : kBounds) {
    QgemmProblem p = constant_problem(bound.a_type, bound.worst_a, -128, bound.last_k + 1);
    p.desc.a_zero_point = bound.zero_point;
    p.desc.a_min = bound.a_min;
    p.desc.a_max = bound.a_max;
    auto* const untouched = reinterpret_cast<oct_qgemm*>(0x1234);
    oct_qgemm* plan = untouched;
    EXPECT_EQ(oct_qgemm_create(context, &p.desc, &plan), OCT_INVALID_ARGUMENT) << p.text();
    EXPECT_EQ(plan, untouched);
    const std::string error = oct_last_error();
    for (int64_t number : {bound.last_k, bound.last_k + 1})
      EXPECT_NE(error.find(std::to_string(number)), std::string::npos) << error;
    p.desc.flags = OCT_QGEMM_ALLOW_WRAP;
    EXPECT_EQ(oct_qgemm_create(context, &p.desc, &plan), OCT_OK) << oct_last_error();
    oct_qgemm_destroy(plan);
  }
}

TEST_F(ApiLimits, SumsWrapModulo32Bits) {
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int8_t w : {int8_t{-128}, int8_t{127}})
      for (int64_t k : {65794, 70001, 140000}) {
        QgemmProblem p = constant_problem(OCT_U8, 255, w, k);
        p.desc.flags = OCT_QGEMM_ALLOW_WRAP;
        const auto sum = static_cast<uint64_t>(int64_t{255} * w * k);
        EXPECT_EQ(first_element(p.run(context)), static_cast<int32_t>(sum & 0xffffffff))
            << p.text() << ", cap " << cap;
      }
  }
}

TEST_F(ApiLimits, LongKMatchesTheReference) {
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int64_t k : {4099, 8000, 11000, 20001, 40000}) {
      Rng rng("long k", static_cast<uint64_t>(k));
      const QgemmProblem p = simple_problem(rng, 9, 33, k);
      EXPECT_EQ(first_difference(p.run(context), p.expected(), p), "") << "cap " << cap;
      QgemmProblem narrow = simple_problem(rng, 5, 27, k);
      for (uint8_t& a : narrow.a) a &= 0x7f;
      narrow.desc.a_max = 127;
      EXPECT_EQ(first_difference(narrow.run(context), narrow.expected(), narrow), "");
    }
  }
}

}  // namespace
}  // namespace oct::test
