#include "dispatch/amx_permission.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "jit/tiles.h"

namespace oct {
namespace {

int ask_for_tile_data() {
  constexpr int kRequestPermission = 0x1023,
                kTileData = 18;  // asm/prctl.h, newer than some systems
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0 ? 0 : errno;
}

// One instruction of each kind that the kernels use.
void use_tiles() {
  TileConfig config;
  for (int t = 0; t < 3; ++t) config.set(t, kTileRows, kTileRowBytes);
  alignas(64) static uint8_t memory[kTileBytes];  // zeros, and stays so
  load_tile_config(config);
  asm volatile(
      "tileloadd (%0,%1,1), %%tmm0\n\t"
      "tileloadd (%0,%1,1), %%tmm1\n\t"
      "tileloadd (%0,%1,1), %%tmm2\n\t"
      "tdpbusd %%tmm2, %%tmm1, %%tmm0\n\t"
      "tdpbssd %%tmm2, %%tmm1, %%tmm0\n\t"
      "tilestored %%tmm0, (%0,%1,1)"
      :
      : "r"(memory), "r"(int64_t{kTileRowBytes})
      : "memory");
  release_tiles();
}

// Initial-exec: the handler must not allocate.
thread_local sigjmp_buf* t_escape __attribute__((tls_model("initial-exec"))) = nullptr;
struct sigaction g_previous;

// A SIGILL of another thread goes to whoever handled it before: the instruction traps again.
void on_sigill(int, siginfo_t*, void*) {
  if (t_escape) siglongjmp(*t_escape, 1);
  sigaction(SIGILL, &g_previous, nullptr);
}

class UnblockedSigill {
 public:
  UnblockedSigill() {
    sigset_t sigill;
    sigemptyset(&sigill);
    sigaddset(&sigill, SIGILL);
    pthread_sigmask(SIG_UNBLOCK, &sigill, &previous_);
  }
  ~UnblockedSigill() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

 private:
  sigset_t previous_;
};

bool survives_tiles() {
  const UnblockedSigill unblocked;  // a trap while SIGILL is blocked would end the process
  struct sigaction action = {};
  action.sa_sigaction = on_sigill;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  if (sigaction(SIGILL, &action, &g_previous) != 0) return false;
  sigjmp_buf escape;
  const bool trapped = sigsetjmp(escape, 1) != 0;
  if (!trapped) {
    t_escape = &escape;
    use_tiles();
  }
  t_escape = nullptr;
  sigaction(SIGILL, &g_previous, nullptr);
  return !trapped;
}

}  // namespace

TileAccess system_tile_access() { return {ask_for_tile_data, survives_tiles}; }

// EINVAL comes from kernels that know no permission: those that let everybody use tiles, and those
// that do not know tiles at all. Execution tells which.
std::string why_no_tiles(const TileAccess& access) {
  const int error = access.ask();
  if (error != 0 && error != EINVAL)
    return std::string("the system refuses the use of AMX tiles: ") + std::strerror(error);
  if (!access.execute()) return "AMX instructions trap, though the CPU claims to have them";
  return "";
}

const std::string& why_no_tiles() {
  static const std::string reason = why_no_tiles(system_tile_access());
  return reason;
}

}  // namespace oct
