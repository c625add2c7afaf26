// The handler of SIGILL, and its installation.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <atomic>
#include <cstdlib>
#include <mutex>

#include "tests/emulate/emulate.h"
#include "tests/emulate/execute.h"
#include "tests/emulate/guest_memory.h"
#include "tests/emulate/report.h"

namespace oct::emulate {

namespace {

struct sigaction g_previous;
uint64_t g_frame_features;
std::atomic<bool> g_active;

// How mcontext_t orders what encodings number 0 to 15.
constexpr int kGregs[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                            REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

// The kernel describes the XSAVE area in bytes of the FXSAVE image that the CPU leaves alone.
constexpr size_t kSoftwareBytes = 464;
constexpr uint32_t kXsaveMagic = 0x46505853;
struct FrameDescription {
  uint32_t magic, size;
  uint64_t features;
};

FrameDescription describe_frame(const mcontext_t& machine) {
  FrameDescription description{};
  if (machine.fpregs)
    copy_bytes(&description, reinterpret_cast<const uint8_t*>(machine.fpregs) + kSoftwareBytes,
               sizeof description);
  if (description.magic != kXsaveMagic) return {};
  return description;
}

RegisterState interrupted_registers(const mcontext_t& machine) {
  RegisterState state;
  for (size_t i = 0; i < state.gpr.size(); ++i)
    state.gpr[i] = static_cast<uint64_t>(machine.gregs[kGregs[i]]);
  state.rip = static_cast<uint64_t>(machine.gregs[REG_RIP]);
  state.vectors = VectorState(machine.fpregs, describe_frame(machine).features);
  return state;
}

// Restores what handled SIGILL before. The instruction then traps again, into a handler that may
// know more (which test was running), or to end the process with registers as they were.
void resign(const siginfo_t& info) {
  sigaction(SIGILL, &g_previous, nullptr);
  const bool sent_by_a_process = info.si_code <= 0;
  if (sent_by_a_process) raise(SIGILL);
}

// Handlers align the stack themselves: QEMU 7 enters them with one that is not aligned.
[[gnu::force_align_arg_pointer]] void on_sigill(int, siginfo_t* info, void* context) {
  if (info->si_code <= 0) return resign(*info);
  mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  RegisterState state = interrupted_registers(machine);
  if (Fault fault = execute_run(state); !fault.none()) {
    report_fault(fault, state.rip);
    return resign(*info);
  }
  count_trap();
  machine.gregs[REG_RIP] = static_cast<greg_t>(state.rip);
}

[[gnu::force_align_arg_pointer]] void on_probe(int, siginfo_t*, void* context) {
  g_frame_features = describe_frame(static_cast<ucontext_t*>(context)->uc_mcontext).features;
}

// Not deferred: a trap while SIGILL is blocked ends the process without a word.
void handle_sigill(void (*handler)(int, siginfo_t*, void*), struct sigaction* previous) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  if (sigaction(SIGILL, &action, previous) != 0) abort();
}

// A frame with AMX state takes 11 KiB; sanitizers make the handler's own frames large.
class SignalStack {
 public:
  SignalStack() {
    memory_ =
        mmap(nullptr, kGuard + kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED || mprotect(memory_, kGuard, PROT_NONE) != 0) abort();
    stack_t stack = {};
    stack.ss_sp = static_cast<uint8_t*>(memory_) + kGuard;
    stack.ss_size = kSize;
    if (sigaltstack(&stack, &previous_) != 0) abort();
  }
  ~SignalStack() {
    sigaltstack(&previous_, nullptr);
    munmap(memory_, kGuard + kSize);
  }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  static constexpr size_t kGuard = 4096, kSize = 64 * 1024;

  void* memory_;
  stack_t previous_;
};

}  // namespace

void install_thread() { static thread_local SignalStack stack; }

void install() {
  static std::once_flag once;
  std::call_once(once, [] {
    // A signal sent to oneself shows what frames look like.
    handle_sigill(on_probe, &g_previous);
    raise(SIGILL);
    handle_sigill(on_sigill, nullptr);
    g_active = true;
  });
  install_thread();
}

bool active() { return g_active; }

bool covers(Isa isa) {
  if (!g_active) return false;
  switch (isa) {
    case Isa::kAmx: return true;
    case Isa::kAvxVnni:
    case Isa::kAvxVnniInt8: return VectorState(nullptr, g_frame_features).has_ymm();
    default: return false;
  }
}

}  // namespace oct::emulate
