// The least and the greatest value of each channel: over everything seen, or as moving averages
// over batches. Values that are not finite are counted and otherwise ignored.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/histogram.h"
#include "quant/qparams.h"
#include "quant/view.h"

namespace oct {

// PyTorch's MinMaxObserver and PerChannelMinMaxObserver: exact, whatever the order of batches.
struct Extrema {
  std::vector<Range> ranges;

  explicit Extrema(size_t channels) : ranges(channels) {}
  // The channel of an element is its index along `axis`; -1: there is one channel.
  Tally add(const FloatView& batch, int axis);
  void merge(const Extrema& other);
  friend bool operator==(const Extrema&, const Extrema&) = default;
};

// PyTorch's MovingAverageMinMaxObserver and MovingAveragePerChannelMinMaxObserver: the first batch
// is copied, each later one moves the averages by `c` of the way. The first batch thus keeps the
// weight (1 - c)^n after n more: with c = 0.01, 36.6 % after 100.
//
// A channel without a finite value in a batch skips the batch.
struct MovingExtrema {
  struct Channel {
    Range average, first;  // `first` is kept for merging
    uint64_t batches = 0;
    friend bool operator==(const Channel&, const Channel&) = default;
  };
  std::vector<Channel> channels;

  explicit MovingExtrema(size_t count) : channels(count) {}
  Tally add(const FloatView& batch, int axis, float c);
  // As if the batches of `other` had followed, up to rounding. With n the number of those, a after
  // them is other's average, in which other's first batch has weight (1 - c)^(n - 1) instead of
  // c (1 - c)^(n - 1), plus (1 - c)^n a; so a becomes other.average + (1 - c)^n (a - other.first).
  void merge(const MovingExtrema& other, float c);
  friend bool operator==(const MovingExtrema&, const MovingExtrema&) = default;
};

}  // namespace oct
