#include "jit/vector_code.h"

#include <cstring>

namespace oct {
namespace {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::RegExp;

bool is_whole(const Operand& v) { return !v.getOpmaskIdx() && !v.getRounding() && !v.hasZero(); }

bool is_plain(const Address& a, const RegExp& e) {
  const auto disp = static_cast<int64_t>(e.getDisp());
  return a.getMode() == Address::M_ModRM && !a.isBroadcast() && !a.getOpmaskIdx() &&
         e.getBase().isREG(64) && (e.getIndex().isNone() || e.getIndex().isREG(64)) &&
         disp == static_cast<int32_t>(disp);
}

// `b` and `x`: the numbers whose bits 3 the prefix holds, and of `x` bit 4 in registers' place.
uint8_t* put_evex(VectorOp op, int reg, int second, int b, bool x, uint8_t* to) {
  const auto inverted = [](bool bit, int at) { return bit ? 0 : 1 << at; };
  const int p0 = inverted(reg & 8, 7) | inverted(x, 6) | inverted(b & 8, 5) |
                 inverted(reg & 16, 4) | static_cast<int>(op.map);
  const int p1 = (~second & 15) << 3 | 4 | static_cast<int>(op.prefix);
  const int p2 = 2 << 5 | inverted(second & 16, 3);
  const uint8_t bytes[] = {0x62, static_cast<uint8_t>(p0), static_cast<uint8_t>(p1),
                           static_cast<uint8_t>(p2), op.opcode};
  std::memcpy(to, bytes, sizeof bytes);
  return to + sizeof bytes;
}

// In two bytes where they suffice.
uint8_t* put_vex(VectorOp op, int reg, int second, int b, bool x, uint8_t* to) {
  const int last = (~second & 15) << 3 | 4 | static_cast<int>(op.prefix);
  const int r = reg & 8 ? 0 : 0x80;
  if (!(b & 8) && !x && op.map == OpMap::k0F) {
    *to++ = 0xc5;
    *to++ = static_cast<uint8_t>(r | last);
  } else {
    *to++ = 0xc4;
    *to++ =
        static_cast<uint8_t>(r | (x ? 0 : 0x40) | (b & 8 ? 0 : 0x20) | static_cast<int>(op.map));
    *to++ = static_cast<uint8_t>(last);
  }
  *to++ = op.opcode;
  return to;
}

// ModRM, SIB and displacement, which EVEX counts in units if it fits a byte so.
uint8_t* put_memory(int reg, const RegExp& e, int unit, uint8_t* to) {
  const int base = e.getBase().getIdx() & 7;
  const auto disp = static_cast<int32_t>(e.getDisp());
  const int32_t units = disp / unit;
  const bool none = disp == 0 && base != Operand::RBP;
  const bool is_short = disp % unit == 0 && units == static_cast<int8_t>(units);
  const int mod = none ? 0 : is_short ? 1 : 2;
  const bool has_index = !e.getIndex().isNone(), has_sib = has_index || base == Operand::RSP;
  *to++ = static_cast<uint8_t>(mod << 6 | (reg & 7) << 3 | (has_sib ? Operand::RSP : base));
  if (has_sib) {
    const int scale = has_index ? __builtin_ctz(static_cast<unsigned>(e.getScale())) : 0;
    const int index = has_index ? e.getIndex().getIdx() & 7 : Operand::RSP;
    *to++ = static_cast<uint8_t>(scale << 6 | index << 3 | base);
  }
  if (mod == 1) *to++ = static_cast<uint8_t>(units);
  if (mod == 2) {
    std::memcpy(to, &disp, sizeof disp);
    to += sizeof disp;
  }
  return to;
}

}  // namespace

int encode_vector(VectorOp op, const Xbyak::Xmm& reg, int second, const Operand& rm, uint8_t* to) {
  const bool zmm = reg.isZMM();
  if (!(zmm || reg.isYMM()) || !is_whole(reg)) return 0;
  const int r = reg.getIdx();
  if (!zmm && (r | second) >= 16) return 0;
  const auto put_prefix = [&](int b, bool x) {
    return zmm ? put_evex(op, r, second, b, x, to) : put_vex(op, r, second, b, x, to);
  };
  if (rm.isMEM()) {
    const Address& a = rm.getAddress();
    const RegExp& e = a.getRegExp(false);
    if (!is_plain(a, e)) return 0;
    uint8_t* const end = put_prefix(e.getBase().getIdx(), e.getIndex().isExtIdx());
    return static_cast<int>(put_memory(r, e, zmm ? op.unit : 1, end) - to);
  }
  const int b = rm.getIdx();
  if (rm.getKind() != reg.getKind() || !is_whole(rm) || (!zmm && b >= 16)) return 0;
  uint8_t* const end = put_prefix(b, b & 16);
  *end = static_cast<uint8_t>(3 << 6 | (r & 7) << 3 | (b & 7));
  return static_cast<int>(end + 1 - to);
}

}  // namespace oct
