// The depthwise generator: code for one block of channels and one or two output rows.
//
// The code works on a *strip*, a scratch buffer in L1. It first gathers every stream
// (kernels/depthwise_taps.h) into it, then makes the outputs from it. kernels/depthwise.h draws the
// strip and drives the code.
#pragma once

#include "kernels/depthwise_taps.h"
#include "kernels/table.h"

namespace oct {

// What code is generated for, besides the taps.
struct DepthwiseSpec {
  int n = 0;                // channels of the block, 1 .. row.nr
  int64_t plane_bytes = 0;  // from a plane of the strip to the next, a multiple of 64
  bool a_shift = false;     // DepthwiseArgs::a_shift is added to every byte of A
  int outputs = 0;          // output rows: 1 .. kMaxOutputRows
  EpilogueSpec epilogue;
};

// Channels for which a position of the strip has room: 16, 32 or 64. A vector of sums covers
// nr / width neighbouring output pixels.
int depthwise_width(const KernelRow& row, int n);

// What a dot costs, and vectors of packed weights that it takes.
DotCost depthwise_dot_cost(const KernelRow& row);
int depthwise_weight_vectors(const KernelRow& row);

inline constexpr int kDepthwiseQuarters = 4;  // planes of a stream: a quarter of the channels each

// Dots of one stream at neighbouring shifts, which the code takes together: the order of packed
// weights is runs, quarters, dots of the run, output rows that use the dot.
struct TapRun {
  int first, count;  // among DepthwiseTaps::dots
};
std::vector<TapRun> tap_runs(const KernelRow& row, const DepthwiseSpec& spec,
                             const DepthwiseTaps& taps);

// A run of positions of one stream. Strides in bytes.
struct DepthwiseStream {
  const uint8_t* sources[kSources];  // first channel of the block at the first position
  int64_t step_bytes[kSources];      // to the next position; 0 for a source that is padding
  uint8_t* strip;                    // first position in the stream's first plane
  int64_t positions;                 // >= 1
};

// Where outputs go, and what the epilogue needs.
struct DepthwiseOutputs {
  const float* mult;  // lanes' order for 8-bit outputs, memory order for others
  const float* bias;  // likewise; only with bias_f32
  const EpilogueParams* epilogue;
  uint8_t* c;  // first output row, first pixel, first channel of the block
  int64_t c_row_bytes, c_pixel_bytes;
  int64_t place_bytes;  // between the pixels that share a vector of sums
};

// One call: `pixels` pixels of each output row.
struct DepthwiseArgs {
  const DepthwiseStream *streams, *streams_end;  // any number
  uint32_t a_shift;                              // the byte to add, in all four bytes
  const uint8_t* strip;                          // the first position of the first plane
  const void* weights;                           // packed: kernels/depthwise.h
  const int32_t* init;                           // where sums start; in the lanes' order
  DepthwiseOutputs outputs;                      // place_bytes: c_pixel_bytes
  int64_t pixels;                                // >= 1
};

using DepthwiseFn = void (*)(const DepthwiseArgs*);

void emit_depthwise(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                    const DepthwiseTaps& taps);

}  // namespace oct
