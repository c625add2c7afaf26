// Machines that lie about AMX: the way to a lower instruction set, and the reason given.
#include "dispatch/amx_permission.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>

#include "dispatch/cpu.h"
#include "dispatch/select.h"
#include "tests/api_support.h"

namespace oct::test {
namespace {

int g_executions;

TileAccess access(int (*ask)(), bool runs) {
  g_executions = 0;
  if (runs) return {ask, [] { return ++g_executions > 0; }};
  return {ask, [] { return ++g_executions < 0; }};
}

TEST(AmxPermission, GrantedAndWorking) {
  EXPECT_EQ(why_no_tiles(access([] { return 0; }, true)), "");
  EXPECT_EQ(g_executions, 1);
}

TEST(AmxPermission, RefusedIsNotTried) {
  const std::string reason = why_no_tiles(access([] { return EPERM; }, true));
  EXPECT_NE(reason.find("refuses the use of AMX tiles: Operation not permitted"), reason.npos);
  EXPECT_EQ(g_executions, 0);
}

TEST(AmxPermission, GrantedButTrapping) {
  const std::string reason = why_no_tiles(access([] { return 0; }, false));
  EXPECT_NE(reason.find("AMX instructions trap"), reason.npos) << reason;
}

TEST(AmxPermission, UnknownRequestIsDecidedByExecution) {
  EXPECT_EQ(why_no_tiles(access([] { return EINVAL; }, true)), "");
  EXPECT_NE(why_no_tiles(access([] { return EINVAL; }, false)), "");
}

// On a host without AMX its instructions do trap.
TEST(AmxPermission, TrapsAreSurvivedAndLeaveNoHandler) {
  if (cpu_facts().runs[static_cast<size_t>(Isa::kAmx)]) GTEST_SKIP() << "this CPU has AMX";
  struct sigaction before, after;
  sigaction(SIGILL, nullptr, &before);
  sigset_t blocked, mask;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGILL);
  pthread_sigmask(SIG_BLOCK, &blocked, &mask);
  EXPECT_FALSE(system_tile_access().execute());
  sigset_t still;
  pthread_sigmask(SIG_SETMASK, &mask, &still);
  EXPECT_TRUE(sigismember(&still, SIGILL));
  sigaction(SIGILL, nullptr, &after);
  EXPECT_EQ(before.sa_sigaction, after.sa_sigaction);
}

// The whole way, on a CPU that lies: its CPUID claims AMX, and the system knows nothing of it.
TEST(AmxPermission, ACpuThatLiesIsUsedWithoutAmx) {
  CpuFacts facts = cpu_facts();
  const auto amx = static_cast<size_t>(Isa::kAmx);
  if (facts.runs[amx]) GTEST_SKIP() << "this CPU has AMX";
  if (!facts.runs[static_cast<size_t>(Isa::kAvx2)]) GTEST_SKIP() << facts.reason[1];
  facts.runs[amx] = true;
  facts.reason[amx].clear();

  const UsableIsas capped = usable_isas(facts, Isa::kAvx512Vnni);
  EXPECT_EQ(capped.reason[amx], "above the cap avx512vnni");
  const UsableIsas isas = usable_isas(facts, Isa::kNone);
  EXPECT_FALSE(isas[Isa::kAmx]);
  EXPECT_EQ(isas.reason[amx], why_no_tiles());
  EXPECT_NE(isas.reason[amx], "");

  const Context context(isas, 1);
  Rng rng("lying cpu");
  const QgemmProblem p = simple_problem(rng, 40, 64, 128);
  EXPECT_EQ(first_difference(p.run(context), p.expected(), p), "");
}

}  // namespace
}  // namespace oct::test
