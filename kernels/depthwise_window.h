// The depthwise generator for 3x3 kernels of stride 1 and 2 and 5x5 kernels of stride 2, with 32
// vector registers and vpdpbusd: columns or sums stay in registers, and there is no strip.
//
// For 3x3, a column's input rows, interleaved (kernels/depthwise_gather.h), make *quads*, a
// register for each quarter q of the channels. Output rows read them so:
//
//   stride 1   [r0 r1 r2 r3]                  weights [w0 w1 w2 0] and [0 w0 w1 w2]; and, if r0 or
//                                             r3 is the image's first or last row, [w1 w2 0 0] and
//                                             [0 0 w0 w1] for rows that also see padding
//   stride 2   [r0 r1 r2 r3] [r2 r3 r4 r4]    a quad for each of two rows, both [w0 w1 w2 0]
//
// A pixel of these output rows then takes three columns, of which `stride` are new. Where the sums
// of a row start takes padding without weights into account.
//
// 5x5: kernels/depthwise_window5.cc.
//
// Blocks of fewer channels than a vector has bytes put several pairs of output rows (5x5: rows)
// side by side: nr / width *groups*, one below the other. Each has its own input rows, but all of
// them the same columns, so that only loads and stores differ.
#pragma once

#include <array>
#include <vector>

#include "kernels/depthwise_vector.h"

namespace oct {

// Input rows of four groups at stride 2.
inline constexpr int kMaxWindowRows = 17;
inline constexpr int kWindow5 = 5;  // the larger kernel

// Output rows that are computed together.
struct DepthwiseWindowStep {
  int64_t a_bytes;   // from row 0 of the image to the first input row, which may lie before it
  int64_t c_bytes;   // from outputs.c to the first output row
  int64_t in_image;  // bit i: input row i is in the image; the others are padding
  // From columns 0 to here, depthwise_window_columns of them are loaded at once; 0 if a row is
  // padding.
  int64_t inside_bytes;
  // Stride 1: from the block's weights to those of the first output row, and to the last one's end.
  int64_t weights, weights_end;
  int64_t output_rows;  // 1 .. depthwise_window_rows, with several groups
};

// One call: `pixels` pixels of the output rows of all steps, for `blocks` neighbouring blocks of
// channels, one after the other. Columns are bytes from column 0 of the image.
struct DepthwiseWindowArgs {
  const uint8_t* a;                    // the first block in column 0 of row 0; lost
  int64_t row_offset[kMaxWindowRows];  // from a step's first input row to the others
  int64_t pixel_bytes;
  int64_t column;              // the first tap's
  int64_t width_bytes;         // columns from 0 to here are in the image
  const uint8_t* padding_row;  // a vector of padding
  uint32_t a_shift, padding;   // the byte to add to A; the padding's byte, shifted; both four times
  const void* weights;         // packed: depthwise_window_layout; lost
  int64_t block_bytes;         // from arrays of one block to those of the next
  DepthwiseOutputs outputs;    // place_bytes: from group to group; c is lost
  int64_t pixels, blocks;      // >= 1; blocks is lost
  int64_t c_row_step;          // stride 1: c_row_bytes less two pixels
  const DepthwiseWindowStep *steps, *steps_end;
  // The code's own, about the step at hand: which it is, what it says, where column 0 of its first
  // input row is, and of stride 1 its output rows' weights.
  const DepthwiseWindowStep* step;
  int64_t in_image, inside_bytes, output_rows;
  const uint8_t *base, *row_weights, *row_weights_end;
};

using DepthwiseWindowFn = void (*)(DepthwiseWindowArgs*);

bool depthwise_window_fits(const KernelRow& row, const Axis& vertical, const Axis& horizontal);

// The packed weights of an output row: where its sums start, then by quarters its dots.
struct WindowRow {
  int padding;  // the kernel's row that is padding and has no weights, or -1
  std::vector<std::array<int, kSources>> dots;  // row * columns of the kernel + column, or -1

  int vectors() const { return kDepthwiseQuarters * (1 + static_cast<int>(dots.size())); }
};

// Of a block. Stride 1 has those that see padding above them, the two that a quad is made for, and
// those that see padding below; others have one for all output rows.
std::vector<WindowRow> depthwise_window_layout(const Axis& axis);
std::vector<WindowRow> depthwise_window5_layout();

// Whether there is code for a spec's number of output rows. That of stride 1 is for any number.
bool depthwise_window_has(const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis);

// Output rows of a step, at most but for stride 1; and its input rows.
int depthwise_window_rows(const KernelRow& row, const DepthwiseSpec& spec);
int depthwise_window_inputs(const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis);

// Columns that are loaded together.
int depthwise_window_columns(const Axis& axis);

// For the axes that fit, which are equal.
void emit_depthwise_window(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                           const Axis& axis);

}  // namespace oct
