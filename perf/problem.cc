#include "perf/problem.h"

#include <fmt/format.h>

#include <algorithm>

namespace oct::perf {
namespace {

constexpr const char* kAxisLetters = "dhw";

// "kh3kw1": an axis is left out if it has the value of the one before, all if they are `absent`.
std::string axes_text(const ConvShape& s, char key, const ConvShape::Axes& values, int64_t absent) {
  const auto first = values.begin();
  if (std::all_of(first, first + s.rank, [=](int64_t v) { return v == absent; })) return {};
  std::string text;
  for (int i = 0; i < s.rank; ++i) {
    const int64_t value = values[static_cast<size_t>(i)];
    if (i > 0 && value == values[static_cast<size_t>(i - 1)]) continue;
    text += fmt::format("{}{}{}", key, kAxisLetters[3 - s.rank + i], value);
  }
  return text;
}

std::string text_of(const GemmShape& s) { return fmt::format("{}x{}:{}x{}", s.m, s.k, s.k, s.n); }

std::string text_of(const ConvShape& s) {
  std::string text = s.transposed ? "t" : "";
  if (s.groups != 1) text += fmt::format("g{}", s.groups);
  if (s.batch != 1) text += fmt::format("mb{}", s.batch);
  text += fmt::format("ic{}", s.in_channels) + axes_text(s, 'i', s.in, 0);
  text += fmt::format("oc{}", s.out_channels);
  ConvShape symmetric = s;
  symmetric.pad_end = s.pad_begin;
  if (symmetric.out() != s.out()) text += axes_text(s, 'o', s.out(), 0);
  text += axes_text(s, 'k', s.kernel, 1) + axes_text(s, 's', s.stride, 1);
  ConvShape::Axes skipped{};
  for (size_t i = 0; i < skipped.size(); ++i) skipped[i] = s.dilation[i] - 1;
  return text + axes_text(s, 'd', skipped, 0) + axes_text(s, 'p', s.pad_begin, 0);
}

// An image of few channels, and what MobileNets call expansion: little work for each output.
constexpr int64_t kImageChannels = 4, kExpansionChannels = 32;

std::string class_of(const GemmShape&) { return "product"; }

std::string class_of(const ConvShape& s) {
  const auto all = [&](const ConvShape::Axes& values, int64_t wanted) {
    return std::all_of(values.begin(), values.begin() + s.rank,
                       [=](int64_t v) { return v == wanted; });
  };
  if (s.transposed) return "transposed";
  if (s.depthwise()) {
    const bool plain = s.rank == 2 && all(s.kernel, 3) && all(s.stride, 1) && all(s.dilation, 1);
    return plain ? "depthwise 3x3 s1" : "depthwise other";
  }
  if (s.groups > 1) return "grouped";
  if (s.in_channels <= kImageChannels) return "first";
  if (s.out_pixels() == 1) return "one pixel";
  if (s.taps() == 1 && s.in_channels <= kExpansionChannels && s.out_channels > s.in_channels)
    return "expansion";
  return "dense";
}

}  // namespace

ConvShape::Axes ConvShape::out() const {
  Axes out{1, 1, 1};
  for (size_t i = 0; i < static_cast<size_t>(rank); ++i) {
    if (transposed) {
      out[i] = (in[i] - 1) * stride[i] + covered(i) - pad_begin[i] - pad_end[i];
      continue;
    }
    const int64_t room = in[i] + pad_begin[i] + pad_end[i] - covered(i);
    out[i] = room < 0 ? 0 : room / stride[i] + 1;
  }
  return out;
}

int64_t ConvShape::out_pixels() const {
  const Axes size = out();
  return batch * size[0] * size[1] * size[2];
}

std::string problem_text(const Problem& problem) {
  return std::visit([](const auto& shape) { return text_of(shape); }, problem.shape);
}

std::string full_name(const Problem& problem) {
  const std::string text = problem_text(problem);
  return problem.name == text ? text : fmt::format("{} ({})", problem.name, text);
}

std::string network_of(const Problem& problem) {
  const size_t slash = problem.name.rfind('/');
  return slash == std::string::npos ? "" : problem.name.substr(0, slash);
}

std::string layer_class(const Problem& problem) {
  return std::visit([](const auto& shape) { return class_of(shape); }, problem.shape);
}

}  // namespace oct::perf
