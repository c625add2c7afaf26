// Post-operations: what happens to a real result between the sum's scale and the output's.
//
// An epilogue holds a chain of them, applied in order, in binary32. This file is the list and its
// scalar form, which is the specification; kernels/post_emit.h emits the same operations in the
// same order. All of it is IEEE arithmetic with fused multiply-adds where fma() is written, so
// every ISA gives the same bits. min(a, b) and max(a, b) are those of x86: b if either is a NaN.
#pragma once

#include <array>
#include <cstdint>

#include "quant/types.h"

namespace oct {

inline constexpr int kMaxPostOps = 8;

// The values equal oct_post_kind's.
enum class PostKind : uint8_t {
  kNone = 0,
  kRelu,         // max(y, 0)
  kClamp,        // min(max(y, alpha), beta)
  kLeakyRelu,    // fma(alpha, min(y, 0), max(y, 0))
  kHardSigmoid,  // min(max(fma(alpha, y, beta), 0), 1)
  kHardSwish,    // max(-FLT_MAX, y) * hardsigmoid(y)
  kSigmoid,      // these five: kernels/post_math.h
  kTanh,
  kSilu,
  kGeluErf,
  kGeluTanh,
  kAdd,      // fma(float(X - zero_point), scale, y)
  kMultiply  // y * (float(X - zero_point) * scale)
};

constexpr bool is_transcendental(PostKind kind) {
  return kind >= PostKind::kSigmoid && kind <= PostKind::kGeluTanh;
}
constexpr bool has_tensor(PostKind kind) {
  return kind == PostKind::kAdd || kind == PostKind::kMultiply;
}

struct PostOp {
  PostKind kind = PostKind::kNone;
  float alpha = 0, beta = 0;
  DType type = DType::kNone;  // of X: u8, s8 or f32
  float scale = 1;
  int zero_point = 0;  // 0 for f32
};

// In order; the first kNone ends it.
using PostChain = std::array<PostOp, kMaxPostOps>;

// What code is generated for.
struct PostSpec {
  PostKind kind = PostKind::kNone;
  DType type = DType::kNone;
  bool zero_point = false;  // X has one other than 0
  friend bool operator==(const PostSpec&, const PostSpec&) = default;
};
using PostSpecs = std::array<PostSpec, kMaxPostOps>;

PostSpecs specs_of(const PostChain& chain);

// The most that |y| can be after the chain if it is at most `reach` before; infinite where nothing
// bounds it, or where a NaN may appear.
double post_reach(const PostChain& chain, double reach);
bool has_tensor(const PostSpecs& specs);
bool has_transcendental(const PostSpecs& specs);

// The operation on y; `x` is the element of X, or null.
float apply_post_op(const PostOp& op, float y, const void* x);

}  // namespace oct
