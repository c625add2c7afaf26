// Small functions run under the handler.
#include <gtest/gtest.h>
#include <xbyak/xbyak.h>

#include <cstring>
#include <thread>

#include "tests/emulate/traps.h"

namespace oct::emulate {
namespace {

using Xbyak::Reg64;

TEST_F(Traps, AreCoveredByIsa) {
  EXPECT_TRUE(active());
  EXPECT_TRUE(covers(Isa::kAmx));
  EXPECT_EQ(covers(Isa::kAvxVnni), covers(Isa::kAvxVnniInt8));
  for (const Isa isa : {Isa::kNone, Isa::kAvx2, Isa::kAvx512bw, Isa::kAvx512Vnni})
    EXPECT_FALSE(covers(isa));
}

TEST_F(TileTraps, CountThreadsThatKeepTheirTiles) {
  if (host_has(Isa::kAmx)) GTEST_SKIP() << "the host has AMX";
  Function configure([](Function& f) { f.ldtilecfg(f.ptr[f.rdi]); });
  Function release([](Function& f) { f.tilerelease(); });
  const TileConfig config = full_tiles();
  std::thread([&] {
    configure(&config);
    configure(&config);
    EXPECT_EQ(threads_with_tiles(), 1);
    release();
    release();
    EXPECT_EQ(threads_with_tiles(), 0);
  }).join();
}

TEST_F(TileTraps, StoreTheConfiguration) {
  Function store([](Function& f) {
    f.ldtilecfg(f.ptr[f.rdi]);
    f.sttilecfg(f.ptr[f.rdx]);
    f.tilerelease();
    f.sttilecfg(f.ptr[f.rdx + 64]);
  });
  TileConfig config = full_tiles(), stored[2];
  config.rows[2] = 3;
  std::memset(stored, 0xee, sizeof stored);
  store(&config, nullptr, stored);
  const TileConfig zero{};
  EXPECT_EQ(std::memcmp(&stored[0], &config, sizeof config), 0);
  EXPECT_EQ(std::memcmp(&stored[1], &zero, sizeof zero), 0);
}

// A run ends at an instruction that the host has, and goes on behind the next trap.
TEST_F(TileTraps, EndARunAtOtherInstructions) {
  if (host_has(Isa::kAmx)) GTEST_SKIP() << "the host has AMX";
  Function interrupted([](Function& f) {
    f.ldtilecfg(f.ptr[f.rdi]);
    f.tilezero(Xbyak::Tmm(0));
    f.nop();
    f.tilezero(Xbyak::Tmm(1));
    f.tilezero(Xbyak::Tmm(2));
    f.mov(f.rax, f.rdi);
    f.tilerelease();
  });
  const TileConfig config = full_tiles();
  interrupted(&config);
  EXPECT_EQ(counters().traps, 3u);
  EXPECT_EQ(counters().total(), 5u);
}

TEST_F(TileTraps, LeaveRegistersAndFlagsAlone) {
  uint64_t before[16], after[16] = {};
  test::Rng rng("LeaveRegistersAndFlagsAlone");
  rng.fill_bytes(before, sizeof before);
  // All but rsp, and rdi, which holds the address of `before` and then of `after`.
  const int kChecked[] = {0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  const int kCalleeSaved[] = {3, 5, 12, 13, 14, 15};
  Function f([&](Function& f) {
    for (const int r : kCalleeSaved) f.push(Reg64(r));
    f.push(f.rdx);
    for (const int r : kChecked) f.mov(Reg64(r), f.ptr[f.rdi + 8 * r]);
    f.stc();
    f.tilerelease();
    f.pop(f.rdi);
    f.setc(f.byte[f.rdi + 8 * 4]);
    for (const int r : kChecked) f.mov(f.ptr[f.rdi + 8 * r], Reg64(r));
    for (int i = 5; i >= 0; --i) f.pop(Reg64(kCalleeSaved[i]));
  });
  f(before, nullptr, after);
  for (const int r : kChecked) EXPECT_EQ(after[r], before[r]) << "register " << r;
  EXPECT_EQ(after[4], 1u) << "carry";
}

// Both emulated ISAs, every width, operands from registers and from memory at rip.
TEST_F(VectorTraps, RunWithXbyaksEncodings) {
  test::Rng rng("RunWithXbyaksEncodings");
  uint8_t a[32], b[32];
  int32_t c[4][8];
  fill_extremes(rng, a, sizeof a);
  fill_extremes(rng, b, sizeof b);
  Function f([&](Function& f) {
    Xbyak::Label constant;
    f.vmovdqu(f.ymm9, f.ptr[f.rdi]);
    f.vmovdqu(f.ymm10, f.ptr[f.rsi]);
    for (const int acc : {1, 2, 11, 12}) f.vpxor(Xbyak::Ymm(acc), Xbyak::Ymm(acc), Xbyak::Ymm(acc));
    f.vpdpbusd(f.ymm1, f.ymm9, f.ymm10, Xbyak::VexEncoding);
    f.vpdpbusds(f.ymm2, f.ymm9, f.ptr[f.rip + constant], Xbyak::VexEncoding);
    f.vpdpbssd(f.ymm11, f.ymm9, f.ptr[f.rsi]);
    f.vpdpbuuds(f.xmm12, f.xmm9, f.xmm10);
    f.vmovdqu(f.ptr[f.rdx], f.ymm1);
    f.vmovdqu(f.ptr[f.rdx + 32], f.ymm2);
    f.vmovdqu(f.ptr[f.rdx + 64], f.ymm11);
    f.vmovdqu(f.ptr[f.rdx + 96], f.ymm12);
    f.vzeroupper();
    f.ret();
    f.L(constant);
    f.db(b, sizeof b);
  });
  f(a, b, c);
  for (int i = 0; i < 8; ++i) {
    int32_t us = 0, ss = 0, uu = 0;
    for (int j = 4 * i; j < 4 * i + 4; ++j) {
      us += a[j] * static_cast<int8_t>(b[j]);
      ss += static_cast<int8_t>(a[j]) * static_cast<int8_t>(b[j]);
      uu += a[j] * b[j];
    }
    EXPECT_EQ(c[0][i], us);
    EXPECT_EQ(c[1][i], us);
    EXPECT_EQ(c[2][i], ss);
    EXPECT_EQ(c[3][i], i < 4 ? uu : 0);
  }
  if (!host_has(Isa::kAvxVnni) && !host_has(Isa::kAvxVnniInt8)) {
    EXPECT_EQ(counters().total(), 4u);
    EXPECT_EQ(counters().traps, 2u);  // adjacent, but of two ISAs
  }
}

TEST_F(VectorTraps, ClearTheRegisterAboveTheResult) {
  if (!__builtin_cpu_supports("avx512f")) GTEST_SKIP() << "the host has no AVX-512";
  Zmm ones, stored[2];
  ones.fill(1);
  Function f([](Function& f) {
    f.vmovdqu32(f.zmm3, f.ptr[f.rdi]);
    f.vmovdqu32(f.zmm14, f.ptr[f.rdi]);
    f.vpdpbusd(f.ymm3, f.ymm14, f.ymm14, Xbyak::VexEncoding);
    f.vpdpbusd(f.xmm14, f.xmm14, f.xmm14, Xbyak::VexEncoding);
    f.vmovdqu32(f.ptr[f.rdx], f.zmm3);
    f.vmovdqu32(f.ptr[f.rdx + 64], f.zmm14);
    f.vzeroupper();
  });
  f(ones.data(), nullptr, stored);
  for (size_t i = 0; i < 64; ++i) {
    const uint8_t sum = i % 4 == 0 ? 5 : 1;
    EXPECT_EQ(stored[0][i], i < 32 ? sum : 0) << i;
    EXPECT_EQ(stored[1][i], i < 16 ? sum : 0) << i;
  }
}

// The frame marks registers that were never used, or cleared, as in their initial state.
TEST_F(VectorTraps, StartFromClearedRegisters) {
  uint8_t bytes[32], stored[64];
  std::memset(bytes, 2, sizeof bytes);
  std::memset(stored, 0xee, sizeof stored);
  Function f([](Function& f) {
    f.vzeroall();
    f.vpdpbusd(f.ymm0, f.ymm1, f.ptr[f.rdi], Xbyak::VexEncoding);
    f.vmovdqu(f.ptr[f.rdx], f.ymm0);
    f.vmovdqu(f.ptr[f.rdx + 32], f.ymm2);
    f.vzeroupper();
  });
  f(bytes, nullptr, stored);
  for (const uint8_t byte : stored) EXPECT_EQ(byte, 0);
}

}  // namespace
}  // namespace oct::emulate
