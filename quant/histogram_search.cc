// torch.ao.quantization's HistogramObserver: the choice of the range. The error's terms are
// evaluated in binary32 in the order of the tensor expressions there; their sum, whose order there
// depends on the vector width, is taken in binary64.

#include <algorithm>
#include <cmath>

#include "quant/search.h"

namespace oct {

namespace {

constexpr int kLevels = 256;  // 2^bits of the type, also for reduced ranges
constexpr double kStep = 1e-5;

// Python's floor division of floats, as torch.div(rounding_mode="floor") defines it.
float floor_divide(float a, float b) {
  const float remainder = std::fmod(a, b);
  float quotient = (a - remainder) / b;
  if (remainder != 0 && (b < 0) != (remainder < 0)) quotient -= 1;
  const float floor = std::floor(quotient);
  return quotient - floor > 0.5f ? floor + 1 : floor;
}

float level_of(float x, float width) {
  return std::clamp(floor_divide(x, width), 0.0f, static_cast<float>(kLevels - 1));
}

// density times the integral of x^2 over [begin, end].
float norm(float begin, float end, float density) {
  return density * ((end * end * end - begin * begin * begin) / 3);
}

// _compute_quantization_error of the range of bins [first, last].
double quantization_error(const Histogram& h, int first, int last) {
  const double bin_width =
      (static_cast<double>(h.range.max) - static_cast<double>(h.range.min)) / h.bins();
  const double level_width = bin_width * (last - first + 1) / kLevels;
  if (level_width == 0) return 0;
  const float bin = static_cast<float>(bin_width), level = static_cast<float>(level_width);
  const float half = static_cast<float>(level_width / 2);

  double error = 0;
  for (int i = 0; i < h.bins(); ++i) {
    const float begin = static_cast<float>(i - first) * bin;
    const float end = begin + bin;
    const float begin_level = level_of(begin, level), end_level = level_of(end, level);
    const float density = h.counts[static_cast<size_t>(i)] / bin;
    // The bin's part in its first level, whole levels between, its part in its last level. If the
    // two are one level, the middle term subtracts what the other two have too much.
    float term = norm(begin - (begin_level + 0.5f) * level, half, density);
    term += (end_level - begin_level - 1) * norm(-half, half, density);
    term += norm(-half, end - (end_level * level + half), density);
    error += term;
  }
  return error;
}

}  // namespace

Range histogram_search(const Histogram& h, int* evaluations) {
  if (evaluations) *evaluations = 0;
  if (h.range.empty()) return {};
  const int bins = h.bins();
  std::vector<float> below(static_cast<size_t>(bins));  // the cumulative sum
  double total = 0;
  for (int i = 0; i < bins; ++i)
    below[static_cast<size_t>(i)] = static_cast<float>(total += h.counts[static_cast<size_t>(i)]);
  total = static_cast<float>(total);

  double alpha = 0, beta = 1, best = HUGE_VAL;
  int first = 0, last = bins - 1;
  while (alpha < beta) {
    const double next_alpha = alpha + kStep, next_beta = beta - kStep;
    const float low = static_cast<float>(next_alpha * total);
    const float high = static_cast<float>(next_beta * total);
    int left = first, right = last;
    while (left < last && below[static_cast<size_t>(left)] < low) ++left;
    while (right > first && below[static_cast<size_t>(right)] > high) --right;

    int next_first = first, next_last = last;
    if (left - first > last - right) {
      next_first = left;
      alpha = next_alpha;
    } else {
      next_last = right;
      beta = next_beta;
    }
    if (next_first == first && next_last == last) continue;

    if (evaluations) ++*evaluations;
    const double error = quantization_error(h, next_first, next_last);
    if (error > best) break;
    best = error;
    first = next_first;
    last = next_last;
  }
  const float bin = (h.range.max - h.range.min) / static_cast<float>(bins);
  return {h.range.min + bin * static_cast<float>(first),
          h.range.min + bin * static_cast<float>(last + 1)};
}

}  // namespace oct
