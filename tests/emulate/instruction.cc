#include "tests/emulate/instruction.h"

#include "tests/emulate/guest_memory.h"

namespace oct::emulate {

namespace {

constexpr Fault kUnknown{"not an instruction the emulator knows"};

class Bytes {
 public:
  explicit Bytes(uint64_t start) : start_(start), next_(start) {}

  uint8_t byte() { return take<uint8_t>(); }
  int32_t displacement(int mod, bool always_32) {
    if (mod == 2 || always_32) return take<int32_t>();
    return mod == 1 ? take<int8_t>() : 0;
  }
  int count() const { return static_cast<int>(next_ - start_); }

 private:
  template <class T>
  T take() {
    T value;
    load(next_, &value, sizeof value);
    next_ += sizeof value;
    return value;
  }

  uint64_t start_, next_;
};

// The three bytes  C4, R X B mmmmm, W vvvv L pp.  R, X, B and vvvv are stored inverted.
struct Vex {
  int r, x, b, w, vvvv, l;
  Prefix pp;
};

constexpr int kMap0f38 = 2;

// The two-byte form C5 implies the map 0F, where nothing lives that the emulator knows.
bool read_vex(Bytes& bytes, Vex& vex) {
  if (bytes.byte() != 0xc4) return false;
  const int first = bytes.byte() ^ 0xe0, second = bytes.byte() ^ 0x78;
  vex.r = first >> 7;
  vex.x = first >> 6 & 1;
  vex.b = first >> 5 & 1;
  vex.w = second >> 7;
  vex.vvvv = second >> 3 & 15;
  vex.l = second >> 2 & 1;
  vex.pp = static_cast<Prefix>(second & 3);
  return (first & 31) == kMap0f38;
}

struct ModRm {
  explicit ModRm(uint8_t byte) : mod(byte >> 6), reg(byte >> 3 & 7), rm(byte & 7) {}

  bool names_register() const { return mod == 3; }
  bool has_sib() const { return mod != 3 && rm == 4; }

  int mod, reg, rm;
};

MemoryOperand read_memory(Bytes& bytes, const ModRm& modrm, const Vex& vex) {
  MemoryOperand memory;
  // With mod 00, base 5 (and 13: the test comes before VEX.B) gives way to a 32-bit displacement:
  // from rip, or under a SIB byte from nothing.
  bool base_absent = modrm.mod == 0 && modrm.rm == 5;
  memory.base = base_absent ? MemoryOperand::kRip : modrm.rm | vex.b << 3;
  if (modrm.has_sib()) {
    const uint8_t sib = bytes.byte();
    base_absent = modrm.mod == 0 && (sib & 7) == 5;
    memory.base = base_absent ? MemoryOperand::kAbsent : (sib & 7) | vex.b << 3;
    // Index 4 means none; 12, which differs by VEX.X only, is r12.
    const int index = (sib >> 3 & 7) | vex.x << 3;
    memory.index = index == 4 ? MemoryOperand::kAbsent : index;
    memory.scale = 1 << (sib >> 6);
  }
  memory.displacement = bytes.displacement(modrm.mod, base_absent);
  return memory;
}

bool fits(Form form, const ModRm& modrm) {
  switch (form) {
    case Form::kConfig: return !modrm.names_register();
    case Form::kTileMemory: return modrm.has_sib();
    case Form::kRelease:
    case Form::kTile:
    case Form::kThreeTiles: return modrm.names_register();
    case Form::kVectorBytes:
    case Form::kVectorWords: return true;
  }
  return false;
}

const Row* find_row(uint8_t opcode, Prefix prefix, const ModRm& modrm) {
  for (const Row& row : kRows)
    if (row.opcode == opcode && row.prefix == prefix && fits(row.form, modrm)) return &row;
  return nullptr;
}

// What an encoding must hold beyond the bits that select its row. A CPU answers each with #UD.
Fault check_fields(const Vex& vex, const Instruction& in) {
  if (vex.w) return {"VEX.W must be 0"};
  const Form form = in.row().form;
  if (form == Form::kVectorBytes || form == Form::kVectorWords) return {};
  if (vex.l) return {"VEX.L must be 0"};
  if (form != Form::kThreeTiles && vex.vvvv != 0)
    return {"VEX.vvvv must name no register", vex.vvvv};
  const bool takes_tile = form != Form::kConfig && form != Form::kRelease;
  if (!takes_tile && in.reg != 0) return {"ModRM.reg must be 0", in.reg};
  if (form != Form::kThreeTiles && !in.has_memory && in.rm != 0)
    return {"ModRM.rm must be 0", in.rm};
  for (const int tile : {in.reg, in.vvvv, in.has_memory ? 0 : in.rm})
    if (tile > 7) return {"there are eight tile registers, this is number", tile};
  return {};
}

}  // namespace

uint64_t MemoryOperand::start(const RegisterState& state, uint64_t next_rip) const {
  const uint64_t from = base == kAbsent ? 0
                        : base == kRip  ? next_rip
                                        : state.gpr[static_cast<size_t>(base)];
  return from + static_cast<uint64_t>(int64_t{displacement});
}

uint64_t MemoryOperand::indexed(const RegisterState& state) const {
  if (index == kAbsent) return 0;
  return state.gpr[static_cast<size_t>(index)] * static_cast<uint64_t>(scale);
}

Fault decode(uint64_t rip, Instruction& in) {
  Bytes bytes(rip);
  Vex vex;
  if (!read_vex(bytes, vex)) return kUnknown;
  const uint8_t opcode = bytes.byte();
  const ModRm modrm(bytes.byte());
  const Row* row = find_row(opcode, vex.pp, modrm);
  if (!row) return kUnknown;

  in = {};
  in.mnemonic = row->mnemonic;
  in.is_256 = vex.l != 0;
  in.reg = modrm.reg | vex.r << 3;
  in.vvvv = vex.vvvv;
  in.has_memory = !modrm.names_register();
  if (in.has_memory)
    in.memory = read_memory(bytes, modrm, vex);
  else
    in.rm = modrm.rm | vex.b << 3;
  in.length = bytes.count();
  return check_fields(vex, in);
}

}  // namespace oct::emulate
