#include "dispatch/conv_fold.h"

#include <algorithm>
#include <cstring>

#include "dispatch/conv_source.h"
#include "kernels/interleave.h"

namespace oct {
namespace {

// Bytes of one row under the filter, at most. Fitted to 3x3 layers of 4 to 80 channels, Zen 4,
// 2026-11-24: with VNNI folding saves 28 % of the time at 4 channels, 6 % at 32, nothing at 48;
// other kernels, which take twice as long for a K group, gain up to 16.
constexpr int64_t kLine = 64, kMostFolded = kLine, kMostFoldedVnni = 2 * kLine;
// What a tap costs that has a list entry and a loop of its own, in K groups.
constexpr double kTapGroups = 0.3;

int64_t filter_rows(const ConvShape& s) { return s.axes[0].kernel * s.axes[1].kernel; }

void interleave_filter(const ConvShape& s, const int8_t* w, int8_t* to) {
  const int64_t rows = filter_rows(s), width = s.axes[2].kernel;
  for (int64_t x = 0; x < width; ++x)
    for (int64_t r = 0; r < rows; ++r, to += s.in_channels)
      std::memcpy(to, w + (r * width + x) * s.in_channels, static_cast<size_t>(s.in_channels));
}

void list_runs(const RowRuns& runs, const int8_t* w, int8_t* to) {
  const int64_t whole = runs.whole * kKr;
  int8_t* const shared = to + runs.count * whole;
  for (int64_t r = 0; r < runs.count; ++r, w += runs.bytes) {
    std::memcpy(to + r * whole, w, static_cast<size_t>(std::min(whole, runs.bytes)));
    if (runs.tail) std::memcpy(shared + r * runs.tail, w + whole, static_cast<size_t>(runs.tail));
  }
}

bool can_fold(const ConvShape& s, int64_t most_bytes) {
  const ConvAxis& width = s.axes[2];
  return s.groups == 1 && !width.transposed && width.dilation == 1 && width.kernel > 1 &&
         width.kernel * s.in_channels <= most_bytes && filter_rows(s) <= Interleaver::kMaxRows &&
         source_pixels(s, true, true) > 0;
}

// The share of an axis' taps that lie in the image; 1 if its size is not known. In double, since
// any number may be hinted at.
double share_inside(const ConvAxis& axis, int64_t in) {
  const int64_t out = in > 0 ? axis.output_size(in) : 0;
  if (out <= 0) return 1;
  double seen = 0, all = 0;
  for (const AxisPhase& phase : axis.phases)
    for (const AxisTap& tap : phase.taps) {
      const int64_t outputs = phase.outputs(out);
      const IndexRange inside = outputs_that_see(phase, tap, in);
      const int64_t begin = std::max<int64_t>(0, inside.begin);
      seen += static_cast<double>(std::max<int64_t>(0, std::min(inside.end, outputs) - begin));
      all += static_cast<double>(outputs);
    }
  return all > 0 ? seen / all : 1;
}

}  // namespace

bool should_fold(const ConvShape& s, const std::array<int64_t, 3>& size_hint, bool vnni) {
  if (s.in_channels % kKr != 0) return can_fold(s, kLine);
  if (!can_fold(s, vnni ? kMostFoldedVnni : kMostFolded)) return false;
  // Taps of whole K groups: folded, those that are padding are computed, too.
  double inside = 1;
  for (size_t i = 0; i < s.axes.size(); ++i) inside *= share_inside(s.axes[i], size_hint[i]);
  return (1 - inside) * static_cast<double>(s.in_channels / kKr) < kTapGroups;
}

RowRuns row_runs(const ConvShape& s) {
  RowRuns r{filter_rows(s), s.axes[2].kernel * s.in_channels, 0, 0, 0};
  const int64_t rest = r.bytes % kKr;
  r.whole = static_cast<int>(r.bytes / kKr + (rest == 3));
  r.tail = static_cast<int>(rest == 3 ? 0 : rest);
  r.shared = (r.count * r.tail + kKr - 1) / kKr;
  return r;
}

bool takes_row_runs(const ConvShape& s, const KernelRow& row) {
  return row_runs(s).whole > 0 && row.isa != Isa::kAmx && row.a_form == AForm::kBytes &&
         row.b_form != BForm::kMixed;
}

int64_t folded_k(const ConvShape& s) { return (s.taps() * s.in_channels + kKr - 1) / kKr * kKr; }

std::vector<int8_t> fold_weights(const ConvShape& s, const int8_t* w, bool by_rows) {
  const RowRuns runs = row_runs(s);
  const int64_t k = by_rows ? runs.k() : folded_k(s);
  std::vector<int8_t> folded(static_cast<size_t>(s.out_channels * k));
  for (int64_t o = 0; o < s.out_channels; ++o, w += s.taps() * s.in_channels) {
    int8_t* const to = folded.data() + o * k;
    by_rows ? list_runs(runs, w, to) : interleave_filter(s, w, to);
  }
  return folded;
}

}  // namespace oct
