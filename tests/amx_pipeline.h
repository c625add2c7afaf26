// How long a core with AMX would take for a call of a kernel: the instructions that the call really
// executes, recorded by single-stepping it, pass through a model of an out-of-order core.
//
// The model (Golden Cove; figures of Intel's optimisation manual and uops.info): six instructions
// enter a window of 512 per cycle and leave it in order; a tile product starts every 16 cycles and
// takes 52; a tile load keeps both load ports busy for 8 cycles and takes 45, a tile store the
// store port for 16; two vector ports; two loads and one store of 64 bytes per cycle. All data is
// in L1. Vector instructions wait for the last tile stores before them, and a row's store for its
// chain of conversions.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/gemm.h"

namespace oct::test {

struct Pipeline {
  double cycles = 0;
  int instructions = 0, products = 0, tile_loads = 0, tile_stores = 0, vector_operations = 0;

  // How much of the time the product unit is busy.
  double busy() const { return 16 * products / cycles; }
};

// Calls `entry` of the code in single steps, under the emulator if the CPU lacks AMX (which must
// then be installed), and predicts its time. The tile configuration is loaded.
Pipeline predict(const GemmCode& code, GemmFn entry, const GemmArgs& args);

}  // namespace oct::test
