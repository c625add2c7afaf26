// Quantised weights and biases of a layer.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/affine.h"
#include "quant/qparams.h"

namespace oct {

// The parameters that PerChannelMinMaxObserver, or with one channel MinMaxObserver, gives the
// weights. All weights are finite.
std::vector<QParams> weight_qparams(const float* weights, const ChannelLayout& layout,
                                    const QScheme& scheme);

// One bias value in units of `scale`, which is fl(a_scale * w_scale): the quotient in binary64,
// rounded to nearest even, and limited to int32. In a channel whose weights are all zero the scale
// is tiny, and the bias usually does not fit: 5 / (0.01 * 1.19e-7) is 4.19e9.
struct QuantizedBias {
  int32_t value;
  bool fits;
};
QuantizedBias quantize_bias_value(float bias, float scale);

}  // namespace oct
