// Decodes one instruction from its bytes. Knows encodings only: whether tiles are configured, or
// memory is there, is found out when the instruction is performed.
#pragma once

#include <cstdint>

#include "tests/emulate/fault.h"
#include "tests/emulate/mnemonic.h"
#include "tests/emulate/registers.h"

namespace oct::emulate {

struct MemoryOperand {
  static constexpr int kAbsent = -1, kRip = 16;

  int base = kAbsent;   // a general register, kRip, or kAbsent
  int index = kAbsent;  // a general register, or kAbsent
  int scale = 1;
  int32_t displacement = 0;

  // base + displacement: all of the address but the index, which in tile loads and stores is the
  // distance of two rows. `next_rip`: where the instruction ends.
  uint64_t start(const RegisterState& state, uint64_t next_rip) const;

  // index * scale.
  uint64_t indexed(const RegisterState& state) const;
};

struct Instruction {
  Mnemonic mnemonic{};
  int length = 0;       // bytes
  bool is_256 = false;  // VEX.L
  int reg = 0;          // ModRM.reg with VEX.R
  int vvvv = 0;         // VEX.vvvv
  bool has_memory = false;
  int rm = 0;  // ModRM.rm with VEX.B, when it names a register
  MemoryOperand memory;

  const Row& row() const { return row_of(mnemonic); }
};

// Reads no byte beyond the end of the instruction, known or not. On a fault, `instruction` is
// unspecified.
Fault decode(uint64_t rip, Instruction& instruction);

}  // namespace oct::emulate
