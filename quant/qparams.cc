#include "quant/qparams.h"

#include <algorithm>
#include <cmath>

#include "quant/requant.h"
#include "quant/text.h"

namespace oct {

namespace {

// FBGEMM and ATen keep scales out of the denormal range of binary16.
constexpr float kSmallScale = 6.1e-5f;

// Signed right shift rounds down, as Python's // does.
QRange halved(QRange r) { return {r.lo >> 1, r.hi >> 1}; }

Range with_zero(const Range& r) { return {std::min(r.min, 0.0f), std::max(r.max, 0.0f)}; }

int clamp_and_round(double x, QRange q) {
  if (x < q.lo) return q.lo;
  if (x > q.hi) return q.hi;
  return static_cast<int>(std::nearbyint(x));
}

// Stretches the range so that `scale`, which is too small, becomes kSmallScale.
void stretch(Range& r, float scale, int steps) {
  if (r.min == 0.0f) {
    r.max = kSmallScale * static_cast<float>(steps);
  } else if (r.max == 0.0f) {
    r.min = -kSmallScale * static_cast<float>(steps);
  } else {
    const float amplifier = kSmallScale / scale;
    r.min *= amplifier;
    r.max *= amplifier;
  }
}

// Widens the range to scale * [-(steps/2 + 1), steps/2] for the larger of the two scales.
Range symmetrised(const Range& r, int steps) {
  const int lo = -(steps / 2 + 1), hi = steps / 2;
  const double scale = std::max(std::fabs(r.min / static_cast<float>(lo)),
                                std::fabs(r.max / static_cast<float>(hi)));
  return {static_cast<float>(scale * lo), static_cast<float>(scale * hi)};
}

// The two libraries' common algorithm (FBGEMM src/QuantUtils.cc, ATen/native/quantized/cpu/
// QuantUtils.h). They differ in two places: FBGEMM rounds the scale to binary32 at once, and the
// error term by which ATen picks the end that gives the zero point has a minus for a plus.
QParams choose_qparams(const QScheme& scheme, Range r, bool aten) {
  const QRange q = quant_range(scheme);
  const int steps = q.hi - q.lo;
  const bool centred = scheme.symmetric() && r.min < 0.0f && r.max > 0.0f;
  if (centred) r = symmetrised(r, steps);
  r = with_zero(r);

  double scale = (static_cast<double>(r.max) - r.min) / steps;
  if (!aten) scale = static_cast<float>(scale);
  // Also when the reciprocal, which both libraries multiply by, would be infinite.
  const float rounded = static_cast<float>(scale);
  if (rounded == 0.0f || std::isinf(1.0f / rounded)) scale = aten ? 0.1 : 0.1f;
  if (scale < kSmallScale) {
    stretch(r, static_cast<float>(scale), steps);
    scale = kSmallScale;
  }

  // Either end determines the zero point; the one whose terms are smaller rounds less.
  const double below = std::fabs(r.min / scale), above = std::fabs(r.max / scale);
  const double sign = aten ? -1 : 1;
  const bool from_min = std::abs(q.lo) + sign * below < std::abs(q.hi) + sign * above;
  double zero_point = from_min ? q.lo - r.min / scale : q.hi - r.max / scale;
  if (scheme.symmetric() && r.min < 0.0f && r.max > 0.0f) zero_point = (q.lo + q.hi) / 2.0;
  return {static_cast<float>(scale), clamp_and_round(zero_point, q)};
}

}  // namespace

std::string scheme_error(const QScheme& scheme) {
  if (!is_int8(scheme.type))
    return text("type is %s; quantised values are u8 or s8", dtype_name(scheme.type));
  if (scheme.flags & ~(kSymmetric | kNarrow | kReduced))
    return text("flags are %u, of which some bits are unknown", scheme.flags);
  if (!is_valid_scale(scheme.eps))
    return text("eps is %g; it must be finite, positive and normal",
                static_cast<double>(scheme.eps));
  // As in PyTorch: the halved range has no place for the zero point 128.
  if (scheme.type == DType::kU8 && scheme.symmetric() && (scheme.flags & kReduced))
    return "symmetric u8 cannot have a reduced range";
  if (!scheme.has_own_range()) return "";

  const char* wrong = nullptr;
  const QRange q = quant_range(scheme);
  if (scheme.flags & kNarrow)
    wrong = "NARROW has a range of its own";
  else if (scheme.quant_min < dtype_min(scheme.type) || scheme.quant_max > dtype_max(scheme.type))
    wrong = "the range must be within the type's";
  else if (scheme.quant_min > 0 || scheme.quant_max < 0)
    wrong = "the range must hold 0";
  else if (q.lo >= q.hi)
    wrong = "the range must have two values";
  if (!wrong) return "";
  return text("quant_min and quant_max are [%d, %d]; %s", scheme.quant_min, scheme.quant_max,
              wrong);
}

QRange quant_range(const QScheme& scheme) {
  QRange r = {scheme.quant_min, scheme.quant_max};
  if (!scheme.has_own_range()) {
    const int narrow = scheme.flags & kNarrow ? 1 : 0;
    r = {dtype_min(scheme.type) + narrow, dtype_max(scheme.type)};
  }
  return scheme.flags & kReduced ? halved(r) : r;
}

QParams observer_qparams(const QScheme& scheme, const Range& range) {
  if (range.empty()) return {};
  const QRange q = quant_range(scheme);
  const Range r = with_zero(range);
  const float steps = static_cast<float>(q.hi - q.lo);
  if (scheme.symmetric()) {
    const float scale = std::max(std::max(-r.min, r.max) / (steps / 2), scheme.eps);
    if (scheme.type == DType::kS8) return {scale, 0};
    return {scale, scheme.has_own_range() ? (q.lo + q.hi) >> 1 : 128};
  }
  const float scale = std::max((r.max - r.min) / steps, scheme.eps);
  if (!is_valid_scale(scale)) return {scale, q.lo};  // max - min overflowed
  const int zero_point = q.lo - static_cast<int>(std::nearbyint(r.min / scale));
  return {scale, std::clamp(zero_point, q.lo, q.hi)};
}

QParams choose_qparams_fbgemm(const QScheme& scheme, const Range& range) {
  return choose_qparams(scheme, range, false);
}

QParams choose_qparams_aten(const QScheme& scheme, const Range& range) {
  return choose_qparams(scheme, range, true);
}

QParams dynamic_qparams_onnx(const Range& range) {
  const Range r = with_zero(range);
  float scale = (r.max - r.min) / 255.0f;
  if (!is_valid_scale(scale)) scale = 1.0f / 255.0f;
  const float zero_point = std::clamp(0.0f - r.min / scale, 0.0f, 255.0f);
  return {scale, static_cast<int32_t>(std::nearbyint(zero_point))};
}

}  // namespace oct
