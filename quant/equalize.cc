#include "quant/equalize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/requant.h"

namespace oct {

namespace {

std::vector<float> channel_widths(const float* x, const ChannelLayout& layout) {
  std::vector<Range> ranges(static_cast<size_t>(layout.channels));
  for_each_channel_element(
      layout, [&](int64_t c, int64_t i) { ranges[static_cast<size_t>(c)].include(x[i]); });
  std::vector<float> widths;
  for (const Range& r : ranges) widths.push_back(r.max - r.min);
  return widths;
}

// Factors are used as divisors too, or inverted: both must be normal numbers.
float usable_or_one(float factor) {
  return is_valid_scale(factor) && is_valid_scale(1.0f / factor) ? factor : 1.0f;
}

// Multiplies in place; returns the Euclidean norm of the change.
double rescale(float* x, const ChannelLayout& layout, const std::vector<float>& factors) {
  double sum = 0;
  for_each_channel_element(layout, [&](int64_t c, int64_t i) {
    const float scaled = x[i] * factors[static_cast<size_t>(c)];
    const double change = static_cast<double>(scaled) - x[i];
    sum += change * change;
    x[i] = scaled;
  });
  return std::sqrt(sum);
}

}  // namespace

void multiply_channels(const float* x, const ChannelLayout& layout, const float* factors,
                       float* y) {
  for_each_channel_element(layout, [&](int64_t c, int64_t i) { y[i] = x[i] * factors[c]; });
}

void divide_channels(const float* x, const ChannelLayout& layout, const float* factors, float* y) {
  for_each_channel_element(layout, [&](int64_t c, int64_t i) { y[i] = x[i] / factors[c]; });
}

int cross_layer_equalize(const LayerPair& layers, double threshold, int max_iterations,
                         float* factors) {
  const size_t channels = static_cast<size_t>(layers.layout1.channels);
  std::fill_n(factors, channels, 1.0f);
  std::vector<float> f(channels), inverse(channels);
  int iteration = 0;
  for (double change = HUGE_VAL; iteration < max_iterations && !(change < threshold); ++iteration) {
    const std::vector<float> width1 = channel_widths(layers.weights1, layers.layout1);
    const std::vector<float> width2 = channel_widths(layers.weights2, layers.layout2);
    for (size_t c = 0; c < channels; ++c) {
      f[c] = usable_or_one(std::sqrt(width1[c] / (width2[c] + 1e-9f)));
      inverse[c] = 1.0f / f[c];
      factors[c] *= f[c];
    }
    change = rescale(layers.weights1, layers.layout1, inverse) +
             rescale(layers.weights2, layers.layout2, f);
    if (layers.bias1) rescale(layers.bias1, {1, layers.layout1.channels, 1}, inverse);
  }
  return iteration;
}

void input_weight_factors(int64_t channels, const float* x_min, const float* x_max,
                          const float* w_min, const float* w_max, float* factors) {
  for (int64_t c = 0; c < channels; ++c)
    factors[c] = usable_or_one(std::sqrt((w_max[c] - w_min[c]) / (x_max[c] - x_min[c])));
}

void smoothquant_factors(int64_t channels, const float* x_absmax, const float* w_absmax,
                         double alpha, float* factors) {
  constexpr float eps = std::numeric_limits<float>::epsilon();
  const auto power = [](float x, double exponent) {
    return static_cast<float>(std::pow(static_cast<double>(x), exponent));
  };
  for (int64_t c = 0; c < channels; ++c)
    factors[c] =
        usable_or_one(power(x_absmax[c] + eps, alpha) / power(w_absmax[c] + eps, 1 - alpha));
}

}  // namespace oct
