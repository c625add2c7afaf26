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

// The element of X less its zero point.
float operand(const PostOp& op, const void* x) {
  if (op.type == DType::kF32) {
    float value;
    std::memcpy(&value, x, sizeof value);
    return value;
  }
  const int q =
      op.type == DType::kS8 ? *static_cast<const int8_t*>(x) : *static_cast<const uint8_t*>(x);
  return static_cast<float>(q - op.zero_point);
}

// Of 8-bit X.
double tensor_reach(const PostOp& op) {
  constexpr double kSpan = 255;  // values less one
  return op.type == DType::kF32 ? HUGE_VAL : kSpan * op.scale;
}

double op_reach(const PostOp& op, double reach) {
  switch (op.kind) {
    case PostKind::kClamp:
      for (double bound : {std::fabs(op.alpha), std::fabs(op.beta)})
        if (std::isfinite(bound)) reach = std::max(reach, bound);
      return reach;
    case PostKind::kLeakyRelu: return reach * (1 + std::fabs(op.alpha));
    case PostKind::kHardSigmoid:
    case PostKind::kSigmoid:
    case PostKind::kTanh: return 1;
    case PostKind::kAdd: return reach + tensor_reach(op);
    case PostKind::kMultiply: return reach * tensor_reach(op);
    default: return reach;
  }
}

}  // namespace

double post_reach(const PostChain& chain, double reach) {
  for (const PostOp& op : chain) {
    if (!(reach < FLT_MAX)) return HUGE_VAL;
    reach = op_reach(op, reach);
  }
  return reach;
}

PostSpecs specs_of(const PostChain& chain) {
  PostSpecs specs;
  for (size_t i = 0; i < chain.size(); ++i)
    specs[i] = {chain[i].kind, chain[i].type, chain[i].zero_point != 0};
  return specs;
}

bool has_tensor(const PostSpecs& specs) {
  return std::any_of(specs.begin(), specs.end(), [](PostSpec s) { return has_tensor(s.kind); });
}

bool has_transcendental(const PostSpecs& specs) {
  return std::any_of(specs.begin(), specs.end(),
                     [](PostSpec s) { return is_transcendental(s.kind); });
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
    case PostKind::kAdd: return std::fma(operand(op, x), op.scale, y);
    case PostKind::kMultiply: return y * (operand(op, x) * op.scale);
    case PostKind::kNone: break;
  }
  return y;
}

}  // namespace oct
