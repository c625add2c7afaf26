// The assembler's own encodings are Xbyak's, byte for byte, whatever the operands.
#include <gtest/gtest.h>

#include <vector>

#include "jit/assembler.h"
#include "tests/support.h"

namespace oct::test {
namespace {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

// Instructions by number, emitted by either class.
template <class As>
void emit(As& as, int which, const Xmm& to, const Xmm& a, const Operand& b) {
  switch (which) {
    case 0: return as.vaddps(to, a, b);
    case 1: return as.vmulps(to, a, b);
    case 2: return as.vpaddd(to, a, b);
    case 3: return as.vpackssdw(to, a, b);
    case 4: return as.vpackuswb(to, a, b);
    case 5: return as.vpmaddwd(to, a, b);
    case 6: return as.vpmaddubsw(to, a, b);
    case 7: return as.vpdpbusd(to, a, b);
    case 8: return as.vpdpbusd(to, a, b, Xbyak::EvexEncoding);
    case 9: return as.vmovaps(to, b);
    case 10: return as.vmovups(to, b);
    case 11: return as.vcvtdq2ps(to, b);
    case 12: return as.vcvtps2dq(to, b);
    default: break;
  }
  if (!b.isMEM()) return as.vpbroadcastd(to, Xmm(b.getIdx()));
  which == 13 ? as.vpbroadcastd(to, b) : as.vmovups(b.getAddress(), to);
}
constexpr int kInstructions = 15;

class Operands {
 public:
  explicit Operands(Rng& rng) : rng_(rng), kind_(static_cast<int>(rng.between(0, 2))) {}

  // Of one width. VEX, which some of these have to be, knows sixteen registers.
  Xmm reg() {
    const int index = static_cast<int>(rng_.between(0, kind_ == 2 ? 31 : 15));
    if (kind_ == 2) return Zmm(index);
    return kind_ == 1 ? static_cast<Xmm>(Ymm(index)) : Xmm(index);
  }

  Xbyak::RegExp address() {
    const auto gpr = [&] { return Reg64(static_cast<int>(rng_.between(0, 15))); };
    const auto index = [&] {
      Reg64 r = gpr();
      return r.getIdx() == Operand::RSP ? Reg64(Operand::RAX) : r;
    };
    const int scale = 1 << rng_.between(0, 3);
    const int disp = static_cast<int>(rng_.pick(kDisplacements));
    switch (rng_.between(0, 3)) {
      case 0: return gpr() + index() * scale + disp;
      case 1: return index() * scale + disp;
      case 2: return gpr();
      default: return gpr() + disp;
    }
  }

  // A register or memory.
  template <class Use>
  void with_source(Use use) {
    if (rng_.one_in(2)) return use(reg());
    const Xbyak::AddressFrame ptr(0, false);
    if (rng_.one_in(8)) return use(ptr[Xbyak::util::rip + 64]);
    use(ptr[address()]);
  }

 private:
  static constexpr int64_t kDisplacements[] = {0,     1,     4,     -4,      64,        -64,  127,
                                               -128,  128,   256,   508,     512,       8128, 8192,
                                               -8192, -8256, 12345, 1 << 20, -(1 << 30)};
  Rng& rng_;
  const int kind_;
};

TEST(VectorCode, IsWhatXbyakEncodes) {
  Rng rng("vector code");
  int plain = 0;
  const int all = by_effort(20000, 100000, 1000000);
  for (int i = 0; i < all; ++i) {
    Operands operands(rng);
    const int which = static_cast<int>(rng.between(0, kInstructions - 1));
    const Xmm to = operands.reg(), a = operands.reg();
    operands.with_source([&](const Operand& b) {
      uint8_t bytes[64];
      Xbyak::CodeGenerator expected(sizeof bytes, bytes);
      Assembler as;
      emit(expected, which, to, a, b);
      emit(as, which, to, a, b);
      ASSERT_EQ(std::vector<uint8_t>(as.getCode(), as.getCurr()),
                std::vector<uint8_t>(expected.getCode(), expected.getCurr()))
          << "instruction " << which << ", registers " << to.toString() << ", " << a.toString();
      uint8_t own[kMaxVectorCode];
      plain += encode_vector({Prefix::kNone, OpMap::k0F, 0x58}, to, a.getIdx(), b, own) != 0;
    });
    if (HasFatalFailure()) FAIL() << "attempt " << i;
  }
  EXPECT_GT(plain, all / 3);
}

// Masks and broadcasts are left to Xbyak.
TEST(VectorCode, OtherOperandsAreNotPlain) {
  Assembler as;
  uint8_t to[kMaxVectorCode];
  const VectorOp op{Prefix::kNone, OpMap::k0F, 0x58};
  const Zmm v(1);
  EXPECT_EQ(encode_vector(op, v | as.k1, 2, v, to), 0);
  EXPECT_EQ(encode_vector(op, v, 2, as.ptr_b[as.rax], to), 0);
  EXPECT_EQ(encode_vector(op, v, 2, as.ptr[as.rax] | as.k1, to), 0);
  EXPECT_EQ(encode_vector(op, v, 2, as.ptr[as.eax], to), 0);
  EXPECT_EQ(encode_vector(op, v, 2, as.ptr[as.rip + 8], to), 0);
  EXPECT_EQ(encode_vector(op, v, 2, v | as.T_rn_sae, to), 0);
  EXPECT_EQ(encode_vector(op, Xmm(1), 2, Xmm(3), to), 0);
  EXPECT_EQ(encode_vector(op, Ymm(1), 16, Ymm(3), to), 0);
  EXPECT_GT(encode_vector(op, v, 2, as.ptr[as.rax], to), 0);
}

}  // namespace
}  // namespace oct::test
