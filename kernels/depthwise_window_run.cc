// The way of 3x3 kernels through an image: rows in steps of the most that a call makes, whole
// blocks of channels and then the narrower one.

#include <algorithm>

#include "kernels/depthwise.h"

namespace oct {

void Depthwise::run_window(const DepthwiseImage& image, IndexRange rows, IndexRange blocks) const {
  int64_t most = 0;
  for (const Form& form : forms_) most = std::max(most, form.window_rows);
  for (int64_t y = rows.begin; y < rows.end; y += most)
    for (int64_t b = blocks.begin; b < blocks.end;) {
      const int form = blocks_[static_cast<size_t>(b)].form;
      int64_t end = b + 1;
      while (end < blocks.end && blocks_[static_cast<size_t>(end)].form == form) ++end;
      const Form& f = forms_[static_cast<size_t>(form)];
      const int64_t y_end = std::min(y + most, rows.end);
      for (int64_t i = y; i < y_end; i += f.window_rows)
        run_window_rows(image, {i, std::min(i + f.window_rows, y_end)}, f, {b, end});
      b = end;
    }
}

// The output rows of one call, for all of `blocks`, which are of one form.
void Depthwise::run_window_rows(const DepthwiseImage& image, IndexRange rows, const Form& form,
                                IndexRange blocks) const {
  const int stride = shape_.vertical.stride;
  DepthwiseWindowArgs args;
  args.output_rows = rows.end - rows.begin;
  const size_t variant = args.output_rows == 1 && form.window_rows == kMaxOutputRows ? 0 : 1;
  args.column = -image.pad_left;
  args.width = image.width;
  args.a_shift = a_shift_ * 0x01010101u;
  args.padding = static_cast<uint8_t>(a_zero_point_ + a_shift_) * 0x01010101u;
  args.pixels = image.c_width;
  args.outputs.epilogue = &params_;
  args.outputs.c_row_bytes = image.c_row_bytes;
  args.outputs.c_pixel_bytes = image.c_pixel_bytes;
  args.outputs.place_bytes = kMaxOutputRows * image.c_row_bytes;

  const uint8_t* first[kMaxWindowRows];  // null: padding
  const int64_t row = rows.begin * stride - image.pad_top;
  const int inputs = form.window_inputs[variant];
  for (int i = 0; i < inputs; ++i) {
    const bool in = static_cast<uint64_t>(row + i) < static_cast<uint64_t>(image.height);
    first[i] = in ? image.a + (row + i) * image.a_row_bytes +
                        std::max<int64_t>(0, args.column) * image.a_pixel_bytes
                  : nullptr;
  }
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const Block& block = blocks_[static_cast<size_t>(b)];
    for (int i = 0; i < inputs; ++i) {
      args.rows[i] = first[i] ? first[i] + block.channel : padding_.bytes;
      args.step_bytes[i] = first[i] ? image.a_pixel_bytes : 0;
    }
    args.weights = packed(block.weights[variant]);
    args.init = reinterpret_cast<const int32_t*>(packed(block.init));
    args.outputs.mult = reinterpret_cast<const float*>(packed(block.mult));
    args.outputs.bias = reinterpret_cast<const float*>(packed(block.bias));
    args.outputs.c = image.c + rows.begin * image.c_row_bytes +
                     block.channel * static_cast<int64_t>(element_bytes_);
    form.window[variant](&args);
  }
}

}  // namespace oct
