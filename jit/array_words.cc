#include "jit/array_words.h"

namespace oct {

using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::RegExp;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

void ArrayWords::widen(const Xmm& v, const Operand& from, Element e) {
  if (e.bytes == 2)
    as.vpmovzxwd(v, from);
  else
    e.is_signed ? as.vpmovsxbd(v, from) : as.vpmovzxbd(v, from);
}

void ArrayWords::load(const Xmm& v, const RegExp& from, Element e, Extent extent) {
  if (extent == Extent::kPart) return load_part(v, from, e);
  e.bytes == 4 ? as.vmovups(v, as.ptr[from]) : widen(v, as.ptr[from], e);
}

void ArrayWords::store(const RegExp& to, const Xmm& v, int bytes, Extent extent) {
  if (extent == Extent::kPart) return store_part(to, v, bytes);
  const int all = (v.isZMM() ? 16 : 8) * bytes;
  const int i = v.getIdx();
  switch (all) {
    case 8: as.vmovq(as.ptr[to], Xmm(i)); break;
    case 16: as.vmovups(as.ptr[to], Xmm(i)); break;
    case 32: as.vmovups(as.ptr[to], Ymm(i)); break;
    default: as.vmovups(as.ptr[to], v);
  }
}

namespace {

// AVX2 masks dwords only. Smaller elements go one by one through a shifted register: at most seven
// at the end of a row.
class ArrayWordsYmm : public ArrayWords {
 public:
  using ArrayWords::ArrayWords;

  // A window on eight dwords of ones and eight of zeros.
  void set_part() override {
    as.lea(scratch, as.constant({~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0, 0, 0, 0, 0}));
    as.neg(count);
    as.vmovdqu(mask, as.ptr[scratch + count * 4 + 32]);
    as.neg(count);
  }

 protected:
  void load_part(const Xmm& v, const RegExp& from, Element e) override {
    if (e.bytes == 4) return load_dwords(v, from);
    const Xmm x(v.getIdx());
    Xbyak::Label next;
    as.vpxor(x, x, x);
    as.mov(scratch, count);
    as.L(next);
    as.vpslldq(x, x, static_cast<uint8_t>(e.bytes));
    const auto at = as.ptr[from + scratch * e.bytes - e.bytes];
    e.bytes == 2 ? as.vpinsrw(x, x, at, 0) : as.vpinsrb(x, x, at, 0);
    as.dec(scratch);
    as.jnz(next, as.T_NEAR);
    widen(v, x, e);
  }

  // Not by vmaskmovps: QEMU 7 faults on what that leaves out. The dwords of the last, partial half
  // go one by one; if it is the upper one, it then moves there.
  void load_dwords(const Xmm& v, const RegExp& from) {
    const Xmm x(v.getIdx());
    const Ymm y(v.getIdx());
    Xbyak::Label next, none, done;
    as.vpxor(x, x, x);
    as.mov(scratch, count);
    as.L(next);
    as.test(scratch, 3);
    as.jz(none, as.T_NEAR);
    as.vpslldq(x, x, 4);
    as.vpinsrd(x, x, as.ptr[from + scratch * 4 - 4], 0);
    as.dec(scratch);
    as.jmp(next, as.T_NEAR);
    as.L(none);
    as.test(scratch, scratch);
    as.jz(done, as.T_NEAR);
    constexpr uint8_t zero_then_low = 0x08;
    as.vperm2i128(y, y, y, zero_then_low);
    as.vinserti128(y, y, as.ptr[from], 0);
    as.L(done);
  }

  void store_part(const RegExp& to, const Xmm& v, int bytes) override {
    if (bytes == 4) return as.vmaskmovps(as.ptr[to], mask, v);
    const Xmm x(v.getIdx());
    Xbyak::Label next;
    as.xor_(scratch, scratch);
    as.L(next);
    const auto at = as.ptr[to + scratch * bytes];
    bytes == 2 ? as.vpextrw(at, x, 0) : as.vpextrb(at, x, 0);
    as.vpsrldq(x, x, static_cast<uint8_t>(bytes));
    as.inc(scratch);
    as.cmp(scratch, count);
    as.jb(next, as.T_NEAR);
  }
};

class ArrayWordsZmm : public ArrayWords {
 public:
  using ArrayWords::ArrayWords;

  void set_part() override {
    as.mov(scratch, -1);
    as.bzhi(scratch, scratch, count);
    as.kmovq(as.k1, scratch);
  }

 protected:
  void load_part(const Xmm& v, const RegExp& from, Element e) override {
    const Zmm to = Zmm(v.getIdx()) | as.k1 | as.T_z;
    e.bytes == 4 ? as.vmovups(to, as.ptr[from]) : widen(to, as.ptr[from], e);
  }

  void store_part(const RegExp& to, const Xmm& v, int bytes) override {
    const auto at = as.ptr[to] | as.k1;
    switch (bytes) {
      case 1: as.vmovdqu8(at, Xmm(v.getIdx())); break;
      case 2: as.vmovdqu16(at, Ymm(v.getIdx())); break;
      default: as.vmovups(at, v);
    }
  }
};

}  // namespace

std::unique_ptr<ArrayWords> make_array_words(Assembler& as, int lanes, const Reg64& count,
                                             const Reg64& scratch, const Xmm& mask) {
  if (lanes == 16) return std::make_unique<ArrayWordsZmm>(as, count, scratch, mask);
  return std::make_unique<ArrayWordsYmm>(as, count, scratch, mask);
}

}  // namespace oct
