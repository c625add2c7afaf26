#include "dispatch/problem.h"

#include <algorithm>
#include <cinttypes>
#include <limits>

#include "dispatch/status.h"
#include "quant/requant.h"

namespace oct {
namespace {

constexpr int64_t kMaxDim = std::numeric_limits<int32_t>::max();
constexpr uint32_t kKnownFlags =
    OCT_QGEMM_ALLOW_WRAP | OCT_QGEMM_RELU | OCT_QGEMM_CLAMP | OCT_QGEMM_A_PER_ROW;

LayerDesc layer_of(const oct_qgemm_desc& d) {
  return {"b_scales",
          "b_scale_count",
          "n",
          d.flags,
          d.n,
          d.k,
          d.a_type,
          d.a_zero_point,
          d.a_scale,
          d.a_min,
          d.a_max,
          false,
          0,
          d.b_scales,
          d.b_scale_count,
          {"b_type", "b_zero_points", "b_zero_point_count", d.b_type, d.b_zero_points,
           d.b_zero_point_count},
          d.bias_type,
          d.bias,
          OCT_NONE,
          1,
          0,
          d.c_type,
          d.c_scale,
          d.c_zero_point,
          d.clamp_min,
          d.clamp_max,
          d.post,
          d.post_count,
          d.kernel};
}

// Dimensions, and that the last element of B has an address.
oct_status check_b(const oct_qgemm_desc& d, BView* view) {
  if (d.n < 1 || d.n > kMaxDim || d.k < 1 || d.k > kMaxDim)
    return fail(OCT_INVALID_ARGUMENT,
                "n = %" PRId64 ", k = %" PRId64 "; each must be 1 .. %" PRId64, d.n, d.k, kMaxDim);
  if (!d.b) return fail(OCT_INVALID_ARGUMENT, "b is null");
  if (d.b_layout != OCT_B_KN && d.b_layout != OCT_B_NK)
    return fail(OCT_INVALID_ARGUMENT, "b_layout is %d; it must be OCT_B_KN or OCT_B_NK",
                d.b_layout);
  const bool kn = d.b_layout == OCT_B_KN;
  const int64_t row = kn ? d.n : d.k, rows = kn ? d.k : d.n;
  const int64_t stride = d.b_stride_bytes == 0 ? row : d.b_stride_bytes;
  if (stride < row)
    return fail(OCT_INVALID_ARGUMENT,
                "b_stride_bytes is %" PRId64 "; a row of B has %" PRId64 " bytes", stride, row);
  int64_t extent;
  if (__builtin_mul_overflow(stride, rows, &extent) ||
      extent > std::numeric_limits<int64_t>::max() / 16)
    return fail(OCT_INVALID_ARGUMENT, "B overflows: %" PRId64 " rows, b_stride_bytes %" PRId64,
                rows, stride);
  *view = {static_cast<const int8_t*>(d.b),
           kn ? BLayout::kKN : BLayout::kNK,
           stride,
           d.k,
           d.n,
           d.b_type == OCT_U8};
  return OCT_OK;
}

// Scales of A that are known at run only. The column's multiplier is then that of scale 1.
oct_status check_rows_of_a(const oct_qgemm_desc& d, LayerDesc* layer, Problem* p) {
  const bool floats = d.a_type == OCT_F32 || d.a_type == OCT_BF16;
  const bool per_row = d.flags & OCT_QGEMM_A_PER_ROW;
  if (floats != (d.dynamic != nullptr))
    return fail(OCT_INVALID_ARGUMENT, "a_type is %d and dynamic is %s; f32 and bf16 A need it",
                d.a_type, d.dynamic ? "given" : "null");
  if (floats && (per_row || d.c_type == OCT_S32 || d.a_min != 0 || d.a_max != 0))
    return fail(OCT_INVALID_ARGUMENT,
                "dynamic A goes with neither A_PER_ROW (flags 0x%x), s32 C (c_type %d) nor a range "
                "of its own ([%d, %d])",
                d.flags, d.c_type, d.a_min, d.a_max);
  if (floats && d.k > kMaxDynamicK)
    return fail(OCT_UNSUPPORTED, "k is %" PRId64 "; dynamic A has at most %" PRId64, d.k,
                kMaxDynamicK);
  if (!floats && !per_row) return OCT_OK;
  layer->flags &= ~uint32_t{OCT_QGEMM_A_PER_ROW};
  layer->a_per_row = true;
  layer->a_scale = 1;
  layer->a_zero_point = 0;
  p->varying_zero_points = true;
  if (per_row) {
    // Any zero point of the type may come.
    const DType type = static_cast<DType>(d.a_type);
    const bool promised = d.a_min != 0 || d.a_max != 0;
    layer->a_reach = std::max((promised ? d.a_max : dtype_max(type)) - dtype_min(type),
                              dtype_max(type) - (promised ? d.a_min : dtype_min(type)));
    return OCT_OK;
  }
  if (oct_status s = check_dynamic(*d.dynamic, d.a_type, &p->dynamic)) return s;
  layer->a_type = OCT_U8;
  layer->a_min = p->dynamic.range.lo;
  layer->a_max = p->dynamic.range.hi;
  layer->a_reach = layer->a_max - layer->a_min;
  if (p->dynamic.fixed_zero_point()) {
    p->varying_zero_points = false;
    layer->a_zero_point = dynamic_qparams(p->dynamic, {-1, 1}).zero_point;
  }
  return OCT_OK;
}

oct_status check_groups(const oct_qgemm_desc& d) {
  if (d.b_group_k < kKr || d.b_group_k % kKr || d.k % d.b_group_k)
    return fail(OCT_INVALID_ARGUMENT,
                "b_group_k is %" PRId64 "; it must be a multiple of %d that divides k = %" PRId64,
                d.b_group_k, kKr, d.k);
  if (d.bias_type == OCT_S32 || d.c_type == OCT_S32)
    return fail(OCT_INVALID_ARGUMENT,
                "b_group_k goes with neither s32 bias (bias_type %d) nor s32 C (c_type %d)",
                d.bias_type, d.c_type);
  if (d.b_scale_count != d.k / d.b_group_k * d.n)
    return fail(OCT_INVALID_ARGUMENT,
                "b_scale_count is %" PRId64 "; %" PRId64 " groups of n = %" PRId64
                " columns have %" PRId64,
                d.b_scale_count, d.k / d.b_group_k, d.n, d.k / d.b_group_k * d.n);
  return OCT_OK;
}

// One group's layer, to which the sum of earlier ones is added. The scales are the first group's.
void sum_groups(const oct_qgemm_desc& d, LayerDesc* layer) {
  layer->k = d.b_group_k;
  layer->scale_count = d.n;
  layer->sums_groups = true;
  layer->groups = d.k / d.b_group_k;
  layer->add_type = OCT_F32;
  layer->add_scale = 1;
  layer->add_zero_point = 0;
}

oct_status check_group_scales(const oct_qgemm_desc& d, float a_scale) {
  for (int64_t i = 0; i < d.b_scale_count; ++i)
    if (!is_valid_scale(d.b_scales[i]) || !is_valid_scale(a_scale * d.b_scales[i]))
      return fail(OCT_INVALID_ARGUMENT,
                  "b_scales[%" PRId64 "] is %g, times A's %g; both must be normal numbers", i,
                  static_cast<double>(d.b_scales[i]), static_cast<double>(a_scale));
  return OCT_OK;
}

}  // namespace

oct_status make_problem(const oct_qgemm_desc& d, Problem* p) {
  if (d.flags & ~kKnownFlags)
    return fail(OCT_INVALID_ARGUMENT, "flags is 0x%x; bits 0x%x are not known", d.flags,
                d.flags & ~kKnownFlags);
  if (d.m_hint < 0)
    return fail(OCT_INVALID_ARGUMENT, "m_hint is %" PRId64 "; it must not be negative", d.m_hint);
  LayerDesc layer = layer_of(d);
  if (oct_status s = check_rows_of_a(d, &layer, p)) return s;
  if (oct_status s = check_b(d, &p->b)) return s;
  const bool grouped = d.b_group_k != 0 && d.b_group_k != d.k;
  if (d.b_group_k != 0)
    if (oct_status s = check_groups(d)) return s;
  if (grouped) sum_groups(d, &layer);
  if (oct_status s = check_layer(layer)) return s;
  if (grouped)
    if (oct_status s = check_group_scales(d, layer.a_scale)) return s;
  make_layer(layer, p);
  if (grouped) {
    p->group_k = d.b_group_k;
    for (int64_t i = 0; i < d.b_scale_count; ++i)
      p->group_mult.push_back(layer.a_scale * d.b_scales[i]);
  }
  p->m_hint = d.m_hint;
  return OCT_OK;
}

bool extent_of(const void* data, int64_t rows, int64_t stride, int64_t row_bytes, uintptr_t* begin,
               uintptr_t* end) {
  int64_t bytes;
  if (__builtin_mul_overflow(rows - 1, stride, &bytes) ||
      __builtin_add_overflow(bytes, row_bytes, &bytes))
    return false;
  *begin = reinterpret_cast<uintptr_t>(data);
  return !__builtin_add_overflow(*begin, static_cast<uintptr_t>(bytes), end);
}

namespace {

// Whether A and C are different columns of one matrix: equal strides, rows that never meet.
bool columns_apart(const oct_qgemm_args& args, int64_t k, int64_t c_row) {
  const int64_t stride = args.a_stride_bytes;
  if (args.c_stride_bytes != stride) return false;
  const auto a = reinterpret_cast<uintptr_t>(args.a), c = reinterpret_cast<uintptr_t>(args.c);
  const auto apart =
      static_cast<int64_t>(c > a ? (c - a) % static_cast<uintptr_t>(stride)
                                 : stride - (a - c) % static_cast<uintptr_t>(stride));
  return apart >= k && apart + c_row <= stride;
}

// The tensor of post-operation i beside C, which takes [c0, c1).
oct_status check_post_tensor(const oct_qgemm_args& args, int64_t n, const Problem& p, size_t i,
                             uintptr_t c0, uintptr_t c1) {
  const oct_post_tensor& x = args.post[i];
  const DType type = p.epilogue.post[p.first_post() + i].type;
  const auto size = static_cast<int64_t>(dtype_bytes(type));
  if (!x.data) return fail(OCT_INVALID_ARGUMENT, "post[%zu].data is null", i);
  if (x.stride_bytes % size || reinterpret_cast<uintptr_t>(x.data) % static_cast<size_t>(size) ||
      (x.stride_bytes != 0 && x.stride_bytes < n * size))
    return fail(OCT_INVALID_ARGUMENT,
                "post[%zu]: data (%p) and stride_bytes (%" PRId64 ") must be multiples of %" PRId64
                ", and the stride 0 or at least a row's %" PRId64 " bytes",
                i, x.data, x.stride_bytes, size, n * size);
  uintptr_t x0, x1;
  if (!extent_of(x.data, args.m, x.stride_bytes, n * size, &x0, &x1))
    return fail(OCT_INVALID_ARGUMENT, "post[%zu] overflows: m %" PRId64 ", stride_bytes %" PRId64,
                i, args.m, x.stride_bytes);
  const bool is_c = x.data == args.c && x.stride_bytes == args.c_stride_bytes &&
                    dtype_bytes(p.c_type) == static_cast<size_t>(size);
  if (x0 >= c1 || c0 >= x1 || is_c) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT,
              "C [%#" PRIxPTR ", %#" PRIxPTR ") overlaps post[%zu] [%#" PRIxPTR ", %#" PRIxPTR ")",
              c0, c1, i, x0, x1);
}

// What A_PER_ROW gives for every row.
oct_status check_row_params(const oct_qgemm_args& args, const Problem& p) {
  if (p.dynamic || !p.varying_zero_points) return OCT_OK;
  if (p.epilogue.row_scale) {
    if (!args.a_scales) return fail(OCT_INVALID_ARGUMENT, "a_scales is null");
    for (int64_t i = 0; i < args.m; ++i)
      if (!is_valid_scale(args.a_scales[i]))
        return fail(OCT_INVALID_ARGUMENT,
                    "a_scales[%" PRId64 "] is %g; a scale must be finite, positive and normal", i,
                    static_cast<double>(args.a_scales[i]));
  }
  const int lo = dtype_min(p.a_type), hi = dtype_max(p.a_type);
  for (int64_t i = 0; args.a_zero_points && i < args.m; ++i)
    if (args.a_zero_points[i] < lo || args.a_zero_points[i] > hi)
      return fail(OCT_INVALID_ARGUMENT,
                  "a_zero_points[%" PRId64 "] is %d; %s has the range %d .. %d", i,
                  args.a_zero_points[i], dtype_name(p.a_type), lo, hi);
  return OCT_OK;
}

}  // namespace

oct_status check_args(const oct_qgemm_args& args, const Problem& p) {
  const int64_t n = p.n();
  const int64_t a_size = static_cast<int64_t>(p.dynamic ? dtype_bytes(p.dynamic.in) : 1);
  const int64_t k = p.k() * a_size;  // in bytes
  const DType c_type = p.c_type;
  if (args.m < 0) return fail(OCT_INVALID_ARGUMENT, "m is %" PRId64, args.m);
  if (args.m == 0) return OCT_OK;
  if (!args.a || !args.c) return fail(OCT_INVALID_ARGUMENT, "%s is null", args.a ? "c" : "a");
  const int64_t size = static_cast<int64_t>(dtype_bytes(c_type));
  const int64_t c_row = n * size;
  if (args.a_stride_bytes < k)
    return fail(OCT_INVALID_ARGUMENT,
                "a_stride_bytes is %" PRId64 "; a row of A has %" PRId64 " bytes",
                args.a_stride_bytes, k);
  if (args.a_stride_bytes % a_size || reinterpret_cast<uintptr_t>(args.a) % a_size)
    return fail(OCT_INVALID_ARGUMENT,
                "a (%p) and a_stride_bytes (%" PRId64 ") must be multiples of %" PRId64, args.a,
                args.a_stride_bytes, a_size);
  if (args.c_stride_bytes < c_row)
    return fail(OCT_INVALID_ARGUMENT,
                "c_stride_bytes is %" PRId64 "; a row of C has %" PRId64 " bytes",
                args.c_stride_bytes, c_row);
  if (args.c_stride_bytes % size || reinterpret_cast<uintptr_t>(args.c) % size)
    return fail(OCT_INVALID_ARGUMENT,
                "c (%p) and c_stride_bytes (%" PRId64 ") must be multiples of %" PRId64 " for %s",
                args.c, args.c_stride_bytes, size, dtype_name(c_type));
  uintptr_t a0, a1, c0, c1;
  if (!extent_of(args.a, args.m, args.a_stride_bytes, k, &a0, &a1) ||
      !extent_of(args.c, args.m, args.c_stride_bytes, c_row, &c0, &c1))
    return fail(OCT_INVALID_ARGUMENT,
                "sizes overflow: m %" PRId64 ", a_stride_bytes %" PRId64
                ", c_stride_bytes %" PRId64,
                args.m, args.a_stride_bytes, args.c_stride_bytes);
  if (a0 < c1 && c0 < a1 && !columns_apart(args, k, c_row))
    return fail(OCT_INVALID_ARGUMENT,
                "C [%#" PRIxPTR ", %#" PRIxPTR ") overlaps A [%#" PRIxPTR ", %#" PRIxPTR ")", c0,
                c1, a0, a1);
  if (oct_status s = check_row_params(args, p)) return s;
  for (size_t i = p.first_post(); i < p.epilogue.post.size(); ++i) {
    if (!has_tensor(p.epilogue.post[i].kind)) continue;
    if (!args.post)
      return fail(OCT_INVALID_ARGUMENT, "post is null; a post-operation has a tensor");
    if (oct_status s = check_post_tensor(args, n, p, i - p.first_post(), c0, c1)) return s;
  }
  return OCT_OK;
}

}  // namespace oct
