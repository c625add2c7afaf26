// What a run must not do (allocate, call the system, use much stack), and what happens when
// creation finds no memory.
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/resource.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "dispatch/weight_arena.h"
#include "tests/api_support.h"
#include "tests/counting_malloc.h"
#include "tests/dynamic_case.h"
#include "tests/memory_support.h"

namespace oct::test {
namespace {

// C and arguments for running a problem, made before anything is counted.
struct Call {
  explicit Call(const QgemmProblem& p) : c(p.c_bytes()) {
    args.m = p.m;
    args.a = p.a.data();
    args.a_stride_bytes =
        p.desc.k * static_cast<int64_t>(dtype_bytes(static_cast<DType>(p.desc.a_type)));
    args.c = c.data();
    args.c_stride_bytes = p.desc.n * static_cast<int64_t>(p.element_bytes());
  }
  std::vector<uint8_t> c;
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
};

void serial_pool(void*, size_t count, void (*task)(void*, size_t), void* arg) {
  for (size_t i = 0; i < count; ++i) task(arg, i);
}

TEST_F(Memory, TheCounterCounts) {
  const uint64_t before = allocations();
  std::thread([] { std::vector<int> v(100); }).join();
  EXPECT_GE(allocations() - before, 2u);
  fail_allocation(0);
  EXPECT_THROW(std::vector<int>(1000), std::bad_alloc);
  EXPECT_NO_THROW(std::vector<int>(1000));
}

TEST_F(Memory, ARunAllocatesNothing) {
  for (oct_isa cap : distinct_caps()) {
    oct_context_desc desc = OCT_CONTEXT_DESC_INIT;
    desc.max_isa = cap;
    const Context one(desc);
    desc.threads = 2;
    const Context own_pool(desc);
    desc.parallel_for = serial_pool;
    const Context callers_pool(desc);
    for (oct_context* context :
         {static_cast<oct_context*>(one), static_cast<oct_context*>(own_pool),
          static_cast<oct_context*>(callers_pool)})
      for (int repeat = 0; repeat < by_effort(10, 50, 500); ++repeat) {
        Rng rng("memory", static_cast<uint64_t>(repeat));
        const QgemmProblem p = draw_problem(rng, {200, 200, 200});
        const Plan plan(context, p.desc);
        Call call(p);
        const uint64_t before = allocations();
        const oct_status status = oct_qgemm_run(plan, &call.args);
        const uint64_t after = allocations();
        EXPECT_EQ(status, OCT_OK);
        EXPECT_EQ(after - before, 0u) << p.text();
        call.args.c_stride_bytes = 0;
        EXPECT_EQ(oct_qgemm_run(plan, &call.args), OCT_INVALID_ARGUMENT);
        EXPECT_EQ(allocations() - after, 0u) << "a failing run allocates";
      }
  }
}

TEST_F(Memory, ABodyWithThreadsAtHandAllocatesNothing) {
  Rng rng("body");
  const QgemmProblem p = simple_problem(rng, 200, 200, 200);
  const Context context(OCT_ISA_NONE, 2);
  const Plan plan(context, p.desc);
  Call call(p);
  const uint64_t before = allocations();
  EXPECT_EQ(run_body(context, [&] { return oct_qgemm_run(plan, &call.args); }), OCT_OK);
  EXPECT_EQ(allocations() - before, 0u);
}

// Dynamic A on every number of threads: its kernels belong to the context, not to a run.
TEST_F(Memory, ADynamicRunAllocatesNothing) {
  for (oct_isa cap : distinct_caps())
    for (int threads : {1, 2}) {
      const Context context(cap, threads);
      for (int repeat = 0; repeat < by_effort(10, 50, 500); ++repeat) {
        Rng rng("dynamic memory", static_cast<uint64_t>(repeat));
        DynamicCase c;
        draw_dynamic(rng, {200, 200, 200}, &c);
        const Plan plan(context, c.problem.desc);
        Call call(c.problem);
        const uint64_t before = allocations();
        EXPECT_EQ(oct_qgemm_run(plan, &call.args), OCT_OK);
        EXPECT_EQ(allocations() - before, 0u) << c.problem.text();
      }
    }
}

TEST_F(Memory, ARunMakesNoSystemCall) {
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    Rng rng("system calls");
    for (int64_t m : {1, 100}) {
      const QgemmProblem p = simple_problem(rng, m, 130, 300);
      const Plan plan(context, p.desc);
      Call call(p);
      const int status = in_strict_child([&] { return oct_qgemm_run(plan, &call.args) == OCT_OK; });
      if (status == kSkip) GTEST_SKIP() << "no seccomp here";
      EXPECT_EQ(status, 0) << p.text();
    }
  }
}

TEST_F(Memory, ARunUsesAtMost96KiBOfStack) {
  const size_t idle = stack_used([] {});
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int64_t k : {1, 32, 33, 1000, 5000}) {
      Rng rng("stack");
      QgemmProblem p = simple_problem(rng, 1500, 50, k);
      for (const bool dynamic : {false, true}) {
        oct_dynamic how = OCT_DYNAMIC_INIT;
        how.formula = OCT_QPARAMS_OBSERVER;
        how.form = OCT_QUANTIZE_DIVIDE;
        if (dynamic) {
          p.desc.a_type = OCT_BF16;
          p.desc.dynamic = &how;
          p.a.resize(2 * p.a.size());
        }
        const Plan plan(context, p.desc);
        Call call(p);
        const size_t used = stack_used([&] { oct_qgemm_run(plan, &call.args); });
        EXPECT_LE(used - idle, 96u << 10) << p.text();
      }
    }
  }
}

// ------------------------------------------------------------- out of memory --

TEST_F(Memory, PlanCreationSurvivesEveryFailedAllocation) {
  for (oct_isa cap : distinct_caps())
    for (bool all_later : {false, true})
      for (int repeat = 0; repeat < by_effort(2, 6, 30); ++repeat) {
        const Context context(cap);
        Rng rng("failing", static_cast<uint64_t>(repeat));
        const QgemmProblem p = draw_problem(rng);
        auto* const untouched = reinterpret_cast<oct_qgemm*>(0x1234);
        oct_qgemm* plan = untouched;
        fail_each_allocation(all_later, [&] {
          const oct_status status = oct_qgemm_create(context, &p.desc, &plan);
          EXPECT_EQ(status != OCT_OK, plan == untouched);
          return status;
        });
        EXPECT_EQ(first_difference(p.run(static_cast<const oct_qgemm*>(plan)), p.expected(), p),
                  "");
        oct_qgemm_destroy(plan);
      }
}

// Without a pool: pthreadpool waits for ever for a thread that could not be started.
TEST_F(Memory, ContextCreationSurvivesEveryFailedAllocation) {
  auto* const untouched = reinterpret_cast<oct_context*>(0x1234);
  oct_context* context = untouched;
  fail_each_allocation(false, [&] {
    const oct_status status = oct_context_create(nullptr, &context);
    EXPECT_EQ(status != OCT_OK, context == untouched);
    return status;
  });
  oct_context_destroy(context);
}

TEST_F(Memory, DescribeSurvivesEveryFailedAllocation) {
  const Context context;
  size_t needed = 7;
  fail_each_allocation(false, [&] { return oct_describe(context, nullptr, 0, &needed); });
}

TEST_F(Memory, TheArenaSurvivesEveryFailedAllocation) {
  WeightArena arena;
  const uint8_t* const first = arena.take(600 << 10);
  const size_t mapped = arena.mapped();
  fail_each_allocation(false, [&] {
    try {
      arena.give_back(arena.take(5 << 20));
    } catch (const std::bad_alloc&) {
      EXPECT_EQ(arena.mapped(), mapped);
      return OCT_OUT_OF_MEMORY;
    }
    return OCT_OK;
  });
  arena.give_back(first);
  EXPECT_EQ(arena.mapped(), 0u);
}

// Leaves a child this much more address space; false if the limit has no effect (emulation).
bool limit_memory(size_t room) {
  const rlimit limit = {address_space_bytes() + room, RLIM_INFINITY};
  if (setrlimit(RLIMIT_AS, &limit) != 0) return false;
  void* p = mmap(nullptr, room + (64 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED;
}

TEST_F(Memory, TooLittleForTheWeightsIsAStatus) {
  const Context context;
  Rng rng("big weights");
  const QgemmProblem p = simple_problem(rng, 1, 4096, 8192);
  const int status = in_child([&] {
    if (!limit_memory(8 << 20)) return kSkip;
    oct_qgemm* plan = nullptr;
    return oct_qgemm_create(context, &p.desc, &plan) == OCT_OUT_OF_MEMORY && !plan ? 0 : 1;
  });
  if (status == kSkip) GTEST_SKIP() << "RLIMIT_AS has no effect here";
  EXPECT_EQ(status, 0);
}

// Plans with code of their own, until nothing is left: mappings for code fail as well.
TEST_F(Memory, CreatingPlansUntilMemoryEndsIsAStatus) {
  const Context context;
  Rng rng("many plans");
  const QgemmProblem p = simple_problem(rng, 1, 130, 4001);
  const int status = in_child([&] {
    if (!limit_memory(16 << 20)) return kSkip;
    for (int64_t i = 0; i < 10000; ++i) {
      oct_qgemm_desc desc = p.desc;
      desc.n = 1 + i % 130;
      desc.k = 4001 - i % 4;
      desc.b_stride_bytes = 130;
      oct_qgemm* plan = nullptr;
      const oct_status s = oct_qgemm_create(context, &desc, &plan);
      if (s == OCT_OUT_OF_MEMORY) return plan ? 1 : 0;
      if (s != OCT_OK) return 2;
    }
    return 3;
  });
  if (status == kSkip) GTEST_SKIP() << "RLIMIT_AS has no effect here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace oct::test
