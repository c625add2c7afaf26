#include "tests/emulate/machine.h"

#include <cpuid.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

namespace oct::emulate {

namespace {

struct Cpuid {
  Cpuid(unsigned leaf, unsigned subleaf) { __get_cpuid_count(leaf, subleaf, &a, &b, &c, &d); }
  unsigned a = 0, b = 0, c = 0, d = 0;
};

uint64_t xcr0() {
  if (!(Cpuid(1, 0).c >> 27 & 1)) return 0;  // OSXSAVE
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

constexpr size_t kXstateBv = 512, kAreaBytes = 4096;

// Where the upper halves lie: 0 if the host has none.
const size_t kYmmOffset = Cpuid(0xd, 2).b, kZmmOffset = Cpuid(0xd, 6).b;

const uint64_t kFeatures =
    Machine::kSse | (kYmmOffset ? Machine::kAvx : 0) | (kZmmOffset ? Machine::kZmmHi256 : 0);

}  // namespace

bool host_has(Isa isa) {
  constexpr uint64_t kTileState = 3 << 17;
  switch (isa) {
    case Isa::kAvxVnni: return Cpuid(7, 1).a >> 4 & 1;
    case Isa::kAvxVnniInt8: return Cpuid(7, 1).d >> 4 & 1;
    case Isa::kAmx: return (Cpuid(7, 0).d >> 24 & 3) == 3 && (xcr0() & kTileState) == kTileState;
    default: return false;
  }
}

bool may_use_tiles() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return !host_has(Isa::kAmx) || syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

Machine::Machine() : area_(kAreaBytes) {
  state.vectors = VectorState(area_.data(), kFeatures);
  set_xstate_bv(kFeatures);
}

Machine::Machine(test::Rng& rng) : Machine() {
  rng.fill_bytes(state.gpr.data(), sizeof state.gpr);
  for (int r = 0; r < 16; ++r) {
    Zmm value;
    fill_extremes(rng, value.data(), value.size());
    set_zmm(r, value);
  }
}

void Machine::set_zmm(int reg, const Zmm& value) {
  const auto r = static_cast<size_t>(reg);
  std::memcpy(&area_[160 + 16 * r], value.data(), 16);
  if (kYmmOffset) std::memcpy(&area_[kYmmOffset + 16 * r], value.data() + 16, 16);
  if (kZmmOffset) std::memcpy(&area_[kZmmOffset + 32 * r], value.data() + 32, 32);
}

Zmm Machine::zmm(int reg) const {
  const auto r = static_cast<size_t>(reg);
  const uint64_t held = xstate_bv() & kFeatures;
  Zmm value{};
  if (held & kSse) std::memcpy(value.data(), &area_[160 + 16 * r], 16);
  if (held & kAvx) std::memcpy(value.data() + 16, &area_[kYmmOffset + 16 * r], 16);
  if (held & kZmmHi256) std::memcpy(value.data() + 32, &area_[kZmmOffset + 32 * r], 32);
  return value;
}

uint64_t Machine::xstate_bv() const {
  uint64_t bits;
  std::memcpy(&bits, &area_[kXstateBv], sizeof bits);
  return bits;
}

void Machine::set_xstate_bv(uint64_t bits) { std::memcpy(&area_[kXstateBv], &bits, sizeof bits); }

Fault Machine::run(std::span<const uint8_t> code) {
  const auto start = reinterpret_cast<uint64_t>(code.data());
  state.rip = start;
  const Fault fault = step(state);
  EXPECT_EQ(state.rip, fault.none() ? start + code.size() : start);
  return fault;
}

void fill_extremes(test::Rng& rng, void* to, size_t size) {
  constexpr uint8_t kExtremes[] = {0, 1, 127, 128, 129, 254, 255};
  auto* bytes = static_cast<uint8_t*>(to);
  rng.fill_bytes(bytes, size);
  for (size_t i = 0; i < size; ++i)
    if (rng.one_in(2)) bytes[i] = rng.pick(kExtremes);
}

}  // namespace oct::emulate
