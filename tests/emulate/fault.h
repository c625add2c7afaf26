// Why an instruction cannot be performed. A literal and two numbers, so that making one allocates
// and formats nothing: most are made to find the end of a run of instructions, and dropped.
#pragma once

#include <cstdint>

namespace oct::emulate {

struct [[nodiscard]] Fault {
  const char* reason = nullptr;
  int64_t a = kNoNumber, b = kNoNumber;  // the offending numbers, as the reason names them

  static constexpr int64_t kNoNumber = INT64_MIN;

  bool none() const { return reason == nullptr; }
};

}  // namespace oct::emulate
