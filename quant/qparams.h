// Scale and zero point from a range of real values.
//
// "The PyTorch formula" is several formulas, which differ in the last bit of the scale and in the
// zero point: its observers compute one, its dynamic operators and FBGEMM two others, ONNX a
// fourth. Each is here under its own name and equals its source bit for bit; none stands in for
// another. [-1.5, 1.5] in u8 has zero point 128 by the observers' formula and 127 by FBGEMM's.
//
// What these functions are not: a choice of range. That is the observers' (quant/observer.h).
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "quant/types.h"

namespace oct {

// Bits of QScheme::flags. The values equal OCT_QSCHEME_*.
constexpr uint32_t kSymmetric = 1;
constexpr uint32_t kNarrow = 2;
constexpr uint32_t kReduced = 4;

// How values are to be quantised. Both quant_min and quant_max 0: the range follows from type and
// flags.
struct QScheme {
  DType type = DType::kU8;
  uint32_t flags = 0;
  int32_t quant_min = 0, quant_max = 0;
  float eps = std::numeric_limits<float>::epsilon();

  bool symmetric() const { return flags & kSymmetric; }
  bool has_own_range() const { return quant_min != 0 || quant_max != 0; }
  friend bool operator==(const QScheme&, const QScheme&) = default;
};

// Why a scheme cannot be used, or "".
std::string scheme_error(const QScheme& scheme);

// Quantised values [lo, hi].
struct QRange {
  int lo, hi;
};

// [-128, 127] or [0, 255]; narrow: the lowest value is left out; reduced: both ends are halved,
// rounding down, as PyTorch's reduce_range does ([-64, 63], [0, 127]).
QRange quant_range(const QScheme& scheme);

// Real values [min, max]; holds nothing at first.
struct Range {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();

  bool empty() const { return min > max; }
  void include(float x) {
    if (x < min) min = x;
    if (x > max) max = x;
  }
  void include(const Range& other) {
    if (other.min < min) min = other.min;
    if (other.max > max) max = other.max;
  }
  friend bool operator==(const Range&, const Range&) = default;
};

struct QParams {
  float scale = 1.0f;
  int32_t zero_point = 0;
  friend bool operator==(const QParams&, const QParams&) = default;
};

// UniformQuantizationObserverBase._calculate_qparams of torch.ao.quantization and of torchao: all
// in binary32. An empty range gives scale 1 and zero point 0, as there. A range that is one point
// is not special, although the documentation there says so: 5 alone gives 5/255.
// The scale is infinite if max - min is.
QParams observer_qparams(const QScheme& scheme, const Range& range);

// fbgemm::ChooseQuantizationParams. `symmetric()` is its preserve_sparsity; eps is not used.
QParams choose_qparams_fbgemm(const QScheme& scheme, const Range& range);

// quant_utils::ChooseQuantizationParams of ATen, which PyTorch's dynamic operators and its fused
// moving-average fake quantisation call. Its scale is a double there; here it is rounded at the
// end, after the zero point has been computed from the double.
QParams choose_qparams_aten(const QScheme& scheme, const Range& range);

// ONNX DynamicQuantizeLinear: u8, zero point as part of binary32 arithmetic. A range whose scale
// would not be a normal number gives 1/255, as the reference evaluator gives for [0, 0].
QParams dynamic_qparams_onnx(const Range& range);

}  // namespace oct
