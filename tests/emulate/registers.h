// The registers an emulated instruction reads and writes: those of an interrupted thread, or
// those a test made up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace oct::emulate {

using Vector = std::array<uint8_t, 32>;  // a ymm register, or an xmm register in its lower half

// Vector registers in an XSAVE area of the standard format, where the kernel leaves an
// interrupted thread's and takes them from again:
//
//     0      FXSAVE image; xmm0-15 at 160
//     512    XSTATE_BV: which components the area holds; the others are in their initial state,
//            zero, whatever the bytes say
//     ...    YMM_Hi128 and ZMM_Hi256, the upper halves of ymm0-15 and of zmm0-15, at offsets
//            that differ between CPUs
class VectorState {
 public:
  VectorState() = default;  // none: reading or writing is not allowed

  // `features`: the components the area has room for, as XCR0 numbers them.
  VectorState(void* xsave_area, uint64_t features)
      : area_(static_cast<uint8_t*>(xsave_area)), features_(features) {}

  bool has_ymm() const { return (features_ & kSseAndAvx) == kSseAndAvx; }

  Vector read(int reg) const;

  // Writes the ymm register and clears the rest of the zmm register, as every VEX-encoded
  // instruction does: one on xmm registers writes a ymm register whose upper half is zero.
  void write(int reg, const Vector& value);

 private:
  enum Component { kSse = 1, kAvx = 2, kZmmHi256 = 6 };
  static constexpr uint64_t kSseAndAvx = 1 << kSse | 1 << kAvx;

  uint64_t xstate_bv() const;
  bool holds(Component component) const;
  void make_hold(Component component);

  uint8_t* area_ = nullptr;
  uint64_t features_ = 0;
};

struct RegisterState {
  std::array<uint64_t, 16> gpr{};  // by their number in an encoding: rax rcx rdx rbx rsp rbp ...
  uint64_t rip = 0;
  VectorState vectors;
};

}  // namespace oct::emulate
