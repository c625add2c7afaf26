#include "tests/post_case.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace oct::test {
namespace {

constexpr PostKind kPlain[] = {PostKind::kRelu,        PostKind::kClamp,     PostKind::kLeakyRelu,
                               PostKind::kHardSigmoid, PostKind::kHardSwish, PostKind::kSigmoid,
                               PostKind::kTanh,        PostKind::kSilu,      PostKind::kGeluErf,
                               PostKind::kGeluTanh};
constexpr PostKind kWithTensor[] = {PostKind::kAdd, PostKind::kMultiply};

float signed_real(Rng& rng, double limit) { return static_cast<float>(rng.real(-limit, limit)); }

PostOp draw_op(Rng& rng, double unit, bool tensors) {
  PostOp op;
  op.kind = tensors && rng.one_in(2) ? rng.pick(kWithTensor) : rng.pick(kPlain);
  if (has_tensor(op.kind)) {
    constexpr DType kTypes[] = {DType::kU8, DType::kS8, DType::kF32};
    op.type = rng.pick(kTypes);
    const double typical = op.type == DType::kF32 ? 1 : 100;
    op.scale = static_cast<float>(rng.log_real(0.1, 10) / typical *
                                  (op.kind == PostKind::kAdd ? unit : 1));
    if (op.type != DType::kF32)
      op.zero_point = static_cast<int>(rng.between(dtype_min(op.type), dtype_max(op.type)));
    return op;
  }
  op.alpha = signed_real(rng, 2);
  op.beta = signed_real(rng, 2);
  if (op.kind == PostKind::kClamp) {
    const float a = signed_real(rng, 2 * unit), b = signed_real(rng, 2 * unit);
    op.alpha = std::min(a, b);
    op.beta = std::max(a, b);
  }
  return op;
}

}  // namespace

PostChain draw_chain(Rng& rng, double unit, bool tensors) {
  PostChain chain{};
  const int64_t count = rng.one_in(3) ? rng.between(1, kMaxPostOps) : rng.between(1, 2);
  for (int64_t i = 0; i < count; ++i) chain[static_cast<size_t>(i)] = draw_op(rng, unit, tensors);
  return chain;
}

void fill_tensor(Rng& rng, const PostOp& op, void* to, size_t count) {
  if (op.type != DType::kF32) return rng.fill_bytes(to, count);
  for (size_t i = 0; i < count; ++i) {
    const float x = rng.one_in(50) ? 0.0f : signed_real(rng, 1.5);
    std::memcpy(static_cast<uint8_t*>(to) + 4 * i, &x, sizeof x);
  }
}

ApiChain draw_api_chain(Rng& rng, double unit, int most, size_t elements) {
  ApiChain c;
  c.chain = draw_chain(rng, unit, true);
  for (size_t i = static_cast<size_t>(most); i < c.chain.size(); ++i) c.chain[i] = {};
  for (const PostOp& op : c.chain) {
    if (op.kind == PostKind::kNone) break;
    c.ops.push_back({static_cast<oct_post_kind>(op.kind), op.alpha, op.beta,
                     static_cast<oct_dtype>(op.type), op.scale, op.zero_point});
    c.x.emplace_back(elements * dtype_bytes(op.type));
    if (has_tensor(op.kind)) fill_tensor(rng, op, c.x.back().data(), elements);
  }
  return c;
}

const PostOp* ApiChain::bound() const {
  if (ops.empty()) return nullptr;
  const PostOp& last = chain[ops.size() - 1];
  return last.kind == PostKind::kRelu || last.kind == PostKind::kClamp ? &last : nullptr;
}

PostChain ApiChain::inner() const {
  PostChain all = chain;
  if (bound()) all[ops.size() - 1] = {};
  return all;
}

std::string text_of(const PostChain& chain) {
  std::string text;
  for (const PostOp& op : chain)
    if (op.kind != PostKind::kNone)
      text += " {kind " + std::to_string(static_cast<int>(op.kind)) + " " + dtype_name(op.type) +
              " " + std::to_string(op.alpha) + " " + std::to_string(op.beta) + " scale " +
              std::to_string(op.scale) + " zero point " + std::to_string(op.zero_point) + "}";
  return text.empty() ? " none" : text;
}

}  // namespace oct::test
