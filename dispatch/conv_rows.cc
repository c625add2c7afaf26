// Copied rows (plan.row_taps): the rows under the filter for some output rows, one behind the
// other.
//
//   slot 0 | padding | row y     | padding, slack |   output row r sees slots
//   slot 1 | padding | row y + 1 | padding, slack |   r * in_step + 0, 1, .. (filter's height):
//   ..                                                output rows lie a constant stride apart
//
// Rows outside the image hold zero points. Of a slot only the pixels change from one use to the
// next. Where rows are far apart (dilation), just those of one output row are copied.

#include <algorithm>
#include <cstring>

#include "dispatch/conv_source.h"

namespace oct {
namespace {

// Copied rows are to stay in L1 beside B and C. Where that makes too few output rows, most rows
// would be copied more than once.
constexpr int64_t kRowsInL1 = 24 << 10, kFewRows = 4;

}  // namespace

int64_t ConvSource::prepare_rows(const ConvInput& input, IndexRange q, int64_t most) {
  in_ = input;
  q_ = q;
  const int64_t channels = plan_.shape.in_channels;
  const IndexRange x = columns_under(q_);
  if (x.begin != x_.begin || x.end != x_.end) padded_ = 0;
  x_ = x;
  row_bytes_ = ((x.end - x.begin) * channels + kRowSlack + kRowAlignment - 1) / kRowAlignment *
               kRowAlignment;
  const int64_t rows = plan_rows(most);
  const size_t depths = in_.d.phase->taps.size();
  plane_bytes_ = plane_rows_ * row_bytes_;
  if (const int64_t slots = static_cast<int64_t>(depths) * plane_rows_; slots > padded_) {
    std::memset(buffer_ + padded_ * row_bytes_, plan_.layer.a_zero_point,
                static_cast<size_t>((slots - padded_) * row_bytes_));
    padded_ = slots;
  }
  for (size_t i = 0; i < depths; ++i)
    copy_plane(i, buffer_ + static_cast<int64_t>(i) * plane_bytes_);
  row_step_ = in_.h.phase->in_step * row_bytes_;
  pixel_step_ = in_.w->in_step * channels;
  base_ = buffer_ - q_.begin * pixel_step_;
  return rows;
}

void ConvSource::read_rows(const ConvInput& input) {
  in_ = input;
  const AxisPhase &d = *in_.d.phase, &h = *in_.h.phase, &w = *in_.w;
  spread_ = true;
  row_bytes_ = in_.stride[1];
  row_step_ = h.in_step * row_bytes_;
  plane_bytes_ = d.taps.size() > 1 ? (d.taps[1].offset - d.taps[0].offset) * in_.stride[0] : 0;
  pixel_step_ = w.in_step * in_.stride[2];
  base_ = in_.row + d.taps.front().offset * in_.stride[0] + h.taps.front().offset * in_.stride[1] +
          w.taps.front().offset * in_.stride[2];
}

// How many output rows to make ready, and which rows those need.
int64_t ConvSource::plan_rows(int64_t most) {
  const AxisPhase& h = *in_.h.phase;
  const auto depths = static_cast<int64_t>(in_.d.phase->taps.size());
  const int64_t reach = h.taps.back().offset - h.taps.front().offset + 1;
  const auto fit = [&](int64_t bytes) {
    return floor_div(bytes / (depths * row_bytes_) - reach, h.in_step) + 1;
  };
  const int64_t rows =
      std::min(most, std::max(fit(kRowsInL1), std::min(kFewRows, fit(kSourceBytes))));
  spread_ = rows > 0;
  plane_rows_ = spread_ ? (rows - 1) * h.in_step + reach : static_cast<int64_t>(h.taps.size());
  return std::max<int64_t>(1, rows);
}

// Of the filter's row j for the first output row.
int64_t ConvSource::slot(int j) const {
  const auto& taps = in_.h.phase->taps;
  return spread_ ? taps[static_cast<size_t>(j)].offset - taps.front().offset : j;
}

void ConvSource::copy_plane(size_t depth, uint8_t* to) {
  const AxisPhase &d = *in_.d.phase, &h = *in_.h.phase;
  const int64_t z = in_.d.q * d.in_step + d.taps[depth].offset;
  const bool exists = z >= 0 && z < in_.size[0];
  const uint8_t* const plane = in_.row + d.taps[depth].offset * in_.stride[0];
  for (int64_t s = 0; s < plane_rows_; ++s, to += row_bytes_) {
    const int64_t offset =
        spread_ ? h.taps.front().offset + s : h.taps[static_cast<size_t>(s)].offset;
    const int64_t y = in_.h.q * h.in_step + offset;
    copy_row(exists && y >= 0 && y < in_.size[1] ? plane + offset * in_.stride[1] : nullptr, to);
  }
}

// Columns x_ of the row that are in the image; null: zero points in their place.
void ConvSource::copy_row(const uint8_t* row, uint8_t* to) const {
  const auto channels = static_cast<size_t>(plan_.shape.in_channels);
  const IndexRange image = in_image(x_);
  uint8_t* pixel = to + static_cast<size_t>(image.begin - x_.begin) * channels;
  const size_t bytes = static_cast<size_t>(image.end - image.begin) * channels;
  if (!row) {
    std::memset(pixel, plan_.layer.a_zero_point, bytes);
    return;
  }
  if (in_.stride[2] == static_cast<int64_t>(channels)) {
    std::memcpy(pixel, row + image.begin * in_.stride[2], bytes);
    return;
  }
  for (int64_t i = image.begin; i < image.end; ++i, pixel += channels)
    std::memcpy(pixel, row + i * in_.stride[2], channels);
}

}  // namespace oct
