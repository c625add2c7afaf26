#include "tests/emulate/counters.h"

#include <atomic>
#include <numeric>

namespace oct::emulate {

namespace {

// Relaxed: the numbers are read when the threads that make them have been joined.
constexpr auto kRelaxed = std::memory_order_relaxed;

std::atomic<uint64_t> g_traps;
std::array<std::atomic<uint64_t>, kMnemonicCount> g_instructions;
std::atomic<int> g_threads_with_tiles;
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a lock could deadlock in a signal handler");

}  // namespace

uint64_t Counters::total() const {
  return std::accumulate(instructions.begin(), instructions.end(), uint64_t{0});
}

uint64_t Counters::tile_products() const {
  return (*this)[Mnemonic::kTdpbssd] + (*this)[Mnemonic::kTdpbsud] + (*this)[Mnemonic::kTdpbusd] +
         (*this)[Mnemonic::kTdpbuud];
}

uint64_t Counters::tile_loads() const {
  return (*this)[Mnemonic::kTileloadd] + (*this)[Mnemonic::kTileloaddt1];
}

Counters counters() {
  Counters now;
  now.traps = g_traps.load(kRelaxed);
  for (size_t i = 0; i < g_instructions.size(); ++i)
    now.instructions[i] = g_instructions[i].load(kRelaxed);
  return now;
}

void reset_counters() {
  g_traps.store(0, kRelaxed);
  for (auto& count : g_instructions) count.store(0, kRelaxed);
}

int threads_with_tiles() { return g_threads_with_tiles.load(kRelaxed); }

void count_trap() { g_traps.fetch_add(1, kRelaxed); }

void count_instruction(Mnemonic mnemonic) {
  g_instructions[static_cast<size_t>(mnemonic)].fetch_add(1, kRelaxed);
}

void count_thread_with_tiles(int change) { g_threads_with_tiles.fetch_add(change, kRelaxed); }

}  // namespace oct::emulate
