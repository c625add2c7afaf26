#include "perf/network.h"

#include <algorithm>

namespace oct::perf {

Filter padded(Filter filter) {
  for (size_t i = 0; i < filter.padding.size(); ++i)
    filter.padding[i] = filter.dilation[i] * (filter.kernel[i] - 1) / 2;
  return filter;
}

Filter square(int64_t kernel, int64_t stride, int64_t groups) {
  Filter f;
  f.kernel.fill(kernel);
  f.stride.fill(stride);
  f.groups = groups;
  return padded(f);
}

ConvShape Network::shape_of(int64_t out_channels, const Filter& filter) const {
  ConvShape s;
  s.rank = rank_;
  s.groups = filter.groups;
  s.transposed = filter.transposed;
  s.in_channels = channels_;
  s.out_channels = out_channels;
  for (size_t i = 0; i < static_cast<size_t>(rank_); ++i) {
    s.in[i] = size_[i];
    s.kernel[i] = filter.kernel[i];
    s.stride[i] = filter.stride[i];
    s.dilation[i] = filter.dilation[i];
    s.pad_begin[i] = s.pad_end[i] = filter.padding[i];
  }
  return s;
}

void Network::add(const std::string& name, const ConvShape& shape) {
  for (Problem& layer : layers_)
    if (std::get<ConvShape>(layer.shape) == shape) {
      ++layer.count;
      return;
    }
  layers_.push_back({name, shape, 1});
}

void Network::conv(const std::string& name, int64_t out_channels, const Filter& filter) {
  const ConvShape shape = shape_of(out_channels, filter);
  add(name, shape);
  channels_ = out_channels;
  size_ = shape.out();
}

void Network::depthwise(const std::string& name, Filter filter) {
  filter.groups = channels_;
  conv(name, channels_, filter);
}

void Network::side_conv(const std::string& name, int64_t out_channels, const Filter& filter) {
  add(name, shape_of(out_channels, filter));
}

void Network::squeeze_excite(const std::string& name, int64_t squeezed) {
  Network pixel(rank_, channels_, {1, 1, 1});
  add(name + ".squeeze", pixel.shape_of(squeezed, square(1)));
  pixel.channels_ = squeezed;
  add(name + ".excite", pixel.shape_of(channels_, square(1)));
}

void Network::pool(int64_t kernel, int64_t stride) {
  size_ = shape_of(channels_, square(kernel, stride)).out();
}

int64_t make_divisible(double value, int64_t divisor) {
  const auto d = static_cast<double>(divisor);
  const int64_t nearest = static_cast<int64_t>(value + d / 2) / divisor * divisor;
  const int64_t rounded = std::max(divisor, nearest);
  return static_cast<double>(rounded) < 0.9 * value ? rounded + divisor : rounded;
}

}  // namespace oct::perf
