#include "tests/emulate/registers.h"

#include <cpuid.h>

#include <cassert>

#include "tests/emulate/guest_memory.h"

namespace oct::emulate {

namespace {

constexpr size_t kXstateBv = 512;
constexpr size_t kRegisters = 16;  // a VEX prefix reaches no others

// Where a component lies in an area, and the bytes of it that belong to one register.
struct Part {
  size_t offset, stride;
};

Part part(int component, size_t stride) {
  unsigned eax = 0, offset = 0, ecx = 0, edx = 0;
  __get_cpuid_count(0xd, static_cast<unsigned>(component), &eax, &offset, &ecx, &edx);
  return {offset, stride};
}

// Set before main: CPUID is slow under a hypervisor, and a signal handler may not wait for the
// guard of a local static.
const Part kXmmPart{160, 16}, kYmmPart = part(2, 16), kZmmPart = part(6, 32);

constexpr uint8_t kZeros[kRegisters * 32] = {};

}  // namespace

uint64_t VectorState::xstate_bv() const {
  uint64_t bits;
  copy_bytes(&bits, area_ + kXstateBv, sizeof bits);
  return bits;
}

bool VectorState::holds(Component component) const {
  return (xstate_bv() & features_) >> component & 1;
}

// A component that was in its initial state is all zero once the area says that it holds it.
void VectorState::make_hold(Component component) {
  if (holds(component)) return;
  const Part& where = component == kSse ? kXmmPart : kYmmPart;
  copy_bytes(area_ + where.offset, kZeros, where.stride * kRegisters);
  const uint64_t bits = xstate_bv() | uint64_t{1} << component;
  copy_bytes(area_ + kXstateBv, &bits, sizeof bits);
}

Vector VectorState::read(int reg) const {
  assert(has_ymm());
  Vector value{};
  const auto r = static_cast<size_t>(reg);
  if (holds(kSse)) copy_bytes(value.data(), area_ + kXmmPart.offset + r * kXmmPart.stride, 16);
  if (holds(kAvx)) copy_bytes(value.data() + 16, area_ + kYmmPart.offset + r * kYmmPart.stride, 16);
  return value;
}

void VectorState::write(int reg, const Vector& value) {
  assert(has_ymm());
  const auto r = static_cast<size_t>(reg);
  make_hold(kSse);
  make_hold(kAvx);
  copy_bytes(area_ + kXmmPart.offset + r * kXmmPart.stride, value.data(), 16);
  copy_bytes(area_ + kYmmPart.offset + r * kYmmPart.stride, value.data() + 16, 16);
  if (holds(kZmmHi256)) copy_bytes(area_ + kZmmPart.offset + r * kZmmPart.stride, kZeros, 32);
}

}  // namespace oct::emulate
