#include "dispatch/conv_source.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "dispatch/conv_fold.h"
#include "kernels/pack.h"

namespace oct {
namespace {

constexpr int64_t kAlignment = 64;  // of packed pixels

void add_to(int32_t* sum, int32_t term) {
  *sum = static_cast<int32_t>(static_cast<uint32_t>(*sum) + static_cast<uint32_t>(term));
}

}  // namespace

IndexRange outputs_that_see(const AxisPhase& phase, const AxisTap& tap, int64_t in) {
  return {-floor_div(tap.offset, phase.in_step), floor_div(in - 1 - tap.offset, phase.in_step) + 1};
}

int64_t source_pixels(const ConvShape& shape, bool folded, bool packed) {
  const int64_t rows = shape.axes[0].kernel * shape.axes[1].kernel;
  const ConvAxis& width = shape.axes[2];
  if (folded) {
    const int64_t k = folded_k(shape);
    const int64_t output = width.stride * rows * shape.in_channels +
                           (packed ? static_cast<int64_t>(packed_a_row_bytes(k)) : 0);
    const int64_t ends = rows * (width.kernel * shape.in_channels + kRowSlack + kRowAlignment);
    return std::min(kMaxSourcePixels,
                    (kSourceBytes - kAlignment - k - ends - Interleaver::kSlack) / output);
  }
  if (!packed) return std::numeric_limits<int64_t>::max();
  const auto pixel = static_cast<int64_t>(packed_a_row_bytes(shape.group_in()) + sizeof(int32_t));
  const int64_t pixels = kSourceBytes / (rows * pixel);
  int64_t fit = kMaxSourcePixels;
  for (const AxisPhase& phase : width.phases) {
    if (phase.taps.empty()) continue;
    const int64_t reach = phase.taps.back().offset - phase.taps.front().offset + 1;
    fit = std::min(fit, floor_div(pixels - reach, phase.in_step) + 1);
  }
  return fit;
}

void ConvSource::prepare(const ConvInput& input, IndexRange q, int64_t channel) {
  in_ = input;
  q_ = q;
  if (plan_.folded) {
    fold();
    if (plan_.packed_a) pack_folded();
  } else if (plan_.packed_a) {
    pack_rows(channel);
  } else {
    base_ = in_.row;
    pixel_bytes_ = in_.stride[2];
    pixel_step_ = in_.w->in_step * pixel_bytes_;
  }
}

int64_t ConvSource::filter_row_offset(int i, int j) const {
  if (plan_.row_taps) return i * plane_bytes_ + slot(j) * row_bytes_;
  if (plan_.packed_a) {
    const int heights = in_.h.run.last - in_.h.run.first;
    return ((i - in_.d.run.first) * heights + j - in_.h.run.first) * row_bytes_;
  }
  return in_.d.phase->taps[static_cast<size_t>(i)].offset * in_.stride[0] +
         in_.h.phase->taps[static_cast<size_t>(j)].offset * in_.stride[1];
}

// ---- folded ---------------------------------------------------------------------------------

// Columns of the input, in the image or not, that outputs see.
IndexRange ConvSource::columns_under(IndexRange q) const {
  const AxisPhase& w = *in_.w;
  return {q.begin * w.in_step + w.taps.front().offset,
          (q.end - 1) * w.in_step + w.taps.back().offset + 1};
}

// Those in the image.
IndexRange ConvSource::in_image(IndexRange columns) const {
  return {std::clamp<int64_t>(0, columns.begin, columns.end),
          std::clamp(in_.size[2], columns.begin, columns.end)};
}

template <class F>
void ConvSource::for_filter_rows(F f) const {
  const AxisPhase &d = *in_.d.phase, &h = *in_.h.phase;
  const auto depths = static_cast<int>(d.taps.size()), heights = static_cast<int>(h.taps.size());
  for (int i = 0; i < depths; ++i)
    for (int j = 0; j < heights; ++j) {
      const bool inside =
          i >= in_.d.run.first && i < in_.d.run.last && j >= in_.h.run.first && j < in_.h.run.last;
      const int64_t offset = d.taps[static_cast<size_t>(i)].offset * in_.stride[0] +
                             h.taps[static_cast<size_t>(j)].offset * in_.stride[1];
      f(i * heights + j, inside ? in_.row + offset : nullptr);
    }
}

// The buffer holds, for every column of pixels, the bytes of all rows under the filter: a window of
// columns is contiguous, whatever the filter's height. Pixels outside the image hold zero points.
// K's filling to whole groups is the next column's bytes, which meet weights of zero.
void ConvSource::fold() {
  const AxisPhase& w = *in_.w;
  const int64_t column =
      plan_.shape.axes[0].kernel * plan_.shape.axes[1].kernel * plan_.shape.in_channels;
  const IndexRange x = columns_under(q_);
  const IndexRange image = in_image(x);
  const uint8_t* rows[Interleaver::kMaxRows];
  for_filter_rows([&](int r, const uint8_t* row) {
    rows[r] = row ? row + image.begin * in_.stride[2] : nullptr;
  });
  const auto fill = [&](int64_t begin, int64_t end) {
    std::memset(buffer_ + (begin - x.begin) * column, plan_.layer.a_zero_point,
                static_cast<size_t>((end - begin) * column));
  };
  interleave(rows, image.end - image.begin, buffer_ + (image.begin - x.begin) * column);
  fill(x.begin, image.begin);
  fill(image.end, x.end);
  std::memset(buffer_ + (x.end - x.begin) * column, 0, kKr);
  pixel_step_ = w.in_step * column;
  base_ = buffer_ - q_.begin * pixel_step_;
}

void ConvSource::interleave(const uint8_t** rows, int64_t pixels, uint8_t* to) const {
  const Interleaver& interleaver = *plan_.interleaver;
  const auto fill = static_cast<uint8_t>(plan_.layer.a_zero_point);
  const int64_t channels = plan_.shape.in_channels;
  if (in_.stride[2] == channels) return interleaver.run(rows, fill, pixels, to);
  const int64_t count = plan_.shape.axes[0].kernel * plan_.shape.axes[1].kernel;
  for (int64_t x = 0; x < pixels; ++x, to += count * channels) {
    interleaver.run(rows, fill, 1, to);
    for (int64_t r = 0; r < count; ++r)
      if (rows[r]) rows[r] += in_.stride[2];
  }
}

void ConvSource::pack_folded() {
  const int64_t count = q_.end - q_.begin;
  const int64_t used = (count - 1) * pixel_step_ + plan_.tap_k;
  uint8_t* const packed = buffer_ + (used + kAlignment - 1) / kAlignment * kAlignment;
  pack_a_rows(buffer_, pixel_step_, static_cast<int>(count), plan_.tap_k, plan_.a_shift, packed,
              row_init_);
  pixel_step_ = static_cast<int64_t>(packed_a_row_bytes(plan_.tap_k));
  base_ = packed - q_.begin * pixel_step_;
}

// ---- packed ---------------------------------------------------------------------------------

// Packs the pixels that the outputs see, of every input row.
void ConvSource::pack_rows(int64_t channel) {
  const AxisPhase& w = *in_.w;
  IndexRange x{0, 0};
  if (!w.taps.empty()) {
    x.begin = std::clamp<int64_t>(q_.begin * w.in_step + w.taps.front().offset, 0, in_.size[2]);
    x.end = std::clamp<int64_t>((q_.end - 1) * w.in_step + w.taps.back().offset + 1, x.begin,
                                in_.size[2]);
  }
  const int64_t width = x.end - x.begin;
  const int64_t heights = in_.h.run.last - in_.h.run.first;
  const int64_t rows = (in_.d.run.last - in_.d.run.first) * heights;
  pixel_bytes_ = static_cast<int64_t>(packed_a_row_bytes(plan_.tap_k));
  pixel_step_ = w.in_step * pixel_bytes_;
  row_bytes_ = width * pixel_bytes_;
  base_ = buffer_ - x.begin * pixel_bytes_;
  auto* const terms = reinterpret_cast<int32_t*>(buffer_ + rows * row_bytes_);
  const uint8_t* const from = in_.row + channel + x.begin * in_.stride[2];
  for (int64_t r = 0; r < rows; ++r) {
    const auto i = static_cast<size_t>(in_.d.run.first + r / heights);
    const auto j = static_cast<size_t>(in_.h.run.first + r % heights);
    pack_a_rows(from + in_.d.phase->taps[i].offset * in_.stride[0] +
                    in_.h.phase->taps[j].offset * in_.stride[1],
                in_.stride[2], static_cast<int>(width), plan_.tap_k, plan_.a_shift,
                buffer_ + r * row_bytes_, terms + r * width);
  }
  sum_terms(x, rows, terms);
}

// row_init_: for each output the terms of all pixels that it sees; terms[row][pixel].
void ConvSource::sum_terms(IndexRange pixels, int64_t rows, int32_t* terms) {
  const int64_t width = pixels.end - pixels.begin;
  std::fill_n(row_init_, q_.end - q_.begin, 0);
  if (rows == 0) return;
  for (int64_t r = 1; r < rows; ++r)
    for (int64_t x = 0; x < width; ++x) add_to(&terms[x], terms[r * width + x]);
  for (const AxisTap& tap : in_.w->taps) {
    const IndexRange seen = outputs_that_see(*in_.w, tap, in_.size[2]);
    const int64_t end = std::min(q_.end, seen.end);
    for (int64_t q = std::max(q_.begin, seen.begin); q < end; ++q)
      add_to(&row_init_[q - q_.begin], terms[q * in_.w->in_step + tap.offset - pixels.begin]);
  }
}

}  // namespace oct
