// A network's convolutions, listed one after the other: each takes the shape that the one before
// left behind.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "perf/problem.h"

namespace oct::perf {

// A convolution, less what it has from its input.
struct Filter {
  ConvShape::Axes kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, padding{};
  int64_t groups = 1;
  bool transposed = false;
};

// The filter padded by half of what its kernel covers, which with stride 1 and odd kernels keeps
// the size.
Filter padded(Filter filter);

// The same along every axis, padded.
Filter square(int64_t kernel, int64_t stride = 1, int64_t groups = 1);

class Network {
 public:
  // Input of `channels` and `size`, whose first `rank` entries count.
  Network(int rank, int64_t channels, ConvShape::Axes size)
      : rank_(rank), channels_(channels), size_(size) {}

  int64_t channels() const { return channels_; }

  void conv(const std::string& name, int64_t out_channels, const Filter& filter);
  // As conv, with one group for each channel.
  void depthwise(const std::string& name, Filter filter);
  // A layer beside the network, such as a shortcut's.
  void side_conv(const std::string& name, int64_t out_channels, const Filter& filter);
  // Two 1x1 layers on one pixel, to `squeezed` channels and back, beside the network.
  void squeeze_excite(const std::string& name, int64_t squeezed);

  // What is no convolution, and changes the shape only.
  void pool(int64_t kernel, int64_t stride);
  void global_pool() { size_ = {1, 1, 1}; }
  void linear(int64_t out_channels) { channels_ = out_channels; }
  void concat(int64_t more_channels) { channels_ += more_channels; }

  std::vector<Problem> take() { return std::move(layers_); }

 private:
  ConvShape shape_of(int64_t out_channels, const Filter& filter) const;
  void add(const std::string& name, const ConvShape& shape);

  int rank_;
  int64_t channels_;
  ConvShape::Axes size_;
  std::vector<Problem> layers_;
};

// The multiple of `divisor` next to `value`, but not more than a tenth below it: how MobileNets
// and their kin round numbers of channels.
int64_t make_divisible(double value, int64_t divisor = 8);

}  // namespace oct::perf
