// qgemm with scales for groups of B's rows, against the reference for one group after another.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "kernels/reference.h"
#include "tests/api_support.h"
#include "tests/dynamic_case.h"

namespace oct::test {
namespace {

class Groups : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }
};

// Gives B groups of scales, and zero points of its own or none to every group, every column or the
// whole; nothing that excludes them remains.
void make_groups(Rng& rng, QgemmProblem& p, int64_t group_k) {
  oct_qgemm_desc& d = p.desc;
  d.b_group_k = group_k;
  if (d.bias_type == OCT_S32) d.bias_type = OCT_F32, d.bias = p.bias_f32.data();
  const float typical = p.b_scales[0];
  p.b_scales.clear();
  d.b_scale_count = d.k / group_k * d.n;
  for (int64_t i = 0; i < d.b_scale_count; ++i)
    p.b_scales.push_back(typical * static_cast<float>(rng.real(0.5, 2)));
  d.b_scales = p.b_scales.data();
  const int64_t counts[] = {0, 1, d.n, d.b_scale_count};
  d.b_zero_point_count = rng.pick(counts);
  const DType type = static_cast<DType>(d.b_type);
  p.b_zero_points.clear();
  for (int64_t i = 0; i < d.b_zero_point_count; ++i)
    p.b_zero_points.push_back(static_cast<int32_t>(rng.between(dtype_min(type), dtype_max(type))));
  d.b_zero_points = p.b_zero_points.empty() ? nullptr : p.b_zero_points.data();
}

// One for each column of that group.
std::vector<int32_t> zero_points_of(const QgemmProblem& p, int64_t group) {
  const auto n = static_cast<size_t>(p.desc.n);
  const std::vector<int32_t>& all = p.b_zero_points;
  if (all.size() <= 1) return std::vector<int32_t>(n, all.empty() ? 0 : all[0]);
  const auto first = all.begin() + (all.size() == n ? 0 : group * p.desc.n);
  return {first, first + p.desc.n};
}

// A problem whose K is a whole number of groups, without post-operations of its own.
void draw_grouped(Rng& rng, QgemmProblem* p, int64_t* group_k) {
  constexpr int64_t kSizes[] = {4, 8, 32, 36, 64, 96};
  do {
    *p = draw_problem(rng, {40, 150, 400});
    *group_k = rng.pick(kSizes);
  } while (p->desc.c_type == OCT_S32 || p->desc.k < 2 * *group_k || p->desc.k % *group_k != 0 ||
           p->desc.post_count != 0);
  make_groups(rng, *p, *group_k);
}

// Group after group through f32 sums, the last with the rest of the epilogue.
std::vector<uint8_t> expected(const QgemmProblem& p) {
  const oct_qgemm_desc& d = p.desc;
  const int64_t size = d.b_group_k, groups = d.k / size, sum_bytes = d.n * 4;
  const bool kn = d.b_layout == OCT_B_KN;
  ReferenceGemm g{};
  g.b = {p.b.data(),
         kn ? BLayout::kKN : BLayout::kNK,
         d.b_stride_bytes ? d.b_stride_bytes
         : kn             ? d.n
                          : d.k,
         size,
         d.n,
         d.b_type == OCT_U8};
  g.a_type = static_cast<DType>(d.a_type);
  g.a_zero_point = d.a_zero_point;
  g.a_scale = d.a_scale;
  g.a_scales = p.a_scales.empty() ? nullptr : p.a_scales.data();
  g.a_zero_points = p.a_zero_points.empty() ? nullptr : p.a_zero_points.data();
  g.c_type = DType::kF32;
  std::vector<float> sums(static_cast<size_t>(p.m * d.n)), before;
  std::vector<uint8_t> c(p.c_bytes());
  for (int64_t i = 0; i < groups; ++i) {
    const bool last = i == groups - 1;
    ReferenceOperands operands;
    before = sums;
    if (i > 0) {
      g.post[0] = {PostKind::kAdd, 0, 0, DType::kF32, 1, 0};
      operands.data[0] = before.data();
      operands.stride_bytes[0] = sum_bytes;
    }
    g.b_scales = p.b_scales.data() + i * d.n;
    const std::vector<int32_t> zero_points = zero_points_of(p, i);
    g.b_zero_points = zero_points.data();
    if (last) {
      g.bias_type = static_cast<DType>(d.bias_type);
      g.bias = d.bias;
      g.c_type = static_cast<DType>(d.c_type);
      g.c_scale = d.c_scale;
      g.c_zero_point = d.c_zero_point;
      g.relu = d.flags & OCT_QGEMM_RELU;
      g.clamp = d.flags & OCT_QGEMM_CLAMP;
      g.clamp_min = d.clamp_min;
      g.clamp_max = d.clamp_max;
    }
    reference_gemm(g, p.m, p.a.data() + i * size, d.k,
                   last ? static_cast<void*>(c.data()) : sums.data(),
                   last ? d.n * static_cast<int64_t>(p.element_bytes()) : sum_bytes, operands);
    g.b.data += size * (kn ? g.b.stride_bytes : 1);
  }
  return c;
}

TEST_F(Groups, EqualTheReferenceOneByOne) {
  for (oct_isa cap : distinct_caps())
    for (int threads : {1, 3}) {
      const Context context(cap, threads);
      for (int repeat = 0; repeat < by_effort(15, 150, 1500); ++repeat) {
        Rng rng("groups", static_cast<uint64_t>(repeat));
        QgemmProblem p;
        int64_t group_k = 0;
        draw_grouped(rng, &p, &group_k);
        ASSERT_EQ(first_difference(p.run(context), expected(p), p), "")
            << p.text() << ", groups of " << group_k;
      }
    }
}

TEST_F(Groups, TakeDynamicA) {
  const Context context;
  for (int repeat = 0; repeat < by_effort(10, 100, 1000); ++repeat) {
    Rng rng("dynamic groups", static_cast<uint64_t>(repeat));
    DynamicCase c;
    do {
      draw_dynamic(rng, {40, 80, 200}, &c);
    } while (c.problem.desc.k < 16 || c.problem.desc.k % 8 != 0 || c.problem.desc.post_count != 0);
    make_groups(rng, c.problem, 8);
    const QgemmProblem q = c.quantised();
    ASSERT_EQ(first_difference(c.problem.run(context), expected(q), c.problem), "")
        << c.problem.text();
  }
}

// Sums of A's rows fill the room there is after some rows, or cannot be kept at all.
TEST_F(Groups, OfAnyNumberEqualTheReference) {
  struct {
    int64_t k, group_k;
  } constexpr kCases[] = {{2048, 32}, {1024, 4}};
  const Context context;
  for (const auto& c : kCases)
    for (int repeat = 0; repeat < by_effort(2, 6, 20); ++repeat) {
      Rng rng("many groups", static_cast<uint64_t>(c.k + repeat));
      QgemmProblem p = simple_problem(rng, 150, 20, c.k);
      do {
        make_groups(rng, p, c.group_k);
      } while (p.b_zero_points.empty());
      ASSERT_EQ(first_difference(p.run(context), expected(p), p), "") << p.text();
    }
}

// One group is no groups.
TEST_F(Groups, OfAllRowsAreScalesOfColumns) {
  const Context context;
  Rng rng("one group");
  QgemmProblem p = simple_problem(rng, 5, 20, 32);
  p.b_scales.assign(20, p.b_scales[0]);
  p.desc.b_scales = p.b_scales.data();
  p.desc.b_scale_count = 20;
  const std::vector<uint8_t> plain = p.run(context);
  p.desc.b_group_k = 32;
  EXPECT_EQ(p.run(context), plain);
}

TEST_F(Groups, AreRefusedWhereTheyMeanNothing) {
  const Context context;
  Rng rng("bad groups");
  QgemmProblem p = simple_problem(rng, 5, 20, 64);
  make_groups(rng, p, 32);
  const std::vector<int32_t> bias(20);
  const int32_t one = 1;
  const auto refused = [&](const char* text, auto change) {
    oct_qgemm_desc d = p.desc;
    change(d);
    oct_qgemm* plan = nullptr;
    EXPECT_EQ(oct_qgemm_create(context, &d, &plan), OCT_INVALID_ARGUMENT) << text;
    EXPECT_NE(std::string(oct_last_error()).find(text), std::string::npos) << oct_last_error();
  };
  refused("b_group_k is 2", [](auto& d) { d.b_group_k = 2; });
  refused("b_group_k is 24", [](auto& d) { d.b_group_k = 24; });
  refused("b_scale_count is 20", [](auto& d) { d.b_scale_count = 20; });
  refused("c_type 3", [](auto& d) { d.c_type = OCT_S32; });
  refused("bias_type 3", [&](auto& d) { d.bias_type = OCT_S32, d.bias = bias.data(); });
  refused("b_zero_point_count is 7",
          [&](auto& d) { d.b_zero_points = &one, d.b_zero_point_count = 7; });
  p.b_scales[39] = 0;
  refused("b_scales[39] is 0", [](auto&) {});
}

}  // namespace
}  // namespace oct::test
