#include "kernels/reference.h"

#include <cstring>
#include <limits>

#include "quant/requant.h"

namespace oct {
namespace {

// sum over k of (a[k] - zero_point) * (B[k][n] - its zero point). Unsigned, because sums may wrap.
uint32_t dot(const ReferenceGemm& g, const uint8_t* a, int64_t n) {
  const bool kn = g.b.layout == BLayout::kKN;
  const int8_t* b = g.b.data + (kn ? n : n * g.b.stride_bytes);
  const int64_t step = kn ? g.b.stride_bytes : 1;
  uint32_t sum = 0;
  const int zero_point = g.b_zero_points ? g.b_zero_points[n] : 0;
  for (int64_t k = 0; k < g.b.k; ++k) {
    const int value = g.a_type == DType::kS8 ? static_cast<int8_t>(a[k]) : a[k];
    const int weight = g.b.is_unsigned ? static_cast<uint8_t>(b[k * step]) : b[k * step];
    sum += static_cast<uint32_t>((value - g.a_zero_point) * (weight - zero_point));
  }
  return sum;
}

bool has_post(const ReferenceGemm& g) { return g.post[0].kind != PostKind::kNone; }

// The real result: one multiply, one add, the post-operations, then ReLU or clamp with the operand
// order of maxps and minps.
float real_result(const ReferenceGemm& g, int32_t t, int64_t n, const ReferenceTensors& post) {
  float y = static_cast<float>(t) * (g.a_scale * g.b_scales[n]);
  if (g.bias_type == DType::kF32) y = y + static_cast<const float*>(g.bias)[n];
  for (size_t i = 0; i < g.post.size() && g.post[i].kind != PostKind::kNone; ++i) {
    const auto* x = static_cast<const uint8_t*>(post[i]);
    if (x) x += n * static_cast<int64_t>(dtype_bytes(g.post[i].type));
    y = apply_post_op(g.post[i], y, x);
  }
  if (g.relu || g.clamp) {
    const float lo = g.relu ? 0.0f : g.clamp_min;
    const float hi = g.relu ? std::numeric_limits<float>::infinity() : g.clamp_max;
    y = y > lo ? y : lo;
    y = y < hi ? y : hi;
  }
  return y;
}

// The 8-bit result. Without an f32 bias and post-operations a single multiply leads to units of the
// output scale, and ReLU and clamp act through quantised bounds; with one they act on the real
// result.
int quantized_result(const ReferenceGemm& g, int32_t t, int64_t n, const ReferenceTensors& post) {
  int lo = dtype_min(g.c_type), hi = dtype_max(g.c_type);
  if (g.bias_type == DType::kF32 || g.a_scales || has_post(g))
    return round_and_clamp(real_result(g, t, n, post) * (1.0f / g.c_scale), lo, hi, g.c_zero_point);
  if (g.relu) lo = g.c_zero_point;
  if (g.clamp) {
    lo = quantize_value(g.clamp_min, g.c_scale, g.c_zero_point, g.c_type);
    hi = quantize_value(g.clamp_max, g.c_scale, g.c_zero_point, g.c_type);
  }
  const float mult = requant_multiplier(g.a_scale, g.b_scales[n], g.c_scale);
  return round_and_clamp(static_cast<float>(t) * mult, lo, hi, g.c_zero_point);
}

template <typename T>
void store(uint8_t* row, int64_t n, T value) {
  std::memcpy(row + n * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

}  // namespace

void reference_store(const ReferenceGemm& g, uint32_t sum, int64_t n, const ReferenceTensors& post,
                     void* c_row) {
  if (g.bias_type == DType::kS32)
    sum += static_cast<uint32_t>(static_cast<const int32_t*>(g.bias)[n]);
  const int32_t t = static_cast<int32_t>(sum);
  uint8_t* const row = static_cast<uint8_t*>(c_row);
  switch (g.c_type) {
    case DType::kS32: store(row, n, t); break;
    case DType::kF32: store(row, n, real_result(g, t, n, post)); break;
    case DType::kBf16: store(row, n, bf16_from_float(real_result(g, t, n, post))); break;
    case DType::kU8:
    case DType::kS8: store(row, n, static_cast<uint8_t>(quantized_result(g, t, n, post))); break;
    case DType::kNone: break;
  }
}

void reference_gemm(const ReferenceGemm& g, int64_t m, const void* a, int64_t a_stride_bytes,
                    void* c, int64_t c_stride_bytes, const ReferenceOperands& post) {
  for (int64_t i = 0; i < m; ++i) {
    ReferenceTensors rows{};
    for (size_t p = 0; p < rows.size(); ++p)
      if (post.data[p])
        rows[p] = static_cast<const uint8_t*>(post.data[p]) + i * post.stride_bytes[p];
    const uint8_t* a_row = static_cast<const uint8_t*>(a) + i * a_stride_bytes;
    ReferenceGemm of_row = g;
    if (g.a_scales) of_row.a_scale = g.a_scales[i];
    if (g.a_zero_points) of_row.a_zero_point = g.a_zero_points[i];
    uint8_t* c_row = static_cast<uint8_t*>(c) + i * c_stride_bytes;
    for (int64_t n = 0; n < g.b.n; ++n)
      reference_store(of_row, dot(of_row, a_row, n), n, rows, c_row);
  }
}

}  // namespace oct
