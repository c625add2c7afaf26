// The specification of qgemm and of every epilogue, in scalar code short enough to read in one go.
#pragma once

#include <cstdint>

#include "kernels/pack.h"
#include "kernels/post_ops.h"
#include "quant/types.h"

namespace oct {

struct ReferenceGemm {
  BView b;
  DType a_type;
  int a_zero_point;
  float a_scale;
  const float* b_scales;  // one per column (already expanded); may be null for s32 C
  DType bias_type;
  const void* bias;
  DType c_type;
  float c_scale;
  int c_zero_point;
  bool relu, clamp;
  float clamp_min, clamp_max;
  PostChain post{};
  const float* a_scales = nullptr;         // one per row of A, as then are
  const int32_t* a_zero_points = nullptr;  // these; null: a_scale, a_zero_point
  const int32_t* b_zero_points = nullptr;  // one per column, of b's own type; null: zeros
};

// The tensors of the chain's operations, each as the row of its elements that belongs to C's row.
using ReferenceTensors = std::array<const void*, kMaxPostOps>;

// Column n of a row of C: the exact sum T[n] (modulo 2^32) with bias, scales and the rest of the
// epilogue applied.
void reference_store(const ReferenceGemm& g, uint32_t sum, int64_t n, const ReferenceTensors& post,
                     void* c_row);

// The tensors of a whole result; strides in bytes.
struct ReferenceOperands {
  ReferenceTensors data{};
  std::array<int64_t, kMaxPostOps> stride_bytes{};
};

// C = epilogue(A . B) for m rows; strides in bytes. No alignment is needed.
void reference_gemm(const ReferenceGemm& g, int64_t m, const void* a, int64_t a_stride_bytes,
                    void* c, int64_t c_stride_bytes, const ReferenceOperands& post = {});

}  // namespace oct
