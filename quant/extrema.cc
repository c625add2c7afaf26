#include "quant/extrema.h"

#include <algorithm>
#include <cmath>

namespace oct {

Tally Extrema::add(const FloatView& batch, int axis) {
  return for_each_finite(batch, axis, [&](int64_t channel, float x) {
    ranges[static_cast<size_t>(channel)].include(x);
  });
}

void Extrema::merge(const Extrema& other) {
  for (size_t i = 0; i < ranges.size(); ++i) ranges[i].include(other.ranges[i]);
}

Tally MovingExtrema::add(const FloatView& batch, int axis, float c) {
  Extrema now(channels.size());
  const Tally tally = now.add(batch, axis);
  for (size_t i = 0; i < channels.size(); ++i) {
    Channel& channel = channels[i];
    const Range& r = now.ranges[i];
    if (r.empty()) continue;
    if (channel.batches++ == 0) {
      channel.average = channel.first = r;
    } else {
      channel.average.min += c * (r.min - channel.average.min);
      channel.average.max += c * (r.max - channel.average.max);
    }
  }
  return tally;
}

void MovingExtrema::merge(const MovingExtrema& other, float c) {
  for (size_t i = 0; i < channels.size(); ++i) {
    Channel& a = channels[i];
    const Channel& b = other.channels[i];
    if (b.batches == 0) continue;
    if (a.batches == 0) {
      a = b;
      continue;
    }
    const double weight = std::pow(1.0 - c, static_cast<double>(b.batches));
    const auto follow = [weight](double before, double first, double after) {
      return static_cast<float>(after + weight * (before - first));
    };
    a.average.min = follow(a.average.min, b.first.min, b.average.min);
    a.average.max = follow(a.average.max, b.first.max, b.average.max);
    a.average.max = std::max(a.average.min, a.average.max);  // rounding must not cross them
    a.batches += b.batches;
  }
}

}  // namespace oct
