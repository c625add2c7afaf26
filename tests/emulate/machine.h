// For the emulator's own tests: a machine state made up for step(), and what the host has.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "jit/isa.h"
#include "tests/emulate/emulate.h"
#include "tests/support.h"

namespace oct::emulate {

// Of kAvxVnni, kAvxVnniInt8 and kAmx: whether the CPU executes them and the system lets it.
bool host_has(Isa isa);

// If the host has AMX, asks for the permission to use it. False if it is refused.
bool may_use_tiles();

using Zmm = std::array<uint8_t, 64>;

// Registers over an XSAVE area of its own.
class Machine {
 public:
  static constexpr uint64_t kSse = 1 << 1, kAvx = 1 << 2, kZmmHi256 = 1 << 6;

  Machine();
  explicit Machine(test::Rng& rng);  // every register random
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // zmm0-15. Where the host has no AVX-512, the upper halves are left out.
  void set_zmm(int reg, const Zmm& value);
  Zmm zmm(int reg) const;  // with components not held read as zero

  uint64_t xstate_bv() const;
  void set_xstate_bv(uint64_t bits);

  // Performs one instruction, given by its bytes, and expects it to use all of them.
  Fault run(std::span<const uint8_t> code);

  RegisterState state;

 private:
  std::vector<uint8_t> area_;
};

// Bytes of every value, with the extremes frequent.
void fill_extremes(test::Rng& rng, void* to, size_t size);

}  // namespace oct::emulate
