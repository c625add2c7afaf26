#include "dispatch/cost.h"

#include <algorithm>
#include <cmath>

#include "kernels/gemm_amx.h"
#include "kernels/gemm_vector.h"
#include "kernels/pack.h"

namespace oct {
namespace {

// Instructions of the epilogue per vector of sums and, of all kinds, per row; and cycles to enter a
// kernel and to turn from one tile to the next: counted from the listing and rounded.
constexpr double kEpiloguePerVector = 4, kEpiloguePerRow = 8;
constexpr double kCallCycles = 20, kTileCycles = 20;

// From L2, where many rows take their turns: K = 3072 beside 768, 10x8.
constexpr double kMixedFar = 1.12;

// AMX. Intel's optimisation manual: a product is issued every 16 cycles and takes 52, a tile load
// takes 8 at best, a store 16. Switching tiles on and off: rounded from uops.info's latencies.
constexpr double kProductCycles = 16, kProductLatency = 52;
constexpr double kTileLoadCycles = 8;
constexpr double kTileConfigCycles = 200, kTileReleaseCycles = 20;
constexpr double kTailRowInstructions = 6;  // to copy the tail of one row of A
// Fitted to the pipeline model of tests/amx_pipeline.h, tiles of 32x32 and K from 64 to 4096:
// within 7 %. Vector operations per vector of sums; what is not hidden of the shorter of products
// and epilogue; cycles from the start of a call until products flow.
constexpr double kTileEpiloguePerVector = 5, kNotHidden = 0.3, kTileStart = 120;

// Sums of A's rows (sum_a_rows), seen on Zen 4, 2026-11-24: bytes a cycle, and what starts and ends
// a run; then two instructions per vector of sums (kernels/row_terms.h).
constexpr double kRowSumBytes = 30, kRowSumStart = 10, kRowTermPerVector = 2;

constexpr double kL1Bytes = 64, kTileL1Bytes = 128;  // per cycle

// Bytes per cycle that operands come at: from the lowest cache level that holds them.
struct Rates {
  double a, b;
};

// Of B in one K group. Mixed panels reserve room for the exact form of every group, but are chosen
// where most are short ones.
double b_group_bytes(const KernelRow& row, int n) {
  if (row.b_form == BForm::kMixed) return (n + row.lanes - 1) / row.lanes * row.lanes * kKr;
  return static_cast<double>(packed_b_bytes(row, kKr, n));
}

double epilogue_cycles(const CorePorts& p, const KernelRow& row, int m, int n) {
  const int nv = (n + row.lanes - 1) / row.lanes;
  return m * (kEpiloguePerVector * nv / p.vectors + kEpiloguePerRow / p.instructions);
}

double tile_epilogue_cycles(const CorePorts& p, int m, int n) {
  return m * ((n + kTileLanes - 1) / kTileLanes) * kTileEpiloguePerVector / p.vectors;
}

// The last tile's epilogue runs beside the products of this one. A product takes as long for one
// row as for sixteen.
double amx_tile_cycles(const CorePorts& p, const KernelRow& row, int m, int n, const WorkSize& size,
                       const Rates& rates) {
  const AmxOps ops = amx_ops(m, n);
  const KSteps steps = k_steps(row, size.k);
  const double b_bytes = static_cast<double>(packed_b_bytes(row, steps.step, n));
  const double memory = m * steps.step / rates.a + b_bytes / rates.b;
  const double step = std::max(
      {ops.products * kProductCycles, ops.loads * kTileLoadCycles, kProductLatency, memory});
  const auto runs = static_cast<double>(size.runs);
  const double tail = steps.tail ? runs * m * kTailRowInstructions / p.instructions : 0;
  const double products = runs * static_cast<double>(steps.count()) * step;
  const double epilogue = tile_epilogue_cycles(p, m, n);
  return std::max(products, epilogue) + kNotHidden * std::min(products, epilogue) + tail;
}

double tile_cycles(const CorePorts& p, const KernelRow& row, int m, int n, const WorkSize& size,
                   const Rates& rates) {
  if (row.isa == Isa::kAmx) return amx_tile_cycles(p, row, m, n, size, rates);
  const int64_t groups = size.runs * ((size.k + kKr - 1) / kKr);
  const int nv = (n + row.lanes - 1) / row.lanes;
  const bool mixed = row.b_form == BForm::kMixed;
  const TileOps ops = mixed ? gemm_mixed_ops(m, size.shares) : gemm_tile_ops(row, m, nv);
  const double b_bytes = b_group_bytes(row, n);
  // A of the tile and its part of B are more than L1 holds.
  const bool far = mixed && (m + n) * size.k > p.l1_size;
  const double group =
      (far ? kMixedFar : 1) *
      std::max({ops.multiplies / p.multiplies, (ops.multiplies + ops.adds) / p.vectors,
                ops.loads / p.loads, ops.instructions / p.instructions, ops.chain_cycles,
                b_bytes / rates.b});
  const double runs = mixed ? p.mixed_run * static_cast<double>(size.runs) : 0;
  return static_cast<double>(groups) * group + runs + epilogue_cycles(p, row, m, n) + kTileCycles;
}

// Of AMX, that so many rows take.
int64_t tile_rows(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }

double rate_of(const CorePorts& p, int64_t bytes, int64_t l1_size, double l1_bytes) {
  return bytes <= l1_size ? l1_bytes : bytes <= p.l2_size / 2 ? p.l2_bytes : p.l3_bytes;
}

// For the first tile of a panel and for later ones, which find it where it fits. `b_bytes`: all of
// B. Vector kernels are taken to read A from L1. In tile kernels A passes by L1, which leaves most
// of it to the panel.
struct PanelRates {
  Rates first, later;
};
PanelRates panel_rates(const CorePorts& p, const KernelRow& row, int64_t a_bytes, int64_t panel,
                       int64_t b_bytes) {
  const bool amx = row.isa == Isa::kAmx;
  const double l1 = amx ? kTileL1Bytes : kL1Bytes;
  const double a = amx ? rate_of(p, a_bytes, p.l1_size / 2, l1) : l1;
  return {{a, rate_of(p, b_bytes, p.l1_size / 2, l1)},
          {a, rate_of(p, panel, amx ? p.l1_size * 3 / 4 : p.l1_size / 2, l1)}};
}

}  // namespace

// Vector ports by vendor: Zen has four vector pipes, two of them with multipliers; Intel three (two
// of 512 bits). Zen 5 has them whole where it has 512-bit data paths. 256-bit loads go at two per
// cycle, 512-bit loads at two only where words are not cracked. `instructions` for Zen is what the
// loops of these kernels were seen to sustain on Zen 4 (4.6), below its nominal six, and on Zen 5
// (5.3, of eight), whose pipes are never all busy: 840x1024:1024x192 under each kernel of AVX2,
// 2026-11-29. L2 and L3 bandwidths are sustained figures; zmm loads of 0.5 and of 4 MiB went at 50
// to 65 and at 29 bytes a cycle on Zen 5.
CorePorts core_ports(const CpuFacts& facts, const KernelRow& row) {
  const bool amd = facts.vendor == "amd", zmm = row.lanes == 16;
  CorePorts p{.vectors = amd ? 4.0 : 3.0, .instructions = amd ? 4.6 : 4.0};
  if (row.b_form == BForm::kPairs16) p.tapped_tile = 330;
  if (facts.uarch == "zen5") {
    p.vectors = 3.75;
    p.instructions = 5.3;
    p.l2_bytes = 48;
    p.l3_bytes = 24;
    p.mixed_run = 8;
    p.pack_row = 14;
    p.pack_bytes = 16;
    p.tapped_tile = row.a_form == AForm::kPairs16 ? 330 : 60;
  }
  if (zmm && facts.zmm_per_cycle == 1) {
    p.multiplies = 1;
    p.vectors = 2;
    p.loads = 1.5;  // broadcasts of dwords are not cracked
  } else if (zmm && !amd) {
    p.vectors = 2;
    p.l2_bytes = 48;  // of 64; taken from Intel's manual
  }
  p.l1_size = static_cast<int64_t>(facts.l1d_bytes);
  p.l2_size = static_cast<int64_t>(facts.l2_bytes);
  return p;
}

RowSplit split_rows(int64_t rows, const KernelRow& row) { return split_rows(rows, row, row.mr); }

RowSplit split_rows(int64_t rows, const KernelRow& row, int most) {
  const int64_t tiles = (rows + most - 1) / most;
  if (row.isa == Isa::kAmx) {
    // One height, if that takes no more tiles: it needs but one configuration.
    if (rows % tiles == 0 && tiles * tile_rows(rows / tiles) == tile_rows(rows))
      return {tiles, 0, static_cast<int>(rows / tiles), 0};
    const int height = most;
    const int left = static_cast<int>(rows % height);
    return {rows / height, left != 0, height, left};
  }
  const int64_t low = rows / tiles, extra = rows % tiles;
  const int height = static_cast<int>(low);
  if (extra == 0) return {tiles, 0, height, 0};
  return {extra, tiles - extra, height + 1, height};
}

int tile_height(const KernelRow& row, int64_t a_stride) {
  constexpr int64_t kL1WayBytes = 4096;
  constexpr int kL1Ways = 8;  // or 12; one is for B
  const bool alias = row.isa != Isa::kAmx && a_stride % kL1WayBytes == 0;
  return alias ? std::min(row.mr, kL1Ways - 1) : row.mr;
}

double panel_cycles(const CorePorts& p, const KernelRow& row, const WorkSize& size, int n,
                    int64_t b_bytes) {
  const RowSplit split = split_rows(size.m, row, tile_height(row, size.k));
  const int64_t panel = size.runs * static_cast<int64_t>(packed_b_bytes(row, size.k, n));
  const auto [first, later] = panel_rates(p, row, size.m * size.k, panel, b_bytes);
  const double tall = tile_cycles(p, row, split.height, n, size, later);
  double cycles = 2 * kCallCycles + static_cast<double>(split.tall) * tall +
                  tile_cycles(p, row, split.height, n, size, first) - tall;
  if (split.rest)
    cycles +=
        static_cast<double>(split.rest) * tile_cycles(p, row, split.rest_height, n, size, later);
  if (row.isa == Isa::kAmx) cycles += kTileStart + tile_epilogue_cycles(p, split.height, n);
  return cycles;
}

double row_sum_cycles(const CorePorts& p, const KernelRow& row, const WorkSize& size, int64_t n) {
  const auto vectors = static_cast<double>((n + row.lanes - 1) / row.lanes);
  const double run = kRowSumStart + static_cast<double>(size.k) / kRowSumBytes;
  const double sum = static_cast<double>(size.runs) * run;
  return static_cast<double>(size.m) * (sum + vectors * kRowTermPerVector / p.vectors);
}

// A convolution packs a pixel for every row of the filter that sees it; the filter is taken to be
// square.
double pack_cycles(const CorePorts& p, const KernelRow& row, const WorkSize& size) {
  if (row.a_form != AForm::kPairs16) return 0;
  const double times = std::sqrt(static_cast<double>(size.runs));
  return static_cast<double>(size.m) * times *
         (p.pack_row + static_cast<double>(size.k) / p.pack_bytes);
}

double entry_cycles(const KernelRow& row, const WorkSize& size) {
  if (row.isa != Isa::kAmx) return 0;
  const int heights = split_rows(size.m, row).rest != 0 ? 2 : 1;
  return (heights * kTileConfigCycles + kTileReleaseCycles) / static_cast<double>(size.times);
}

// The epilogue takes five instructions a vector of sums, and three packs for four of them.
double depthwise_cycles(const CpuFacts& facts, const KernelRow& row, const DepthwiseShape& shape) {
  constexpr double kEpilogue = 5 + 3 / 4.0;
  const DepthwiseCost cost = Depthwise::cost(row, shape);
  return (cost.dots + cost.gather + cost.sums * kEpilogue) / core_ports(facts, row).vectors;
}

}  // namespace oct
