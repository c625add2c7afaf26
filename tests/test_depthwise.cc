// Depthwise kernels against the reference convolution, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/depthwise_case.h"
#include "tests/kernel_places.h"

namespace oct::test {
namespace {

constexpr int64_t kMaxElements = 1 << 17;
constexpr int64_t kChannels[] = {1,  2,  3,  5,  8,  12, 15, 16, 17, 24, 31,  32,  33,  40,
                                 48, 49, 56, 63, 64, 65, 72, 80, 96, 97, 120, 130, 144, 200};

class DepthwiseKernels : public testing::TestWithParam<const KernelRow*> {
 protected:
  void SetUp() override {
    if (place == Place::kNowhere) GTEST_SKIP() << row.name << ": " << why_nowhere(row.isa);
    record_place(row);
  }

  // Everything that the test does not set: outputs, input, channels.
  DepthwiseCase draw() {
    static const std::vector<OutputCase> kOutputs = all_output_cases(Chains::kWithoutTensors);
    const std::vector<InputCase> inputs = input_cases(row, rng);
    DepthwiseCase c;
    c.output = kOutputs[static_cast<size_t>(rng.between(0, std::ssize(kOutputs) - 1))];
    c.input = inputs[static_cast<size_t>(rng.between(0, std::ssize(inputs) - 1))];
    c.shape.channels = rng.pick(kChannels);
    return c;
  }

  // An image that gives at least one output, with any padding, and at most a few thousand pixels.
  void draw_image(DepthwiseCase& c) {
    const int64_t most_pixels = std::min<int64_t>(2000, kMaxElements / 8 / c.shape.channels);
    do {
      c.width =
          rng.one_in(4) ? rng.between(1, std::min<int64_t>(90, most_pixels)) : rng.between(1, 24);
      c.height = rng.between(1, std::clamp<int64_t>(most_pixels / c.width, 1, 20));
      draw_pads(c.shape.vertical, c.pad_top, c.pad_bottom);
      draw_pads(c.shape.horizontal, c.pad_left, c.pad_right);
    } while (c.out_height() < 1 || c.out_width() < 1 ||
             c.out_height() * c.out_width() > 2 * most_pixels);
  }

  // None, what keeps the size, or anything up to beyond the kernel.
  void draw_pads(const Axis& axis, int64_t& begin, int64_t& end) {
    const int64_t reach = int64_t{axis.kernel - 1} * axis.dilation;
    switch (rng.between(0, 3)) {
      case 0: begin = end = 0; break;
      case 1: begin = end = reach / 2; break;
      default: begin = rng.between(0, reach + 3), end = rng.between(0, reach + 3);
    }
  }

  void check(DepthwiseCase c) {
    ASSERT_TRUE(Depthwise::fits(row, c.shape));
    c.seed = rng.next();
    const std::string wrong = runner.run(c);
    ASSERT_TRUE(wrong.empty()) << wrong;
  }

  const KernelRow& row = *GetParam();
  const Place place = place_of(row.isa);
  Rng rng{row.name};
  DepthwiseRunner runner{row, kMaxElements};
};

// Every square kernel of 1 to 7, stride and dilation of 1 to 3.
TEST_P(DepthwiseKernels, SquareKernels) {
  for (int kernel = 1; kernel <= 7; ++kernel)
    for (int stride = 1; stride <= 3; ++stride)
      for (int dilation = 1; dilation <= 3; ++dilation)
        for (int repeat = 0; repeat < by_effort_at(place, 1, 12, 100); ++repeat) {
          DepthwiseCase c = draw();
          c.shape.vertical = c.shape.horizontal = {kernel, stride, dilation};
          draw_image(c);
          check(c);
          if (HasFatalFailure()) return;
        }
}

// Anything along either axis.
TEST_P(DepthwiseKernels, AnyKernel) {
  for (int repeat = 0; repeat < by_effort_at(place, 60, 1000, 10000); ++repeat) {
    DepthwiseCase c = draw();
    const auto axis = [&](int most) {
      return Axis{static_cast<int>(rng.between(1, most)), static_cast<int>(rng.between(1, 3)),
                  static_cast<int>(rng.between(1, 3))};
    };
    c.shape.vertical = axis(7);
    c.shape.horizontal = axis(7);
    if (rng.one_in(6)) c.shape.vertical = {1, 1, 1}, c.shape.horizontal = axis(31);
    draw_image(c);
    if (!Depthwise::fits(row, c.shape)) continue;
    check(c);
    if (HasFatalFailure()) return;
  }
}

// Every output type x bias x ReLU or clamp x form of the epilogue, on every kind of input.
TEST_P(DepthwiseKernels, Outputs) {
  for (const OutputCase& output : all_output_cases(Chains::kWithoutTensors))
    for (const InputCase& input : input_cases(row, rng))
      for (int repeat = 0; repeat < by_effort_at(place, 1, 3, 50); ++repeat) {
        DepthwiseCase c = draw();
        c.output = output;
        c.input = input;
        const int kernel = rng.one_in(2) ? 3 : 5, stride = rng.one_in(2) ? 1 : 2;
        c.shape.vertical = c.shape.horizontal = {kernel, stride, 1};
        draw_image(c);
        check(c);
        if (HasFatalFailure()) return;
      }
}

// Images of few rows, with and without a row of padding at either end: output rows next to padding
// may be computed from other input rows than those between them.
TEST_P(DepthwiseKernels, FewRows) {
  for (int64_t height = 1; height <= 11; ++height)
    for (int64_t pad_top = 0; pad_top <= 2; ++pad_top)
      for (int64_t pad_bottom = 0; pad_bottom <= 2; ++pad_bottom) {
        DepthwiseCase c = draw();
        c.shape.vertical = c.shape.horizontal = {3, 1, 1};
        if (rng.one_in(3)) c.shape.channels = rng.between(1, 2) * row.nr;
        c.height = height;
        c.width = rng.between(1, 9);
        c.pad_top = pad_top;
        c.pad_bottom = pad_bottom;
        c.pad_left = c.pad_right = 1;
        if (c.out_height() < 1) continue;
        check(c);
        if (HasFatalFailure()) return;
      }
}

// Every number of channels of a block and around it.
TEST_P(DepthwiseKernels, Channels) {
  for (int channels = 1; channels <= 2 * row.nr + 1; ++channels)
    for (int repeat = 0; repeat < by_effort_at(place, 1, 4, 20); ++repeat) {
      DepthwiseCase c = draw();
      c.shape.channels = channels;
      const int stride = rng.one_in(2) ? 1 : 2;
      c.shape.vertical = c.shape.horizontal = {3, stride, 1};
      draw_image(c);
      check(c);
      if (HasFatalFailure()) return;
    }
}

std::vector<const KernelRow*> depthwise_rows() {
  std::vector<const KernelRow*> rows;
  for (const KernelRow& row : kernels_of("depthwise")) rows.push_back(&row);
  return rows;
}

INSTANTIATE_TEST_SUITE_P(Table, DepthwiseKernels, testing::ValuesIn(depthwise_rows()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace oct::test
