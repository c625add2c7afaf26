// The code cache: each key generated once, a bounded number held, and no page writable and
// executable.
#include "jit/code_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <latch>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dispatch/cpu.h"
#include "kernels/gemm.h"

namespace oct {
namespace {

// A function that returns `value`.
std::shared_ptr<const Code> returning(int value) {
  uint8_t bytes[6] = {0xb8, 0, 0, 0, 0, 0xc3};  // mov eax, value; ret
  std::memcpy(bytes + 1, &value, 4);
  return std::make_shared<const Code>(bytes, sizeof bytes, std::vector<size_t>{0}, "returning");
}

int call(const Code& code) {
  return reinterpret_cast<int (*)()>(const_cast<void*>(code.entry(0)))();
}

TEST(Code, HasSeveralEntries) {
  const uint8_t bytes[] = {0xb8, 1, 0, 0, 0, 0xc3, 0xb8, 2, 0, 0, 0, 0xc3};
  const Code code(bytes, sizeof bytes, {0, 6}, "two");
  EXPECT_EQ(code.entry_count(), 2u);
  EXPECT_EQ(code.size(), sizeof bytes);
  EXPECT_EQ(call(code), 1);
  EXPECT_EQ(reinterpret_cast<int (*)()>(const_cast<void*>(code.entry(1)))(), 2);
}

TEST(CodeCache, GeneratesOnceWhenEightThreadsAsk) {
  constexpr int kThreads = 8, kKeys = 50;
  CodeCache cache;
  std::atomic<int> generated = 0;
  std::vector<std::set<const Code*>> seen(kKeys);
  std::mutex mutex;
  std::latch start(kThreads);
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      start.arrive_and_wait();
      for (int key = 0; key < kKeys; ++key) {
        const auto code = cache.get(std::to_string(key), [&] {
          ++generated;
          std::this_thread::sleep_for(std::chrono::milliseconds(1));  // others come meanwhile
          return returning(key);
        });
        const std::lock_guard lock(mutex);
        seen[static_cast<size_t>(key)].insert(code.get());
        EXPECT_EQ(call(*code), key);
      }
    });
  threads.clear();
  EXPECT_EQ(generated, kKeys);
  EXPECT_EQ(cache.generated(), static_cast<uint64_t>(kKeys));
  for (const auto& codes : seen) EXPECT_EQ(codes.size(), 1u);
}

TEST(CodeCache, KeepsNoEntryOfAFailedGeneration) {
  CodeCache cache;
  EXPECT_THROW(cache.get("x", []() -> std::shared_ptr<const Code> { throw CodeError("no"); }),
               CodeError);
  EXPECT_EQ(cache.entries(), 0u);
  EXPECT_EQ(call(*cache.get("x", [] { return returning(3); })), 3);
}

TEST(CodeCache, IsBoundedAndForgetsTheOldest) {
  CodeCache cache;
  const auto get = [&](int key) {
    return cache.get(std::to_string(key), [&] { return returning(key); });
  };
  const auto held = get(-1);
  for (int key = 0; key < 1000; ++key) {
    get(key);
    ASSERT_LE(cache.entries(), CodeCache::kKeepUnused + 2);
  }
  const uint64_t generated = cache.generated();
  get(999);
  get(-1);
  EXPECT_EQ(cache.generated(), generated) << "a young entry or one in use was forgotten";
  get(0);
  EXPECT_EQ(cache.generated(), generated + 1);
  EXPECT_EQ(call(*held), -1);
}

TEST(CodeCache, LetsCodeOutliveIt) {
  std::shared_ptr<const Code> code;
  {
    CodeCache cache;
    code = cache.get("x", [] { return returning(5); });
  }
  EXPECT_EQ(call(*code), 5);
}

// ---------------------------------------------------------- with real kernels --

const KernelRow* runnable_row(AForm form) {
  for (const KernelRow& row : kernels_of("gemm"))
    if (row.a_form == form && cpu_facts().runs[static_cast<int>(row.isa)]) return &row;
  return nullptr;
}

TEST(GemmCode, IsSharedByEqualSpecsAndOnlyByThem) {
  const KernelRow* row = runnable_row(AForm::kBytes);
  if (!row) GTEST_SKIP() << "needs a CPU that runs some kernel";
  CodeCache cache;
  GemmSpec spec;
  spec.n = row->nr;
  spec.epilogue.c_type = DType::kU8;
  std::vector<GemmCode> all{gemm_code(cache, *row, spec)};
  EXPECT_EQ(all[0].code, gemm_code(cache, *row, spec).code);
  EXPECT_EQ(cache.generated(), 1u);
  for (int m = 1; m <= row->mr; ++m) EXPECT_NE(all[0].entry[static_cast<size_t>(m)], nullptr);

  std::vector<GemmSpec> others(9, spec);
  others[0].n = row->nr - 1;
  others[1].k_tail = 3;
  others[2].a_shift = true;
  others[3].epilogue.c_type = DType::kS8;
  others[4].epilogue.bias_f32 = true;
  others[5].epilogue.saturating = true;
  others[6].epilogue.clamp_lo = true;
  others[7].epilogue.clamp_hi = true;
  others[8].epilogue.zero_point = true;
  std::set<const Code*> distinct{all[0].code.get()};
  for (const GemmSpec& other : others) {
    all.push_back(gemm_code(cache, *row, other));
    EXPECT_TRUE(distinct.insert(all.back().code.get()).second);
  }
  EXPECT_EQ(cache.generated(), 10u);
}

TEST(GemmCode, LiesInPagesThatAreNeverWritableAndExecutable) {
  CodeCache cache;
  std::vector<GemmCode> live;
  for (const KernelRow& row : kernels_of("gemm")) {
    if (!cpu_facts().runs[static_cast<int>(row.isa)]) continue;
    GemmSpec spec;
    spec.n = row.nr;
    live.push_back(gemm_code(cache, row, spec));
  }
  size_t found = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin, end;
    char permissions[8];
    ASSERT_EQ(std::sscanf(line.c_str(), "%lx-%lx %7s", &begin, &end, permissions), 3) << line;
    EXPECT_NE(std::string(permissions).substr(0, 3), "rwx") << line;
    for (const GemmCode& code : live) {
      const auto entry = reinterpret_cast<unsigned long>(code.code->entry(0));
      if (entry < begin || entry >= end) continue;
      ++found;
      EXPECT_EQ(std::string(permissions).substr(0, 3), "r-x") << line;
    }
  }
  EXPECT_EQ(found, live.size());
}

}  // namespace
// What generators align stays aligned where the code runs.
TEST(GemmCode, EntriesKeepTheirAlignment) {
  CodeCache cache;
  for (const KernelRow& row : kernels_of("gemm")) {
    GemmSpec spec;
    spec.n = row.nr;
    const GemmCode code = gemm_code(cache, row, spec);
    for (int m = 1; m <= row.mr; ++m)
      EXPECT_EQ(reinterpret_cast<uintptr_t>(code.entry[m]) % 64, 0u) << row.name << " m " << m;
  }
}

}  // namespace oct
