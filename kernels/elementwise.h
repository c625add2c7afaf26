// Elementwise kernels: quantise, dequantise, requantise, and the reduction to extrema.
//
// All work on a matrix of rows at a byte stride, whose columns are contiguous, with parameters that
// belong to rows (one for the whole tensor is a row's with a stride of 0) or to columns (the
// channels of a channels-last tensor). The first three are one pipeline:
//
//   in      float(in - zero_point_in) of bytes, or f32, bf16 as it is
//   scale   * scale, or / scale                                  rounded once
//   out     f32; bf16; or rne(clamp(., lo, hi)) + zero_point_out in bytes
//
// kernels/reference_elementwise.h is the specification. NaN becomes lo.
//
// What limits them in L1: elementwise_bound counts the instructions of a pass. Beyond L2 all are
// bound by memory.
#pragma once

#include <cstdint>
#include <memory>

#include "jit/code_cache.h"
#include "kernels/table.h"
#include "quant/affine.h"
#include "quant/types.h"

namespace oct {

// What code is generated for. The operation follows from the types.
struct ElementwiseSpec {
  DType in = DType::kF32, out = DType::kU8;  // out kNone: extrema
  bool divide = false;                       // scale divides
  bool per_column = false;                   // parameters belong to columns
  bool streams = false;  // stores go past the caches: out and its stride are multiples of 64

  const char* op() const {
    if (out == DType::kNone) return "minmax";
    if (!is_int8(in)) return "quantize";
    return is_int8(out) ? "requantize" : "dequantize";
  }
};

// One call. Arrays of parameters have an entry per column, or the first row's entry and those of
// later rows `param_stride_bytes` apart.
struct ElementwiseArgs {
  const void* in;
  void* out;
  int64_t in_stride_bytes, out_stride_bytes;
  int64_t rows, cols;  // at least 1 each
  const float* scale;
  const int32_t *zero_point_in, *zero_point_out;  // of bytes
  int64_t param_stride_bytes;                     // 4, or 0
  int32_t lo, hi;                                 // bytes out lie in [lo, hi]
  // Extrema: widened by the finite elements. No zero in them is negative.
  float *min, *max;
};

using ElementwiseFn = void (*)(const ElementwiseArgs*);

struct ElementwiseCode {
  std::shared_ptr<const Code> code;  // keeps the entry point alive
  ElementwiseFn entry = nullptr;
};

// Throws as gemm_code does.
ElementwiseCode elementwise_code(CodeCache& cache, const KernelRow& row,
                                 const ElementwiseSpec& spec);

// Vector instructions, loads, stores and all instructions that one pass of the main loop takes for
// `elements` elements. `additions` of floats, minima and conversions find no more pipes than
// `multiplies` do: the other two on Zen, the same ones elsewhere.
struct ElementwiseBound {
  int elements, multiplies, additions, vectors, loads, stores, instructions;
};
ElementwiseBound elementwise_bound(const KernelRow& row, const ElementwiseSpec& spec);

// The emitters behind elementwise_code.
void emit_pipeline(Assembler& as, const KernelRow& row, const ElementwiseSpec& spec);
void emit_minmax(Assembler& as, const KernelRow& row, const ElementwiseSpec& spec);

}  // namespace oct
