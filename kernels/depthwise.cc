#include "kernels/depthwise.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "kernels/depthwise_pack.h"

namespace oct {
namespace {

constexpr int kQuarters = kDepthwiseQuarters;

// The strip shares L1 with the input it is gathered from and the weights: 16 KiB were slower.
constexpr int64_t kStripBytes = 12 << 10;
// It grows for the sake of many outputs at once, within a bound, and for a few in any case.
constexpr int64_t kMaxStripBytes = 28 << 10;
constexpr int64_t kManyOutputs = 12, kFewOutputs = 4;
// Dots beyond this many make more code than the caches of decoded instructions hold.
constexpr size_t kMaxDots = 96;

DepthwiseTaps taps_for(const KernelRow& row, const DepthwiseShape& shape, int outputs) {
  return pack_taps(outputs, shape.vertical, shape.horizontal, depthwise_dot_cost(row));
}

// Channels of the widest block.
int widest(const KernelRow& row, int64_t channels) {
  return depthwise_width(row, static_cast<int>(std::min<int64_t>(channels, row.nr)));
}

int64_t strip_positions(int width, const DepthwiseTaps& taps) {
  const int64_t bytes = static_cast<int64_t>(taps.streams.size()) * kQuarters * width;
  const int64_t most = std::max(kMaxStripBytes / bytes, taps.reach() + kFewOutputs);
  return std::max(kStripBytes / bytes, std::min(taps.reach() + kManyOutputs, most));
}

// An odd number of cache lines: planes then do not compete for the same sets.
int64_t plane_bytes_for(int64_t positions, int width) {
  return ((positions * width + 63) / 64 | 1) * 64;
}

// A vector of several pixels may read past the last position.
int64_t strip_bytes(size_t streams, int64_t plane_bytes) {
  return static_cast<int64_t>(streams) * kQuarters * plane_bytes + 64;
}

std::string cache_key(const KernelRow& row, const DepthwiseShape& shape, const DepthwiseSpec& s) {
  std::string key = row.name;
  for (int64_t field : {int64_t{s.n}, s.plane_bytes, int64_t{s.a_shift}, int64_t{s.outputs},
                        int64_t{shape.vertical.kernel}, int64_t{shape.vertical.stride},
                        int64_t{shape.vertical.dilation}, int64_t{shape.horizontal.kernel},
                        int64_t{shape.horizontal.stride}, int64_t{shape.horizontal.dilation}})
    key += ' ' + std::to_string(field);
  return key + s.epilogue.key();
}

}  // namespace

Depthwise::Method Depthwise::method_for(const KernelRow& row, const DepthwiseShape& shape) {
  if (depthwise_window_fits(row, shape.vertical, shape.horizontal)) return Method::kWindow;
  if (depthwise_rolling_fits(row, shape.vertical, shape.horizontal)) return Method::kRolling;
  return Method::kStrip;
}

bool Depthwise::fits(const KernelRow& row, const DepthwiseShape& shape) {
  if (method_for(row, shape) != Method::kStrip) return true;
  int64_t bytes = 0;
  for (int outputs = 1; outputs <= kMaxOutputRows; ++outputs) {
    const DepthwiseTaps taps = taps_for(row, shape, outputs);
    if (taps.dots.size() > kMaxDots || taps.pieces() > kMaxDepthwisePieces ||
        taps.streams.size() > static_cast<size_t>(kMaxDepthwiseStreams))
      return false;
    const int width = widest(row, shape.channels);
    const int64_t plane = plane_bytes_for(strip_positions(width, taps), width);
    // Whole blocks and a narrower one, each with a strip of its own.
    bytes = std::max(bytes, 2 * strip_bytes(taps.streams.size(), plane));
  }
  return bytes <= static_cast<int64_t>(kMaxDepthwiseScratch);
}

bool Depthwise::pairs_safe(const KernelRow& row, const DepthwiseShape& shape,
                           const int8_t* weights) {
  const int size = shape.vertical.kernel * shape.horizontal.kernel;
  const auto safe = [&](const int8_t* kernel, int tap0, int tap1) {
    const int w0 = tap0 < 0 ? 0 : kernel[tap0], w1 = tap1 < 0 ? 0 : kernel[tap1];
    return std::max(w0, 0) + std::max(w1, 0) <= 128 && std::min(w0, 0) + std::min(w1, 0) >= -128;
  };
  for (int outputs = 1; outputs <= kMaxOutputRows; ++outputs)
    for (const TapDot& dot : taps_for(row, shape, outputs).dots)
      for (int r = 0; r < outputs; ++r)
        for (size_t i = 0; i < kSources; i += 2)
          for (int64_t c = 0; c < shape.channels; ++c)
            if (!safe(weights + c * size, dot.taps[r][i], dot.taps[r][i + 1])) return false;
  return true;
}

DepthwiseCost Depthwise::cost(const KernelRow& row, const DepthwiseShape& shape) {
  constexpr double kInterleave = 4 + 8, kStores = 4;
  const Method method = method_for(row, shape);
  const auto per_row = [](double x) { return x / kMaxOutputRows; };
  if (method == Method::kRolling) {
    const RollingCost cost = depthwise_rolling_cost(row, shape.vertical, shape.horizontal);
    const auto vectors = static_cast<double>((shape.channels + row.lanes - 1) / row.lanes);
    return {vectors * per_row(cost.dots), 0, vectors * per_row(cost.columns), vectors};
  }
  const DepthwiseTaps taps = taps_for(row, shape, kMaxOutputRows);
  const DotCost dot = depthwise_dot_cost(row);
  // Narrow blocks put several pixels into a vector, but a strip is gathered pixel by pixel.
  const int64_t whole = shape.channels / row.nr, rest = shape.channels % row.nr;
  const double part =
      rest ? depthwise_width(row, static_cast<int>(rest)) / static_cast<double>(row.nr) : 0;
  const double vectors = static_cast<double>(whole) + part;
  const bool window = method == Method::kWindow;
  const double positions = window ? vectors : static_cast<double>(whole + (rest > 0));
  return {vectors * per_row(taps.dot_count() * kQuarters * dot.dot),
          vectors * per_row(static_cast<double>(taps.dots.size()) * kQuarters * dot.load),
          positions * per_row(static_cast<double>(taps.streams.size())) *
              (kInterleave + (window ? 0 : kStores)),
          vectors * kQuarters};
}

Depthwise::Depthwise(CodeCache& cache, const KernelRow& row, const DepthwiseDesc& desc)
    : row_(row), shape_(desc.shape), a_zero_point_(desc.a_zero_point), a_shift_(desc.a_shift),
      element_bytes_(dtype_bytes(desc.epilogue.c_type)), method_(method_for(row, shape_)),
      params_(*desc.params) {
  assert(fits(row, shape_));
  for (int i = 0; i < kMaxOutputRows && method_ != Method::kWindow; ++i)
    taps_[i] = taps_for(row, shape_, i + 1);
  if (method_ == Method::kStrip)
    positions_ = std::min(strip_positions(widest(row, shape_.channels), taps_[0]),
                          strip_positions(widest(row, shape_.channels), taps_[1]));
  const int channels =
      method_ == Method::kRolling ? depthwise_rolling_channels(row, shape_.horizontal) : row.nr;
  const int64_t whole = shape_.channels / channels;
  const int rest = static_cast<int>(shape_.channels % channels);
  if (whole > 0) add_form(cache, channels, desc.epilogue);
  if (rest > 0) add_form(cache, rest, desc.epilogue);
  for (int64_t i = 0; i < whole; ++i) blocks_.push_back({i * channels, 0, {}, 0, 0, 0});
  if (rest > 0)
    blocks_.push_back({whole * channels, static_cast<int>(forms_.size()) - 1, {}, 0, 0, 0});
  Packer(*this, desc).pack();
  std::memset(padding_.bytes, a_zero_point_, sizeof padding_.bytes);
}

void Depthwise::add_form(CodeCache& cache, int n, const EpilogueSpec& epilogue) {
  Form f{};
  f.n = n;
  f.width = depthwise_width(row_, n);
  f.rows = kMaxOutputRows;
  const bool strip = method_ == Method::kStrip;
  f.plane_bytes = strip ? plane_bytes_for(positions_, f.width) : 0;
  f.strip = scratch_bytes_;
  for (int outputs = 1; outputs <= kMaxOutputRows; ++outputs)
    add_code(cache, {n, f.plane_bytes, a_shift_ != 0, outputs, epilogue}, &f);
  const size_t streams = std::max(taps_[0].streams.size(), taps_[1].streams.size());
  if (strip) scratch_bytes_ += static_cast<size_t>(strip_bytes(streams, f.plane_bytes));
  forms_.push_back(std::move(f));
}

void Depthwise::add_code(CodeCache& cache, const DepthwiseSpec& spec, Form* f) const {
  const int i = spec.outputs - 1;
  switch (method_) {
    case Method::kStrip: f->runs[i] = tap_runs(row_, spec, taps_[i]); break;
    case Method::kWindow:
      if (!depthwise_window_has(row_, spec, shape_.vertical)) return;
      f->rows = depthwise_window_rows(row_, spec);
      f->inputs[i] = depthwise_window_inputs(row_, spec, shape_.vertical);
      break;
    case Method::kRolling: f->inputs[i] = depthwise_rolling_inputs(shape_.vertical, i + 1); break;
  }
  f->code[i] = cache.get(cache_key(row_, shape_, spec), [&] {
    Assembler as;
    switch (method_) {
      case Method::kStrip: emit_depthwise(as, row_, spec, taps_[i]); break;
      case Method::kWindow: emit_depthwise_window(as, row_, spec, shape_.vertical); break;
      case Method::kRolling:
        emit_depthwise_rolling(as, row_, spec, shape_.vertical, shape_.horizontal);
    }
    return as.finish(row_.name);
  });
  f->run[i] = f->code[i]->entry(0);
}

}  // namespace oct
