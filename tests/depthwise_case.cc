#include "tests/depthwise_case.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/reference_conv.h"
#include "tests/guard_buffer.h"
#include "tests/operands.h"
#include "tests/output_image.h"

namespace oct::test {
namespace {

constexpr int64_t kMaxPad = 40;    // of a pixel, in bytes
constexpr int kMaxPagedRows = 64;  // rows of an image with each row between guards of its own

int64_t outputs(int64_t in, int64_t pads, const Axis& axis) {
  const int64_t span = in + pads - axis.dilation * (axis.kernel - 1) - 1;
  return span < 0 ? 0 : span / axis.stride + 1;
}

}  // namespace

int64_t DepthwiseCase::out_height() const {
  return outputs(height, pad_top + pad_bottom, shape.vertical);
}
int64_t DepthwiseCase::out_width() const {
  return outputs(width, pad_left + pad_right, shape.horizontal);
}

struct DepthwiseRunner::Buffers {
  Buffers(const KernelRow& row, int64_t max_elements)
      : row(row), a("A", static_cast<size_t>(max_elements)),
        a_rows("A", static_cast<size_t>(max_elements) / 8, kMaxPagedRows),
        c("C", static_cast<size_t>(4 * max_elements)),
        c_rows("C", static_cast<size_t>(max_elements) / 2, kMaxPagedRows) {}

  const KernelRow& row;
  CodeCache cache;
  GuardBuffer a, a_rows, c, c_rows;
  GuardBuffer scratch{"scratch", kMaxDepthwiseScratch};
};

namespace {

// An image in memory: dense, strided by pixel, or with each row between guards of its own.
struct Placed {
  const GuardBuffer* buffer;
  uint8_t* data;
  int64_t row_bytes, pixel_bytes;
};

Placed place(const GuardBuffer& whole, const GuardBuffer& by_row, int64_t height, int64_t width,
             int64_t element, int64_t channels, Rng& rng) {
  const int64_t pixel = channels * element;
  const int64_t row = width * pixel;
  const auto fits = [](const GuardBuffer& b, int64_t bytes) {
    return static_cast<size_t>(bytes) <= b.body_bytes();
  };
  if (rng.one_in(4) && height <= kMaxPagedRows && fits(by_row, row))
    return {&by_row, by_row.place(either_end(rng), static_cast<size_t>(row)),
            static_cast<int64_t>(by_row.stride_bytes()), pixel};
  int64_t pad = rng.one_in(2) ? 0 : rng.between(1, kMaxPad) * element;
  if (!fits(whole, height * width * (pixel + pad))) pad = 0;
  const int64_t size = height * width * (pixel + pad) - pad;
  return {&whole, whole.place(either_end(rng), static_cast<size_t>(size)), width * (pixel + pad),
          pixel + pad};
}

class Call {
 public:
  template <class Buffers>
  Call(Buffers& s, const DepthwiseCase& c)
      : c_(c), row_(s.row), rng_(c.seed), channels_(c.shape.channels) {
    draw_weights();
    draw_a(s);
    draw_outputs(s);
    kernel_ = std::make_unique<Depthwise>(s.cache, row_, desc());
    scratch_ = s.scratch.right(kernel_->scratch_bytes(), 64);
  }

  std::string run() {
    std::vector<uint8_t> expected(
        static_cast<size_t>(c_.out_height() * c_.out_width() * channels_) * element());
    reference_conv(reference_, 1, {1, c_.height, c_.width}, {1, c_.out_height(), c_.out_width()},
                   dense_.data(), {}, expected.data());
    // Memory around the outputs: rows of whole image rows, or of pixels.
    const bool by_row = out_.buffer->rows() > 1;
    const int64_t pixels = c_.out_height() * c_.out_width();
    const int image_rows = static_cast<int>(by_row ? c_.out_height() : pixels);
    const int image_n = static_cast<int>(by_row ? c_.out_width() * channels_ : channels_);
    OutputImage image(*out_.buffer, out_.data, by_row ? out_.row_bytes : out_.pixel_bytes,
                      image_rows, image_n, c_.output.c_type, rng_);
    image.expect(expected.data());
    const std::string note = describe();
    set_fault_note(note);
    run_in_parts();
    const std::string wrong = image.differences();
    return wrong.empty() ? "" : note + wrong;
  }

 private:
  size_t element() const { return dtype_bytes(c_.output.c_type); }
  int taps() const { return c_.shape.vertical.kernel * c_.shape.horizontal.kernel; }

  void draw_weights() {
    const Fill fill = rng_.pick(kFills);
    const int bound = c_.input.safe_weights ? 64 : 127;
    weights_.resize(static_cast<size_t>(channels_ * taps()));
    for (size_t i = 0; i < weights_.size(); ++i)
      weights_[i] = static_cast<int8_t>(fill_value(rng_, fill, c_.input.safe_weights ? -64 : -128,
                                                   bound, static_cast<int64_t>(i)));
    fills_ = std::string("W ") + fill_name(fill);
  }

  template <class Buffers>
  void draw_a(Buffers& s) {
    const Fill fill = rng_.pick(kFills);
    fills_ += std::string(", A ") + fill_name(fill);
    in_ = place(s.a, s.a_rows, c_.height, c_.width, 1, channels_, rng_);
    dense_.resize(static_cast<size_t>(c_.height * c_.width * channels_));
    uint8_t* to = dense_.data();
    for (int64_t y = 0; y < c_.height; ++y)
      for (int64_t x = 0; x < c_.width; ++x, to += channels_) {
        for (int64_t i = 0; i < channels_; ++i)
          to[i] = static_cast<uint8_t>(
              fill_value(rng_, fill, c_.input.a_min, c_.input.a_max, x + y + i));
        std::memcpy(in_.data + y * in_.row_bytes + x * in_.pixel_bytes, to,
                    static_cast<size_t>(channels_));
      }
    // Padding holds the zero point, so it lies in the range that A was promised to.
    a_zero_point_ = static_cast<int>(rng_.between(c_.input.a_min, c_.input.a_max));
  }

  // The outputs' parameters are drawn for 64 channels and repeat.
  template <class Buffers>
  void draw_outputs(Buffers& s) {
    out_ = place(s.c, s.c_rows, c_.out_height(), c_.out_width(), static_cast<int64_t>(element()),
                 channels_, rng_);
    ReferenceGemm& layer = reference_.layer;
    layer = {};
    layer.a_type = c_.input.a_type;
    layer.a_zero_point = a_zero_point_;
    const int drawn = static_cast<int>(std::min<int64_t>(channels_, kMaxNr));
    draw_output(c_.output, taps(), drawn, rng_, layer, output_);
    for (int64_t i = 0; i < channels_; ++i) {
      const int from = static_cast<int>(i % drawn);
      scales_.push_back(output_.b_scales[from]);
      mult_.push_back(output_.mult[from]);
      bias_s32_.push_back(output_.bias_s32[from]);
      bias_f32_.push_back(output_.bias_f32[from]);
    }
    layer.b_scales = scales_.data();
    if (c_.output.bias == DType::kS32) layer.bias = bias_s32_.data();
    if (c_.output.bias == DType::kF32) layer.bias = bias_f32_.data();
    params_ = spread(output_.scalars);
    const Axis &v = c_.shape.vertical, &h = c_.shape.horizontal;
    reference_.w = weights_.data();
    reference_.in_channels = reference_.out_channels = reference_.groups = channels_;
    reference_.kernel = {1, v.kernel, h.kernel};
    reference_.stride = {1, v.stride, h.stride};
    reference_.dilation = {1, v.dilation, h.dilation};
    reference_.pad_begin = {0, c_.pad_top, c_.pad_left};
    reference_.transposed = false;
  }

  DepthwiseDesc desc() const {
    return {c_.shape,
            weights_.data(),
            static_cast<uint8_t>(a_zero_point_),
            static_cast<uint8_t>(c_.input.shift),
            output_.spec,
            c_.output.bias == DType::kS32 ? bias_s32_.data() : nullptr,
            c_.output.c_type == DType::kS32 ? nullptr : mult_.data(),
            c_.output.bias == DType::kF32 ? bias_f32_.data() : nullptr,
            &params_};
  }

  // Everything at once, or cut into ranges of rows and blocks as threads do.
  void run_in_parts() {
    const DepthwiseImage image{in_.data,        c_.height,      c_.width,       in_.row_bytes,
                               in_.pixel_bytes, c_.pad_top,     c_.pad_left,    out_.data,
                               c_.out_height(), c_.out_width(), out_.row_bytes, out_.pixel_bytes};
    const bool whole = rng_.one_in(2);
    const int64_t row = whole ? c_.out_height() : rng_.between(0, c_.out_height());
    const int64_t block = whole ? kernel_->blocks() : rng_.between(0, kernel_->blocks());
    for (const IndexRange rows : {IndexRange{0, row}, IndexRange{row, c_.out_height()}})
      for (const IndexRange blocks : {IndexRange{0, block}, IndexRange{block, kernel_->blocks()}}) {
        rng_.fill_bytes(scratch_, kernel_->scratch_bytes());
        const Order order = rng_.one_in(2) ? Order::kBackwards : Order::kForwards;
        kernel_->run(image, rows, blocks, order, scratch_);
      }
  }

  std::string describe() const {
    const Axis &v = c_.shape.vertical, &h = c_.shape.horizontal;
    char text[900];
    snprintf(text, sizeof text,
             "%s, OCTAVO_TEST_SEED=%llu\n"
             "  channels %lld, kernel %dx%d, stride %dx%d, dilation %dx%d\n"
             "  image %lldx%lld, pads top %lld left %lld bottom %lld right %lld, output %lldx%lld\n"
             "  A %s in [%d, %d] shifted by %d, zero point %d, pixel %lld, row %lld; %s\n"
             "  C %s, pixel %lld, row %lld, bias %s, post %s, saturating %d, multipliers %s\n",
             row_.name, static_cast<unsigned long long>(base_seed()),
             static_cast<long long>(channels_), v.kernel, h.kernel, v.stride, h.stride, v.dilation,
             h.dilation, static_cast<long long>(c_.height), static_cast<long long>(c_.width),
             static_cast<long long>(c_.pad_top), static_cast<long long>(c_.pad_left),
             static_cast<long long>(c_.pad_bottom), static_cast<long long>(c_.pad_right),
             static_cast<long long>(c_.out_height()), static_cast<long long>(c_.out_width()),
             dtype_name(c_.input.a_type), c_.input.a_min, c_.input.a_max, c_.input.shift,
             a_zero_point_, static_cast<long long>(in_.pixel_bytes),
             static_cast<long long>(in_.row_bytes), fills_.c_str(), dtype_name(c_.output.c_type),
             static_cast<long long>(out_.pixel_bytes), static_cast<long long>(out_.row_bytes),
             dtype_name(c_.output.bias), post_name(c_.output.post), c_.output.saturating,
             c_.output.small_multipliers ? "below 1" : "above 1");
    return text;
  }

  const DepthwiseCase& c_;
  const KernelRow& row_;
  Rng rng_;
  const int64_t channels_;
  std::string fills_;
  std::vector<int8_t> weights_;
  std::vector<uint8_t> dense_;
  std::vector<float> scales_, mult_, bias_f32_;
  std::vector<int32_t> bias_s32_;
  int a_zero_point_ = 0;
  Placed in_{}, out_{};
  ReferenceConv reference_{};
  OutputData output_;
  EpilogueParams params_;
  std::unique_ptr<Depthwise> kernel_;
  uint8_t* scratch_ = nullptr;
};

}  // namespace

DepthwiseRunner::DepthwiseRunner(const KernelRow& row, int64_t max_elements)
    : buffers_(std::make_unique<Buffers>(row, max_elements)) {}
DepthwiseRunner::~DepthwiseRunner() = default;

std::string DepthwiseRunner::run(const DepthwiseCase& c) {
  set_fault_note("packing or the reference for " + std::string(buffers_->row.name) +
                 ", OCTAVO_TEST_SEED=" + std::to_string(base_seed()));
  return Call(*buffers_, c).run();
}

}  // namespace oct::test
