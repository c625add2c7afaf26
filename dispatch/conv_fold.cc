#include "dispatch/conv_fold.h"

#include <algorithm>
#include <cstring>

#include "dispatch/conv_source.h"
#include "kernels/interleave.h"

namespace oct {
namespace {

constexpr int64_t kMostFolded = 64;  // bytes of one row under the filter: a cache line

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

}  // namespace

bool should_fold(const ConvShape& s) {
  const ConvAxis& width = s.axes[2];
  return s.groups == 1 && s.in_channels % kKr != 0 && !width.transposed && width.dilation == 1 &&
         width.kernel > 1 && width.kernel * s.in_channels <= kMostFolded &&
         filter_rows(s) <= Interleaver::kMaxRows && source_pixels(s, true, true) > 0;
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
