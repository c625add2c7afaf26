// qgemm with A quantised at run, and with scales and zero points of its rows, through the C API.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/dynamic_case.h"

namespace oct::test {
namespace {

class Dynamic : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }

  // One call is worth quantising, then multiplying with the rows' parameters, then the reference.
  void check(oct_context* context, const DynamicCase& c) {
    const QgemmProblem q = c.quantised();
    const std::vector<uint8_t> expected = q.expected();
    ASSERT_EQ(first_difference(q.run(context), expected, q), "") << "A per row, " << q.text();
    ASSERT_EQ(first_difference(c.problem.run(context), expected, c.problem), "")
        << c.problem.text() << ", formula " << c.dynamic.formula << ", form " << c.dynamic.form
        << ", granularity " << c.dynamic.granularity << ", scheme "
        << dtype_name(static_cast<DType>(c.dynamic.scheme.type)) << " flags "
        << c.dynamic.scheme.flags;
  }
};

TEST_F(Dynamic, EqualsQuantisingFirst) {
  for (oct_isa cap : distinct_caps())
    for (int threads : {1, 3}) {
      const Context context(cap, threads);
      for (int repeat = 0; repeat < by_effort(40, 400, 4000); ++repeat) {
        Rng rng("dynamic", static_cast<uint64_t>(repeat));
        DynamicCase c;
        draw_dynamic(rng, {40, 150, 150}, &c);
        check(context, c);
        if (HasFatalFailure()) return;
      }
    }
}

// More rows than a block, and K up to what the stack buffer holds.
TEST_F(Dynamic, BlocksAndLongRows) {
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap, 2);
    for (const ProblemLimits& most : {ProblemLimits{.m = 700, .n = 20, .k = 64},
                                      {.m = 200, .n = 70, .k = 1000},
                                      {.m = 3, .n = 9, .k = 11000},
                                      {.m = 5, .n = 9, .k = 14000},
                                      {.m = 2, .n = 5, .k = 40000},
                                      {.m = 3, .n = 3, .k = 65536}}) {
      Rng rng("dynamic blocks", static_cast<uint64_t>(most.k));
      DynamicCase c;
      do {
        draw_dynamic(rng, most, &c);
      } while (c.problem.desc.k < most.k - most.k / 10 || c.problem.m < most.m / 2);
      c.problem.desc.flags |= OCT_QGEMM_ALLOW_WRAP;
      check(context, c);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(Dynamic, RefusesWhatItCannotDo) {
  const Context context;
  Rng rng("dynamic refusals");
  DynamicCase c;
  draw_dynamic(rng, {}, &c);
  const auto refused = [&](const char* text, auto change,
                           oct_status status = OCT_INVALID_ARGUMENT) {
    oct_qgemm_desc d = c.problem.desc;
    oct_dynamic dynamic = OCT_DYNAMIC_INIT;
    dynamic.formula = OCT_QPARAMS_ATEN;
    dynamic.form = OCT_QUANTIZE_RECIPROCAL;
    d.dynamic = &dynamic;
    change(d, dynamic);
    oct_qgemm* plan = nullptr;
    EXPECT_EQ(oct_qgemm_create(context, &d, &plan), status) << text;
    EXPECT_EQ(plan, nullptr);
    EXPECT_NE(std::string(oct_last_error()).find(text), std::string::npos) << oct_last_error();
  };
  refused("dynamic is null", [](auto& d, auto&) { d.dynamic = nullptr; });
  refused("dynamic is given", [](auto& d, auto&) { d.a_type = OCT_U8; });
  refused(
      "struct_size is 7", [](auto&, auto& y) { y.struct_size = 7; }, OCT_VERSION_MISMATCH);
  refused("granularity is 2", [](auto&, auto& y) { y.granularity = OCT_PER_COLUMN; });
  refused("formula is 0", [](auto&, auto& y) { y.formula = static_cast<oct_qparams_formula>(0); });
  refused("form is 0", [](auto&, auto& y) { y.form = static_cast<oct_quantize_form>(0); });
  refused("scheme is s8", [](auto&, auto& y) {
    y.formula = OCT_QPARAMS_ONNX;
    y.scheme.type = OCT_S8;
  });
  refused("s32 C (c_type 3)", [](auto& d, auto&) { d.c_type = OCT_S32; });
  refused("flags 0x8", [](auto& d, auto&) { d.flags = OCT_QGEMM_A_PER_ROW; });
  refused("[1, 2]", [](auto& d, auto&) { d.a_min = 1, d.a_max = 2; });
  refused(
      "k is 65537", [](auto& d, auto&) { d.k = 65537; }, OCT_UNSUPPORTED);
}

TEST_F(Dynamic, RefusesBadRows) {
  const Context context;
  Rng rng("bad rows");
  QgemmProblem p = simple_problem(rng, 3, 8, 16);
  p.desc.flags |= OCT_QGEMM_A_PER_ROW;
  const Plan plan(context, p.desc);
  std::vector<uint8_t> c(24, 77);
  const auto refused = [&](const char* text, const float* scales, const int32_t* zero_points) {
    oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
    args.m = 3;
    args.a = p.a.data();
    args.a_stride_bytes = 16;
    args.c = c.data();
    args.c_stride_bytes = 8;
    args.a_scales = scales;
    args.a_zero_points = zero_points;
    EXPECT_EQ(oct_qgemm_run(plan, &args), OCT_INVALID_ARGUMENT) << text;
    EXPECT_NE(std::string(oct_last_error()).find(text), std::string::npos) << oct_last_error();
    EXPECT_EQ(c, std::vector<uint8_t>(24, 77));
  };
  const float good[] = {1, 2, 3}, bad[] = {1, -2, 3};
  const int32_t zero_points[] = {0, 255, 256};
  refused("a_scales is null", nullptr, nullptr);
  refused("a_scales[1] is -2", bad, nullptr);
  refused("a_zero_points[2] is 256", good, zero_points);
}

}  // namespace
}  // namespace oct::test
