#include "kernels/reference_elementwise.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "quant/requant.h"

namespace oct {
namespace {

template <class T>
T load(const void* from, int64_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(from) + index * int64_t{sizeof(T)}, sizeof value);
  return value;
}

template <class T>
void store(void* to, int64_t index, T value) {
  std::memcpy(static_cast<char*>(to) + index * int64_t{sizeof(T)}, &value, sizeof value);
}

// Element c of a row as a real number, but for its scale.
float real_in(DType type, const void* row, int64_t c, int zero_point) {
  switch (type) {
    case DType::kU8: return static_cast<float>(load<uint8_t>(row, c) - zero_point);
    case DType::kS8: return static_cast<float>(load<int8_t>(row, c) - zero_point);
    case DType::kBf16: return std::bit_cast<float>(uint32_t{load<uint16_t>(row, c)} << 16);
    default: return load<float>(row, c);
  }
}

void widen(const ElementwiseArgs& a, int64_t param, float x) {
  if (!std::isfinite(x)) return;
  if (x < a.min[param]) a.min[param] = x;
  if (x > a.max[param]) a.max[param] = x;
  a.min[param] += 0.0f;  // turns -0 into +0
  a.max[param] += 0.0f;
}

}  // namespace

void reference_elementwise(const ElementwiseSpec& spec, const ElementwiseArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    const char* const in = static_cast<const char*>(a.in) + r * a.in_stride_bytes;
    char* const out = static_cast<char*>(a.out) + r * a.out_stride_bytes;
    for (int64_t c = 0; c < a.cols; ++c) {
      const int64_t p = spec.per_column ? c : r * a.param_stride_bytes / 4;
      float x = real_in(spec.in, in, c, is_int8(spec.in) ? a.zero_point_in[p] : 0);
      if (spec.out == DType::kNone) {
        widen(a, p, x);
        continue;
      }
      x = spec.divide ? x / a.scale[p] : x * a.scale[p];
      switch (spec.out) {
        case DType::kF32: store(out, c, x); break;
        case DType::kBf16: store(out, c, bf16_from_float(x)); break;
        default:
          store(out, c, static_cast<uint8_t>(round_and_clamp(x, a.lo, a.hi, a.zero_point_out[p])));
      }
    }
  }
}

}  // namespace oct
