// Performs decoded instructions.
#pragma once

#include "tests/emulate/fault.h"
#include "tests/emulate/instruction.h"
#include "tests/emulate/registers.h"

namespace oct::emulate {

// Performs `in`, found at state.rip, moves rip behind it and counts it. On a fault nothing has
// changed.
Fault execute(const Instruction& in, RegisterState& state);

// Performs the instruction at state.rip and those adjacent to it that are of the same ISA: the
// first one proves that the CPU lacks that ISA, and so that the rest would trap too. A fault is
// that of the first instruction; if a later one faults, the run ends before it, and it traps for
// itself.
Fault execute_run(RegisterState& state);

}  // namespace oct::emulate
