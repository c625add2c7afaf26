#include "dispatch/dynamic.h"

#include <algorithm>
#include <cfloat>

#include "dispatch/quant_args.h"
#include "dispatch/status.h"

namespace oct {
namespace {

QParams onnx_formula(const QScheme&, const Range& range) { return dynamic_qparams_onnx(range); }

auto formula_of(int formula) -> QParams (*)(const QScheme&, const Range&) {
  switch (formula) {
    case OCT_QPARAMS_OBSERVER: return observer_qparams;
    case OCT_QPARAMS_FBGEMM: return choose_qparams_fbgemm;
    case OCT_QPARAMS_ATEN: return choose_qparams_aten;
    case OCT_QPARAMS_ONNX: return onnx_formula;
    default: return nullptr;
  }
}

ElementwiseSpec minmax_spec(const DynamicA& d) { return {d.in, DType::kNone, false, false, false}; }

}  // namespace

// The formulas that make schemes symmetric by stretching the range do so only where it holds 0.
bool DynamicA::fixed_zero_point() const {
  return scheme.symmetric() && formula == &observer_qparams;
}

oct_status check_dynamic(const oct_dynamic& desc, oct_dtype a_type, DynamicA* d) {
  if (oct_status s = check_struct_size("oct_dynamic", desc.struct_size, sizeof desc)) return s;
  const int granularity = enum_value(desc.granularity);
  if (granularity != OCT_PER_TENSOR && granularity != OCT_PER_ROW)
    return fail(OCT_INVALID_ARGUMENT,
                "dynamic: granularity is %d; it must be OCT_PER_TENSOR or OCT_PER_ROW",
                granularity);
  const int formula = enum_value(desc.formula), form = enum_value(desc.form);
  d->formula = formula_of(formula);
  if (!d->formula)
    return fail(OCT_INVALID_ARGUMENT, "dynamic: formula is %d; choose one of OCT_QPARAMS_*",
                formula);
  if (form != OCT_QUANTIZE_DIVIDE && form != OCT_QUANTIZE_RECIPROCAL)
    return fail(OCT_INVALID_ARGUMENT,
                "dynamic: form is %d; choose OCT_QUANTIZE_DIVIDE or OCT_QUANTIZE_RECIPROCAL", form);
  if (oct_status s = check_scheme(desc.scheme, &d->scheme)) return s;
  const QRange range = quant_range(d->scheme);
  if (formula == OCT_QPARAMS_ONNX &&
      (d->scheme.type != DType::kU8 || d->scheme.symmetric() || range.lo != 0 || range.hi != 255))
    return fail(OCT_INVALID_ARGUMENT,
                "dynamic: OCT_QPARAMS_ONNX is for affine u8 in [0, 255]; the scheme is %s%s in "
                "[%d, %d]",
                d->scheme.symmetric() ? "symmetric " : "", dtype_name(d->scheme.type), range.lo,
                range.hi);
  d->range = {range.lo + d->offset(), range.hi + d->offset()};
  d->in = static_cast<DType>(a_type);
  d->per_tensor = granularity == OCT_PER_TENSOR;
  d->divides = form == OCT_QUANTIZE_DIVIDE;
  return OCT_OK;
}

void find_kernels(const oct_context& context, DynamicA* d) {
  d->minmax = context.elementwise.get(context.isas, minmax_spec(*d));
  d->quantize =
      context.elementwise.get(context.isas, {d->in, DType::kU8, d->divides, false, false});
}

QParams dynamic_qparams(const DynamicA& d, const Range& range) {
  QParams p = d.formula(d.scheme, range.empty() ? Range{0, 0} : range);
  p.scale = std::min(p.scale, FLT_MAX);
  p.zero_point += d.offset();
  return p;
}

QParams tensor_qparams(const oct_context& context, const DynamicA& d, const FloatRows& a) {
  Range range;
  ElementwiseWork work{};
  work.spec = minmax_spec(d);
  work.args.in = a.data;
  work.args.in_stride_bytes = a.stride_bytes;
  work.args.rows = a.rows;
  work.args.cols = a.cols;
  work.args.min = &range.min;
  work.args.max = &range.max;
  run_elementwise(context.isas, context.elementwise, context.threads, work);
  return dynamic_qparams(d, range);
}

void quantize_rows(const DynamicA& d, const FloatRows& a, const QParams* tensor, uint8_t* bytes,
                   int64_t stride_bytes, float* scales, int32_t* zero_points) {
  float mins[kMaxDynamicRows], maxs[kMaxDynamicRows], inverses[kMaxDynamicRows];
  ElementwiseArgs args{};
  args.in = a.data;
  args.in_stride_bytes = a.stride_bytes;
  args.rows = a.rows;
  args.cols = a.cols;
  args.param_stride_bytes = 4;
  if (!tensor) {
    set_empty(mins, maxs, a.rows);
    args.min = mins;
    args.max = maxs;
    d.minmax(&args);
  }
  for (int64_t i = 0; i < a.rows; ++i) {
    const QParams p = tensor ? *tensor : dynamic_qparams(d, {mins[i], maxs[i]});
    scales[i] = p.scale;
    inverses[i] = 1.0f / p.scale;
    zero_points[i] = p.zero_point;
  }
  args.out = bytes;
  args.out_stride_bytes = stride_bytes;
  args.scale = d.divides ? scales : inverses;
  args.zero_point_out = zero_points;
  args.lo = d.range.lo;
  args.hi = d.range.hi;
  d.quantize(&args);
}

}  // namespace oct
