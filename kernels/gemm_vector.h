// The vector GEMM generator: one m x n tile of C over all of K, for every word set.
#pragma once

#include "kernels/pack.h"

namespace oct {

// What a K group of an m x nv tile (nv vectors of columns) costs the core, by the register budget
// the generator would choose: the cost model's view of it.
struct TileOps {
  double multiplies, adds;  // vector instructions with and without a multiplier
  double loads;             // all loads, memory operands included
  double instructions;
  double chain_cycles;  // latency of the sums
};
TileOps gemm_tile_ops(const KernelRow& row, int m, int nv);
// Of BForm::kMixed, on average.
TileOps gemm_mixed_ops(int m, const MixedShares& shares);

// How many steps of K it is worth to have among GemmSpec::k_last for such a panel and epilogue.
int gemm_last_steps(const KernelRow& row, const GemmSpec& spec);

// Whether the kernel keeps a panel for runs (GemmSpec::run_count) in registers while it goes along
// the rows. Then they go by kRowsPerBase, and how many make a tile matters little.
bool gemm_holds_panel(const KernelRow& row, const GemmSpec& spec);

// EmitGemm for every vector row of the table.
void emit_gemm_vector(Assembler& as, const KernelRow& row, const GemmSpec& spec, int m);

}  // namespace oct
