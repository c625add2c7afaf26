// The caller's MXCSR, whatever it holds, changes no result and is given back exactly.
#include <gtest/gtest.h>

#include <xmmintrin.h>

#include <vector>

#include "tests/api_support.h"

namespace oct::test {
namespace {

// Sets MXCSR for a scope.
class ScopedMxcsr {
 public:
  explicit ScopedMxcsr(unsigned mode) : saved_(_mm_getcsr()) { _mm_setcsr(mode); }
  ~ScopedMxcsr() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
};

constexpr unsigned kMasked = 0x1f80, kSticky = 0x3f, kDown = 0x2000, kUp = 0x4000,
                   kTowardZero = 0x6000, kFlushToZero = 0x8000, kDenormalsAreZero = 0x40;
constexpr unsigned kModes[] = {
    kMasked,
    kMasked | kSticky,
    kMasked | kDown,
    kMasked | kUp,
    kMasked | kTowardZero,
    kMasked | kFlushToZero | kDenormalsAreZero,
    kMasked | kTowardZero | kFlushToZero | kDenormalsAreZero | 0x05,
    0,  // every exception unmasked: an inexact result would kill the process
    kUp | 0x1000,
};

class ApiFloatMode : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }

  // Creates and runs under a mode; every call must leave MXCSR as it found it.
  static std::vector<uint8_t> run_under(unsigned mode, oct_context* context,
                                        const QgemmProblem& p) {
    std::vector<uint8_t> c(p.c_bytes());
    oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
    args.m = p.m;
    args.a = p.a.data();
    args.a_stride_bytes = p.desc.k;
    args.c = c.data();
    args.c_stride_bytes = p.desc.n * static_cast<int64_t>(p.element_bytes());
    oct_qgemm* plan = nullptr;
    oct_status created, ran = OCT_OK;
    unsigned after_create, after_run = mode, after_explain = mode;
    size_t needed;
    {
      const ScopedMxcsr scope(mode);
      created = oct_qgemm_create(context, &p.desc, &plan);
      after_create = _mm_getcsr();
      if (created == OCT_OK) {
        ran = oct_qgemm_run(plan, &args);
        after_run = _mm_getcsr();
        oct_qgemm_explain(plan, p.m, nullptr, 0, &needed);
        after_explain = _mm_getcsr();
      }
    }
    EXPECT_EQ(created, OCT_OK) << oct_last_error();
    EXPECT_EQ(ran, OCT_OK) << oct_last_error();
    EXPECT_EQ(after_create, mode);
    EXPECT_EQ(after_run, mode);
    EXPECT_EQ(after_explain, mode);
    oct_qgemm_destroy(plan);
    return c;
  }
};

TEST_F(ApiFloatMode, ChangesNoBits) {
  for (oct_isa cap : distinct_caps())
    for (int threads : {1, 2}) {
      const Context context(cap, threads);
      for (unsigned mode : kModes)
        for (int repeat = 0; repeat < by_effort(5, 30, 300); ++repeat) {
          Rng rng("float mode", static_cast<uint64_t>(repeat));
          const QgemmProblem p = draw_problem(rng, {80, 300, 80});
          EXPECT_EQ(first_difference(run_under(mode, context, p), p.expected(), p), "")
              << "MXCSR " << std::hex << mode << ", " << threads << " threads";
        }
    }
}

// Results that are denormal must not be flushed, nor denormal biases read as zero.
TEST_F(ApiFloatMode, KeepsDenormals) {
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    Rng rng("denormals");
    QgemmProblem p = simple_problem(rng, 5, 40, 8);
    p.desc.c_type = OCT_F32;
    p.desc.a_scale = 0x1p-126f;
    p.b_scales = {1.0f};
    p.desc.b_scales = p.b_scales.data();
    for (int n = 0; n < 40; ++n)  // cancels the sum to within a fraction of it
      p.bias_f32.push_back(static_cast<float>(rng.real(-30000, 30000)) * 0x1p-130f);
    p.desc.bias_type = OCT_F32;
    p.desc.bias = p.bias_f32.data();
    for (int8_t& w : p.b) w = 0;
    EXPECT_EQ(first_difference(run_under(kMasked | kFlushToZero | kDenormalsAreZero, context, p),
                               p.expected(), p),
              "");
  }
}

TEST_F(ApiFloatMode, SurvivesErrors) {
  const Context context;
  Rng rng("float errors");
  QgemmProblem p = simple_problem(rng, 2, 20, 30);
  const Plan plan(context, p.desc);
  p.b_scales[0] = -1;
  oct_qgemm* none = nullptr;
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = 2;
  for (unsigned mode : kModes) {
    const ScopedMxcsr scope(mode);
    const oct_status created = oct_qgemm_create(context, &p.desc, &none);
    const unsigned after_create = _mm_getcsr();
    const oct_status ran = oct_qgemm_run(plan, &args);
    const unsigned after_run = _mm_getcsr();
    _mm_setcsr(kMasked);
    EXPECT_EQ(created, OCT_INVALID_ARGUMENT);
    EXPECT_EQ(ran, OCT_INVALID_ARGUMENT);
    EXPECT_EQ(after_create, mode);
    EXPECT_EQ(after_run, mode);
  }
}

// A pool's threads have modes of their own, which must not count either.
TEST_F(ApiFloatMode, OfTheCallersPoolDoesNotCount) {
  oct_context_desc desc = OCT_CONTEXT_DESC_INIT;
  desc.threads = 4;
  desc.parallel_for = [](void*, size_t count, void (*task)(void*, size_t), void* arg) {
    for (size_t i = 0; i < count; ++i) {
      const unsigned mode = kModes[i % std::size(kModes)];
      const ScopedMxcsr scope(mode);
      task(arg, i);
      const unsigned after = _mm_getcsr();
      _mm_setcsr(kMasked);
      EXPECT_EQ(after, mode);
    }
  };
  const Context context(desc);
  Rng rng("pool float mode");
  const QgemmProblem p = simple_problem(rng, 100, 300, 300);
  EXPECT_EQ(first_difference(p.run(context), p.expected(), p), "");
}

}  // namespace
}  // namespace oct::test
