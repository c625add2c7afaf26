// What can be measured: matrix products and convolutions, with a name and the number of times they
// occur in one pass of their model.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>

namespace oct::perf {

// C[M,N] = A[M,K] . B[K,N]
struct GemmShape {
  int64_t m, k, n;
  bool operator==(const GemmShape&) const = default;
};

// Arrays list the spatial axes outermost first in their first `rank` entries, as in oct_qconv_desc;
// the others keep the values given here.
struct ConvShape {
  using Axes = std::array<int64_t, 3>;
  int rank = 2;
  int64_t batch = 1, groups = 1, in_channels = 0, out_channels = 0;
  Axes in{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad_begin{};
  Axes pad_end{};           // negative: the output padding of a transposed convolution
  bool transposed = false;  // the stride spreads the input

  bool operator==(const ConvShape&) const = default;

  Axes out() const;  // of sizes that may be below 1
  int64_t covered(size_t axis) const { return dilation[axis] * (kernel[axis] - 1) + 1; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t group_in() const { return in_channels / groups; }
  int64_t in_pixels() const { return batch * in[0] * in[1] * in[2]; }
  int64_t out_pixels() const;
  bool depthwise() const { return groups > 1 && groups == in_channels && groups == out_channels; }
};

struct Problem {
  std::string name;
  std::variant<GemmShape, ConvShape> shape;
  int64_t count = 1;
};

// "MxK:KxN", or a convolution as parse_conv reads it.
std::string problem_text(const Problem& problem);

// "name (text)", or only the text if it has no other name.
std::string full_name(const Problem& problem);

// The part of the name before the last '/': the model's; empty without one.
std::string network_of(const Problem& problem);

// What kind of layer it is, by its geometry: totals are given for each kind.
std::string layer_class(const Problem& problem);

}  // namespace oct::perf
