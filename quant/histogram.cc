#include "quant/histogram.h"

#include <algorithm>
#include <cmath>

namespace oct {

namespace {

constexpr int kUpsample = 16;

float value_of(float x, Counted counted) {
  return counted == Counted::kMagnitudes ? std::fabs(x) : x;
}

// torch.histc: the position is truncated in binary32, and the last bin is closed. A range of one
// point is widened by 1 on either side there, which puts the point in the middle. A position that
// overflowed, or is not a number because of it, goes to the last bin.
int bin_on(const Range& range, int bins, float x) {
  if (range.min == range.max) return bins / 2;
  const float position = (x - range.min) * static_cast<float>(bins) / (range.max - range.min);
  return position < static_cast<float>(bins) ? static_cast<int>(position) : bins - 1;
}

// The batch's counts on `range`, which holds all of it.
std::vector<float> count(const FloatView& batch, Counted counted, const Range& range, int bins) {
  std::vector<uint64_t> exact(static_cast<size_t>(bins));
  for_each(batch, -1, [&](int64_t, float x) {
    if (!std::isfinite(x)) return;
    ++exact[static_cast<size_t>(bin_on(range, bins, value_of(x, counted)))];
  });
  return {exact.begin(), exact.end()};
}

float total_of(const std::vector<float>& counts) {
  double total = 0;
  for (float c : counts) total += c;
  return static_cast<float>(total);
}

// HistogramObserver._upscale_histogram.
std::vector<float> split_and_assign(const Histogram& old, const Range& range) {
  const int bins = old.bins(), parts = bins * kUpsample;
  std::vector<float> edges(static_cast<size_t>(bins) + 1), result(static_cast<size_t>(bins));
  for (int i = 0; i <= bins; ++i)
    edges[static_cast<size_t>(i)] = linspace(range.min, range.max, bins + 1, i);
  const float part_width = (old.range.max - old.range.min) / static_cast<float>(parts);
  for (int i = 0; i < parts; ++i) {
    const float weight = old.counts[static_cast<size_t>(i / kUpsample)] / kUpsample;
    const float middle = linspace(old.range.min, old.range.max, parts + 1, i) + 0.5f * part_width;
    const auto above = std::upper_bound(edges.begin(), edges.end(), middle);
    const int bin = static_cast<int>(above - edges.begin()) - 1;
    result[static_cast<size_t>(std::clamp(bin, 0, bins - 1))] += weight;
  }
  return result;
}

// What `old` looks like on a range that holds its own.
std::vector<float> on_range(const Histogram& old, const Range& range) {
  if (old.range == range) return old.counts;
  if (old.range.min != old.range.max) return split_and_assign(old, range);
  std::vector<float> result(old.counts.size());
  result[static_cast<size_t>(bin_on(range, old.bins(), old.range.min))] = total_of(old.counts);
  return result;
}

void add_to(std::vector<float>& counts, const std::vector<float>& more) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += more[i];
}

}  // namespace

// PyTorch's AVX2 and AVX-512 builds contract the two operations to one fused multiply-add, and from
// the middle on count from the end. A sub-bin whose midpoint touches a new edge is where it shows.
float linspace(float start, float end, int n, int i) {
  const float step = (end - start) / static_cast<float>(n - 1);
  return i < n / 2 ? std::fmaf(step, static_cast<float>(i), start)
                   : std::fmaf(-step, static_cast<float>(n - 1 - i), end);
}

float Histogram::edge(int bin) const {
  return range.min + (range.max - range.min) / static_cast<float>(bins()) * static_cast<float>(bin);
}

int Histogram::bin_of(float x) const { return bin_on(range, bins(), x); }

Tally Histogram::add(const FloatView& batch, Counted counted) {
  Range grown = range;
  const Tally tally =
      for_each_finite(batch, -1, [&](int64_t, float x) { grown.include(value_of(x, counted)); });
  if (tally.finite == 0) return tally;
  if (counted != Counted::kValues) grown.include(0.0f);

  std::vector<float> batch_counts = count(batch, counted, grown, bins());
  if (!range.empty()) add_to(batch_counts, on_range(*this, grown));
  counts = std::move(batch_counts);
  range = grown;
  return tally;
}

void Histogram::merge(const Histogram& other) {
  if (other.range.empty()) return;
  if (range.empty()) {
    *this = other;
    return;
  }
  Range both = range;
  both.include(other.range);
  std::vector<float> sum = on_range(*this, both);
  add_to(sum, on_range(other, both));
  counts = std::move(sum);
  range = both;
}

}  // namespace oct
