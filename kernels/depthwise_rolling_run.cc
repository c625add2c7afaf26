// The way through an image of rolling sums: one or two rows at a time, whole blocks of channels and
// then the narrower one.

#include <algorithm>

#include "kernels/depthwise.h"

namespace oct {
namespace {

// The input rows of a call from `column` on, or null where they are padding; whether any is.
bool list_rows(const DepthwiseImage& image, int64_t row, int64_t column, int count,
               const uint8_t** rows) {
  bool padding = false;
  for (int i = 0; i < count; ++i) {
    const bool in = static_cast<uint64_t>(row + i) < static_cast<uint64_t>(image.height);
    rows[i] = in ? image.a + (row + i) * image.a_row_bytes + column * image.a_pixel_bytes : nullptr;
    padding |= !in;
  }
  return padding;
}

}  // namespace

// Blocks share cache lines. Rows of pixels far too long for L1 go in parts whose input stays there
// from one block to the next. Zen 4, 2026-11-24, 3x3 stride 2, 96 channels of 112 columns: 96 to 90
// us; parts of shorter rows do not pay for the columns that begin them.
int64_t Depthwise::rolling_parts(const DepthwiseImage& image, int inputs) const {
  constexpr int64_t kLongRow = 48 << 10, kInputBytes = 16 << 10, kFewestPixels = 14;
  const int64_t pixel = inputs * shape_.horizontal.stride * image.a_pixel_bytes;
  if (pixel * image.c_width <= kLongRow) return 1;
  const int64_t pixels = std::max(kFewestPixels, kInputBytes / pixel);
  return (image.c_width + pixels - 1) / pixels;
}

void Depthwise::run_rolling(const DepthwiseImage& image, IndexRange rows, IndexRange blocks,
                            Order order) const {
  for_steps(rows, kMaxOutputRows, order, [&](IndexRange some) {
    for (int64_t b = blocks.begin, end; b < blocks.end; b = end) {
      end = same_form(b, blocks.end);
      run_rolling_rows(image, some, form_of(b), {b, end});
    }
  });
}

void Depthwise::run_rolling_rows(const DepthwiseImage& image, IndexRange rows, const Form& form,
                                 IndexRange blocks) const {
  const auto variant = static_cast<size_t>(rows.end - rows.begin - 1);
  const Block& first_block = block(blocks.begin);
  DepthwiseRollingArgs args;
  args.column = -image.pad_left;
  args.width = image.width;
  const auto zero_point = static_cast<uint16_t>(rolling_value(a_zero_point_));
  args.padding = zero_point * 0x00010001u;
  args.packed = packed(first_block.weights[variant]);
  args.epilogue = &params_;
  args.c = image.c + rows.begin * image.c_row_bytes +
           first_block.channel * static_cast<int64_t>(element_bytes_);
  args.c_row_bytes = image.c_row_bytes;
  args.c_pixel_bytes = image.c_pixel_bytes;
  args.pixels = image.c_width;
  args.blocks = blocks.end - blocks.begin;

  const uint8_t* first[kMaxRollingRows];
  const int inputs = form.inputs[variant];
  const bool padding = list_rows(image, rows.begin * shape_.vertical.stride - image.pad_top,
                                 std::max<int64_t>(0, -image.pad_left), inputs, first);
  args.shared_step_bytes = padding ? 0 : image.a_pixel_bytes;
  const int64_t parts = rolling_parts(image, inputs);
  for (int64_t part_index = 0; part_index < parts; ++part_index) {
    const IndexRange pixels = part(image.c_width, parts, part_index);
    DepthwiseRollingArgs some = args;
    some.pixels = pixels.end - pixels.begin;
    some.column += pixels.begin * shape_.horizontal.stride;
    some.c += pixels.begin * image.c_pixel_bytes;
    const int64_t passed = std::max<int64_t>(0, some.column) - std::max<int64_t>(0, args.column);
    for (int i = 0; i < inputs; ++i) {
      const int64_t offset = first_block.channel + passed * image.a_pixel_bytes;
      some.rows[i] = first[i] ? first[i] + offset : padding_.bytes;
      some.step_bytes[i] = first[i] ? image.a_pixel_bytes : 0;
      some.block_bytes[i] = first[i] ? form.n : 0;
    }
    reinterpret_cast<DepthwiseRollingFn>(form.run[variant])(&some);
  }
}

}  // namespace oct
