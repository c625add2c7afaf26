// The depthwise generator for 3x3 kernels of stride 1 and 2 and 5x5 kernels of stride 2, with 32
// vector registers and vpdpbusd: columns or sums stay in registers, and there is no strip.
//
// For 3x3, a column's input rows, interleaved (kernels/depthwise_gather.h), make *quads*, a
// register for each quarter q of the channels. Two output rows read them so:
//
//   stride 1   [r0 r1 r2 r3]                  row 0: weights [w0 w1 w2 0], row 1: [0 w0 w1 w2]
//   stride 2   [r0 r1 r2 r3] [r2 r3 r4 r4]    a quad for each row, both [w0 w1 w2 0]
//
// A pixel of one or two output rows then takes three columns, of which `stride` are new.
//
// 5x5: kernels/depthwise_window5.cc.
//
// Blocks of fewer channels than a vector has bytes put several pairs of output rows (5x5: rows)
// side by side: nr / width *groups*, one below the other. Each has its own input rows, but all of
// them the same columns, so that only loads and stores differ.
#pragma once

#include "kernels/depthwise_vector.h"

namespace oct {

// Input rows of four groups at stride 2.
inline constexpr int kMaxWindowRows = 17;
inline constexpr int kWindow5 = 5;  // the larger kernel

// One call: `pixels` pixels of `output_rows` output rows, for `blocks` neighbouring blocks of
// channels. Columns are bytes from column 0 of the image.
struct DepthwiseWindowArgs {
  // Of every input row, channel 0 in column 0; and -1 if it is in the image, or 0 if it is a vector
  // of padding.
  const uint8_t* rows[kMaxWindowRows];
  int64_t in_image[kMaxWindowRows];
  int64_t channel;      // of the first block; lost
  const uint8_t* base;  // rows[0] + channel, if all rows are in the image; lost
  int64_t row_bytes, pixel_bytes;
  int64_t column;       // the first tap's
  int64_t width_bytes;  // columns from 0 to here are in the image
  // From columns 0 to here, depthwise_window_columns of them are loaded from `base` at once; 0 if a
  // row is padding.
  int64_t inside_bytes;
  uint32_t a_shift, padding;  // the byte to add to A; the padding's byte, shifted; both four times
  const void* weights;        // packed: quarters, dots, output rows with weights of their own
  int64_t block_bytes;        // from arrays of one block to those of the next
  // place_bytes: from group to group; c is lost. In front of mult are as many int32, where sums
  // start, in the lanes' order.
  DepthwiseOutputs outputs;
  int64_t pixels, blocks;  // >= 1; blocks is lost
  int64_t output_rows;     // 1 .. depthwise_window_rows; the spec's with one group
};

using DepthwiseWindowFn = void (*)(DepthwiseWindowArgs*);

bool depthwise_window_fits(const KernelRow& row, const Axis& vertical, const Axis& horizontal);

// The taps in the order of the packed weights: of all output rows that have weights of their own.
DepthwiseTaps depthwise_window_taps(int outputs, const Axis& axis);
DepthwiseTaps depthwise_window5_taps();

// Whether there is code for a spec's number of output rows.
bool depthwise_window_has(const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis);

// Output rows of a call, at most; and the input rows that it lists.
int depthwise_window_rows(const KernelRow& row, const DepthwiseSpec& spec);
int depthwise_window_inputs(const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis);

// Columns that are loaded together.
int depthwise_window_columns(const Axis& axis);

// For the axes that fit, which are equal.
void emit_depthwise_window(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                           const Axis& axis);

}  // namespace oct
