#include "dispatch/post.h"

#include <cinttypes>
#include <cmath>

#include "dispatch/status.h"
#include "quant/requant.h"

namespace oct {
namespace {

static_assert(OCT_MAX_POST_OPS == kMaxPostOps);
static_assert(OCT_POST_MULTIPLY == static_cast<int>(PostKind::kMultiply));

PostKind kind_of(const oct_post_op& op) { return static_cast<PostKind>(op.kind); }

constexpr double as_double(float x) { return x; }

bool bounds(const oct_post_op& op) { return op.kind == OCT_POST_RELU || op.kind == OCT_POST_CLAMP; }

oct_status check_tensor_op(int64_t i, const oct_post_op& op) {
  if (op.type != OCT_U8 && op.type != OCT_S8 && op.type != OCT_F32)
    return fail(OCT_INVALID_ARGUMENT,
                "post[%" PRId64 "].type is %d; it must be OCT_U8, OCT_S8 or OCT_F32", i, op.type);
  if (!is_valid_scale(op.scale))
    return fail(OCT_INVALID_ARGUMENT,
                "post[%" PRId64 "].scale is %g; a scale must be finite, positive and normal", i,
                as_double(op.scale));
  const DType type = static_cast<DType>(op.type);
  const int lo = is_int8(type) ? dtype_min(type) : 0, hi = is_int8(type) ? dtype_max(type) : 0;
  if (op.zero_point >= lo && op.zero_point <= hi) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT,
              "post[%" PRId64 "].zero_point is %d; for %s it must be %d .. %d", i, op.zero_point,
              dtype_name(type), lo, hi);
}

oct_status check_op(int64_t i, const oct_post_op& op) {
  switch (op.kind) {
    case OCT_POST_ADD:
    case OCT_POST_MULTIPLY: return check_tensor_op(i, op);
    case OCT_POST_CLAMP:
      if (op.alpha <= op.beta) return OCT_OK;
      return fail(OCT_INVALID_ARGUMENT,
                  "post[%" PRId64 "]: the clamp range [%g, %g] is empty or NaN", i,
                  as_double(op.alpha), as_double(op.beta));
    case OCT_POST_LEAKY_RELU:
      if (std::isfinite(op.alpha)) return OCT_OK;
      break;
    case OCT_POST_HARDSIGMOID:
    case OCT_POST_HARDSWISH:
      if (std::isfinite(op.alpha) && std::isfinite(op.beta)) return OCT_OK;
      break;
    case OCT_POST_RELU:
    case OCT_POST_SIGMOID:
    case OCT_POST_TANH:
    case OCT_POST_SILU:
    case OCT_POST_GELU_ERF:
    case OCT_POST_GELU_TANH: return OCT_OK;
    default:
      return fail(OCT_INVALID_ARGUMENT, "post[%" PRId64 "].kind is %d, which is not known", i,
                  op.kind);
  }
  return fail(OCT_INVALID_ARGUMENT,
              "post[%" PRId64 "]: alpha %g and beta %g must be finite for kind %d", i,
              as_double(op.alpha), as_double(op.beta), op.kind);
}

}  // namespace

int64_t inner_post_count(const LayerDesc& d) {
  const int64_t count = d.post_count;
  return count > 0 && bounds(d.post[count - 1]) ? count - 1 : count;
}

oct_status check_post(const LayerDesc& d) {
  const int64_t most = kMaxPostOps - (d.add_type != OCT_NONE);
  if (d.post_count < 0 || d.post_count > most)
    return fail(OCT_INVALID_ARGUMENT, "post_count is %" PRId64 "; it must be 0 .. %" PRId64 "%s",
                d.post_count, most, d.add_type != OCT_NONE ? " beside add_type" : "");
  if (d.post_count == 0) return OCT_OK;
  if (!d.post)
    return fail(OCT_INVALID_ARGUMENT, "post is null and post_count %" PRId64, d.post_count);
  for (int64_t i = 0; i < d.post_count; ++i)
    if (oct_status s = check_op(i, d.post[i])) return s;
  if (d.c_type == OCT_S32)
    return fail(OCT_INVALID_ARGUMENT,
                "s32 C is the plain sum: post-operations (post_count %" PRId64 ") do not apply",
                d.post_count);
  if (d.flags & (OCT_QGEMM_RELU | OCT_QGEMM_CLAMP) && inner_post_count(d) != d.post_count)
    return fail(OCT_INVALID_ARGUMENT,
                "flags 0x%x and post[%" PRId64 "] (kind %d) both bound the result", d.flags,
                d.post_count - 1, d.post[d.post_count - 1].kind);
  return OCT_OK;
}

PostPlan make_post(const LayerDesc& d) {
  PostPlan p;
  size_t at = 0;
  if (d.add_type != OCT_NONE)
    p.chain[at++] = {PostKind::kAdd,  0, 0, static_cast<DType>(d.add_type), d.add_scale,
                     d.add_zero_point};
  const int64_t count = inner_post_count(d);
  for (int64_t i = 0; i < count; ++i) {
    const oct_post_op& op = d.post[i];
    const PostKind kind = kind_of(op);
    if (has_tensor(kind))
      p.chain[at++] = {kind, 0, 0, static_cast<DType>(op.type), op.scale, op.zero_point};
    else
      p.chain[at++] = {kind, op.alpha, op.beta};
  }
  p.relu = d.flags & OCT_QGEMM_RELU;
  p.clamp = d.flags & OCT_QGEMM_CLAMP;
  p.clamp_min = d.clamp_min;
  p.clamp_max = d.clamp_max;
  if (count == d.post_count) return p;
  const oct_post_op& last = d.post[count];
  p.relu = last.kind == OCT_POST_RELU;
  p.clamp = last.kind == OCT_POST_CLAMP;
  p.clamp_min = last.alpha;
  p.clamp_max = last.beta;
  return p;
}

}  // namespace oct
