// A histogram whose range grows with the data, as torch.ao.quantization's HistogramObserver keeps
// it since the upsampling rate became fixed (numerics.md B2.4, generation B).
//
// When a batch leaves the range, the range becomes exactly the union; every old bin is split into
// 16 equal parts, and each part goes to the new bin that holds its midpoint. No data is dropped.
//
// Counts are binary32, as there, because parts are fractions and results are to be the same bits;
// within one batch they are counted in integers, so that a bin does not stop growing at 2^24.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/qparams.h"
#include "quant/view.h"

namespace oct {

// What is counted: the values, on the range that they span, or, for the searches that need the
// range to hold zero, the values or their magnitudes on a range that also holds zero.
enum class Counted { kValues, kValuesAndZero, kMagnitudes };

struct Histogram {
  Range range;
  std::vector<float> counts;

  explicit Histogram(int bins) : counts(static_cast<size_t>(bins)) {}

  int bins() const { return static_cast<int>(counts.size()); }
  // The left edge of a bin; edge(bins()) is the right end of the range, up to rounding.
  float edge(int bin) const;
  // The bin that counts `x`, which lies in the range.
  int bin_of(float x) const;

  Tally add(const FloatView& batch, Counted counted);
  // As if other's batches had been added here, to within one bin.
  void merge(const Histogram& other);

  friend bool operator==(const Histogram&, const Histogram&) = default;
};

// torch.linspace(start, end, n)[i] in binary32.
float linspace(float start, float end, int n, int i);

}  // namespace oct
