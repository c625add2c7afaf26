// Says on standard error why an instruction was not emulated.
#pragma once

#include <cstdint>

#include "tests/emulate/fault.h"

namespace oct::emulate {

// Async-signal-safe.
void report_fault(const Fault& fault, uint64_t rip);

}  // namespace oct::emulate
