// Depthwise convolution: every channel has a kernel of its own.
//
//   T[y, x, c] = sum over taps (i, j) of
//       (A[y * stride - pad_top + i * dilation, x * stride - pad_left + j * dilation, c] - z)
//       * W[c, i, j],      followed by the epilogue
//
// with z the zero point of A, for channels-last A and C and any kernel size, stride, dilation and
// padding, without im2col. Work is split into blocks of `nr` channels and pairs of output rows. For
// each, the input is gathered into the strip, a scratch buffer that stays in L1, with four input
// rows (or columns) side by side in one 32-bit lane per channel: the streams of
// kernels/depthwise_taps.h. A dot then makes four multiplications for every lane.
//
//   strip:   stream 0  plane 0 | position 0 | position 1 | ...     `width` bytes each
//                      plane 1 |  ...                              planes: quarters of the channels
//                      plane 2 |
//                      plane 3 |
//            stream 1  ...
//
// Neighbouring outputs read neighbouring positions whatever the stride. Blocks with fewer than nr
// channels have narrower positions, and a vector of sums then covers several pixels.
//
// Padding is data: positions outside of the image hold the zero point, and sources outside of it
// are read from a vector of zero points with a step of zero. Nothing outside of A is read.
//
// Two methods need no strip: kernels of 3x3 and 5x5 on ISAs with 32 vector registers and vpdpbusd
// keep the columns under the kernel in registers (kernels/depthwise_window.h); without vpdpbusd,
// kernels of up to five columns keep the sums of several pixels there
// (kernels/depthwise_rolling.h).
//
// Packed weights of a block with a strip: for each run of dots, quarter, dot and output row that
// uses it, the vectors of a dot; once for pairs of output rows, once for the odd last row.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jit/code_cache.h"
#include "kernels/depthwise_rolling.h"
#include "kernels/depthwise_window.h"
#include "kernels/index_range.h"

namespace oct {

// Stack or caller's memory that a run needs at most.
inline constexpr size_t kMaxDepthwiseScratch = 64 << 10;

struct DepthwiseShape {
  int64_t channels;
  Axis vertical, horizontal;

  friend bool operator==(const DepthwiseShape&, const DepthwiseShape&) = default;
};

// Everything a kernel is made of. Arrays have one value per channel; sums wrap modulo 2^32.
struct DepthwiseDesc {
  DepthwiseShape shape;
  const int8_t* weights;  // dense [channels][vertical.kernel][horizontal.kernel]
  uint8_t a_zero_point;   // the byte that padding has in A
  uint8_t a_shift;        // added to every byte of A, which then is unsigned
  EpilogueSpec epilogue;
  const int32_t* bias_s32;       // or null
  const float* mult;             // null for s32 outputs
  const float* bias_f32;         // with epilogue.bias_f32
  const EpilogueParams* params;  // copied
};

// One image and its outputs; strides in bytes, channels contiguous.
struct DepthwiseImage {
  const uint8_t* a;
  int64_t height, width;
  int64_t a_row_bytes, a_pixel_bytes;
  int64_t pad_top, pad_left;  // what lies beyond the other ends follows from the output size
  uint8_t* c;
  int64_t c_height, c_width;
  int64_t c_row_bytes, c_pixel_bytes;
};

// What an output pixel costs, all channels of it: the cost model's view. Instructions on vectors.
struct DepthwiseCost {
  double dots;
  double loads;   // of the strip, and splits if need be
  double gather;  // loads, shuffles and stores
  double sums;    // vectors of sums, each of which goes through the epilogue
};

// Immutable once made: any number of threads run it at once, each with scratch of its own.
class Depthwise {
 public:
  // Whether the strip of this shape fits kMaxDepthwiseScratch, and its code a page or so.
  static bool fits(const KernelRow& row, const DepthwiseShape& shape);

  // Finds or emits code and packs weights. Throws std::bad_alloc or CodeError.
  Depthwise(CodeCache& cache, const KernelRow& row, const DepthwiseDesc& desc);

  // For rows with kRowNeedsSafePairs: whether no two products that share an int16 sum can leave it,
  // whatever the data.
  static bool pairs_safe(const KernelRow& row, const DepthwiseShape& shape, const int8_t* weights);

  static DepthwiseCost cost(const KernelRow& row, const DepthwiseShape& shape);

  int64_t blocks() const { return static_cast<int64_t>(blocks_.size()); }
  size_t scratch_bytes() const { return scratch_bytes_; }
  size_t packed_bytes() const { return packed_.size() * sizeof(Line); }

  // Output rows `rows` of channel blocks `blocks`, in that order of rows as far as the method has
  // one; rows that are computed together start at rows.begin. `scratch` is aligned to 64. Allocates
  // nothing.
  void run(const DepthwiseImage& image, IndexRange rows, IndexRange blocks, Order order,
           void* scratch) const;

 private:
  struct alignas(64) Line {
    uint8_t bytes[64];
  };

  // What blocks of one width share. Arrays by [output rows - 1].
  struct Form {
    int n, width;
    int64_t plane_bytes;
    std::shared_ptr<const Code> code[kMaxOutputRows];
    const void* run[kMaxOutputRows];  // the method's function
    int64_t rows;                     // windows: output rows of a step
    int inputs[kMaxOutputRows];       // input rows of a step or call, without a strip
    std::vector<TapRun> runs[kMaxOutputRows];
    size_t strip;  // offset in the scratch
  };

  struct Block {
    int64_t channel;
    int form;
    // Offsets in packed_. Rolling sums have no others, windows weights[0] and no init.
    size_t weights[kMaxOutputRows];
    size_t init, mult, bias;
  };

  class Packer;
  class WindowRun;
  struct Chunk;

  enum class Method { kStrip, kWindow, kRolling };
  static Method method_for(const KernelRow& row, const DepthwiseShape& shape);

  void add_form(CodeCache& cache, int n, const EpilogueSpec& epilogue);
  void add_code(CodeCache& cache, const DepthwiseSpec& spec, Form* f) const;
  void fill_padding(const Chunk& chunk, const Form& form, uint8_t* strip) const;
  void run_rows(const DepthwiseImage& image, const Chunk& chunk, int64_t y, IndexRange blocks,
                uint8_t* strips) const;
  void run_windows(const DepthwiseImage& image, IndexRange rows, IndexRange blocks,
                   Order order) const;
  void run_rolling(const DepthwiseImage& image, IndexRange rows, IndexRange blocks,
                   Order order) const;
  int64_t rolling_parts(const DepthwiseImage& image, int inputs) const;
  void run_rolling_rows(const DepthwiseImage& image, IndexRange rows, const Form& form,
                        IndexRange blocks) const;
  // A byte of A as rolling sums see it.
  int rolling_value(uint8_t byte) const { return a_shift_ ? static_cast<int8_t>(byte) : byte; }
  const Block& block(int64_t i) const { return blocks_[static_cast<size_t>(i)]; }
  const Form& form_of(int64_t i) const { return forms_[static_cast<size_t>(block(i).form)]; }
  // Behind the blocks before `end` that follow block i and are of its form.
  int64_t same_form(int64_t i, int64_t end) const {
    int64_t last = i + 1;
    while (last < end && block(last).form == block(i).form) ++last;
    return last;
  }
  const uint8_t* packed(size_t offset) const { return packed_[0].bytes + offset; }

  const KernelRow& row_;
  const DepthwiseShape shape_;
  const uint8_t a_zero_point_, a_shift_;
  const size_t element_bytes_;  // of C
  const Method method_;
  DepthwiseTaps taps_[kMaxOutputRows];  // [output rows - 1]; not of windows
  // Of windows: packed weights of a row of depthwise_window_layout, and everything of a block.
  int64_t window_row_bytes_ = 0, block_bytes_ = 0;
  int64_t positions_ = 0;  // of a plane
  std::vector<Form> forms_;
  std::vector<Block> blocks_;
  std::vector<Line> packed_;
  size_t scratch_bytes_ = 0;
  EpilogueParams params_;
  Line padding_;
};

}  // namespace oct
