#include "quant/affine.h"

#include "quant/requant.h"

namespace oct {

int quantize_divide(float x, float scale, int zero_point, QRange q) {
  return round_and_clamp(x / scale, q.lo, q.hi, zero_point);
}

int quantize_reciprocal(float x, float inverse, int zero_point, QRange q) {
  return round_and_clamp(x * inverse, q.lo, q.hi, zero_point);
}

float dequantize_value(int q, float scale, int zero_point) {
  return scale * static_cast<float>(q - zero_point);
}

void quantize(const float* x, const ChannelLayout& layout, QuantizeForm form, QRange q,
              const float* scales, const int32_t* zero_points, uint8_t* result) {
  for_each_channel_element(layout, [&](int64_t c, int64_t i) {
    const int zero_point = zero_points ? zero_points[c] : 0;
    const int value = form == QuantizeForm::kDivide
                          ? quantize_divide(x[i], scales[c], zero_point, q)
                          : quantize_reciprocal(x[i], 1.0f / scales[c], zero_point, q);
    result[i] = static_cast<uint8_t>(value);
  });
}

void dequantize(const uint8_t* q, const ChannelLayout& layout, DType type, const float* scales,
                const int32_t* zero_points, float* result) {
  for_each_channel_element(layout, [&](int64_t c, int64_t i) {
    const int value = type == DType::kS8 ? static_cast<int8_t>(q[i]) : q[i];
    result[i] = dequantize_value(value, scales[c], zero_points ? zero_points[c] : 0);
  });
}

}  // namespace oct
