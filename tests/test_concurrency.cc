// Many threads at once: on one plan, creating plans, and on one pool. Runs under ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <thread>
#include <vector>

#include "jit/code_cache.h"
#include "tests/api_support.h"

namespace oct::test {
namespace {

constexpr int kThreads = 8;

// body(0) .. body(7), all starting together.
void on_all_threads(const std::function<void(int)>& body) {
  std::latch start(kThreads);
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      start.arrive_and_wait();
      body(t);
    });
}

class Concurrency : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }

  // All threads run one plan of this context on inputs of their own.
  static void run_one_plan(oct_context* context) {
    Rng rng("one plan");
    const QgemmProblem shared = simple_problem(rng, 1, 150, 200);
    const Plan plan(context, shared.desc);
    std::atomic<int> wrong = 0;
    on_all_threads([&](int t) {
      Rng own("one plan", static_cast<uint64_t>(t) + 1);
      for (int i = 0; i < by_effort(4, 30, 300); ++i) {
        QgemmProblem p;
        p.desc = shared.desc;
        p.m = own.between(1, 40);
        p.a.resize(static_cast<size_t>(p.m * p.desc.k));
        own.fill_bytes(p.a.data(), p.a.size());
        wrong += p.run(static_cast<const oct_qgemm*>(plan)) != p.expected();
      }
    });
    EXPECT_EQ(wrong, 0);
  }
};

TEST_F(Concurrency, RunsOfOnePlan) {
  for (oct_isa cap : distinct_caps()) run_one_plan(Context(cap));
}

TEST_F(Concurrency, RunsOfOnePlanOnTheCallersPool) {
  oct_context_desc desc = OCT_CONTEXT_DESC_INIT;
  desc.threads = 3;
  desc.parallel_for = [](void*, size_t count, void (*task)(void*, size_t), void* arg) {
    std::vector<std::jthread> workers;
    for (size_t i = 1; i < count; ++i) workers.emplace_back([=] { task(arg, i); });
    task(arg, 0);
  };
  run_one_plan(Context(desc));
}

// Whoever finds the pool busy goes on alone.
TEST_F(Concurrency, RunsOfOnePlanOnOnePool) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "pthreadpool is not instrumented: its hand-over looks like a race";
#endif
  for (oct_isa cap : distinct_caps()) run_one_plan(Context(cap, 3));
}

// Or its threads gathered by another.
TEST_F(Concurrency, BodiesOnOnePool) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "pthreadpool is not instrumented: its hand-over looks like a race";
#endif
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap, 3);
    Rng rng("bodies");
    const QgemmProblem p = simple_problem(rng, 200, 150, 64);
    const Plan plan(context, p.desc);
    const std::vector<uint8_t> expected = p.expected();
    std::atomic<int> wrong = 0;
    on_all_threads([&](int) {
      for (int i = 0; i < by_effort(4, 30, 300); ++i) {
        wrong += run_body(context, [&] {
                   for (int run = 0; run < 3; ++run)
                     wrong += p.run(static_cast<const oct_qgemm*>(plan)) != expected;
                   return OCT_OK;
                 }) != OCT_OK;
      }
    });
    EXPECT_EQ(wrong, 0);
  }
}

TEST_F(Concurrency, CreationsOfEqualPlansGenerateCodeOnce) {
  const Context context;
  Rng rng("equal plans");
  QgemmProblem p = simple_problem(rng, 3, 61, 93);
  p.desc.c_type = OCT_BF16;
  const std::vector<uint8_t> expected = p.expected();
  uint64_t before = global_code_cache().generated();
  { const Plan first(context, p.desc); }
  const uint64_t generated_by_one = global_code_cache().generated() - before;
  EXPECT_GE(generated_by_one, 1u);

  p.desc.c_type = OCT_F32;  // code that no plan has had yet
  before = global_code_cache().generated();
  std::atomic<int> failed = 0;
  on_all_threads([&](int) {
    oct_qgemm* plan = nullptr;
    failed += oct_qgemm_create(context, &p.desc, &plan) != OCT_OK;
    oct_qgemm_destroy(plan);
  });
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(global_code_cache().generated() - before, generated_by_one);
}

// Contexts and plans come and go while code is generated, shared and dropped.
TEST_F(Concurrency, CreationsOfDifferentPlans) {
  std::atomic<int> wrong = 0;
  const std::vector<oct_isa> caps = distinct_caps();
  on_all_threads([&](int t) {
    for (int i = 0; i < by_effort(5, 40, 400); ++i) {
      Rng rng("different plans", static_cast<uint64_t>(t * 1000 + i));
      const QgemmProblem p = draw_problem(rng, {10, 100, 100});
      const Context context(caps[static_cast<size_t>(i) % caps.size()]);
      wrong += p.run(context) != p.expected();
      size_t needed = 0;
      wrong += oct_describe(context, nullptr, 0, &needed) != OCT_OK;
    }
  });
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace oct::test
