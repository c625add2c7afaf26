#include "kernels/post_ops.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "kernels/post_math.h"

namespace oct {
namespace {

float min_of(float a, float b) { return a < b ? a : b; }
float max_of(float a, float b) { return a > b ? a : b; }

float hard_sigmoid(const PostOp& op, float y) {
  return min_of(max_of(std::fma(y, op.alpha, op.beta), 0.0f), 1.0f);
}

float operand(const PostOp& op, const void* x) {
  if (op.type == DType::kF32) {
    float value;
    std::memcpy(&value, x, sizeof value);
    return value * op.scale;
  }
  const int q =
      op.type == DType::kS8 ? *static_cast<const int8_t*>(x) : *static_cast<const uint8_t*>(x);
  return static_cast<float>(q - op.zero_point) * op.scale;
}

}  // namespace

PostSpecs specs_of(const PostChain& chain) {
  PostSpecs specs;
  for (size_t i = 0; i < chain.size(); ++i) specs[i] = {chain[i].kind, chain[i].type};
  return specs;
}

bool has_tensor(const PostSpecs& specs) {
  return std::any_of(specs.begin(), specs.end(), [](PostSpec s) { return has_tensor(s.kind); });
}

float apply_post_op(const PostOp& op, float y, const void* x) {
  switch (op.kind) {
    case PostKind::kRelu: return max_of(y, 0.0f);
    case PostKind::kClamp: return min_of(max_of(y, op.alpha), op.beta);
    case PostKind::kLeakyRelu: return std::fma(min_of(y, 0.0f), op.alpha, max_of(y, 0.0f));
    case PostKind::kHardSigmoid: return hard_sigmoid(op, y);
    case PostKind::kHardSwish: return max_of(-FLT_MAX, y) * hard_sigmoid(op, y);
    case PostKind::kSigmoid: return post_math::sigmoid(y);
    case PostKind::kTanh: return post_math::tanh(y);
    case PostKind::kSilu: return post_math::silu(y);
    case PostKind::kGeluErf: return post_math::gelu_erf(y);
    case PostKind::kGeluTanh: return post_math::gelu_tanh(y);
    case PostKind::kAdd: return y + operand(op, x);
    case PostKind::kMultiply: return y * operand(op, x);
    case PostKind::kNone: break;
  }
  return y;
}

}  // namespace oct
