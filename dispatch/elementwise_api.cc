// The C entry points of the elementwise operations.

#include <cinttypes>

#include "dispatch/context.h"
#include "dispatch/problem.h"
#include "dispatch/quant_args.h"
#include "dispatch/status.h"
#include "octavo/octavo.h"
#include "quant/requant.h"

using oct::fail;

namespace {

using oct::DType;

static_assert(OCT_PER_ROW == static_cast<int>(oct::Granularity::kRow));
static_assert(OCT_PER_COLUMN == static_cast<int>(oct::Granularity::kColumn));

// The size of the matrices and whose parameters they have, as all operations are given them.
struct Sizes {
  int64_t rows, cols;
  oct_granularity granularity;

  bool empty() const { return rows == 0 || cols == 0; }
  int64_t params() const {
    return granularity == OCT_PER_ROW ? rows : granularity == OCT_PER_COLUMN ? cols : 1;
  }
};

oct_status check_sizes(const Sizes& s) {
  if (s.rows < 0 || s.cols < 0)
    return fail(OCT_INVALID_ARGUMENT, "rows is %" PRId64 ", cols is %" PRId64, s.rows, s.cols);
  const int granularity = oct::enum_value(s.granularity);
  if (granularity < OCT_PER_TENSOR || granularity > OCT_PER_COLUMN)
    return fail(OCT_INVALID_ARGUMENT, "granularity is %d; it must be 0 .. %d", granularity,
                static_cast<int>(OCT_PER_COLUMN));
  return OCT_OK;
}

enum class Kind { kBytes, kFloats };

// A matrix with its stride filled in and the bytes it lies in.
struct Checked {
  DType type;
  int64_t stride;
  uintptr_t begin, end;
};

oct_status check_matrix(const char* name, const oct_matrix& m, Kind kind, const Sizes& s,
                        Checked* out) {
  const int type = oct::enum_value(m.type);
  if (kind == Kind::kBytes && type != OCT_U8 && type != OCT_S8)
    return fail(OCT_INVALID_ARGUMENT, "%s.type is %d; it must be OCT_U8 or OCT_S8", name, type);
  if (kind == Kind::kFloats && type != OCT_F32 && type != OCT_BF16)
    return fail(OCT_INVALID_ARGUMENT, "%s.type is %d; it must be OCT_F32 or OCT_BF16", name, type);
  out->type = static_cast<DType>(type);
  const auto size = static_cast<int64_t>(oct::dtype_bytes(out->type));
  if (s.empty()) return OCT_OK;
  if (!m.data) return fail(OCT_INVALID_ARGUMENT, "%s.data is null", name);
  int64_t row;
  if (__builtin_mul_overflow(s.cols, size, &row))
    return fail(OCT_INVALID_ARGUMENT, "cols is %" PRId64 ", which overflows", s.cols);
  out->stride = m.stride_bytes ? m.stride_bytes : row;
  if (out->stride < row)
    return fail(OCT_INVALID_ARGUMENT, "%s.stride_bytes is %" PRId64 "; a row has %" PRId64 " bytes",
                name, out->stride, row);
  if (out->stride % size || reinterpret_cast<uintptr_t>(m.data) % static_cast<uintptr_t>(size))
    return fail(OCT_INVALID_ARGUMENT,
                "%s.data (%p) and stride_bytes (%" PRId64 ") must be multiples of %" PRId64, name,
                m.data, out->stride, size);
  int64_t elements;
  if (__builtin_mul_overflow(s.rows, s.cols, &elements) ||
      !oct::extent_of(m.data, s.rows, out->stride, row, &out->begin, &out->end))
    return fail(OCT_INVALID_ARGUMENT, "%s overflows: %" PRId64 " rows, stride_bytes %" PRId64, name,
                s.rows, out->stride);
  return OCT_OK;
}

oct_status check_overlap(const Checked& in, const Checked& out) {
  const bool same = in.begin == out.begin && in.stride == out.stride &&
                    oct::dtype_bytes(in.type) == oct::dtype_bytes(out.type);
  if (same || in.end <= out.begin || out.end <= in.begin) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT,
              "the output [%#" PRIxPTR ", %#" PRIxPTR ") overlaps the input [%#" PRIxPTR
              ", %#" PRIxPTR ")",
              out.begin, out.end, in.begin, in.end);
}

oct_status check_scales(const char* name, const float* scales, int64_t count) {
  if (!scales) return fail(OCT_INVALID_ARGUMENT, "%s is null", name);
  for (int64_t i = 0; i < count; ++i)
    if (!oct::is_valid_scale(scales[i]))
      return fail(OCT_INVALID_ARGUMENT,
                  "%s[%" PRId64 "] is %g; a scale must be finite, positive and normal", name, i,
                  static_cast<double>(scales[i]));
  return OCT_OK;
}

oct_status check_quotients(const char* what, const float* dividends, const float* divisors,
                           int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float quotient = (dividends ? dividends[i] : 1.0f) / divisors[i];
    if (!oct::is_valid_scale(quotient))
      return fail(OCT_INVALID_ARGUMENT, "%s of parameter %" PRId64 " is %g, not a normal number",
                  what, i, static_cast<double>(quotient));
  }
  return OCT_OK;
}

oct_status check_zero_points(const char* name, const int32_t* points, int64_t count, DType type) {
  for (int64_t i = 0; points && i < count; ++i)
    if (points[i] < dtype_min(type) || points[i] > dtype_max(type))
      return fail(OCT_INVALID_ARGUMENT, "%s[%" PRId64 "] is %d; %s has the range %d .. %d", name, i,
                  points[i], dtype_name(type), dtype_min(type), dtype_max(type));
  return OCT_OK;
}

// The bounds of a quantised output; both 0 mean the whole type.
oct_status set_bounds(int32_t lo, int32_t hi, DType type, oct::ElementwiseArgs* args) {
  if (lo == 0 && hi == 0) lo = dtype_min(type), hi = dtype_max(type);
  if (lo > hi || lo < dtype_min(type) || hi > dtype_max(type))
    return fail(OCT_INVALID_ARGUMENT, "the bounds are [%d, %d]; %s has the range %d .. %d", lo, hi,
                dtype_name(type), dtype_min(type), dtype_max(type));
  args->lo = lo;
  args->hi = hi;
  return OCT_OK;
}

// Checks the matrices, and fills what of the work follows from them.
oct_status set_matrices(const Sizes& s, const char* in_name, const oct_matrix& in, Kind in_kind,
                        const char* out_name, const oct_matrix& out, Kind out_kind,
                        oct::ElementwiseWork* w) {
  Checked from{}, to{};
  if (oct_status e = check_sizes(s)) return e;
  if (oct_status e = check_matrix(in_name, in, in_kind, s, &from)) return e;
  if (oct_status e = check_matrix(out_name, out, out_kind, s, &to)) return e;
  if (!s.empty())
    if (oct_status e = check_overlap(from, to)) return e;
  w->spec.in = from.type;
  w->spec.out = to.type;
  w->granularity = static_cast<oct::Granularity>(s.granularity);
  w->args.in = in.data;
  w->args.in_stride_bytes = from.stride;
  w->args.out = out.data;
  w->args.out_stride_bytes = to.stride;
  w->args.rows = s.rows;
  w->args.cols = s.cols;
  return OCT_OK;
}

oct_status run(const oct_context& context, const oct::ElementwiseWork& work) {
  if (work.args.rows == 0 || work.args.cols == 0) return OCT_OK;
  return oct::guarded([&] {
    oct::run_elementwise(context.isas, context.elementwise, context.threads, work);
    return OCT_OK;
  });
}

oct_status quantize(const oct_context& context, const oct_quantize_args& d) {
  const oct::ScopedFloatMode float_mode;  // quotients are checked
  const Sizes s{d.rows, d.cols, d.granularity};
  oct::ElementwiseWork w{};
  if (oct_status e = set_matrices(s, "x", d.x, Kind::kFloats, "q", d.q, Kind::kBytes, &w)) return e;
  const int form = oct::enum_value(d.form);
  if (form != OCT_QUANTIZE_DIVIDE && form != OCT_QUANTIZE_RECIPROCAL)
    return fail(OCT_INVALID_ARGUMENT,
                "form is %d; choose OCT_QUANTIZE_DIVIDE or OCT_QUANTIZE_RECIPROCAL", form);
  if (oct_status e = check_scales("scales", d.scales, s.params())) return e;
  if (form == OCT_QUANTIZE_RECIPROCAL)
    if (oct_status e = check_quotients("1 / scale", nullptr, d.scales, s.params())) return e;
  if (oct_status e = check_zero_points("zero_points", d.zero_points, s.params(), w.spec.out))
    return e;
  if (oct_status e = set_bounds(d.q_min, d.q_max, w.spec.out, &w.args)) return e;
  w.spec.divide = form == OCT_QUANTIZE_DIVIDE;
  w.inverts = !w.spec.divide;
  w.scales = d.scales;
  w.args.zero_point_out = d.zero_points;
  return run(context, w);
}

oct_status dequantize(const oct_context& context, const oct_dequantize_args& d) {
  const oct::ScopedFloatMode float_mode;  // quotients are checked
  const Sizes s{d.rows, d.cols, d.granularity};
  oct::ElementwiseWork w{};
  if (oct_status e = set_matrices(s, "q", d.q, Kind::kBytes, "x", d.x, Kind::kFloats, &w)) return e;
  if (oct_status e = check_scales("scales", d.scales, s.params())) return e;
  if (oct_status e = check_zero_points("zero_points", d.zero_points, s.params(), w.spec.in))
    return e;
  w.scales = d.scales;
  w.args.zero_point_in = d.zero_points;
  return run(context, w);
}

oct_status requantize(const oct_context& context, const oct_requantize_args& d) {
  const oct::ScopedFloatMode float_mode;  // quotients are checked
  const Sizes s{d.rows, d.cols, d.granularity};
  oct::ElementwiseWork w{};
  if (oct_status e = set_matrices(s, "a", d.a, Kind::kBytes, "c", d.c, Kind::kBytes, &w)) return e;
  const int64_t n = s.params();
  if (oct_status e = check_scales("a_scales", d.a_scales, n)) return e;
  if (oct_status e = check_scales("c_scales", d.c_scales, n)) return e;
  if (oct_status e = check_quotients("a_scale / c_scale", d.a_scales, d.c_scales, n)) return e;
  if (oct_status e = check_zero_points("a_zero_points", d.a_zero_points, n, w.spec.in)) return e;
  if (oct_status e = check_zero_points("c_zero_points", d.c_zero_points, n, w.spec.out)) return e;
  if (oct_status e = set_bounds(d.c_min, d.c_max, w.spec.out, &w.args)) return e;
  w.scales = d.a_scales;
  w.divisors = d.c_scales;
  w.args.zero_point_in = d.a_zero_points;
  w.args.zero_point_out = d.c_zero_points;
  return run(context, w);
}

oct_status minmax(const oct_context& context, const oct_minmax_args& d) {
  const Sizes s{d.rows, d.cols, d.granularity};
  Checked from{};
  if (oct_status e = check_sizes(s)) return e;
  if (oct_status e = check_matrix("x", d.x, Kind::kFloats, s, &from)) return e;
  if (s.params() > 0)
    if (oct_status e = oct::check_not_null({{"mins", d.mins}, {"maxs", d.maxs}})) return e;
  oct::ElementwiseWork w{};
  w.spec.in = from.type;
  w.spec.out = DType::kNone;
  w.granularity = static_cast<oct::Granularity>(s.granularity);
  w.args.in = d.x.data;
  w.args.in_stride_bytes = from.stride;
  w.args.rows = d.rows;
  w.args.cols = d.cols;
  w.args.min = d.mins;
  w.args.max = d.maxs;
  if (!s.empty()) return run(context, w);
  oct::set_empty(d.mins, d.maxs, s.params());
  return OCT_OK;
}

template <class Args>
oct_status check(const char* name, const oct_context* context, const Args* args) {
  if (oct_status s = oct::check_not_null({{"context", context}, {"args", args}})) return s;
  return oct::check_struct_size(name, args->struct_size, sizeof *args);
}

}  // namespace

extern "C" {

oct_status oct_quantize(const oct_context* context, const oct_quantize_args* args) {
  if (oct_status s = check("oct_quantize_args", context, args)) return s;
  return quantize(*context, *args);
}

oct_status oct_dequantize(const oct_context* context, const oct_dequantize_args* args) {
  if (oct_status s = check("oct_dequantize_args", context, args)) return s;
  return dequantize(*context, *args);
}

oct_status oct_requantize(const oct_context* context, const oct_requantize_args* args) {
  if (oct_status s = check("oct_requantize_args", context, args)) return s;
  return requantize(*context, *args);
}

oct_status oct_minmax(const oct_context* context, const oct_minmax_args* args) {
  if (oct_status s = check("oct_minmax_args", context, args)) return s;
  return minmax(*context, *args);
}

}  // extern "C"
