// Threads change nothing but time: own pools, the caller's parallel-for, and any number of each.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "tests/api_support.h"

namespace oct::test {
namespace {

// A pool that runs its tasks last to first on threads of its own, and keeps account.
struct CallersPool {
  size_t threads = 0;
  std::atomic<int> calls = 0;
  std::mutex mutex;
  std::vector<size_t> counts;
  std::set<size_t> seen;
  bool twice = false;

  static void parallel_for(void* pool, size_t count, void (*task)(void*, size_t), void* arg) {
    auto& self = *static_cast<CallersPool*>(pool);
    ++self.calls;
    self.counts.push_back(count);
    self.seen.clear();
    std::vector<std::jthread> workers;
    for (size_t i = count; i-- > 0;)
      workers.emplace_back([=, &self] {
        task(arg, i);
        const std::lock_guard lock(self.mutex);
        self.twice |= !self.seen.insert(i).second;
      });
  }
};

struct Solved {
  QgemmProblem problem;
  std::vector<uint8_t> expected;
};

class ApiThreads : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }

  // Shapes that split by rows, by columns, by both, and hardly at all.
  static std::vector<QgemmProblem> problems() {
    constexpr int64_t kShapes[][3] = {{1, 2000, 300}, {500, 20, 300}, {130, 130, 130},
                                      {7, 700, 512},  {300, 300, 64}, {2, 3, 4},
                                      {64, 64, 1000}, {257, 65, 1001}};
    std::vector<QgemmProblem> all;
    for (const auto& s : kShapes) {
      Rng rng("threads", all.size());
      all.push_back(simple_problem(rng, s[0], s[1], s[2]));
    }
    return all;
  }
  static oct_status run_all(oct_context* context, const std::vector<Solved>& all) {
    for (const auto& [p, expected] : all)
      EXPECT_EQ(first_difference(p.run(context), expected, p), "");
    return OCT_OK;
  }
  static std::vector<Solved> solved() {
    std::vector<QgemmProblem> unsolved = problems();
    std::vector<Solved> all;
    for (QgemmProblem& p : unsolved) {
      std::vector<uint8_t> expected = p.expected();
      all.push_back({std::move(p), std::move(expected)});
    }
    return all;
  }
};

TEST_F(ApiThreads, AnyNumberGivesTheSameBits) {
  for (const QgemmProblem& p : problems()) {
    const std::vector<uint8_t> expected = p.expected();
    for (oct_isa cap : distinct_caps())
      for (int threads : {1, 2, 3, 7}) {
        const Context context(cap, threads);
        EXPECT_EQ(first_difference(p.run(context), expected, p), "") << threads << " threads";
      }
  }
}

// Whether they are at hand in a body, in a body within one, or not.
TEST_F(ApiThreads, BodiesGiveTheSameBits) {
  const std::vector<Solved> all = solved();
  for (oct_isa cap : distinct_caps())
    for (int threads : {1, 2, 3, 7}) {
      const Context context(cap, threads);
      int calls = 0;
      const auto body = [&] { return ++calls, run_all(context, all); };
      const auto outer = [&] {
        EXPECT_EQ(body(), OCT_OK);
        EXPECT_EQ(run_body(context, body), OCT_OK);
        return body();
      };
      EXPECT_EQ(run_body(context, outer), OCT_OK);
      EXPECT_EQ(run_body(context, body), OCT_OK);
      EXPECT_EQ(body(), OCT_OK);
      EXPECT_EQ(calls, 5);
    }
}

// Each has its own threads at hand.
TEST_F(ApiThreads, BodiesOfTwoContexts) {
  const std::vector<Solved> all = solved();
  const Context outer(OCT_ISA_NONE, 2), inner(OCT_ISA_NONE, 3);
  const auto both = [&] {
    EXPECT_EQ(run_all(outer, all), OCT_OK);
    return run_all(inner, all);
  };
  EXPECT_EQ(run_body(outer, [&] { return run_body(inner, both); }), OCT_OK);
}

TEST_F(ApiThreads, ABodyRunsOnItsThreadAndSaysHowItEnded) {
  const auto nothing = [](void*) { return OCT_OK; };
  for (int threads : {1, 2}) {
    const Context context(OCT_ISA_NONE, threads);
    for (int i = 0; i < by_effort(10, 100, 1000); ++i) {
      std::thread::id ran_on;
      const auto body = [&] { return ran_on = std::this_thread::get_id(), OCT_UNSUPPORTED; };
      EXPECT_EQ(run_body(context, body), OCT_UNSUPPORTED);
      EXPECT_EQ(ran_on, std::this_thread::get_id());
    }
    EXPECT_EQ(oct_context_run(context, nullptr, nullptr), OCT_INVALID_ARGUMENT);
    EXPECT_STREQ(oct_last_error(), "body is null");
  }
  EXPECT_EQ(oct_context_run(nullptr, nothing, nullptr), OCT_INVALID_ARGUMENT);
  EXPECT_STREQ(oct_last_error(), "context is null");
}

TEST_F(ApiThreads, TheCallersPoolGetsAllTasksOnce) {
  bool parallel = false;
  for (size_t threads : {2, 3, 7}) {
    CallersPool pool;
    oct_context_desc desc = OCT_CONTEXT_DESC_INIT;
    desc.threads = static_cast<int32_t>(threads);
    desc.parallel_for = CallersPool::parallel_for;
    desc.pool = &pool;
    const Context context(desc);
    for (const QgemmProblem& p : problems()) {
      pool.counts.clear();
      EXPECT_EQ(first_difference(p.run(context), p.expected(), p), "") << threads << " threads";
      EXPECT_LE(pool.counts.size(), 1u) << "several parallel sections in one run";
      for (size_t count : pool.counts) {
        EXPECT_GE(count, 1u);
        EXPECT_LE(count, threads) << "more tasks than threads: " << p.text();
        EXPECT_EQ(pool.seen.size(), count);
        parallel |= count > 1;
      }
    }
    EXPECT_FALSE(pool.twice);
  }
  EXPECT_TRUE(parallel) << "no problem was split";
}

// A serial callback is legal: "on any threads in any order".
TEST_F(ApiThreads, TheCallersPoolMayBeSerial) {
  oct_context_desc desc = OCT_CONTEXT_DESC_INIT;
  desc.threads = 4;
  desc.parallel_for = [](void*, size_t count, void (*task)(void*, size_t), void* arg) {
    for (size_t i = count; i-- > 0;) task(arg, i);
  };
  const Context context(desc);
  const std::vector<Solved> all = solved();
  EXPECT_EQ(run_all(context, all), OCT_OK);
  EXPECT_EQ(run_body(context, [&] { return run_all(context, all); }), OCT_OK);
}

TEST_F(ApiThreads, OneThreadNeverCallsThePool) {
  CallersPool pool;
  oct_context_desc desc = OCT_CONTEXT_DESC_INIT;
  desc.threads = 1;
  desc.parallel_for = CallersPool::parallel_for;
  desc.pool = &pool;
  const Context context(desc);
  for (const QgemmProblem& p : problems())
    EXPECT_EQ(first_difference(p.run(context), p.expected(), p), "");
  EXPECT_EQ(pool.calls, 0);
}

}  // namespace
}  // namespace oct::test
