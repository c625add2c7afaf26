// Dynamic quantisation: A arrives as floats and becomes bytes, block by block, on its way into the
// GEMM.
//
// Quantised A is u8 here, whatever the scheme says: s8 values have 128 added, as have their zero
// points, which changes no result.
#pragma once

#include <cstdint>

#include "dispatch/context.h"
#include "octavo/octavo.h"
#include "quant/qparams.h"

namespace oct {

// Rows that a thread quantises at a time: their ranges lie on its stack.
inline constexpr int64_t kMaxDynamicRows = 128;

struct DynamicA {
  DType in = DType::kNone;  // kNone: A is not quantised here
  bool per_tensor = false;
  bool divides = false;
  QScheme scheme;
  QRange range{};  // of the u8 values
  QParams (*formula)(const QScheme&, const Range&) = nullptr;
  ElementwiseFn minmax = nullptr, quantize = nullptr;

  explicit operator bool() const { return in != DType::kNone; }
  // Whether the zero point is the same for all data.
  bool fixed_zero_point() const;
  int offset() const { return scheme.type == DType::kS8 ? 128 : 0; }
};

// Checks `desc` and fills all but the kernels.
oct_status check_dynamic(const oct_dynamic& desc, oct_dtype a_type, DynamicA* dynamic);

// Finds or generates them.
void find_kernels(const oct_context& context, DynamicA* dynamic);

// The parameters for data within `range`: those of [0, 0] if it is empty. The scale is at most the
// largest number; the zero point is that of u8 values.
QParams dynamic_qparams(const DynamicA& dynamic, const Range& range);

struct FloatRows {
  const void* data;
  int64_t stride_bytes, rows, cols;
};

// The parameters for a whole tensor.
QParams tensor_qparams(const oct_context& context, const DynamicA& dynamic, const FloatRows& a);

// Quantises at most kMaxDynamicRows rows, each by parameters of its own or all by `tensor`, which
// also end in `scales` and `zero_points`.
void quantize_rows(const DynamicA& dynamic, const FloatRows& a, const QParams* tensor,
                   uint8_t* bytes, int64_t stride_bytes, float* scales, int32_t* zero_points);

}  // namespace oct
