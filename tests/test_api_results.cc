// What qgemm computes: against the reference, on every instruction set and by every kernel.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "jit/code_cache.h"
#include "kernels/table.h"
#include "tests/api_support.h"
#include "tests/guard_buffer.h"
#include "tests/output_image.h"

namespace oct::test {
namespace {

class ApiResults : public testing::Test {
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }

 protected:
  static bool usable(Isa isa) {
    const auto caps = distinct_caps();
    return std::find(caps.begin(), caps.end(), static_cast<oct_isa>(isa)) != caps.end();
  }
};

TEST_F(ApiResults, RandomProblemsMatchTheReferenceUnderEveryCap) {
  std::vector<std::unique_ptr<Context>> contexts;
  for (oct_isa cap : distinct_caps()) contexts.push_back(std::make_unique<Context>(cap));
  for (int repeat = 0; repeat < by_effort(60, 600, 6000); ++repeat) {
    Rng rng("api random", static_cast<uint64_t>(repeat));
    const QgemmProblem p = draw_problem(rng);
    set_fault_note(p.text());
    const std::vector<uint8_t> expected = p.expected();
    for (size_t i = 0; i < contexts.size(); ++i)
      ASSERT_EQ(first_difference(p.run(*contexts[i]), expected, p), "")
          << "problem " << repeat << " under cap " << distinct_caps()[i];
  }
}

// One plan serves any M: m_hint and what came before change nothing.
TEST_F(ApiResults, OnePlanRunsEveryNumberOfRows) {
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int64_t k : {5, 64, 300}) {
      Rng rng("api rows", static_cast<uint64_t>(k));
      QgemmProblem p = simple_problem(rng, 70, 83, k);
      const Plan plan(context, p.desc);
      const std::vector<uint8_t> all = p.expected();
      for (p.m = 0; p.m <= 70; ++p.m) {
        const std::vector<uint8_t> c = p.run(static_cast<const oct_qgemm*>(plan));
        ASSERT_TRUE(std::equal(c.begin(), c.end(), all.begin())) << "m " << p.m << ", k " << k;
      }
    }
  }
}

TEST_F(ApiResults, EveryKernelCanBeForced) {
  const Context context;
  for (const KernelRow& row : kernels_of("gemm")) {
    if (!usable(row.isa)) continue;
    for (int repeat = 0; repeat < by_effort(5, 30, 300); ++repeat) {
      Rng rng(row.name, static_cast<uint64_t>(repeat));
      QgemmProblem p = draw_problem(rng);
      p.desc.kernel = row.name;
      oct_qgemm* plan = nullptr;
      const oct_status status = oct_qgemm_create(context, &p.desc, &plan);
      if (status == OCT_UNSUPPORTED) {
        EXPECT_TRUE(row.flags & (kRowNeedsSafePairs | kRowSignedA)) << oct_last_error();
        EXPECT_NE(std::string(oct_last_error()).find(row.name), std::string::npos);
        continue;
      }
      ASSERT_EQ(status, OCT_OK) << oct_last_error();
      EXPECT_EQ(first_difference(p.run(static_cast<const oct_qgemm*>(plan)), p.expected(), p), "");
      oct_qgemm_destroy(plan);
    }
  }
}

// Through the API, too, nothing outside of A, B and C's elements is touched.
TEST_F(ApiResults, OperandsMayEndAtAPageAndStridesLeavePaddingAlone) {
  constexpr int kRows = 30, kColumns = 90;
  constexpr int64_t kK = 90;
  GuardBuffer a_rows("A", kK, kRows), a_flat("A", kRows * (kK + 64)), b("B", kK * kColumns),
      c_rows("C", kColumns * 4, kRows), c_flat("C", kRows * (kColumns * 4 + 64));
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int repeat = 0; repeat < by_effort(30, 300, 3000); ++repeat) {
      Rng rng("api guards", static_cast<uint64_t>(repeat));
      QgemmProblem p = draw_problem(rng, {kRows, kColumns, kK});
      const auto either = [&] { return rng.one_in(2) ? Flush::kLeft : Flush::kRight; };
      if (p.desc.b_stride_bytes == 0) {  // dense, so that it fits
        uint8_t* const placed = b.place(either(), p.b.size());
        std::memcpy(placed, p.b.data(), p.b.size());
        p.desc.b = placed;
      }
      const Plan plan(context, p.desc);
      ASSERT_TRUE(plan) << p.text();

      const bool paged = rng.one_in(2);
      const auto m = static_cast<size_t>(p.m), k = static_cast<size_t>(p.desc.k);
      const size_t c_row = static_cast<size_t>(p.desc.n) * p.element_bytes();
      const size_t pad = static_cast<size_t>(rng.between(0, 60)) / 4 * 4;
      const size_t a_stride = paged ? a_rows.stride_bytes() : k + pad;
      const size_t c_stride = paged ? c_rows.stride_bytes() : c_row + pad;
      uint8_t* a =
          paged ? a_rows.place(either(), k) : a_flat.place(either(), (m - 1) * a_stride + k);
      const GuardBuffer& c_buffer = paged ? c_rows : c_flat;
      uint8_t* c = c_buffer.place(either(), paged ? c_row : (m - 1) * c_stride + c_row);
      for (size_t i = 0; i < m; ++i) std::memcpy(a + i * a_stride, &p.a[i * k], k);
      OutputImage image(c_buffer, c, static_cast<int64_t>(c_stride), static_cast<int>(m),
                        static_cast<int>(p.desc.n), static_cast<DType>(p.desc.c_type), rng);
      image.expect(p.expected().data());

      oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
      args.m = p.m;
      args.a = a;
      args.a_stride_bytes = static_cast<int64_t>(a_stride);
      args.c = c;
      args.c_stride_bytes = static_cast<int64_t>(c_stride);
      set_fault_note(p.text());
      ASSERT_EQ(oct_qgemm_run(plan, &args), OCT_OK) << oct_last_error();
      ASSERT_EQ(image.differences(), "") << p.text();
    }
  }
}

// A promise that does not hold may cost exactness, never memory safety.
TEST_F(ApiResults, DataOutsideThePromiseTouchesNoOtherMemory) {
  GuardBuffer a("A", 1 << 12), c("C", 1 << 12);
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    Rng rng("api promise");
    QgemmProblem p = simple_problem(rng, 20, 50, 77);
    p.desc.a_min = 10;
    p.desc.a_max = 50;
    const Plan plan(context, p.desc);
    oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
    args.m = 20;
    args.a = std::memcpy(a.right(p.a.size()), p.a.data(), p.a.size());
    args.a_stride_bytes = 77;
    args.c = c.right(p.c_bytes());
    args.c_stride_bytes = 50;
    EXPECT_EQ(oct_qgemm_run(plan, &args), OCT_OK);
  }
}

// The plan keeps no reference to the arrays it was made from.
TEST_F(ApiResults, TheCallersArraysAreReadDuringCreationOnly) {
  const Context context;
  for (int repeat = 0; repeat < 20; ++repeat) {
    Rng rng("api arrays", static_cast<uint64_t>(repeat));
    QgemmProblem p = draw_problem(rng);
    const std::vector<uint8_t> expected = p.expected();
    const Plan plan(context, p.desc);
    rng.fill_bytes(p.b.data(), p.b.size());
    for (auto* floats : {&p.b_scales, &p.bias_f32})
      rng.fill_bytes(floats->data(), floats->size() * sizeof(float));
    rng.fill_bytes(p.bias_s32.data(), p.bias_s32.size() * sizeof(int32_t));
    EXPECT_EQ(first_difference(p.run(static_cast<const oct_qgemm*>(plan)), expected, p), "");
  }
}

TEST_F(ApiResults, ASecondPlanWithTheSameKernelGeneratesNoCode) {
  const Context context;
  Rng rng("second plan");
  const QgemmProblem first = simple_problem(rng, 1, 100, 512);
  const QgemmProblem second = simple_problem(rng, 1, 100, 1024);  // same columns, same tail of K
  const Plan one(context, first.desc);
  const uint64_t generated = global_code_cache().generated();
  const Plan two(context, second.desc);
  EXPECT_EQ(global_code_cache().generated(), generated);
}

// A and C may be columns of one matrix: rows interleave, but no byte is shared.
TEST_F(ApiResults, CMayLieBesideAInOneMatrix) {
  const Context context;
  Rng rng("api beside");
  const QgemmProblem p = simple_problem(rng, 9, 20, 30);
  const Plan plan(context, p.desc);
  constexpr int64_t kStride = 30 + 20;
  std::vector<uint8_t> matrix(9 * kStride);
  for (size_t i = 0; i < 9; ++i) std::memcpy(&matrix[i * kStride], &p.a[i * 30], 30);
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = 9;
  args.a = matrix.data();
  args.c = matrix.data() + 30;
  args.a_stride_bytes = args.c_stride_bytes = kStride;
  ASSERT_EQ(oct_qgemm_run(plan, &args), OCT_OK) << oct_last_error();
  const std::vector<uint8_t> expected = p.expected();
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(std::memcmp(&matrix[i * kStride], &p.a[i * 30], 30), 0) << "A was written";
    EXPECT_EQ(std::memcmp(&matrix[i * kStride + 30], &expected[i * 20], 20), 0);
  }
}

}  // namespace
}  // namespace oct::test
