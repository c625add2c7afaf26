// What has been emulated, in all threads together.
#pragma once

#include <array>
#include <cstdint>

#include "tests/emulate/mnemonic.h"

namespace oct::emulate {

struct Counters {
  uint64_t traps = 0;  // one for each run of adjacent instructions
  std::array<uint64_t, kMnemonicCount> instructions{};

  uint64_t operator[](Mnemonic m) const { return instructions[static_cast<size_t>(m)]; }

  uint64_t total() const;
  uint64_t tile_products() const;  // the four TDPB forms
  uint64_t tile_loads() const;     // TILELOADD and TILELOADDT1
  uint64_t tile_stores() const { return (*this)[Mnemonic::kTilestored]; }
};

Counters counters();
void reset_counters();

// How many threads, live or ended, hold an emulated tile configuration that they never released.
int threads_with_tiles();

// For the emulator itself; all are async-signal-safe.
void count_trap();
void count_instruction(Mnemonic mnemonic);
void count_thread_with_tiles(int change);

}  // namespace oct::emulate
