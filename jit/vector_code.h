// The encodings of vector instructions that generators emit most, where their operands are plain:
// ymm or zmm registers without masks, and memory at 64-bit registers. Xbyak's way through all
// that an operand might be takes it some five hundred instructions for each one; this takes fifty.
#pragma once

#include <cstdint>

#include <xbyak/xbyak.h>

namespace oct {

enum class Prefix : uint8_t { kNone, k66 };
enum class OpMap : uint8_t { k0F = 1, k0F38 };

// An instruction whose W bit is zero.
struct VectorOp {
  Prefix prefix;
  OpMap map;
  uint8_t opcode;
  int unit = 64;  // bytes that an 8-bit displacement counts of memory, zmm
};

// The longest: EVEX, opcode, ModRM, SIB, displacement.
inline constexpr int kMaxVectorCode = 4 + 1 + 1 + 1 + 4;

// Writes the instruction to `to` and returns its bytes; 0: it is not plain. `second`: the number of
// the source that is not `rm`, 0 if there is none.
int encode_vector(VectorOp op, const Xbyak::Xmm& reg, int second, const Xbyak::Operand& rm,
                  uint8_t* to);

}  // namespace oct
