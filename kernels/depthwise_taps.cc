#include "kernels/depthwise_taps.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

namespace oct {
namespace {

constexpr int kGatherCost = 14;  // of a position, in instructions; fits what was measured
constexpr int kQuarters = 4;  // dots for one position: a vector each for quarters of the channels

using Rows = std::vector<int>;

struct Packing {
  bool shared;   // one set of streams for all output rows
  bool squares;  // rows that do not fill a stream are packed with columns
};

class TapPacker {
 public:
  TapPacker(int outputs, const Axis& vertical, const Axis& horizontal, Packing packing)
      : outputs_(outputs), v_(vertical), h_(horizontal), packing_(packing) {}

  DepthwiseTaps pack() {
    taps_.outputs = outputs_;
    if (packing_.shared) {
      Rows rows;
      for (int r = 0; r < outputs_; ++r) append_rows(rows, r);
      std::sort(rows.begin(), rows.end());
      rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
      pack_rows(rows, 0, outputs_);
    } else {
      for (int r = 0; r < outputs_; ++r) {
        Rows rows;
        append_rows(rows, r);
        pack_rows(rows, r, r + 1);
      }
    }
    return std::move(taps_);
  }

 private:
  void append_rows(Rows& rows, int r) const {
    for (int i = 0; i < v_.kernel; ++i) rows.push_back(r * v_.stride + i * v_.dilation);
  }

  // Streams and dots of `rows` for output rows [begin, end).
  void pack_rows(const Rows& rows, int begin, int end) {
    const int count = static_cast<int>(rows.size());
    for (int first = 0; first < count; first += kSources) {
      const Rows some(rows.begin() + first, rows.begin() + std::min(first + kSources, count));
      const bool square = packing_.squares && some.size() <= kSources / 2;
      add_streams(some, square ? kSources / static_cast<int>(some.size()) : 1, begin, end);
    }
  }

  // At most kSources rows by `columns` neighbouring tap columns to a lane.
  void add_streams(const Rows& rows, int columns, int begin, int end) {
    columns = std::min(columns, h_.kernel);
    // Columns repeat in a stream when they are a multiple of the stride further on.
    const int step = columns * h_.dilation;
    const int phases = h_.stride / std::gcd(h_.stride, step);
    const int first_stream = static_cast<int>(taps_.streams.size());
    for (int tap = 0; tap < h_.kernel; tap += columns) {
      const int index = tap / columns, phase = index % phases;
      const int base = tap * h_.dilation % h_.stride;
      if (index < phases) taps_.streams.push_back(sources(rows, columns, base));
      add_dot(first_stream + phase, tap * h_.dilation / h_.stride, rows, tap, columns, begin, end);
    }
  }

  std::array<Source, kSources> sources(const Rows& rows, int columns, int base) const {
    std::array<Source, kSources> s;
    const int count = static_cast<int>(rows.size()) * columns;
    for (int i = 0; i < kSources; ++i) {
      const auto at = static_cast<size_t>(std::min(i, count - 1));
      s[static_cast<size_t>(i)] = {rows[at % rows.size()],
                                   base + static_cast<int>(at / rows.size()) * h_.dilation};
    }
    return s;
  }

  void add_dot(int stream, int shift, const Rows& rows, int tap, int columns, int begin, int end) {
    TapDot dot{stream, shift, {}, {}};
    for (auto& taps : dot.taps) taps.fill(-1);
    for (int r = begin; r < end; ++r)
      for (size_t i = 0; i < rows.size(); ++i)
        for (int j = 0; j < columns && tap + j < h_.kernel; ++j)
          if (const auto row = kernel_row(rows[i], r)) {
            dot.taps[r][i + static_cast<size_t>(j) * rows.size()] = *row * h_.kernel + tap + j;
            dot.used[r] = true;
          }
    taps_.dots.push_back(dot);
  }

  std::optional<int> kernel_row(int row, int output) const {
    const int offset = row - output * v_.stride;
    if (offset < 0 || offset % v_.dilation != 0 || offset / v_.dilation >= v_.kernel) return {};
    return offset / v_.dilation;
  }

  const int outputs_;
  const Axis &v_, &h_;
  const Packing packing_;
  DepthwiseTaps taps_;
};

}  // namespace

int DepthwiseTaps::dot_count() const {
  int count = 0;
  for (const TapDot& dot : dots) count += dot.used[0] + dot.used[1];
  return count;
}

int DepthwiseTaps::pieces() const {
  int count = 0;
  for (const auto& sources : streams) {
    std::set<int> columns;
    for (const Source& source : sources) columns.insert(source.column);
    count += 2 * static_cast<int>(columns.size()) - 1;
  }
  return count;
}

int DepthwiseTaps::reach(int stream) const {
  int most = 0;
  for (const TapDot& dot : dots)
    if (dot.stream == stream) most = std::max(most, dot.shift);
  return most;
}

int DepthwiseTaps::reach() const {
  int most = 0;
  for (const TapDot& dot : dots) most = std::max(most, dot.shift);
  return most;
}

DepthwiseTaps pack_taps(int outputs, const Axis& vertical, const Axis& horizontal,
                        const DotCost& cost) {
  DepthwiseTaps best;
  int best_cost = 0;
  for (bool shared : {true, false})
    for (bool squares : {false, true}) {
      DepthwiseTaps taps = TapPacker(outputs, vertical, horizontal, {shared, squares}).pack();
      const int total = kQuarters * (taps.dot_count() * cost.dot +
                                     static_cast<int>(taps.dots.size()) * cost.load) +
                        static_cast<int>(taps.streams.size()) * kGatherCost;
      if (!best.dots.empty() && total >= best_cost) continue;
      best_cost = total;
      best = std::move(taps);
    }
  std::sort(best.dots.begin(), best.dots.end(), [](const TapDot& a, const TapDot& b) {
    return std::tie(a.stream, a.shift) < std::tie(b.stream, b.shift);
  });
  return best;
}

}  // namespace oct
