// Machines that a test can act as: contexts for instruction sets which this CPU may lack.
#pragma once

#include <string>
#include <vector>

#include "dispatch/cpu.h"
#include "tests/kernel_places.h"

namespace oct::test {

// A CPU whose best instruction set is `best`, with the lower ones that such CPUs have.
struct Machine {
  Isa best;
  Place place;  // where kernels of `best` run
  UsableIsas isas;

  std::string name() const { return std::string("a CPU with ") + isa_name(best); }
};

// All that this CPU is, or becomes under the emulator; lowest first, OCTAVO_MAX_ISA respected.
// Empty on a CPU that octavo does not support.
std::vector<Machine> machines();

}  // namespace oct::test
