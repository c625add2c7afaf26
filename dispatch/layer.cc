#include "dispatch/layer.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "dispatch/post.h"
#include "dispatch/status.h"
#include "quant/requant.h"

namespace oct {
namespace {

constexpr int64_t kMaxSteps = std::numeric_limits<int32_t>::max();

// For printing.
constexpr double as_double(float x) { return x; }

bool adds(const LayerDesc& d) { return d.add_type != OCT_NONE; }

oct_status check_types(const LayerDesc& d) {
  if (d.a_type != OCT_U8 && d.a_type != OCT_S8)
    return fail(OCT_INVALID_ARGUMENT, "a_type is %d; it must be OCT_U8 or OCT_S8", d.a_type);
  if (d.c_type < OCT_U8 || d.c_type > OCT_BF16)
    return fail(OCT_INVALID_ARGUMENT,
                "c_type is %d; it must be OCT_S32, OCT_F32, OCT_BF16, OCT_U8 or OCT_S8", d.c_type);
  if (d.bias_type != OCT_NONE && d.bias_type != OCT_S32 && d.bias_type != OCT_F32)
    return fail(OCT_INVALID_ARGUMENT, "bias_type is %d; it must be OCT_NONE, OCT_S32 or OCT_F32",
                d.bias_type);
  if (adds(d) && !d.sums_groups && d.add_type != OCT_U8 && d.add_type != OCT_S8)
    return fail(OCT_INVALID_ARGUMENT, "add_type is %d; it must be OCT_NONE, OCT_U8 or OCT_S8",
                d.add_type);
  if ((d.bias_type == OCT_NONE) != (d.bias == nullptr))
    return fail(OCT_INVALID_ARGUMENT, "bias is %s while bias_type is %d", d.bias ? "given" : "null",
                d.bias_type);
  if (reinterpret_cast<uintptr_t>(d.bias) % 4 || reinterpret_cast<uintptr_t>(d.scales) % 4)
    return fail(OCT_INVALID_ARGUMENT, "bias (%p) and %s (%p) must be aligned to 4 bytes", d.bias,
                d.scales_name, static_cast<const void*>(d.scales));
  return OCT_OK;
}

oct_status check_flags(const LayerDesc& d) {
  const bool relu = d.flags & OCT_QGEMM_RELU, clamp = d.flags & OCT_QGEMM_CLAMP;
  if (relu && clamp)
    return fail(OCT_INVALID_ARGUMENT, "flags 0x%x ask for RELU and CLAMP; clamp from 0 instead",
                d.flags);
  if (d.c_type == OCT_S32 && (relu || clamp || d.bias_type == OCT_F32 || adds(d)))
    return fail(OCT_INVALID_ARGUMENT,
                "s32 C is the plain sum: RELU, CLAMP (flags 0x%x), f32 bias (bias_type %d) and "
                "add_type (%d) do not apply",
                d.flags, d.bias_type, d.add_type);
  if (clamp && !(d.clamp_min <= d.clamp_max))
    return fail(OCT_INVALID_ARGUMENT, "clamp range [%g, %g] is empty or NaN",
                as_double(d.clamp_min), as_double(d.clamp_max));
  return OCT_OK;
}

oct_status check_zero_point(const char* what, int zero_point, oct_dtype of) {
  const DType type = static_cast<DType>(of);
  if (zero_point >= dtype_min(type) && zero_point <= dtype_max(type)) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT, "%s is %d; %s has the range %d .. %d", what, zero_point,
              dtype_name(type), dtype_min(type), dtype_max(type));
}

oct_status check_scale(const char* what, float scale) {
  if (is_valid_scale(scale)) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT, "%s is %g; a scale must be finite, positive and normal", what,
              as_double(scale));
}

struct Span {
  int lo, hi;
};

oct_status check_weights(const LayerDesc& d) {
  const Weights& w = d.weights;
  if (w.type != OCT_U8 && w.type != OCT_S8)
    return fail(OCT_INVALID_ARGUMENT, "%s is %d; it must be OCT_U8 or OCT_S8", w.type_name, w.type);
  if (!w.zero_points) return OCT_OK;
  if (reinterpret_cast<uintptr_t>(w.zero_points) % 4)
    return fail(OCT_INVALID_ARGUMENT, "%s (%p) must be aligned to 4 bytes", w.zero_points_name,
                static_cast<const void*>(w.zero_points));
  if (w.zero_point_count != 1 && w.zero_point_count != d.n && w.zero_point_count != d.groups * d.n)
    return fail(OCT_INVALID_ARGUMENT, "%s is %" PRId64 "; it must be 1 or %s = %" PRId64 "%s",
                w.zero_count_name, w.zero_point_count, d.channels_name, d.n,
                d.groups > 1 ? ", or that for each group" : "");
  const DType type = static_cast<DType>(w.type);
  for (int64_t i = 0; i < w.zero_point_count; ++i)
    if (w.zero_points[i] < dtype_min(type) || w.zero_points[i] > dtype_max(type))
      return fail(OCT_INVALID_ARGUMENT, "%s[%" PRId64 "] is %d; %s has the range %d .. %d",
                  w.zero_points_name, i, w.zero_points[i], dtype_name(type), dtype_min(type),
                  dtype_max(type));
  return OCT_OK;
}

// The greatest |weight - zero point|.
int64_t weight_reach(const Weights& w) {
  const DType type = static_cast<DType>(w.type);
  const int lo = dtype_min(type), hi = dtype_max(type);
  if (!w.zero_points) return std::max(-lo, hi);
  int64_t reach = 0;
  for (int64_t i = 0; i < w.zero_point_count; ++i)
    reach = std::max<int64_t>({reach, w.zero_points[i] - lo, hi - w.zero_points[i]});
  return reach;
}
// The promised range of A; both bounds zero mean the whole type.
Span span_of(const LayerDesc& d) {
  const DType type = static_cast<DType>(d.a_type);
  if (d.a_min == 0 && d.a_max == 0) return {dtype_min(type), dtype_max(type)};
  return {d.a_min, d.a_max};
}

// A's zero point and promised range, and whether sums can leave int32 with them.
oct_status check_a(const LayerDesc& d) {
  const DType type = static_cast<DType>(d.a_type);
  if (oct_status s = check_zero_point("a_zero_point", d.a_zero_point, d.a_type)) return s;
  const Span a = span_of(d);
  if (a.lo > a.hi || a.lo < dtype_min(type) || a.hi > dtype_max(type))
    return fail(OCT_INVALID_ARGUMENT, "[a_min, a_max] is [%d, %d]; %s has the range %d .. %d",
                d.a_min, d.a_max, dtype_name(type), dtype_min(type), dtype_max(type));
  const int64_t reach =
      d.a_reach ? d.a_reach
                : std::max(std::abs(a.lo - d.a_zero_point), std::abs(a.hi - d.a_zero_point));
  const int64_t w_reach = weight_reach(d.weights);
  const int64_t bound = reach ? std::numeric_limits<int32_t>::max() / (reach * w_reach) : kMaxSteps;
  if (d.k > bound && !(d.flags & OCT_QGEMM_ALLOW_WRAP))
    return fail(OCT_INVALID_ARGUMENT,
                "k is %" PRId64 "; with |A - zero point| up to %" PRId64
                " and |weight - zero point| up to %" PRId64
                " sums may leave int32 beyond k = %" PRId64 " (ALLOW_WRAP accepts that)",
                d.k, reach, w_reach, bound);
  return OCT_OK;
}

float multiplier(const LayerDesc& d, bool reals, float scale) {
  const float product = d.a_scale * scale;
  return reals ? product : product / d.c_scale;
}

// Products of scales must be scales too: an infinite or vanished one has lost the result.
bool has_valid_products(const LayerDesc& d, bool reals, float scale) {
  return is_valid_scale(scale) && is_valid_scale(d.a_scale * scale) &&
         is_valid_scale(multiplier(d, reals, scale));
}

oct_status check_channel_scale(const LayerDesc& d, bool reals, int64_t i) {
  const float scale = d.scales[i];
  if (has_valid_products(d, reals, scale)) return OCT_OK;
  if (!is_valid_scale(scale))
    return fail(OCT_INVALID_ARGUMENT,
                "%s[%" PRId64 "] is %g; a scale must be finite, positive and normal", d.scales_name,
                i, as_double(scale));
  return fail(OCT_INVALID_ARGUMENT,
              "%s[%" PRId64
              "] is %g: a_scale %g * %g = %g, / c_scale %g = %g; both must be normal "
              "numbers",
              d.scales_name, i, as_double(scale), as_double(d.a_scale), as_double(scale),
              as_double(d.a_scale * scale), reals ? 1 : as_double(d.c_scale),
              as_double(multiplier(d, reals, scale)));
}

// All of them, by the smallest and the largest: rounding keeps the order of products.
oct_status check_channel_scales(const LayerDesc& d, bool reals) {
  constexpr float kNone = std::numeric_limits<float>::infinity();
  float lo = kNone, hi = -kNone;
  bool ordered = true;
  for (int64_t i = 0; i < d.scale_count; ++i) {
    ordered &= d.scales[i] == d.scales[i];
    lo = std::min(lo, d.scales[i]);
    hi = std::max(hi, d.scales[i]);
  }
  if (ordered && has_valid_products(d, reals, lo) && has_valid_products(d, reals, hi))
    return OCT_OK;
  for (int64_t i = 0; i < d.scale_count; ++i)
    if (oct_status s = check_channel_scale(d, reals, i)) return s;
  return OCT_OK;
}

oct_status check_scales(const LayerDesc& d) {
  if (d.c_type == OCT_S32) return OCT_OK;
  if (!d.scales) return fail(OCT_INVALID_ARGUMENT, "%s is null", d.scales_name);
  if (d.scale_count != 1 && d.scale_count != d.n)
    return fail(OCT_INVALID_ARGUMENT, "%s is %" PRId64 "; it must be 1 or %s = %" PRId64,
                d.count_name, d.scale_count, d.channels_name, d.n);
  if (oct_status s = check_scale("a_scale", d.a_scale)) return s;
  if (is_int8(static_cast<DType>(d.c_type))) {
    if (oct_status s = check_scale("c_scale", d.c_scale)) return s;
    if (oct_status s = check_zero_point("c_zero_point", d.c_zero_point, d.c_type)) return s;
    if (in_reals(d) && !is_valid_scale(1.0f / d.c_scale))
      return fail(OCT_INVALID_ARGUMENT, "1 / c_scale %g is not a normal number",
                  as_double(d.c_scale));
  }
  if (adds(d)) {
    if (oct_status s = check_scale("add_scale", d.add_scale)) return s;
    if (oct_status s = check_zero_point("add_zero_point", d.add_zero_point, d.add_type)) return s;
  }
  return check_channel_scales(d, in_reals(d));
}

oct_status check_bias(const LayerDesc& d) {
  if (d.bias_type != OCT_F32) return OCT_OK;
  const float* bias = static_cast<const float*>(d.bias);
  for (int64_t i = 0; i < d.n; ++i)
    if (!std::isfinite(bias[i]))
      return fail(OCT_INVALID_ARGUMENT, "bias[%" PRId64 "] is %g; it must be finite", i,
                  as_double(bias[i]));
  return OCT_OK;
}

// Where RELU and CLAMP act: on reals where there are any, else through quantised bounds.
void set_bounds(const LayerDesc& d, const PostPlan& post, Layer* layer) {
  EpilogueScalars& s = layer->scalars;
  EpilogueSpec& e = layer->epilogue;
  s.lo = post.relu ? 0.0f : post.clamp_min;
  s.hi = post.clamp_max;
  e.clamp_lo = post.relu || post.clamp;
  e.clamp_hi = post.clamp;
  if (!is_int8(layer->c_type)) return;
  s.zero_point = d.c_zero_point;
  s.inv_scale = 1.0f / d.c_scale;
  e.zero_point = s.zero_point != 0;
  s.q_lo = dtype_min(layer->c_type);
  s.q_hi = dtype_max(layer->c_type);
  if (e.in_reals()) return;
  if (e.clamp_lo) s.q_lo = quantize_value(s.lo, d.c_scale, s.zero_point, layer->c_type);
  if (e.clamp_hi) s.q_hi = quantize_value(s.hi, d.c_scale, s.zero_point, layer->c_type);
}

void fill_zero_points(const LayerDesc& d, Layer* layer) {
  const Weights& w = d.weights;
  layer->w_unsigned = w.type == OCT_U8;
  if (!w.zero_points) return;
  if (w.zero_point_count == 1)
    layer->w_zero_points.assign(static_cast<size_t>(d.n), w.zero_points[0]);
  else
    layer->w_zero_points.assign(w.zero_points, w.zero_points + w.zero_point_count);
}

void fill_columns(const LayerDesc& d, Layer* layer) {
  const size_t n = static_cast<size_t>(d.n);
  if (layer->bias_type == DType::kS32) {
    const int32_t* bias = static_cast<const int32_t*>(d.bias);
    layer->bias_s32.assign(bias, bias + n);
  } else if (layer->bias_type == DType::kF32) {
    const float* bias = static_cast<const float*>(d.bias);
    layer->bias_f32.assign(bias, bias + n);
  }
  if (layer->c_type == DType::kS32) return;
  const bool reals = layer->epilogue.in_reals();
  layer->mult.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const float scale = d.scales[d.scale_count == 1 ? 0 : i];
    layer->mult[i] = reals ? d.a_scale * scale : requant_multiplier(d.a_scale, scale, d.c_scale);
  }
}

// Whether the packs can clamp, which lets RELU and CLAMP act in bytes.
void set_saturating(Layer* layer) {
  EpilogueSpec& e = layer->epilogue;
  if (!is_int8(layer->c_type) || e.row_scale) return;
  EpilogueScalars& s = layer->scalars;
  const std::vector<float>& mult = layer->mult;
  if (e.in_reals()) {
    const float* bias = layer->bias_f32.empty() ? nullptr : layer->bias_f32.data();
    e.saturating = reals_saturate(s, mult.data(), bias, mult.size());
    if (e.saturating) narrow_by_reals(e, &s);
  } else {
    e.saturating = std::all_of(mult.begin(), mult.end(), [](float m) { return m < 1; });
  }
  if (!e.saturating) return;
  // The packs' own bounds need no instruction: RELU to u8 without a zero point.
  e.clamp_lo &= s.q_lo > dtype_min(layer->c_type);
  e.clamp_hi &= s.q_hi < dtype_max(layer->c_type);
}

}  // namespace

bool Layer::has_zero_points(int shift) const {
  if (w_zero_points.empty()) return shift != 0;
  return std::any_of(w_zero_points.begin(), w_zero_points.end(),
                     [shift](int32_t z) { return z != shift; });
}

bool in_reals(const LayerDesc& d) {
  return !is_int8(static_cast<DType>(d.c_type)) || d.bias_type == OCT_F32 || adds(d) ||
         d.a_per_row || inner_post_count(d) > 0;
}

oct_status check_layer(const LayerDesc& d) {
  if (oct_status s = check_types(d)) return s;
  if (oct_status s = check_flags(d)) return s;
  if (oct_status s = check_post(d)) return s;
  if (oct_status s = check_weights(d)) return s;
  if (oct_status s = check_a(d)) return s;
  if (oct_status s = check_scales(d)) return s;
  if (oct_status s = check_bias(d)) return s;
  if (d.kernel && !find_kernel(d.kernel))
    return fail(OCT_INVALID_ARGUMENT, "no kernel is named \"%.80s\"", d.kernel);
  return OCT_OK;
}

void make_layer(const LayerDesc& d, Layer* layer) {
  const Span a = span_of(d);
  layer->a_type = static_cast<DType>(d.a_type);
  layer->a_zero_point = d.a_zero_point;
  layer->a_min = a.lo;
  layer->a_max = a.hi;
  layer->forced = d.kernel ? find_kernel(d.kernel) : nullptr;
  layer->bias_type = static_cast<DType>(d.bias_type);
  layer->c_type = layer->epilogue.c_type = static_cast<DType>(d.c_type);
  layer->epilogue.bias_f32 = layer->bias_type == DType::kF32;
  layer->epilogue.row_scale = d.a_per_row && layer->c_type != DType::kS32;
  const PostPlan post = make_post(d);
  layer->epilogue.post = specs_of(post.chain);
  layer->scalars.post = post.chain;
  set_bounds(d, post, layer);
  fill_zero_points(d, layer);
  fill_columns(d, layer);
  set_saturating(layer);
}

}  // namespace oct
