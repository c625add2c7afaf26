#include "quant/search.h"

#include <algorithm>
#include <cmath>

#include "quant/requant.h"

namespace oct {

namespace {

// Bins [first, last].
struct BinRange {
  int first, last;
};

Range real_range(const Histogram& h, bool magnitudes, BinRange b) {
  const float top = b.last == h.bins() - 1 ? h.range.max : h.edge(b.last + 1);
  if (magnitudes) return {-top, top};
  return {b.first == 0 ? h.range.min : h.edge(b.first), top};
}

// Moves one end at a time to where the error is least, until neither moves; on ties the range is
// the widest. The range keeps the bin `zero` and at least `width` bins.
template <class Error>
BinRange least_error(int bins, int zero, int width, bool magnitudes, Error error) {
  BinRange best = {0, bins - 1};
  double best_error = error(best);
  const auto consider = [&](BinRange candidate) {
    const double e = error(candidate);
    if (!(e < best_error)) return false;
    best_error = e;
    best = candidate;
    return true;
  };
  for (bool moved = true; moved;) {
    moved = false;
    const int first = best.first;
    for (int last = bins - 1; last >= std::max(zero, first + width - 1); --last)
      moved |= consider({first, last});
    if (magnitudes) break;
    const int last = best.last;
    for (int f = 0; f <= std::min(zero, last - width + 1); ++f) moved |= consider({f, last});
  }
  return best;
}

// Sums over bins [0, i) of a histogram, from which a candidate's divergence follows with one
// logarithm per level instead of one per bin.
struct Prefix {
  std::vector<double> mass{0.0}, used{0.0}, entropy{0.0};
  std::vector<double> counts;

  static double times_log(double x) { return x > 0 ? x * std::log(x) : 0; }

  explicit Prefix(std::vector<double> c) : counts(std::move(c)) {
    for (double x : counts) {
      mass.push_back(mass.back() + x);
      used.push_back(used.back() + (x > 0 ? 1 : 0));
      entropy.push_back(entropy.back() + times_log(x));
    }
  }
  double total() const { return mass.back(); }
};

// KL(P || Q). P: the bins of the range, with the mass beyond either end added to its end bin. Q:
// the bins, without that mass, on `levels` levels, whose mass is shared equally by the bins that
// are not empty. Both are normalised.
//   sum P/T log((P/T) / (Q/I)) = (sum P log P - sum P log Q) / T + log(I / T)
// An empty end bin that receives clipped mass would make this infinite, as it does in TensorRT, and
// with it every range that ends between the bulk and an outlier; ONNX Runtime's smoothing, Q = 1e-4
// there, keeps such ranges in the running.
double divergence(const Prefix& prefix, BinRange r, int levels) {
  const auto at = [](const std::vector<double>& v, int i) { return v[static_cast<size_t>(i)]; };
  const double log_smallest = std::log(1e-4);
  const double below = at(prefix.mass, r.first);
  const double above = prefix.total() - at(prefix.mass, r.last + 1);
  const double first = at(prefix.counts, r.first), last = at(prefix.counts, r.last);
  const double inside = at(prefix.mass, r.last + 1) - below;
  if (inside == 0) return HUGE_VAL;

  double sum = at(prefix.entropy, r.last + 1) - at(prefix.entropy, r.first);
  sum += Prefix::times_log(first + below) - Prefix::times_log(first);
  sum += Prefix::times_log(last + above) - Prefix::times_log(last);
  if (first == 0) sum -= below * log_smallest;
  if (last == 0) sum -= above * log_smallest;

  const int64_t bins = r.last - r.first + 1;
  int begin = r.first;
  for (int level = 0; level < levels; ++level) {
    // Bin j of the range belongs to level floor(j * levels / bins).
    const int end = r.first + static_cast<int>(((level + 1) * bins + levels - 1) / levels);
    const double mass = at(prefix.mass, end) - at(prefix.mass, begin);
    const double used = at(prefix.used, end) - at(prefix.used, begin);
    double clipped = 0;
    if (level == 0 && first > 0) clipped += below;
    if (level == levels - 1 && last > 0) clipped += above;
    if (used > 0) sum -= (mass + clipped) * std::log(mass / used);
    begin = end;
  }
  return sum / prefix.total() + std::log(inside / prefix.total());
}

// TensorRT's remedy for the spike at zero that ReLU leaves, which would outweigh everything else:
// zero's bin is given its neighbour's count.
std::vector<double> without_spike(const Histogram& h) {
  std::vector<double> counts(h.counts.begin(), h.counts.end());
  const int zero = h.bin_of(0.0f);
  const int neighbour = zero + 1 < h.bins() ? zero + 1 : zero - 1;
  counts[static_cast<size_t>(zero)] = counts[static_cast<size_t>(neighbour)];
  return counts;
}

}  // namespace

Range percentile_search(const Histogram& h, bool magnitudes, double percentile) {
  if (h.range.empty()) return {};
  double total = 0;
  for (float c : h.counts) total += c;
  const double cut = total * (100 - percentile) / 100 / (magnitudes ? 1 : 2);
  const int zero = h.bin_of(0.0f);
  BinRange r = {0, h.bins() - 1};
  double above = 0, below = 0;
  while (r.last > zero && (above += h.counts[static_cast<size_t>(r.last)]) <= cut) --r.last;
  if (!magnitudes)
    while (r.first < zero && (below += h.counts[static_cast<size_t>(r.first)]) <= cut) ++r.first;
  return real_range(h, magnitudes, r);
}

int entropy_levels(const QScheme& scheme) {
  const QRange q = quant_range(scheme);
  const int levels = q.hi - q.lo + 1;
  return scheme.symmetric() ? levels / 2 : levels;
}

Range entropy_search(const Histogram& h, bool magnitudes, const QScheme& scheme) {
  if (h.range.empty()) return {};
  const Prefix prefix(without_spike(h));
  BinRange best = {0, h.bins() - 1};
  const int levels = entropy_levels(scheme);
  if (prefix.total() > 0)
    best = least_error(h.bins(), h.bin_of(0.0f), levels, magnitudes,
                       [&](BinRange r) { return divergence(prefix, r, levels); });
  return real_range(h, magnitudes, best);
}

Range mse_search(const Histogram& h, bool magnitudes, const QScheme& scheme) {
  if (h.range.empty()) return {};
  const QRange q = quant_range(scheme);
  const float half_bin = (h.edge(1) - h.edge(0)) / 2;
  const auto error = [&](BinRange r) {
    const QParams p = observer_qparams(scheme, real_range(h, magnitudes, r));
    double sum = 0;
    for (int i = 0; i < h.bins(); ++i) {
      if (h.counts[static_cast<size_t>(i)] == 0) continue;
      const float centre = h.edge(i) + half_bin;
      const int level = round_and_clamp(centre / p.scale, q.lo, q.hi, p.zero_point);
      const double e = p.scale * static_cast<float>(level - p.zero_point) - centre;
      sum += h.counts[static_cast<size_t>(i)] * e * e;
    }
    return sum;
  };
  return real_range(h, magnitudes, least_error(h.bins(), h.bin_of(0.0f), 1, magnitudes, error));
}

}  // namespace oct
