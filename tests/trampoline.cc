#include "tests/trampoline.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "dispatch/cpu.h"

namespace oct::test {

namespace {

constexpr uint64_t kSavedRegisters = 6, kFrameWords = 8, kVectors = 16;

// Shared with trampoline.S, which knows the offsets.
struct CallRecord {
  CheckedFn fn;
  const void* argument;
  uint64_t vector_bytes;  // 32 or 64
  uint64_t registers[kSavedRegisters];
  uint64_t rsp_moved;
  uint64_t rflags;
  uint32_t mxcsr_before, mxcsr_after;
  uint64_t frame[kFrameWords];
  uint8_t vectors[kVectors][64];
};
static_assert(offsetof(CallRecord, registers) == 24);
static_assert(offsetof(CallRecord, rsp_moved) == 72);
static_assert(offsetof(CallRecord, mxcsr_before) == 88);
static_assert(offsetof(CallRecord, frame) == 96);
static_assert(offsetof(CallRecord, vectors) == 160);

extern "C" void oct_test_checked_call(CallRecord* record);
extern "C" const uint64_t oct_test_sentinel;

}  // namespace

std::string checked_call(CheckedFn fn, const void* argument) {
  CallRecord r = {};
  r.fn = fn;
  r.argument = argument;
  const bool zmm = cpu_facts().runs[static_cast<int>(Isa::kAvx512bw)];
  r.vector_bytes = zmm ? 64 : 32;
  oct_test_checked_call(&r);

  std::string broken;
  const auto report = [&](const std::string& what) {
    broken += broken.empty() ? what : "; " + what;
  };
  constexpr const char* kNames[kSavedRegisters] = {"rbx", "rbp", "r12", "r13", "r14", "r15"};
  for (uint64_t i = 0; i < kSavedRegisters; ++i)
    if (r.registers[i] != oct_test_sentinel + i) report(std::string(kNames[i]) + " changed");
  if (r.rsp_moved) report("rsp moved by " + std::to_string(static_cast<int64_t>(r.rsp_moved)));
  for (uint64_t i = 0; i < kFrameWords; ++i)
    if (r.frame[i] != oct_test_sentinel) {
      report("the caller's stack frame was written");
      break;
    }
  if (r.rflags & 0x400) report("the direction flag is set");
  constexpr uint32_t kControlBits = 0xffc0;
  if ((r.mxcsr_before ^ r.mxcsr_after) & kControlBits) {
    char text[64];
    snprintf(text, sizeof text, "MXCSR control bits changed from %04x to %04x",
             r.mxcsr_before & kControlBits, r.mxcsr_after & kControlBits);
    report(text);
  }
  for (uint64_t i = 0; i < kVectors; ++i) {
    uint8_t any = 0;
    for (uint64_t j = 16; j < r.vector_bytes; ++j) any |= r.vectors[i][j];
    if (any) {
      report("vzeroupper is missing: the upper part of vector " + std::to_string(i) +
             " is not zero");
      break;
    }
  }
  return broken;
}

}  // namespace oct::test
