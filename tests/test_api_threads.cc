// Threads change nothing but time: own pools, the caller's parallel-for, and any number of each.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
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
  for (const QgemmProblem& p : problems())
    EXPECT_EQ(first_difference(p.run(context), p.expected(), p), "");
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
