// Where GEMM kernels read the pixels of one output row:
//
//   in place                                       the image: pixels at a constant stride
//   packed (AForm::kPairs16)                       a buffer: the input rows that the output row
//                                                  sees, as s16 pairs
//   folded by rows (few channels)                  the image, where no padding is near; else a
//                                                  buffer: the rows under the filter, with the
//                                                  padding at their ends, for some output rows
//   folded and interleaved                         a buffer: all rows under the filter, column of
//                                                  pixels by column
//   folded and packed                              a buffer: for every output all bytes under the
//                                                  filter, as s16 pairs
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dispatch/conv_plan.h"
#include "kernels/index_range.h"

namespace oct {

struct ConvTensor {
  uint8_t* data;
  int64_t batch, stride[3];  // bytes
};

// One output coordinate of the depth or height axis.
struct ConvPoint {
  const AxisPhase* phase;
  int64_t q;     // within the phase
  TapRange run;  // the taps it sees
};

// The input of one output row.
struct ConvInput {
  const uint8_t* row;  // the pixel that taps' offsets count from
  std::array<int64_t, 3> size, stride;
  ConvPoint d, h;
  const AxisPhase* w;
};

// Outputs of a phase, for an input of `in`, that see the tap inside the image.
IndexRange outputs_that_see(const AxisPhase& phase, const AxisTap& tap, int64_t in);

// Output pixels of a row whose input fits a source's buffer; at least 1 where it fits at all.
int64_t source_pixels(const ConvShape& shape, bool folded, bool packed);

// Of copied rows: bytes that kernels read beyond one, and where one begins.
inline constexpr int64_t kRowSlack = kKr, kRowAlignment = 64;

class ConvSource {
 public:
  explicit ConvSource(const oct_qconv& plan) : plan_(plan) {}

  // Makes ready outputs q, at most source_pixels of them, of the row; packed, for the panels that
  // begin at input channel `channel`.
  void prepare(const ConvInput& input, IndexRange q, int64_t channel);

  // With plan.row_taps in place of that, for up to `most` output rows that follow each other, of
  // which `input` is the first: how many are ready. pixel() is of the first until
  // skip_rows().
  int64_t prepare_rows(const ConvInput& input, IndexRange q, int64_t most);
  void skip_rows(int64_t count) { base_ += count * row_step_; }
  int64_t row_step() const { return row_step_; }
  // Likewise, without a copy: for outputs that see the whole filter inside the image.
  void read_rows(const ConvInput& input);

  // Where output q begins, and from there, the sum of two offsets, a tap: of row (i, j) of the
  // filter and of its column.
  const uint8_t* pixel(int64_t q) const { return base_ + q * pixel_step_; }
  int64_t pixel_step() const { return pixel_step_; }
  int64_t filter_row_offset(int i, int j) const;
  int64_t column_offset(const AxisTap& tap) const { return tap.offset * pixel_bytes_; }
  int64_t row_bytes() const { return row_bytes_; }
  // Per output from q on, what kernels with packed A add; null otherwise.
  const int32_t* row_init(int64_t q) const {
    return plan_.packed_a ? row_init_ + (q - q_.begin) : nullptr;
  }

  // Room for as many terms, where row_init() is not in use.
  int32_t* spare_terms() { return row_init_; }
  // And for sums where A is read in place.
  std::span<int32_t> spare_sums() {
    return {reinterpret_cast<int32_t*>(buffer_), kSourceBytes / sizeof(int32_t)};
  }

 private:
  // f(number, row): of all rows under the filter; null if outside the image.
  template <class F>
  void for_filter_rows(F f) const;
  IndexRange columns_under(IndexRange q) const;
  IndexRange in_image(IndexRange columns) const;
  int64_t plan_rows(int64_t most);
  int64_t slot(int j) const;
  void copy_plane(size_t depth, uint8_t* to);
  void copy_row(const uint8_t* row, uint8_t* to) const;
  void fold();
  void interleave(const uint8_t** rows, int64_t pixels, uint8_t* to) const;
  void pack_rows(int64_t channel);
  void sum_terms(IndexRange pixels, int64_t rows, int32_t* terms);
  void pack_folded();

  const oct_qconv& plan_;
  ConvInput in_;
  IndexRange q_{};
  const uint8_t* base_ = nullptr;
  int64_t pixel_step_ = 0;   // from an output to the next
  int64_t pixel_bytes_ = 0;  // from an input pixel to the next
  int64_t row_bytes_ = 0;    // buffered: from an input row to the next
  IndexRange x_{};           // buffered rows: pixels of each
  // Of copied rows.
  bool spread_ = false;      // those between the filter's rows are among them
  int64_t plane_rows_ = 0;   // for each row of the filter's depth,
  int64_t plane_bytes_ = 0;  // and from one of those to the next
  int64_t padded_ = 0;       // whose ends hold their padding
  int64_t row_step_ = 0;     // from an output row to the next
  int32_t row_init_[kMaxSourcePixels];
  alignas(64) uint8_t buffer_[kSourceBytes];
};

}  // namespace oct
