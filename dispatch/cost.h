// Predicted time of a kernel on this machine, in cycles of one core.
//
// The model is a port table: what a K group of a tile issues (kernels/gemm_vector.h counts it from
// the same register budget the generator uses) against what the core retires per cycle, plus the
// epilogue, call overhead and the bandwidth of the cache level that B streams from. It ranks
// candidates and tells how many threads are worth while; it is not a promise.
#pragma once

#include <cstdint>

#include "dispatch/cpu.h"
#include "kernels/depthwise.h"
#include "kernels/pack.h"

namespace oct {

// Per cycle, for vectors of one row's width.
struct CorePorts {
  double multiplies = 2, vectors = 0, loads = 2, instructions = 0;
  double l2_bytes = 28, l3_bytes = 10;
  int64_t l1_size = 0, l2_size = 0;
  // Cycles for loops over listed groups of four kinds, whose ends are not all foreseen: ResNet-50's
  // layers on Zen 4, 2026-11-24, measured less counted.
  double mixed_run = 20;
  // To pack a row of A: cycles, and so many bytes in each further one. Measured less predicted
  // cycles for each pixel of 1x1 convolutions, 3x24 and 4x16 on AVX2, by `octavo bench --isa avx2
  // --explain`. Zen 4, 2026-11-24: 10 (K = 16), 28 (24), 6 (64), 37 (256), and 206 for 3x3 ones (K
  // = 64); with 5, 3x24 was taken where 5x16 is faster by a tenth to a quarter (K = 16, 24, 144).
  // Zen 5, 2026-11-29: 9 (16), 17 (96), 19 (144), 30 (256).
  double pack_row = 40, pack_bytes = 1e9;
  // What a tile that walks a list of taps costs beyond its dots: its call, where it lies at a side
  // of the image, and loops whose ends are not foreseen. Zen 4, 3x3 convolutions of 14 pixels a row
  // took 11 % longer in three tiles than in two; with B as words, 3x24 on AVX2, it was 360 and 290
  // with 64 and 128 channels. Zen 5, 2026-11-29, 7 pixels a row, groups of 32: 0 to 90; but rows of
  // A are packed for each group, by which 4x16 takes 165 us where 5x16 takes 125.
  double tapped_tile = 200;
};
CorePorts core_ports(const CpuFacts& facts, const KernelRow& row);

// `rows` rows of A split into `tall` tiles of `height` rows, then `rest` tiles of `rest_height`.
// The heights of vector kernels differ by one; tile kernels, whose time does not fall with their
// rows, get tiles as tall as they can be and what is left over.
struct RowSplit {
  int64_t tall, rest;
  int height, rest_height;
};
RowSplit split_rows(int64_t rows, const KernelRow& row);
RowSplit split_rows(int64_t rows, const KernelRow& row, int most);

// Rows of a tile, at most: strides of A that put them all into the same lines of L1 leave room for
// few.
int tile_height(const KernelRow& row, int64_t a_stride);

// Of trained weights, where nobody looked: Gaussian ones with K = 512.
inline constexpr MixedShares kTypicalShares{0.36, 0.39, 0.11};

// What is computed: m rows, and that `times` times over; K is `runs` runs of k (a convolution's
// taps). Cycles are those of one time.
struct WorkSize {
  int64_t m, k, runs = 1, times = 1;
  MixedShares shares = kTypicalShares;  // of the weights
};

// Cycles for one panel of n columns. `b_bytes` is all of B as packed: it decides which cache level
// the panel comes from.
double panel_cycles(const CorePorts& ports, const KernelRow& row, const WorkSize& size, int n,
                    int64_t b_bytes);

// Cycles to pack A, where the row's kernels want it packed.
double pack_cycles(const CorePorts& ports, const KernelRow& row, const WorkSize& size);

// Cycles to sum the rows of A and to multiply the sums by zero points of n columns of weights.
double row_sum_cycles(const CorePorts& ports, const KernelRow& row, const WorkSize& size,
                      int64_t n);

// Cycles that do not depend on the panels: AMX tiles are configured, once for each height of them
// whatever the times, and switched off after the last one.
double entry_cycles(const KernelRow& row, const WorkSize& size);

// Cycles of a depthwise row for each pixel of the output.
double depthwise_cycles(const CpuFacts& facts, const KernelRow& row, const DepthwiseShape& shape);

}  // namespace oct
