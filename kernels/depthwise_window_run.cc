// The way of windows through an image: as many output rows as L1 holds of a block of channels, for
// one block after another, so that packed weights are read once for all of these rows. A call makes
// all steps of all blocks of one form.

#include <algorithm>

#include "kernels/depthwise.h"

namespace oct {
namespace {

constexpr int64_t kMaxSteps = 16;

// Some output rows, and what they are computed from: of the input rows the first, which may lie
// before the image, and packed weights of depthwise_window_layout.
struct Rows {
  int64_t count, input;
  IndexRange layout;
};

constexpr IndexRange kQuadLayout{1, 3};  // of stride 1, the rows that a quad is made for

// Bits of the input rows that are in the image.
int64_t rows_in_image(int64_t first, int count, int64_t height) {
  const int64_t begin = std::clamp<int64_t>(-first, 0, count);
  const int64_t end = std::clamp<int64_t>(height - first, 0, count);
  return ((int64_t{1} << end) - 1) & -(int64_t{1} << begin);
}

// The first ones of `rows`, of stride 1. An output row that sees one row of padding above or below
// the image does not need it: its weights for the quad of the rows beside are others. Such quads
// make up to three rows, and two at both ends of an image save one quad:
//
//   output rows    0 1 2 | 3 4 | 5 6        0 1 2 | 3 4 5
//   quads          0 - 3   2 - 5 3 - 6      0 - 3   2 - 5
Rows quad_rows(const DepthwiseImage& image, IndexRange rows) {
  const int64_t input = rows.begin - image.pad_top, left = rows.end - rows.begin;
  const bool tall = image.height >= kSources;
  const bool ends_below = tall && rows.end + 1 - image.pad_top == image.height;
  const auto more_steps = [&](int64_t behind) {
    return ends_below ? std::max<int64_t>(1, behind / 2) : (behind + 1) / 2;
  };
  if (input == -1 && tall) {
    const int64_t count = left <= 3 ? left : more_steps(left - 3) < more_steps(left - 2) ? 3 : 2;
    return {count, 0, {0, count}};
  }
  if (ends_below && left <= 3) return {left, image.height - kSources, {4 - left, 4}};
  const int64_t count = std::min<int64_t>(left, 2);
  return {count, input, {1, 1 + count}};
}

}  // namespace

class Depthwise::WindowRun {
 public:
  WindowRun(const Depthwise& d, const DepthwiseImage& image, IndexRange blocks, Order order)
      : d_(d), image_(image), order_(order) {
    for (int64_t b = blocks.begin, end; b < blocks.end; b = end) {
      end = d.same_form(b, blocks.end);
      Part& part = parts_[count_++];
      part.form = &d.form_of(b);
      part.blocks = {b, end};
      part.rows = rows_in_l1(*part.form);
      fill_args(&part);
      most_ = std::max(most_, part.rows);
    }
  }

  void run(IndexRange rows) {
    for_steps(rows, most_, order_, [&](IndexRange together) {
      for (int i = 0; i < count_; ++i)
        for_steps(together, parts_[i].rows, order_,
                  [&](IndexRange some) { run_part(some, &parts_[i]); });
    });
  }

 private:
  // Blocks of one form.
  struct Part {
    const Form* form;
    IndexRange blocks;
    int64_t rows;  // output rows of a call, at most
    DepthwiseWindowArgs args;

    // An odd last row may have code of its own.
    int variant() const { return form->run[1] ? 1 : 0; }
    bool is_odd(IndexRange r) const {
      return form->run[0] && form->run[1] && (r.end - r.begin) % 2 == 1;
    }
  };

  // Output rows for which a block's input and output stay in L1, in whole steps: a line or two of
  // each pixel.
  int64_t rows_in_l1(const Form& form) const {
    constexpr int64_t kBytes = 32 << 10, kLine = 64;
    const auto lines = [&](int64_t bytes, int64_t pixel_bytes) {
      return (bytes + kLine - 1) / kLine + (pixel_bytes % kLine != 0);
    };
    const int64_t bytes =
        kLine * (d_.shape_.vertical.stride * image_.width * lines(form.n, image_.a_pixel_bytes) +
                 image_.c_width *
                     lines(form.n * static_cast<int64_t>(d_.element_bytes_), image_.c_pixel_bytes));
    return std::clamp<int64_t>(kBytes / (bytes * form.rows), 1, kMaxSteps / form.rows) * form.rows;
  }

  void fill_args(Part* part) const {
    DepthwiseWindowArgs& args = part->args;
    const int inputs = part->form->inputs[part->variant()];
    for (int i = 0; i < inputs; ++i) args.row_offset[i] = i * image_.a_row_bytes;
    args.pixel_bytes = image_.a_pixel_bytes;
    args.column = -image_.pad_left * image_.a_pixel_bytes;
    args.width_bytes = image_.width * image_.a_pixel_bytes;
    args.padding_row = d_.padding_.bytes;
    args.a_shift = d_.a_shift_ * 0x01010101u;
    args.padding = static_cast<uint8_t>(d_.a_zero_point_ + d_.a_shift_) * 0x01010101u;
    args.pixels = image_.c_width;
    args.block_bytes = d_.block_bytes_;
    args.c_row_step = image_.c_row_bytes - 2 * image_.c_pixel_bytes;
    args.outputs.epilogue = &d_.params_;
    args.outputs.c_row_bytes = image_.c_row_bytes;
    args.outputs.c_pixel_bytes = image_.c_pixel_bytes;
    args.outputs.place_bytes = (part->variant() + 1) * image_.c_row_bytes;
  }

  void run_part(IndexRange rows, Part* part) const {
    DepthwiseWindowStep steps[kMaxSteps];
    const int64_t odd = part->is_odd(rows);
    auto* const last = list_steps({rows.begin, rows.end - odd}, *part, part->variant(), steps);
    auto* const end = list_steps({rows.end - odd, rows.end}, *part, 0, last);
    if (order_ == Order::kForwards) {
      call(part, part->variant(), steps, last);
      call(part, 0, last, end);
    } else {
      std::reverse(steps, last);
      call(part, 0, last, end);
      call(part, part->variant(), steps, last);
    }
  }

  DepthwiseWindowStep* list_steps(IndexRange rows, const Part& part, int variant,
                                  DepthwiseWindowStep* to) const {
    const int inputs = part.form->inputs[variant];
    const int64_t all = (int64_t{1} << inputs) - 1;
    const int64_t together = depthwise_window_columns(d_.shape_.horizontal);
    for (int64_t row = rows.begin; row < rows.end; ++to) {
      const Rows r = rows_at({row, rows.end}, *part.form);
      to->a_bytes = r.input * image_.a_row_bytes;
      to->c_bytes = row * image_.c_row_bytes;
      to->in_image = rows_in_image(r.input, inputs, image_.height);
      to->inside_bytes =
          to->in_image == all ? (image_.width + 1 - together) * image_.a_pixel_bytes : 0;
      to->weights = r.layout.begin * d_.window_row_bytes_;
      to->weights_end = r.layout.end * d_.window_row_bytes_;
      to->output_rows = r.count;
      row += r.count;
    }
    return to;
  }

  // The first ones of `rows`.
  Rows rows_at(IndexRange rows, const Form& form) const {
    const int64_t stride = d_.shape_.vertical.stride;
    if (stride == 1 && form.width == d_.row_.nr) return quad_rows(image_, rows);
    return {std::min(form.rows, rows.end - rows.begin), rows.begin * stride - image_.pad_top,
            kQuadLayout};
  }

  void call(Part* part, int variant, const DepthwiseWindowStep* steps,
            const DepthwiseWindowStep* end) const {
    if (steps == end) return;
    const Block& block = d_.block(part->blocks.begin);
    DepthwiseWindowArgs& args = part->args;
    args.a = image_.a + block.channel;
    args.weights = d_.packed(block.weights[0]);
    args.blocks = part->blocks.end - part->blocks.begin;
    args.outputs.mult = reinterpret_cast<const float*>(d_.packed(block.mult));
    args.outputs.bias = reinterpret_cast<const float*>(d_.packed(block.bias));
    args.outputs.c = image_.c + block.channel * static_cast<int64_t>(d_.element_bytes_);
    args.steps = steps;
    args.steps_end = end;
    reinterpret_cast<DepthwiseWindowFn>(part->form->run[variant])(&args);
  }

  const Depthwise& d_;
  const DepthwiseImage& image_;
  const Order order_;
  Part parts_[2];  // whole blocks, and a narrower one
  int count_ = 0;
  int64_t most_ = 1;
};

void Depthwise::run_windows(const DepthwiseImage& image, IndexRange rows, IndexRange blocks,
                            Order order) const {
  WindowRun(*this, image, blocks, order).run(rows);
}

}  // namespace oct
