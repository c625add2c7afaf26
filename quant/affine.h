// Quantising and dequantising arrays, per tensor or per channel: the scalar definition that the
// kernels' results are compared with.
//
// There are two forms of quantisation, which differ at ties and near them: by a division, as ONNX
// and TFLite define it, and by a multiplication with the rounded reciprocal, as PyTorch and FBGEMM
// compute it. x = 0.273939937, s = 0.00214854861 is 127 by the one and 128 by the other.
#pragma once

#include <cstdint>

#include "quant/qparams.h"
#include "quant/types.h"

namespace oct {

// A dense array [outer, channels, inner], whose middle dimension has the parameters. One channel:
// per tensor. Weights [OC, IC] by rows are {1, OC, IC}; ONNX MatMul's [K, N] by columns {K, N, 1}.
struct ChannelLayout {
  int64_t outer, channels, inner;
  int64_t size() const { return outer * channels * inner; }
};

// visit(c, i) for every element i of channel c, in the order of memory.
template <class Visit>
void for_each_channel_element(const ChannelLayout& layout, Visit visit) {
  int64_t i = 0;
  for (int64_t o = 0; o < layout.outer; ++o)
    for (int64_t c = 0; c < layout.channels; ++c)
      for (int64_t end = i + layout.inner; i < end; ++i) visit(c, i);
}

// The values equal OCT_QUANTIZE_*.
enum class QuantizeForm { kDivide = 1, kReciprocal = 2 };

// clamp(rne(x / scale) + zero_point) by a true division. NaN becomes q.lo; infinities saturate.
int quantize_divide(float x, float scale, int zero_point, QRange q);

// clamp(rne(x * fl(1 / scale)) + zero_point); `inverse` is fl(1 / scale). Otherwise the same:
// where FBGEMM's instructions take +inf to 0, or NaN to 255, this does not follow them.
int quantize_reciprocal(float x, float inverse, int zero_point, QRange q);

// scale * float(q - zero_point): the integer difference first, so that zero_point is exactly 0.
float dequantize_value(int q, float scale, int zero_point);

// One scale per channel, and one zero point, or null for zeros. The result of u8 or s8 is bytes.
void quantize(const float* x, const ChannelLayout& layout, QuantizeForm form, QRange q,
              const float* scales, const int32_t* zero_points, uint8_t* result);
void dequantize(const uint8_t* q, const ChannelLayout& layout, DType type, const float* scales,
                const int32_t* zero_points, float* result);

}  // namespace oct
