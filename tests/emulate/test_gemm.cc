// A matrix product of several tiles, under the handler, in one thread and in several.
#include <gtest/gtest.h>
#include <xbyak/xbyak.h>

#include <memory>
#include <thread>
#include <vector>

#include "tests/emulate/traps.h"

namespace oct::emulate {
namespace {

// 32x32 of C: four tiles over all of K, in one run of adjacent instructions.
//   rdi: A, rows of K bytes   rsi: B, a panel [K/64][16][64] per 16 columns
//   rdx: C, 64 columns        rcx: the configuration
constexpr int kM = 64, kN = 64, kK = 256;

void emit_gemm_block(Function& f) {
  using namespace Xbyak;
  f.mov(f.r8, kK);
  f.mov(f.r9, kN * 4);
  f.mov(f.r10, 64);
  f.ldtilecfg(f.ptr[f.rcx]);
  for (int t = 0; t < 4; ++t) f.tilezero(Tmm(t));
  for (int k = 0; k < kK; k += 64) {
    f.tileloadd(Tmm(4), f.ptr[f.rdi + f.r8 + k]);
    f.tileloadd(Tmm(5), f.ptr[f.rdi + f.r8 + (k + 16 * kK)]);
    f.tileloaddt1(Tmm(6), f.ptr[f.rsi + f.r10 + k * 16]);
    f.tileloaddt1(Tmm(7), f.ptr[f.rsi + f.r10 + (k + kK) * 16]);
    for (int t = 0; t < 4; ++t) f.tdpbusd(Tmm(t), Tmm(4 + t / 2), Tmm(6 + t % 2));
  }
  for (int t = 0; t < 4; ++t)
    f.tilestored(f.ptr[f.rdx + f.r9 + (t / 2 * 16 * kN + t % 2 * 16) * 4], Tmm(t));
  f.tilerelease();
}

struct Gemm {
  explicit Gemm(test::Rng& rng) : a(kM * kK), b(kN * kK), c(kM * kN) {
    fill_extremes(rng, a.data(), a.size());
    fill_extremes(rng, b.data(), b.size());
  }

  void run(Function& block) {
    const TileConfig config = full_tiles();
    for (int m = 0; m < kM; m += 32)
      for (int n = 0; n < kN; n += 32)
        block(&a[static_cast<size_t>(m * kK)], &b[static_cast<size_t>(n * kK)],
              &c[static_cast<size_t>(m * kN + n)], &config);
  }

  int32_t expected(int m, int n) const {
    int32_t sum = 0;
    for (int k = 0; k < kK; ++k) {
      const int at = n / 16 * 16 * kK + k / 64 * 1024 + k % 64 / 4 * 64 + n % 16 * 4 + k % 4;
      sum += a[static_cast<size_t>(m * kK + k)] * static_cast<int8_t>(b[static_cast<size_t>(at)]);
    }
    return sum;
  }

  void check() const {
    for (int m = 0; m < kM; ++m)
      for (int n = 0; n < kN; ++n)
        ASSERT_EQ(c[static_cast<size_t>(m * kN + n)], expected(m, n))
            << "row " << m << ", column " << n << ", seed " << test::base_seed();
  }

  std::vector<uint8_t> a, b;
  std::vector<int32_t> c;
};

TEST_F(TileTraps, RunAGemm) {
  test::Rng rng("RunAGemm");
  Gemm gemm(rng);
  Function block(emit_gemm_block);
  gemm.run(block);
  gemm.check();
  if (host_has(Isa::kAmx)) GTEST_SKIP() << "the host has AMX: results are right, nothing trapped";

  const Counters seen = counters();
  constexpr uint64_t kBlocks = 4, kSteps = kK / 64;
  EXPECT_EQ(seen.traps, kBlocks);
  EXPECT_EQ(seen.tile_products(), kBlocks * kSteps * 4);
  EXPECT_EQ(seen.tile_loads(), kBlocks * kSteps * 4);
  EXPECT_EQ(seen.tile_stores(), kBlocks * 4);
  EXPECT_EQ(seen[Mnemonic::kTileloaddt1], kBlocks * kSteps * 2);
  EXPECT_EQ(seen[Mnemonic::kTilezero], kBlocks * 4);
  EXPECT_EQ(seen[Mnemonic::kLdtilecfg], kBlocks);
  EXPECT_EQ(seen[Mnemonic::kTilerelease], kBlocks);
  EXPECT_EQ(seen.total(), kBlocks * (kSteps * 8 + 10));
  EXPECT_EQ(threads_with_tiles(), 0);
  reset_counters();
  EXPECT_EQ(counters().total() + counters().traps, 0u);
}

// Each thread has tiles of its own, whether or not it has a signal stack of its own.
TEST_F(TileTraps, KeepThreadsApart) {
  Function block(emit_gemm_block);
  std::vector<std::unique_ptr<Gemm>> gemms;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    test::Rng rng("KeepThreadsApart", t);
    gemms.push_back(std::make_unique<Gemm>(rng));
  }
  for (size_t t = 0; t < gemms.size(); ++t)
    threads.emplace_back([&, t] {
      if (t % 2 == 0) install_thread();
      for (int i = 0; i < 3; ++i) gemms[t]->run(block);
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& gemm : gemms) gemm->check();
  const uint64_t emulated = host_has(Isa::kAmx) ? 0 : 4 * 3 * 64;
  EXPECT_EQ(counters().tile_products(), emulated);
}

}  // namespace
}  // namespace oct::emulate
