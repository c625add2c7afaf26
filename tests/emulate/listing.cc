#include "tests/emulate/listing.h"

#include <cstdlib>

namespace oct::emulate {

namespace {

constexpr const char* kGpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
                                "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};
static_assert(sizeof kGpr / sizeof *kGpr == MemoryOperand::kRip + 1);

void list(const MemoryOperand& memory, Text& text) {
  const char* plus = "";
  text.add("[");
  if (memory.base != MemoryOperand::kAbsent) {
    text.add("%s", kGpr[memory.base]);
    plus = "+";
  }
  if (memory.index != MemoryOperand::kAbsent) {
    text.add("%s%s*%d", plus, kGpr[memory.index], memory.scale);
    plus = "+";
  }
  const int64_t displacement = memory.displacement;
  if (displacement != 0 || *plus == '\0')
    text.add("%s0x%llx", displacement < 0 ? "-" : plus, std::llabs(displacement));
  text.add("]");
}

}  // namespace

void list(const Instruction& in, Text& text) {
  text.add("%s", in.row().name);
  switch (in.row().form) {
    case Form::kConfig:
      text.add(" ");
      list(in.memory, text);
      break;
    case Form::kRelease: break;
    case Form::kTile: text.add(" tmm%d", in.reg); break;
    case Form::kTileMemory:
      // The destination comes first.
      if (in.mnemonic != Mnemonic::kTilestored) text.add(" tmm%d,", in.reg);
      text.add(" ");
      list(in.memory, text);
      if (in.mnemonic == Mnemonic::kTilestored) text.add(", tmm%d", in.reg);
      break;
    case Form::kThreeTiles: text.add(" tmm%d, tmm%d, tmm%d", in.reg, in.rm, in.vvvv); break;
    case Form::kVectorBytes:
    case Form::kVectorWords: {
      const char kind = in.is_256 ? 'y' : 'x';
      text.add(" %cmm%d, %cmm%d, ", kind, in.reg, kind, in.vvvv);
      if (in.has_memory)
        list(in.memory, text);
      else
        text.add("%cmm%d", kind, in.rm);
      break;
    }
  }
}

}  // namespace oct::emulate
