// The AMX GEMM generator: m x n of C over all of K in tiles, m and n up to 64.
#pragma once

#include "jit/tiles.h"
#include "kernels/table.h"

namespace oct {

// Row counts that share an entry point: the tile configuration tells them apart.
inline constexpr int kAmxEntryRows = kTileRows;

// GemmArgs::scratch: the sums of a tile of C, and bytes of its rows of A that had to be copied.
inline constexpr int kMaxSumTiles = 4;
inline constexpr int kGemmScratchBytes = 2 * kMaxSumTiles * kTileBytes;

// The configuration to load before an entry point is called for m rows.
TileConfig amx_tile_config(const GemmSpec& spec, int m);

// GemmSpec::rows_per_step for K in so many steps.
int amx_rows_per_step(const KernelRow& row, int64_t steps);

// What a step of K of an m x n tile issues: the cost model's view.
struct AmxOps {
  int products, loads;
};
AmxOps amx_ops(int m, int n);

// EmitGemm for the AMX rows of the table.
void emit_gemm_amx(Assembler& as, const KernelRow& row, const GemmSpec& spec, int m);

}  // namespace oct
