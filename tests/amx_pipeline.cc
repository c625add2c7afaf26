#include "tests/amx_pipeline.h"

#include <signal.h>
#include <ucontext.h>
#include <xbyak/xbyak.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "tests/emulate/instruction.h"

namespace oct::test {
namespace {

using emulate::Mnemonic;

// ---- recording ----

constexpr size_t kMostSteps = 1 << 20;

struct Recording {
  uint64_t begin, end;  // the code of interest
  std::vector<uint64_t> rips;
};
Recording* g_recording;

// After each instruction; no allocation here.
[[gnu::force_align_arg_pointer]] void on_step(int, siginfo_t*, void* context) {
  const auto rip =
      static_cast<uint64_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
  Recording& r = *g_recording;
  if (rip >= r.begin && rip < r.end && r.rips.size() < r.rips.capacity()) r.rips.push_back(rip);
}

// void call(const GemmArgs*, GemmFn): with the trap flag set around the call.
class SteppedCall : public Xbyak::CodeGenerator {
 public:
  SteppedCall() {
    constexpr int kTrapFlag = 0x100;
    sub(rsp, 8);
    pushfq();
    or_(qword[rsp], kTrapFlag);
    popfq();
    call(rsi);
    pushfq();
    and_(qword[rsp], ~kTrapFlag);
    popfq();
    add(rsp, 8);
    ret();
  }
};

std::vector<uint64_t> record(const Code& code, GemmFn entry, const GemmArgs& args) {
  Recording recording{reinterpret_cast<uint64_t>(code.entry(0)), 0, {}};
  recording.end = recording.begin + code.size();
  recording.rips.reserve(kMostSteps);
  g_recording = &recording;
  struct sigaction action = {}, previous;
  action.sa_sigaction = on_step;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGTRAP, &action, &previous) != 0) abort();
  static SteppedCall stepped;
  stepped.getCode<void (*)(const GemmArgs*, GemmFn)>()(&args, entry);
  sigaction(SIGTRAP, &previous, nullptr);
  return std::move(recording.rips);
}

bool decode_tile(uint64_t rip, emulate::Instruction& in) {
  return emulate::decode(rip, in).none() && in.row().isa == Isa::kAmx;
}

// A trap performs a run of adjacent tile instructions and the step after it the next one: what was
// skipped is found again behind each tile instruction.
std::vector<uint64_t> with_skipped(const std::vector<uint64_t>& rips) {
  std::vector<uint64_t> all;
  for (size_t i = 0; i < rips.size(); ++i) {
    uint64_t at = rips[i];
    all.push_back(at);
    emulate::Instruction in;
    if (!decode_tile(at, in)) continue;
    while (decode_tile(at, in)) {
      at += static_cast<uint64_t>(in.length);
      if (i + 1 < rips.size() && rips[i + 1] == at) break;
      all.push_back(at);
    }
  }
  return all;
}

// ---- the model ----

// A kind of ports, in slots of half a cycle: work takes the first free ones from when it is ready,
// so that what has to wait leaves room for younger work.
class Ports {
 public:
  // The end of `slots` slots taken from cycle `ready` on.
  double take(double ready, int slots) {
    auto at = static_cast<size_t>(2 * ready + 0.999);
    for (; slots > 0; ++at) {
      if (at >= busy_.size()) busy_.resize(2 * at + 64);
      if (busy_[at]) continue;
      busy_[at] = true;
      --slots;
    }
    return static_cast<double>(at) / 2;
  }

 private:
  std::vector<bool> busy_;
};

enum class Kind { kScalar, kVector, kLoad, kVectorLoad, kStore };

// Of an instruction that is not a tile's: what of VEX, EVEX and the few scalar ones the kernels use
// matters here.
Kind kind_of(uint64_t rip) {
  const auto* p = reinterpret_cast<const uint8_t*>(rip);
  const bool evex = p[0] == 0x62, vex3 = p[0] == 0xc4, vex2 = p[0] == 0xc5;
  if (!evex && !vex3 && !vex2) {
    const uint8_t* op = p + ((p[0] & 0xf0) == 0x40);
    constexpr uint8_t kReads[] = {0x03, 0x3b, 0x69, 0x8b};
    const bool reads = std::find(std::begin(kReads), std::end(kReads), *op) != std::end(kReads);
    return reads && op[1] >> 6 != 3 ? Kind::kLoad : Kind::kScalar;
  }
  const uint8_t* op = p + (evex ? 4 : vex3 ? 3 : 2);
  if (op[1] >> 6 == 3) return Kind::kVector;
  switch (*op) {
    case 0x11:
    case 0x7f: return Kind::kStore;
    case 0x10:
    case 0x6f: return Kind::kLoad;
    default: return Kind::kVectorLoad;
  }
}

class Core {
 public:
  void run(uint64_t rip) {
    enter();
    emulate::Instruction in;
    if (decode_tile(rip, in)) return tile(in);
    switch (kind_of(rip)) {
      case Kind::kScalar: return leave(entered_ + 1);
      case Kind::kLoad: return leave(loads_.take(with_sums(), 1) + 5);
      case Kind::kStore: return leave(stores_.take(with_sums() + kRowChain, 2));
      case Kind::kVectorLoad: loads_.take(entered_, 1); [[fallthrough]];
      case Kind::kVector:
        ++result_.vector_operations;
        return leave(vectors_.take(with_sums(), 1) + 4);
    }
  }

  Pipeline result() const {
    Pipeline r = result_;
    r.cycles = left_;
    return r;
  }

 private:
  static constexpr size_t kWindow = 512;
  static constexpr double kWidth = 6, kRetired = 8;
  static constexpr double kRowChain = 30;  // latency from a row's sums to its bytes
  static constexpr double kForward = 5;    // from a store to a load of the same bytes

  double with_sums() const { return std::max(entered_, sums_ready_); }

  void enter() {
    const size_t slot = static_cast<size_t>(result_.instructions++) % kWindow;
    entered_ = std::max(entered_ + 1 / kWidth, window_[slot]);
    slot_ = slot;
  }
  void leave(double done) {
    left_ = std::max(left_ + 1 / kRetired, done);
    window_[slot_] = left_;
  }

  void tile(const emulate::Instruction& in) {
    const auto tile = static_cast<size_t>(in.reg);
    switch (in.mnemonic) {
      case Mnemonic::kTileloadd:
      case Mnemonic::kTileloaddt1:
        ++result_.tile_loads;
        ready_[tile] = loads_.take(entered_, 2 * 8) + 45 - 8;
        return leave(ready_[tile]);
      case Mnemonic::kTilestored:
        ++result_.tile_stores;
        sums_ready_ = stores_.take(std::max(entered_, ready_[tile]), 2 * 16) + kForward;
        return leave(sums_ready_);
      default: break;
    }
    ++result_.products;
    const double operands = std::max({entered_, ready_[tile], ready_[static_cast<size_t>(in.rm)],
                                      ready_[static_cast<size_t>(in.vvvv)]});
    ready_[tile] = product_unit_.take(operands, 2 * 16) + 52 - 16;
    leave(ready_[tile]);
  }

  Pipeline result_;
  std::array<double, kWindow> window_{};  // when the instruction that held the slot left
  std::array<double, kTileCount> ready_{};
  size_t slot_ = 0;
  double entered_ = 0, left_ = 0, sums_ready_ = 0;
  Ports loads_, stores_, vectors_, product_unit_;
};

}  // namespace

Pipeline predict(const GemmCode& code, GemmFn entry, const GemmArgs& args) {
  Core core;
  for (uint64_t rip : with_skipped(record(*code.code, entry, args))) core.run(rip);
  return core.result();
}

}  // namespace oct::test
