// Packed weights of many plans in shared chunks: none overlap, whatever comes and goes, and nothing
// is left when the last has gone.
#include "dispatch/weight_arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "dispatch/columns.h"
#include "tests/support.h"

namespace oct::test {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// Weights filled with a byte of their own.
class Weights {
 public:
  Weights(WeightArena& arena, size_t bytes, uint8_t byte)
      : arena_(&arena), data_(arena.take(bytes)), bytes_(bytes), byte_(byte) {
    std::memset(data_, byte, bytes);
  }
  Weights(Weights&& o) noexcept
      : arena_(o.arena_), data_(std::exchange(o.data_, nullptr)), bytes_(o.bytes_), byte_(o.byte_) {
  }
  Weights& operator=(Weights&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(bytes_, o.bytes_);
    std::swap(byte_, o.byte_);
    return *this;
  }
  ~Weights() {
    if (data_) arena_->give_back(data_);
  }

  bool intact() const {
    return data_[0] == byte_ && std::memcmp(data_, data_ + 1, bytes_ - 1) == 0;
  }

 private:
  WeightArena* arena_;
  uint8_t* data_;
  size_t bytes_;
  uint8_t byte_;
};

void come_and_go(WeightArena& arena, uint64_t stream, int rounds) {
  Rng rng("arena", stream);
  std::vector<Weights> held;
  for (int i = 0; i < rounds; ++i) {
    if (held.size() < 12 && !rng.one_in(3)) {
      const auto bytes = static_cast<size_t>(rng.between(1, rng.one_in(4) ? 3 << 20 : 300 << 10));
      held.emplace_back(arena, bytes, static_cast<uint8_t>(rng.between(0, 255)));
    } else if (!held.empty()) {
      const auto which = static_cast<size_t>(rng.between(0, static_cast<int64_t>(held.size()) - 1));
      ASSERT_TRUE(held[which].intact());
      std::swap(held[which], held.back());
      held.pop_back();
    }
  }
  for (const Weights& w : held) ASSERT_TRUE(w.intact());
}

TEST(WeightArena, NoneOverlapAndNothingIsLeft) {
  WeightArena arena;
  come_and_go(arena, 0, by_effort(100, 500, 5000));
  EXPECT_EQ(arena.mapped(), 0u);
}

TEST(WeightArena, ThreadsShareIt) {
  WeightArena arena;
  std::vector<std::thread> threads;
  for (uint64_t t = 1; t <= 4; ++t)
    threads.emplace_back([&arena, t] { come_and_go(arena, t, by_effort(40, 200, 1000)); });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(arena.mapped(), 0u);
}

// Weights of any number and size take no more than their size, rounded up, and a huge page.
TEST(WeightArena, LittleIsWasted) {
  WeightArena arena;
  std::vector<Weights> held;
  size_t sum = 0;
  for (size_t bytes : {130 << 10, 200 << 10, 600 << 10, 1 << 20, 700 << 10, 5 << 19, 130 << 10}) {
    held.emplace_back(arena, bytes, uint8_t{1});
    sum += bytes;
    EXPECT_LE(arena.mapped(), sum + 2 * kMiB) << "for " << sum << " bytes";
  }
}

TEST(WeightArena, FewWeightsTakeNoHugePage) {
  WeightArena arena;
  const Weights one(arena, 20 << 10, 1), other(arena, 100 << 10, 2);
  EXPECT_EQ(arena.mapped(), size_t{120} << 10);
}

// What one plan leaves is taken by the next while others hold the chunk.
TEST(WeightArena, GapsAreUsedAgain) {
  WeightArena arena;
  const Weights first(arena, 300 << 10, 1);
  for (int i = 0; i < 100; ++i) {
    const Weights passing(arena, 500 << 10, 2);
    EXPECT_EQ(arena.mapped(), 2 * kMiB);
  }
}

// What is not needed after all is there for the next, and whole huge pages of it for the system.
TEST(WeightArena, WhatIsNotNeededIsGivenBack) {
  WeightArena arena;
  uint8_t* const large = arena.take(7 * kMiB);
  EXPECT_EQ(arena.mapped(), 8 * kMiB);
  WeightArena::populate(large, large + 3 * kMiB);
  std::memset(large, 1, 3 * kMiB);
  arena.shrink(large, 3 * kMiB - 1);
  EXPECT_EQ(arena.mapped(), 4 * kMiB);
  const Weights next(arena, kMiB, 2);
  EXPECT_EQ(arena.mapped(), 4 * kMiB);
  EXPECT_EQ(large[3 * kMiB - 1], 1);
  arena.give_back(large);
  EXPECT_TRUE(next.intact());
}

size_t resident_bytes(uint8_t* data, size_t bytes) {
  std::vector<unsigned char> pages(bytes / 4096);
  EXPECT_EQ(mincore(data, bytes, pages.data()), 0);
  return 4096 * static_cast<size_t>(std::count_if(pages.begin(), pages.end(),
                                                  [](unsigned char page) { return page & 1; }));
}

// Between weights that stay, too.
TEST(WeightArena, PagesThatNothingCoversLeaveTheProcess) {
  WeightArena arena;
  const Weights before(arena, kMiB, 1);
  uint8_t* const large = arena.take(6 * kMiB);
  const Weights behind(arena, kMiB, 2);
  std::memset(large, 3, 6 * kMiB);
  EXPECT_EQ(resident_bytes(large, 6 * kMiB), 6 * kMiB);
  arena.give_back(large);
  EXPECT_EQ(arena.mapped(), 4 * kMiB);
  EXPECT_LE(resident_bytes(large, 6 * kMiB), 2 * kMiB);
  EXPECT_TRUE(before.intact() && behind.intact());
}

TEST(WeightArena, TooMuchIsBadAlloc) {
  WeightArena arena;
  EXPECT_THROW(arena.take(SIZE_MAX), std::bad_alloc);
  EXPECT_THROW(arena.take(SIZE_MAX - 8192), std::bad_alloc);
  EXPECT_THROW(arena.take(size_t{1} << 62), std::bad_alloc);
  EXPECT_EQ(arena.mapped(), 0u);
}

TEST(Columns, BeginCacheLines) {
  std::vector<Columns<int32_t>> all;
  for (size_t count = 1; count <= 100; count += 7) all.emplace_back(count);
  for (const Columns<int32_t>& columns : all)
    EXPECT_EQ(reinterpret_cast<uintptr_t>(columns.data()) % 64, 0u) << columns.size();
}

}  // namespace
}  // namespace oct::test
