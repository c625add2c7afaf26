// The C entry points of weights, biases and equalisation (quant/weights.h, quant/equalize.h).

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <vector>

#include "dispatch/quant_args.h"
#include "dispatch/status.h"
#include "dispatch/threads.h"
#include "octavo/octavo.h"
#include "quant/equalize.h"
#include "quant/requant.h"
#include "quant/weights.h"

using oct::ChannelLayout;
using oct::check_finite;
using oct::check_layout;
using oct::check_not_null;
using oct::fail;

namespace {

static_assert(OCT_QUANTIZE_DIVIDE == static_cast<int>(oct::QuantizeForm::kDivide));
static_assert(OCT_QUANTIZE_RECIPROCAL == static_cast<int>(oct::QuantizeForm::kReciprocal));

oct_status check_channels(int64_t channels) { return check_layout("the array", {1, channels, 1}); }

oct_status check_scales(const char* name, const float* scales, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!oct::is_valid_scale(scales[i]))
      return fail(OCT_INVALID_ARGUMENT,
                  "%s[%" PRId64 "] is %g; it must be finite, positive and normal", name, i,
                  static_cast<double>(scales[i]));
  return OCT_OK;
}

oct_status check_magnitudes(const char* name, const float* values, int64_t count) {
  if (oct_status s = check_finite(name, values, count)) return s;
  for (int64_t i = 0; i < count; ++i)
    if (values[i] < 0)
      return fail(OCT_INVALID_ARGUMENT, "%s[%" PRId64 "] is %g; magnitudes are not negative", name,
                  i, static_cast<double>(values[i]));
  return OCT_OK;
}

oct_status check_ordered(const char* name, const float* min, const float* max, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(min[i]) || !std::isfinite(max[i]) || min[i] > max[i])
      return fail(OCT_INVALID_ARGUMENT, "%s of channel %" PRId64 " has the range [%g, %g]", name, i,
                  static_cast<double>(min[i]), static_cast<double>(max[i]));
  return OCT_OK;
}

oct_status check_weights(const oct_weights_desc& desc, const int32_t* zero_points,
                         oct::QScheme* scheme) {
  if (oct_status s = oct::check_struct_size("oct_weights_desc", desc.struct_size, sizeof desc))
    return s;
  if (oct_status s = oct::check_scheme(desc.scheme, scheme)) return s;
  const int form = oct::enum_value(desc.form);
  if (form != OCT_QUANTIZE_DIVIDE && form != OCT_QUANTIZE_RECIPROCAL)
    return fail(OCT_INVALID_ARGUMENT,
                "form is %d; it must be OCT_QUANTIZE_DIVIDE or OCT_QUANTIZE_RECIPROCAL", form);
  if (oct_status s = check_not_null({{"weights", desc.weights}})) return s;
  const ChannelLayout layout = {desc.outer, desc.channels, desc.inner};
  if (oct_status s = check_layout("the array of weights", layout)) return s;
  if (!zero_points && !(scheme->symmetric() && scheme->type == oct::DType::kS8))
    return fail(OCT_INVALID_ARGUMENT, "zero_points is null; only symmetric s8 has none");
  return check_finite("weights", desc.weights, layout.size());
}

oct_status check_equalize(const oct_equalize_desc& d) {
  if (oct_status s = oct::check_struct_size("oct_equalize_desc", d.struct_size, sizeof d)) return s;
  if (oct_status s = check_not_null({{"desc.weights1", d.weights1}, {"desc.weights2", d.weights2}}))
    return s;
  const ChannelLayout layout1 = {d.outer1, d.channels, d.inner1};
  const ChannelLayout layout2 = {d.outer2, d.channels, d.inner2};
  if (oct_status s = check_layout("weights1", layout1)) return s;
  if (oct_status s = check_layout("weights2", layout2)) return s;
  if (!std::isfinite(d.threshold) || d.threshold < 0)
    return fail(OCT_INVALID_ARGUMENT, "threshold is %g; it must be finite and not negative",
                d.threshold);
  if (d.max_iterations < 1)
    return fail(OCT_INVALID_ARGUMENT, "max_iterations is %d; it must be at least 1",
                d.max_iterations);
  if (oct_status s = check_finite("weights1", d.weights1, layout1.size())) return s;
  if (oct_status s = check_finite("weights2", d.weights2, layout2.size())) return s;
  return d.bias1 ? check_finite("bias1", d.bias1, d.channels) : OCT_OK;
}

}  // namespace

extern "C" {

oct_status oct_quantize_weights(const oct_weights_desc* desc, void* q, float* scales,
                                int32_t* zero_points) {
  if (oct_status s = check_not_null({{"desc", desc}, {"q", q}, {"scales", scales}})) return s;
  return oct::guarded([&]() -> oct_status {
    oct::QScheme scheme;
    if (oct_status s = check_weights(*desc, zero_points, &scheme)) return s;
    const ChannelLayout layout = {desc->outer, desc->channels, desc->inner};
    const oct::ScopedFloatMode float_mode;
    const auto params = oct::weight_qparams(desc->weights, layout, scheme);
    std::vector<int32_t> zeros;
    for (size_t c = 0; c < params.size(); ++c) {
      if (!oct::is_valid_scale(params[c].scale))
        return fail(OCT_INVALID_ARGUMENT, "channel %zu has weights too far apart: its scale is %g",
                    c, static_cast<double>(params[c].scale));
      zeros.push_back(params[c].zero_point);
    }
    for (size_t c = 0; c < params.size(); ++c) scales[c] = params[c].scale;
    if (zero_points) std::copy(zeros.begin(), zeros.end(), zero_points);
    oct::quantize(desc->weights, layout, static_cast<oct::QuantizeForm>(desc->form),
                  oct::quant_range(scheme), scales, zeros.data(), static_cast<uint8_t*>(q));
    return OCT_OK;
  });
}

oct_status oct_quantize_bias(const float* bias, int64_t n, float a_scale, const float* b_scales,
                             int64_t b_scale_count, int32_t* q, int64_t* saturated) {
  if (oct_status s = check_not_null({{"bias", bias}, {"b_scales", b_scales}, {"q", q}})) return s;
  if (oct_status s = check_channels(n)) return s;
  if (b_scale_count != 1 && b_scale_count != n)
    return fail(OCT_INVALID_ARGUMENT, "b_scale_count is %" PRId64 "; it must be 1 or n, %" PRId64,
                b_scale_count, n);
  if (oct_status s = check_scales("a_scale", &a_scale, 1)) return s;
  if (oct_status s = check_scales("b_scales", b_scales, b_scale_count)) return s;
  if (oct_status s = check_finite("bias", bias, n)) return s;
  const oct::ScopedFloatMode float_mode;
  for (int64_t i = 0; i < b_scale_count; ++i)
    if (const float product = a_scale * b_scales[i]; !oct::is_valid_scale(product))
      return fail(OCT_INVALID_ARGUMENT,
                  "a_scale * b_scales[%" PRId64 "] is %g * %g = %g; it must be a normal number", i,
                  static_cast<double>(a_scale), static_cast<double>(b_scales[i]),
                  static_cast<double>(product));
  int64_t beyond = 0;
  for (int64_t i = 0; i < n; ++i) {
    const oct::QuantizedBias b =
        oct::quantize_bias_value(bias[i], a_scale * b_scales[b_scale_count == 1 ? 0 : i]);
    q[i] = b.value;
    beyond += !b.fits;
  }
  if (saturated) *saturated = beyond;
  return OCT_OK;
}

oct_status oct_cross_layer_equalize(const oct_equalize_desc* desc, float* weights1, float* bias1,
                                    float* weights2, float* factors, int32_t* iterations) {
  if (oct_status s =
          check_not_null({{"desc", desc}, {"weights1", weights1}, {"weights2", weights2}}))
    return s;
  return oct::guarded([&]() -> oct_status {
    const oct_equalize_desc& d = *desc;
    if (oct_status s = check_equalize(d)) return s;
    if (!d.bias1 != !bias1)
      return fail(OCT_INVALID_ARGUMENT, "%s is null, and %s is not", bias1 ? "desc.bias1" : "bias1",
                  bias1 ? "bias1" : "desc.bias1");
    // Copies, so that nothing is written if memory runs out on the way.
    const ChannelLayout layout1 = {d.outer1, d.channels, d.inner1};
    const ChannelLayout layout2 = {d.outer2, d.channels, d.inner2};
    std::vector<float> w1(d.weights1, d.weights1 + layout1.size());
    std::vector<float> w2(d.weights2, d.weights2 + layout2.size());
    std::vector<float> b1(d.bias1, d.bias1 ? d.bias1 + d.channels : d.bias1);
    std::vector<float> f(static_cast<size_t>(d.channels));
    const oct::LayerPair layers = {layout1, layout2, w1.data(), bias1 ? b1.data() : nullptr,
                                   w2.data()};
    const oct::ScopedFloatMode float_mode;
    const int done = oct::cross_layer_equalize(layers, d.threshold, d.max_iterations, f.data());
    std::copy(w1.begin(), w1.end(), weights1);
    std::copy(w2.begin(), w2.end(), weights2);
    if (bias1) std::copy(b1.begin(), b1.end(), bias1);
    if (factors) std::copy(f.begin(), f.end(), factors);
    if (iterations) *iterations = done;
    return OCT_OK;
  });
}

oct_status oct_smoothquant_factors(int64_t channels, const float* x_absmax, const float* w_absmax,
                                   double alpha, float* factors) {
  if (oct_status s =
          check_not_null({{"x_absmax", x_absmax}, {"w_absmax", w_absmax}, {"factors", factors}}))
    return s;
  if (oct_status s = check_channels(channels)) return s;
  if (!(alpha >= 0 && alpha <= 1))
    return fail(OCT_INVALID_ARGUMENT, "alpha is %g; it must be in [0, 1]", alpha);
  if (oct_status s = check_magnitudes("x_absmax", x_absmax, channels)) return s;
  if (oct_status s = check_magnitudes("w_absmax", w_absmax, channels)) return s;
  const oct::ScopedFloatMode float_mode;
  oct::smoothquant_factors(channels, x_absmax, w_absmax, alpha, factors);
  return OCT_OK;
}

oct_status oct_input_weight_factors(int64_t channels, const float* x_min, const float* x_max,
                                    const float* w_min, const float* w_max, float* factors) {
  if (oct_status s = check_not_null({{"x_min", x_min},
                                     {"x_max", x_max},
                                     {"w_min", w_min},
                                     {"w_max", w_max},
                                     {"factors", factors}}))
    return s;
  if (oct_status s = check_channels(channels)) return s;
  if (oct_status s = check_ordered("x", x_min, x_max, channels)) return s;
  if (oct_status s = check_ordered("w", w_min, w_max, channels)) return s;
  const oct::ScopedFloatMode float_mode;
  oct::input_weight_factors(channels, x_min, x_max, w_min, w_max, factors);
  return OCT_OK;
}

oct_status oct_scale_channels(oct_scale_operation operation, const float* x, int64_t outer,
                              int64_t channels, int64_t inner, const float* factors, float* y) {
  if (oct_status s = check_not_null({{"x", x}, {"factors", factors}, {"y", y}})) return s;
  const int operation_value = oct::enum_value(operation);
  if (operation_value != OCT_SCALE_MULTIPLY && operation_value != OCT_SCALE_DIVIDE)
    return fail(OCT_INVALID_ARGUMENT,
                "operation is %d; it must be OCT_SCALE_MULTIPLY or OCT_SCALE_DIVIDE",
                operation_value);
  const ChannelLayout layout = {outer, channels, inner};
  if (oct_status s = check_layout("the array", layout)) return s;
  if (oct_status s = check_scales("factors", factors, channels)) return s;
  const oct::ScopedFloatMode float_mode;
  const auto apply =
      operation == OCT_SCALE_MULTIPLY ? oct::multiply_channels : oct::divide_channels;
  apply(x, layout, factors, y);
  return OCT_OK;
}

}  // extern "C"
