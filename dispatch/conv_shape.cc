#include "dispatch/conv_shape.h"

#include <algorithm>
#include <cinttypes>
#include <limits>

#include "dispatch/status.h"

namespace oct {
namespace {

constexpr int64_t kMaxDim = std::numeric_limits<int32_t>::max();
constexpr const char* kAxisNames[OCT_MAX_SPATIAL] = {"depth", "height", "width"};

oct_status check_range(const char* what, int axis, int64_t value, int64_t least) {
  if (value >= least && value <= kMaxDim) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT, "%s[%d] is %" PRId64 "; it must be %" PRId64 " .. %" PRId64,
              what, axis, value, least, kMaxDim);
}

oct_status make_axis(const oct_qconv_desc& d, int i, ConvAxis* axis) {
  if (oct_status s = check_range("kernel", i, d.kernel[i], 1)) return s;
  if (oct_status s = check_range("stride", i, d.stride[i], 1)) return s;
  if (oct_status s = check_range("dilation", i, d.dilation[i], 1)) return s;
  if (oct_status s = check_range("pad_begin", i, d.pad_begin[i], 0)) return s;
  if (oct_status s = check_range("pad_end", i, d.pad_end[i], 0)) return s;
  if (oct_status s = check_range("size_hint", i, d.size_hint[i], 0)) return s;
  const bool transposed = d.flags & OCT_QCONV_TRANSPOSED;
  const int64_t padding = d.output_padding[i];
  if (transposed ? padding < 0 || padding >= std::max(d.stride[i], d.dilation[i]) : padding != 0)
    return fail(OCT_INVALID_ARGUMENT,
                "output_padding[%d] is %" PRId64 "; it must be %s (stride %" PRId64
                ", dilation %" PRId64 ")",
                i, padding, transposed ? "below max(stride, dilation)" : "0 unless TRANSPOSED",
                d.stride[i], d.dilation[i]);
  *axis = {d.kernel[i],  d.stride[i], d.dilation[i], d.pad_begin[i],
           d.pad_end[i], padding,     transposed,    {}};
  return OCT_OK;
}

oct_status check_channels(const oct_qconv_desc& d) {
  if (d.in_channels < 1 || d.in_channels > kMaxDim || d.out_channels < 1 ||
      d.out_channels > kMaxDim)
    return fail(OCT_INVALID_ARGUMENT,
                "in_channels = %" PRId64 ", out_channels = %" PRId64 "; each must be 1 .. %" PRId64,
                d.in_channels, d.out_channels, kMaxDim);
  if (d.groups < 1 || d.in_channels % d.groups || d.out_channels % d.groups)
    return fail(OCT_INVALID_ARGUMENT,
                "groups is %" PRId64 "; it must divide in_channels %" PRId64
                " and out_channels %" PRId64,
                d.groups, d.in_channels, d.out_channels);
  return OCT_OK;
}

}  // namespace

int64_t ConvAxis::output_size(int64_t in) const {
  // Each factor is below 2^31, so no sum of two products leaves int64.
  const int64_t reach = dilation * (kernel - 1) + 1;
  if (transposed) return (in - 1) * stride - pad_begin - pad_end + reach + output_padding;
  return floor_div(in + pad_begin + pad_end - reach, stride) + 1;
}

bool is_pointwise(const ConvAxis& a) {
  return a.kernel == 1 && a.stride == 1 && a.pad_begin == 0 && a.pad_end == 0 && !a.transposed;
}

void make_phases(ConvAxis* axis) {
  axis->phases.clear();
  const int64_t count = axis->transposed ? axis->stride : 1;
  for (int64_t p = 0; p < count; ++p) {
    AxisPhase phase{p, count, axis->transposed ? 1 : axis->stride, {}};
    for (int64_t t = 0; t < axis->kernel; ++t) {
      // Transposed: output o takes input i through tap t where i * stride = o + pad_begin - t *
      // dilation.
      const int64_t position = axis->transposed ? p + axis->pad_begin - t * axis->dilation
                                                : t * axis->dilation - axis->pad_begin;
      if (axis->transposed && position % axis->stride != 0) continue;
      phase.taps.push_back({t, axis->transposed ? position / axis->stride : position});
    }
    std::sort(phase.taps.begin(), phase.taps.end(),
              [](const AxisTap& a, const AxisTap& b) { return a.offset < b.offset; });
    axis->phases.push_back(std::move(phase));
  }
}

// Taps are sorted by offset, so those inside the input are consecutive: the first with
// q * in_step + offset >= 0 up to the first with q * in_step + offset >= in. The run ends where the
// next tap enters or leaves.
TapRange taps_seen(const AxisPhase& phase, int64_t in, int64_t q) {
  const AxisTap* const taps = phase.taps.data();
  const int count = static_cast<int>(phase.taps.size());
  const int64_t base = q * phase.in_step;
  TapRange seen{0, 0};
  while (seen.first < count && base + taps[seen.first].offset < 0) ++seen.first;
  seen.last = seen.first;
  while (seen.last < count && base + taps[seen.last].offset < in) ++seen.last;
  return seen;
}

AxisRun AxisRuns::at(int64_t q) const {
  const auto& taps = phase_.taps;
  const TapRange seen = taps_seen(phase_, in_, q);
  AxisRun run{q, outputs_, seen.first, seen.last};
  if (run.first > 0) {  // the tap before the first enters at this q
    const int64_t offset = taps[static_cast<size_t>(run.first - 1)].offset;
    run.end = std::min(run.end, ceil_div(-offset, phase_.in_step));
  }
  if (run.last > run.first) {  // the last one leaves at this q
    const int64_t offset = taps[static_cast<size_t>(run.last - 1)].offset;
    run.end = std::min(run.end, ceil_div(in_ - offset, phase_.in_step));
  }
  return run;
}

oct_status make_shape(const oct_qconv_desc& d, ConvShape* shape) {
  if (d.rank < 1 || d.rank > OCT_MAX_SPATIAL)
    return fail(OCT_INVALID_ARGUMENT, "rank is %d; it must be 1 .. %d", d.rank, OCT_MAX_SPATIAL);
  if (oct_status s = check_channels(d)) return s;
  shape->rank = d.rank;
  shape->in_channels = d.in_channels;
  shape->out_channels = d.out_channels;
  shape->groups = d.groups;
  for (int i = 0; i < d.rank; ++i)
    if (oct_status s = make_axis(d, i, &shape->axes[OCT_MAX_SPATIAL - d.rank + i])) return s;
  int64_t k;
  const auto& a = shape->axes;
  if (__builtin_mul_overflow(a[0].kernel, a[1].kernel, &k) ||
      __builtin_mul_overflow(k, a[2].kernel, &k) ||
      __builtin_mul_overflow(k, shape->group_in(), &k) || k > kMaxDim)
    return fail(OCT_INVALID_ARGUMENT,
                "kernel %" PRId64 " x %" PRId64 " x %" PRId64 " times %" PRId64
                " channels overflows",
                a[0].kernel, a[1].kernel, a[2].kernel, shape->group_in());
  return OCT_OK;
}

oct_status output_size(const ConvShape& shape, const std::array<int64_t, 3>& in,
                       std::array<int64_t, 3>* out) {
  for (int i = 0; i < OCT_MAX_SPATIAL; ++i) {
    const ConvAxis& a = shape.axes[static_cast<size_t>(i)];
    const int64_t size = in[static_cast<size_t>(i)];
    if (size < 1 || size > kMaxDim)
      return fail(OCT_INVALID_ARGUMENT, "input %s is %" PRId64 "; it must be 1 .. %" PRId64,
                  kAxisNames[i], size, kMaxDim);
    const int64_t o = a.output_size(size);
    if (o < 1 || o > kMaxDim)
      return fail(OCT_INVALID_ARGUMENT,
                  "output %s is %" PRId64 ": input %" PRId64 ", kernel %" PRId64 ", stride %" PRId64
                  ", dilation %" PRId64 ", padding %" PRId64 " and %" PRId64,
                  kAxisNames[i], o, size, a.kernel, a.stride, a.dilation, a.pad_begin, a.pad_end);
    (*out)[static_cast<size_t>(i)] = o;
  }
  return OCT_OK;
}

}  // namespace oct
