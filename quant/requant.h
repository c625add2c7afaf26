// Scalar requantisation: the arithmetic that turns an exact int32 sum into an output element.
//
// These functions are the specification; emitted code must equal them bit for bit. All assume
// round-to-nearest-even (see ScopedFloatMode in dispatch/) and are compiled without contraction.
#pragma once

#include <cfloat>
#include <cstdint>

#include "quant/types.h"

namespace oct {

// fl(fl(a_scale * b_scale) / c_scale): the multiplier of the one-multiply form.
constexpr float requant_multiplier(float a_scale, float b_scale, float c_scale) {
  return a_scale * b_scale / c_scale;
}

// clamp(rne(x / scale) + zero_point) to the range of `type`, by a true division. NaN gives the
// lower bound.
int quantize_value(float x, float scale, int zero_point, DType type);

// rne(min(max(t, lo - zp), hi - zp)) + zp: `t` in units of the output scale.
int round_and_clamp(float t, int lo, int hi, int zero_point);

// The upper half of a binary32, rounded to nearest even. Not for NaN.
uint16_t bf16_from_float(float x);

// Whether x is finite, positive and not denormal: what a scale has to be.
constexpr bool is_valid_scale(float x) { return x >= FLT_MIN && x <= FLT_MAX; }

}  // namespace oct
