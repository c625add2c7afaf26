// The depthwise generator for small kernels without vpdpbusd: the sums of neighbouring pixels roll
// through registers, and there is no strip.
//
// A column's input rows are read once and paired as 16-bit words, in dwords of their own for each
// channel. Of 16 channels, a 128-bit lane takes eight:
//
//     row y       | a b c d ..   bytes, extended to words as they are loaded (vpmovzxbw)
//     row y + 1   | a'b'c'd'..   vpunpcklwd, vpunpckhwd:  | a a' | b b' | c c' | d d' | ..
//
// Every pixel in whose kernel the column lies adds the products of its pairs (vpmaddwd, vpaddd).
// The oldest pixel is then complete, and the others move up:
//
//     3x3, stride 1      pixel    x            x + 1        x + 2
//     column x + 2       tap      2 (last)     1            0 (first)
//
// With an odd kernel and stride 2, two output rows share their pairs but for one row between them,
// two columns of which are a pair, *across*: five vpmaddwd for nine taps instead of six.
//
//     3x3     r0 r1 | r2 | r3 r4     output row 0: pair, across; output row 1: across, pair
//
// for one or two output rows of up to two vectors of channels. Nothing is multiplied by padded
// weights but where a pair straddles the end of a kernel.
#pragma once

#include "kernels/depthwise_vector.h"

namespace oct {

inline constexpr int kMaxRollingRows = 7;     // input rows of a call
inline constexpr int kRollingLanes = 8;       // channels of a vector
inline constexpr int kMaxRollingVectors = 2;  // of a block

// One call: `pixels` pixels of each output row, for `blocks` neighbouring blocks of channels.
struct DepthwiseRollingArgs {
  // Of every input row, the first channel of the first block in the first column at or right of
  // `column` that is in the image, lost; the step to the next column and that to the next block:
  // 0 for rows that are padding.
  const uint8_t* rows[kMaxRollingRows];
  int64_t step_bytes[kMaxRollingRows], block_bytes[kMaxRollingRows];
  int64_t shared_step_bytes;  // all of step_bytes, or 0 if they differ
  int64_t column, width;      // the first tap's column; columns from 0 to width are in the image
  uint32_t padding;           // the padding's value, as two 16-bit words
  const void* packed;         // of the first block: RollingLayout
  const EpilogueParams* epilogue;
  uint8_t* c;  // first output row, first pixel, first channel; lost
  int64_t c_row_bytes, c_pixel_bytes;
  int64_t pixels, blocks;            // >= 1
  int64_t next_column, pixels_left;  // the code's own
};

using DepthwiseRollingFn = void (*)(DepthwiseRollingArgs*);

bool depthwise_rolling_fits(const KernelRow& row, const Axis& vertical, const Axis& horizontal);

// Pixels in whose kernels a column may lie; input rows of a call; channels of a block.
int depthwise_rolling_flight(const Axis& horizontal);
int depthwise_rolling_inputs(const Axis& vertical, int outputs);
int depthwise_rolling_channels(const KernelRow& row, const Axis& horizontal);

// What a block reads, in bytes from its begin: the epilogue's arrays, once for every output row;
// where sums start; and the weights, two 16-bit words for each channel, of every dot.
struct RollingLayout {
  RollingLayout(const KernelRow& row, const Axis& vertical, const Axis& horizontal, int outputs,
                int n);

  // The channel of a vector's lane, and where a channel is among the dwords of all vectors. Both
  // 128-bit lanes of a row's 16 channels are made from halves: 0-3, 8-11 and 4-7, 12-15.
  int channel(int vector, int lane) const {
    return vectors == 1 ? lane : lane / 4 * kRollingLanes + 4 * vector + lane % 4;
  }
  int dword(int c) const {
    return vectors == 1 ? c : c / 4 % 2 * kRollingLanes + c / kRollingLanes * 4 + c % 4;
  }

  int vectors;  // of channels
  int vector_bytes;
  int outputs;
  int input_pairs;  // of input rows
  bool across;      // one row between them has pairs of columns
  int64_t mult, bias, init, weights;
  int64_t size() const;

  // Of kernel column t: the weights by which output row r multiplies pair p, or -1.
  int64_t dot(int t, int r, int p) const;
  int64_t first_dot(int r) const;  // of column 0
  // The first input row of a pair, and which kernel row the word `half` of those weights belongs
  // to: it may be outside the kernel.
  int first_row(int p) const { return 2 * p + (across && 2 * p >= across_row()); }
  int kernel_row(int r, int p, int half) const { return first_row(p) + half - r * stride; }

  // Likewise for kernel columns t - 1, of which there may be none, and t: as many pairs as pixels
  // are in flight, and one kernel row for every output row.
  int across_row() const { return kernel - 1; }
  int across_kernel_row(int r) const { return across_row() - r * stride; }
  int64_t across_dot(int t, int r) const;

 private:
  int64_t at(int index) const { return weights + int64_t{index} * vectors * vector_bytes; }

  int stride, kernel, columns, flight;
  int pairs;  // of weights: of a kernel column or, across, of it for one output row
};

// What a pixel of two output rows costs, for a vector of channels: instructions that multiply and
// add, and those that make pairs of columns.
struct RollingCost {
  int dots, columns;
};
RollingCost depthwise_rolling_cost(const KernelRow& row, const Axis& vertical,
                                   const Axis& horizontal);

void emit_depthwise_rolling(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                            const Axis& vertical, const Axis& horizontal);

}  // namespace oct
