// Faults end the process, as they would without the emulator; and it says why.
#include <gtest/gtest.h>
#include <signal.h>
#include <xbyak/xbyak.h>

#include "tests/emulate/traps.h"
#include "tests/guard_buffer.h"

namespace oct::emulate {
namespace {

using TileFaultsDeathTest = TileTraps;
using TrapsDeathTest = Traps;

#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#else
constexpr bool kThreadSanitizer = false;
#endif

TEST_F(TileFaultsDeathTest, SayWhatIsWrong) {
  if (host_has(Isa::kAmx)) GTEST_SKIP() << "the host has AMX";
  TileConfig config = full_tiles();
  Function configure([](Function& f) { f.ldtilecfg(f.ptr[f.rdi]); });
  Function multiply([](Function& f) {
    f.ldtilecfg(f.ptr[f.rdi]);
    f.tdpbuud(Xbyak::Tmm(3), Xbyak::Tmm(4), Xbyak::Tmm(5));
  });
  Function after_release([](Function& f) {
    f.ldtilecfg(f.ptr[f.rdi]);
    f.tilerelease();
    f.tdpbuud(Xbyak::Tmm(3), Xbyak::Tmm(4), Xbyak::Tmm(5));
  });
  const testing::KilledBySignal by_sigill(SIGILL);
  EXPECT_EXIT(after_release(&config), by_sigill, "no tile configuration is loaded");
  config.rows[4] = 15;
  EXPECT_EXIT(multiply(&config), by_sigill,
              "rows of C and of A differ: 16, 15\n"
              "  tdpbuud tmm3, tmm4, tmm5, at rip 0x.*, bytes c4 e2 50 5e dc\n"
              "  tiles of this thread, rows x bytes: 16x64 .* 15x64");
  config.rows[4] = 17;
  EXPECT_EXIT(configure(&config), by_sigill, "more than 16 rows: tile, rows: 4, 17");
}

TEST_F(TileFaultsDeathTest, FaultAtTheAddressOfABadTile) {
  if (host_has(Isa::kAmx)) GTEST_SKIP() << "the host has AMX";
  const TileConfig config = full_tiles();
  Function load([](Function& f) {
    f.mov(f.rax, 64);
    f.ldtilecfg(f.ptr[f.rdi]);
    f.tileloadd(Xbyak::Tmm(0), f.ptr[f.rsi + f.rax]);
    f.tilerelease();
  });
  test::GuardBuffer buffer("activations", 1024);
  load(&config, buffer.right(1024));
  // ThreadSanitizer blocks all signals in handlers: the fault then ends the process unheard.
  if (kThreadSanitizer) GTEST_SKIP();
  EXPECT_EXIT(load(&config, buffer.right(1023)), testing::KilledBySignal(SIGSEGV),
              "fault in the guard of activations: 1 byte\\(s\\) after row 0");
}

TEST_F(TrapsDeathTest, PassOnWhatIsNotTheirs) {
  test::set_fault_note("the note of the handler before");
  const testing::KilledBySignal by_sigill(SIGILL);
  Function undefined([](Function& f) { f.ud2(); });
  EXPECT_EXIT(undefined(), by_sigill,
              "not an instruction the emulator knows\n  at rip 0x.*, bytes 0f 0b c3.*\n"
              "(.|\n)*signal 4 while running the note of the handler before");
  EXPECT_EXIT(raise(SIGILL), by_sigill, "signal 4 while running the note");
}

}  // namespace
}  // namespace oct::emulate
