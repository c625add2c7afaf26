#include "jit/words.h"

#include <bit>

#include <cassert>

namespace oct {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Reg32;
using Xbyak::RegExp;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

namespace {
bool is_zmm(const Xmm& v) { return v.isZMM(); }
}  // namespace

void Words::dot(const Xmm& acc, const Xmm* a, const Operand* const* b, const Xmm* t,
                const Xmm& constant, bool last) {
  switch (dot_) {
    case Dot::kVnni: dot_vnni(acc, a[0], *b[0]); break;
    case Dot::kVnniSS:
    case Dot::kVnniSU:
    case Dot::kVnniUU: dot_int8(dot_, acc, a[0], *b[0]); break;
    case Dot::kSafePairs:
      as.vpmaddubsw(t[0], a[0], *b[0]);
      as.vpmaddwd(t[0], t[0], constant);
      as.vpaddd(acc, acc, t[0]);
      break;
    case Dot::kPairs16: {
      // (a0 + w1)(a1 + w0) for both pairs of the group in one vpmaddwd; the last user of a row
      // adds in place, which keeps the working set within sixteen registers.
      const Xmm& even = last ? a[0] : t[0];
      const Xmm& odd = last ? a[1] : t[1];
      as.vpaddw(even, a[0], *b[0]);
      as.vpaddw(odd, a[1], *b[1]);
      as.vpmaddwd(even, even, odd);
      as.vpaddd(acc, acc, even);
      break;
    }
    case Dot::kWide16:
    case Dot::kSplit16:
      for (int half = 0; half < 2; ++half) {  // B holds the odd half first
        as.vpmaddwd(t[0], a[1 - half], *b[half]);
        as.vpaddd(acc, acc, t[0]);
      }
      break;
  }
}

void Words::prepare_a(const Xmm* a, const Xmm& constant) {
  if (dot_ != Dot::kWide16 && dot_ != Dot::kSplit16) return;
  as.vpsrlw(a[1], a[0], 8);
  is_zmm(a[0]) ? as.vpandd(a[0], a[0], constant) : as.vpand(a[0], a[0], constant);
}

// The odd half first, as kPairs16 stores it.
void Words::prepare_b(const Xmm* b) {
  as.vpsllw(b[1], b[0], 8);
  as.vpsraw(b[0], b[0], 8);
  as.vpsraw(b[1], b[1], 8);
}

void Words::dot_vnni(const Xmm&, const Xmm&, const Operand&) { assert(!"no vpdpbusd"); }
void Words::dot_int8(Dot, const Xmm&, const Xmm&, const Operand&) { assert(!"no vpdpbssd"); }

void Words::broadcast_bytes(const Xmm& v, const Address& from, int bytes) {
  switch (bytes) {
    case 1: as.vpbroadcastb(v, from); break;
    case 2: as.vpbroadcastw(v, from); break;
    case 4: as.vpbroadcastd(v, from); break;
    case 8: as.vpbroadcastq(v, from); break;
    default: as.vbroadcasti128(Ymm(v.getIdx()), from);
  }
}

// ------------------------------------------------------------------- AVX2 --

void WordsAvx2::zero(const Xmm& v) { as.vpxor(v, v, v); }

void WordsAvx2::broadcast_gpr(const Xmm& v, const Reg32& r) {
  as.vmovd(Xmm(v.getIdx()), r);
  as.vpbroadcastd(v, Xmm(v.getIdx()));
}

void WordsAvx2::narrow16(const Xmm& v) {
  as.vpackusdw(v, v, v);
  as.vpermq(Ymm(v.getIdx()), Ymm(v.getIdx()), 0x08);
}

void WordsAvx2::unzip_lanes(const Xmm& v, const Xmm& index) {
  as.vpermd(Ymm(v.getIdx()), Ymm(index.getIdx()), Ymm(v.getIdx()));
}

void WordsAvx2::load_unzip_index(const Xmm& index) {
  as.vmovdqu(index, as.constant({0, 4, 1, 5, 2, 6, 3, 7}));
}

void WordsAvx2::rotate_lanes(const Xmm& v, int by) {
  const Ymm y(v.getIdx());
  constexpr uint8_t kByQuads[] = {0xe4, 0x39, 0x4e, 0x93};
  as.vpermq(y, y, kByQuads[by / 2]);
}

void WordsAvx2::load_bytes(const Xmm& v, const Address& from, int count, bool is_signed) {
  const Xmm x(v.getIdx());
  const auto at = [&](int offset) { return as.ptr[from.getRegExp() + offset]; };
  if (count == 8) {
    as.vmovq(x, from);
  } else {
    int done = count & 4;
    as.vpxor(x, x, x);
    if (done) as.vmovd(x, from);
    if (count & 2) as.vpinsrw(x, x, at(done), static_cast<uint8_t>(done / 2)), done += 2;
    if (count & 1) as.vpinsrb(x, x, at(done), static_cast<uint8_t>(done));
  }
  is_signed ? as.vpmovsxbd(v, x) : as.vpmovzxbd(v, x);
}

// In pieces, not by vmaskmovps: QEMU 7 faults on what that leaves out. From five on, the upper half
// is loaded where the lower one goes, and moved.
void WordsAvx2::load_dwords(const Xmm& v, const Address& from, int count) {
  if (count == 8) return as.vmovups(v, from);
  const Xmm x(v.getIdx());
  const Ymm y(v.getIdx());
  const int first = count > 4 ? 4 : 0, some = count - first;
  const auto at = [&](int i) { return as.ptr[from.getRegExp() + 4 * (first + i)]; };
  switch (some) {
    case 1: as.vmovd(x, at(0)); break;
    case 4: as.vmovups(x, at(0)); break;
    default:
      as.vmovq(x, at(0));
      if (some == 3) as.vpinsrd(x, x, at(2), 2);
  }
  if (!first) return;
  constexpr uint8_t zero_then_low = 0x08;
  as.vperm2i128(y, y, y, zero_then_low);
  as.vinserti128(y, y, from, 0);
}

// Two permutations of eight, chosen between by bit 3 in the place of the sign.
void WordsAvx2::prepare_lookup(const Xmm& index, const Xmm& t) {
  as.vpslld(t, index, 28);
  as.vpor(index, index, t);
}

void WordsAvx2::begin_lookup(const std::vector<uint32_t>&, const Xmm&) {}

void WordsAvx2::lookup(const Xmm& v, const std::vector<uint32_t>& table, const Xmm& index,
                       const Xmm& t) {
  const Ymm low(v.getIdx()), high(t.getIdx()), i(index.getIdx());
  as.vpermps(low, i, as.constant({table.begin(), table.begin() + 8}));
  as.vpermps(high, i, as.constant({table.begin() + 8, table.end()}));
  as.vblendvps(v, v, t, index);
}

// 2^n as two factors, of which the first is exact; the sum's low nine bits are n + 254.
void WordsAvx2::scale(const Xmm& to, const Xmm& v, const Xmm& n, const Xmm& t) {
  as.vaddps(n, n, as.constant({std::bit_cast<uint32_t>(0x1.8p23f + 254)}));
  as.vpslld(n, n, 23);
  as.vpsrld(t, n, 1);
  as.vandps(t, t, as.constant({0x7f800000}));
  as.vpsubd(n, n, t);
  as.vmulps(to, v, t);
  as.vmulps(to, to, n);
}

void WordsAvx2::min_magnitude(const Xmm& v, const Xmm& x, const Xmm& bound) {
  as.vandps(v, x, constant(0x7fffffff));
  as.vminps(v, bound, v);
}

// Pieces of 16, 8, 4, 2 and 1 bytes: AVX2 has no byte masks, and its dword-masked store is
// microcoded on AMD.
void WordsAvx2::store_part(const Address& to, const Xmm& v, int count) {
  const Xmm x(v.getIdx());
  if (count == 32) {
    as.vmovdqu(to, Ymm(v.getIdx()));
    return;
  }
  int done = 0;
  const auto at = [&] { return as.ptr[to.getRegExp() + done]; };
  if (count - done >= 16) {
    as.vmovdqu(at(), x);
    done += 16;
    if (count > done) as.vextracti128(x, Ymm(v.getIdx()), 1);
  }
  for (int piece : {8, 4, 2, 1}) {
    if (count - done < piece) continue;
    switch (piece) {
      case 8: as.vmovq(at(), x); break;
      case 4: as.vmovd(at(), x); break;
      case 2: as.vpextrw(at(), x, 0); break;
      case 1: as.vpextrb(at(), x, 0); break;
    }
    done += piece;
    if (count > done) as.vpsrldq(x, x, static_cast<uint8_t>(piece));
  }
}

void WordsAvxVnni::dot_vnni(const Xmm& acc, const Xmm& a, const Operand& b) {
  as.vpdpbusd(acc, a, b, Xbyak::VexEncoding);
}

void WordsAvxVnniInt8::dot_int8(Dot dot, const Xmm& acc, const Xmm& a, const Operand& b) {
  switch (dot) {
    case Dot::kVnniSU: as.vpdpbsud(acc, a, b); break;
    case Dot::kVnniUU: as.vpdpbuud(acc, a, b); break;
    default: as.vpdpbssd(acc, a, b);
  }
}

// ---------------------------------------------------------------- AVX-512 --

Xmm WordsAvx512::reg(int index) const {
  return lanes_ == 16 ? static_cast<Xmm>(Zmm(index)) : Ymm(index);
}

void WordsAvx512::zero(const Xmm& v) { as.vpxord(v, v, v); }

void WordsAvx512::broadcast_gpr(const Xmm& v, const Reg32& r) { as.vpbroadcastd(v, r); }

void WordsAvx512::narrow16(const Xmm& v) {
  as.vpmovdw(lanes_ == 16 ? Ymm(v.getIdx()) : Xmm(v.getIdx()), v);
}

void WordsAvx512::unzip_lanes(const Xmm& v, const Xmm& index) {
  if (lanes_ == 16)
    as.vpermd(Zmm(v.getIdx()), Zmm(index.getIdx()), Zmm(v.getIdx()));
  else
    as.vpermd(Ymm(v.getIdx()), Ymm(index.getIdx()), Ymm(v.getIdx()));
}

void WordsAvx512::load_unzip_index(const Xmm& index) {
  if (lanes_ == 16)
    as.vmovdqu32(index, as.constant({0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}));
  else
    as.vmovdqu32(index, as.constant({0, 4, 1, 5, 2, 6, 3, 7}));
}

void WordsAvx512::rotate_lanes(const Xmm& v, int by) {
  as.valignd(v, v, v, static_cast<uint8_t>(by));
}

// A masked load does not touch what it leaves out.
void WordsAvx512::load_bytes(const Xmm& v, const Address& from, int count, bool is_signed) {
  Xmm to = v;
  if (count < lanes_) {
    as.mov(as.eax, (1u << count) - 1);
    as.kmovw(as.k2, as.eax);
    to = v | as.k2 | as.T_z;
  }
  is_signed ? as.vpmovsxbd(to, from) : as.vpmovzxbd(to, from);
}

void WordsAvx512::load_dwords(const Xmm& v, const Address& from, int count) {
  if (count == lanes()) return as.vmovups(v, from);
  as.mov(as.eax, (1u << count) - 1);
  as.kmovw(as.k2, as.eax);
  as.vmovups(v | as.k2 | as.T_z, from);
}

void WordsAvx512::prepare_lookup(const Xmm&, const Xmm&) {}

void WordsAvx512::begin_lookup(const std::vector<uint32_t>& table, const Xmm& t) {
  as.vmovups(t, as.constant(lanes_ == 16 ? table : std::vector(table.begin(), table.begin() + 8)));
}

void WordsAvx512::lookup(const Xmm& v, const std::vector<uint32_t>& table, const Xmm& index,
                         const Xmm& t) {
  if (lanes_ == 16) return as.vpermps(Zmm(v.getIdx()), Zmm(index.getIdx()), Zmm(t.getIdx()));
  as.vmovaps(v, index);
  as.vpermi2ps(v, t, as.constant({table.begin() + 8, table.end()}));
}

void WordsAvx512::scale(const Xmm& to, const Xmm& v, const Xmm& n, const Xmm&) {
  as.vscalefps(to, v, n);
}

void WordsAvx512::min_magnitude(const Xmm& v, const Xmm& x, const Xmm& bound) {
  constexpr uint8_t kMinOfMagnitudes = 2, kPositive = 2 << 2;
  as.vrangeps(v, x, bound, kMinOfMagnitudes | kPositive);
}

namespace {
bool is_whole_register(int count) { return count == 16 || count == 32 || count == 64; }
}  // namespace

void WordsAvx512::broadcast_bytes(const Xmm& v, const Address& from, int bytes) {
  if (bytes < 16) return Words::broadcast_bytes(v, from, bytes);
  if (v.isZMM())
    as.vbroadcasti32x4(Zmm(v.getIdx()), from);
  else
    as.vbroadcasti32x4(Ymm(v.getIdx()), from);
}

void WordsAvx512::announce_partial(int count) {
  if (is_whole_register(count)) return;
  as.mov(as.rax, (uint64_t{1} << count) - 1);
  as.kmovq(as.k1, as.rax);
}

// Masked stores are as narrow as can be: the masked part costs, too, where it crosses a line or
// page.
void WordsAvx512::store_part(const Address& to, const Xmm& v, int count) {
  const Xmm x(v.getIdx());
  const Ymm y(v.getIdx());
  const Zmm z(v.getIdx());
  switch (count) {
    case 4: as.vmovd(to, x); break;
    case 8: as.vmovq(to, x); break;
    case 16: as.vmovdqu32(to, x); break;
    case 32: as.vmovdqu32(to, y); break;
    case 64: as.vmovdqu32(to, z); break;
    default:
      if (count < 16)
        as.vmovdqu8(to | as.k1, x);
      else if (count < 32)
        as.vmovdqu8(to | as.k1, y);
      else
        as.vmovdqu8(to | as.k1, z);
  }
}

void WordsAvx512::dot_vnni(const Xmm& acc, const Xmm& a, const Operand& b) {
  as.vpdpbusd(acc, a, b);
}

std::unique_ptr<Words> make_words(Assembler& as, Isa isa, int lanes, Dot dot) {
  switch (isa) {
    case Isa::kAvxVnni: return std::make_unique<WordsAvxVnni>(as, dot);
    case Isa::kAvxVnniInt8: return std::make_unique<WordsAvxVnniInt8>(as, dot);
    case Isa::kAvx512bw:
    case Isa::kAvx512Vnni: return std::make_unique<WordsAvx512>(as, dot, lanes);
    default: break;
  }
  assert(isa == Isa::kAvx2 && lanes == 8);
  return std::make_unique<WordsAvx2>(as, dot);
}

}  // namespace oct
