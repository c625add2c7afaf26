#include "perf/quantize_error.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "perf/library.h"

namespace oct::perf {
namespace {

constexpr ActivationScheme kActivations[] = {
    {"u8 affine", OCT_U8, 0},
    {"u8 affine, 7 bits", OCT_U8, OCT_QSCHEME_REDUCED},
    {"s8 symmetric", OCT_S8, OCT_QSCHEME_SYMMETRIC},
};
constexpr ObserverChoice kObservers[] = {
    {"min-max", OCT_OBSERVER_MIN_MAX},     {"moving average", OCT_OBSERVER_MOVING_AVERAGE},
    {"histogram", OCT_OBSERVER_HISTOGRAM}, {"percentile", OCT_OBSERVER_PERCENTILE},
    {"entropy", OCT_OBSERVER_ENTROPY},     {"mse", OCT_OBSERVER_MSE},
};
// Quantised anew for every call, from the call's own extrema.
constexpr DynamicChoice kDynamic[] = {
    {"dynamic per tensor", OCT_PER_TENSOR},
    {"dynamic per row", OCT_PER_ROW},
};
constexpr WeightScheme kWeights[] = {
    {"s8 symmetric per channel", OCT_S8, OCT_QSCHEME_SYMMETRIC, true},
    {"s8 narrow per channel", OCT_S8, OCT_QSCHEME_SYMMETRIC | OCT_QSCHEME_NARROW, true},
    {"u8 affine per channel", OCT_U8, 0, true},
    {"s8 symmetric per tensor", OCT_S8, OCT_QSCHEME_SYMMETRIC, false},
    {"u8 affine per tensor", OCT_U8, 0, false},
};
constexpr int64_t kBatches = 8;  // that the calibration data are shown in

struct DestroyObserver {
  void operator()(oct_observer* o) const { oct_observer_destroy(o); }
};

struct Activations {
  std::vector<uint8_t> q;
  oct_dtype type;
  float scale = 1;
  int32_t zero_point = 0;
};

struct Weights {
  std::vector<uint8_t> q;
  oct_dtype type;
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
};

oct_qscheme scheme_of(oct_dtype type, uint32_t flags) {
  oct_qscheme scheme = OCT_QSCHEME_INIT;
  scheme.type = type;
  scheme.flags = flags;
  return scheme;
}

void observe(oct_observer* observer, const Matrix& x) {
  const int64_t step = (x.rows + kBatches - 1) / kBatches;
  for (int64_t row = 0; row < x.rows; row += step) {
    oct_f32_view view = OCT_F32_VIEW_INIT;
    view.data = x.row(row);
    view.rank = 2;
    view.sizes[0] = std::min(step, x.rows - row);
    view.sizes[1] = x.cols;
    check(oct_observer_observe(observer, &view));
  }
}

Activations quantize_activations(oct_context* context, const Matrix& x,
                                 const ActivationScheme& scheme, oct_observer_kind kind) {
  oct_observer_desc desc = OCT_OBSERVER_DESC_INIT;
  desc.kind = kind;
  desc.scheme = scheme_of(scheme.type, scheme.flags);
  oct_observer* raw = nullptr;
  check(oct_observer_create(&desc, &raw));
  const std::unique_ptr<oct_observer, DestroyObserver> observer(raw);
  observe(raw, x);
  Activations a{std::vector<uint8_t>(x.data.size()), scheme.type};
  check(oct_observer_qparams(raw, &a.scale, &a.zero_point, 1));
  oct_quantize_args args = OCT_QUANTIZE_ARGS_INIT;
  args.rows = x.rows;
  args.cols = x.cols;
  args.x.data = const_cast<float*>(x.data.data());
  args.q.data = a.q.data();
  args.q.type = scheme.type;
  args.form = OCT_QUANTIZE_DIVIDE;
  args.scales = &a.scale;
  args.zero_points = &a.zero_point;
  check(oct_qscheme_range(&desc.scheme, &args.q_min, &args.q_max));
  check(oct_quantize(context, &args));
  return a;
}

Weights quantize_weights(const Matrix& w, const WeightScheme& scheme) {
  oct_weights_desc desc = OCT_WEIGHTS_DESC_INIT;
  desc.scheme = scheme_of(scheme.type, scheme.flags);
  desc.form = OCT_QUANTIZE_DIVIDE;
  desc.weights = w.data.data();
  desc.channels = scheme.per_channel ? w.rows : 1;
  desc.inner = scheme.per_channel ? w.cols : w.rows * w.cols;
  const auto channels = static_cast<size_t>(desc.channels);
  Weights q{std::vector<uint8_t>(w.data.size()), scheme.type, std::vector<float>(channels),
            std::vector<int32_t>(channels)};
  check(oct_quantize_weights(&desc, q.q.data(), q.scales.data(), q.zero_points.data()));
  return q;
}

// Y as f32, by the activations that `d` describes.
std::vector<float> multiply(oct_context* context, oct_qgemm_desc d, const Matrix& x, const void* a,
                            size_t a_bytes, const Matrix& w, const Weights& b) {
  d.n = w.rows;
  d.k = w.cols;
  d.b = reinterpret_cast<const int8_t*>(b.q.data());
  d.b_layout = OCT_B_NK;
  d.b_type = b.type;
  d.b_scales = b.scales.data();
  d.b_scale_count = static_cast<int64_t>(b.scales.size());
  d.b_zero_points = b.zero_points.data();
  d.b_zero_point_count = d.b_scale_count;
  d.c_type = OCT_F32;
  const PlanPtr plan = create_plan(context, d);
  std::vector<float> y(static_cast<size_t>(x.rows * w.rows));
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = x.rows;
  args.a = a;
  args.a_stride_bytes = x.cols * static_cast<int64_t>(a_bytes);
  args.c = y.data();
  args.c_stride_bytes = w.rows * static_cast<int64_t>(sizeof(float));
  check(oct_qgemm_run(plan.get(), &args));
  return y;
}

std::vector<float> multiply(oct_context* context, const Matrix& x, const Activations& a,
                            const Matrix& w, const Weights& b) {
  oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
  d.a_type = a.type;
  d.a_scale = a.scale;
  d.a_zero_point = a.zero_point;
  return multiply(context, d, x, a.q.data(), 1, w, b);
}

std::vector<float> multiply_dynamic(oct_context* context, const Matrix& x,
                                    const ActivationScheme& scheme, oct_granularity granularity,
                                    const Matrix& w, const Weights& b) {
  oct_dynamic dynamic = OCT_DYNAMIC_INIT;
  dynamic.granularity = granularity;
  dynamic.formula = OCT_QPARAMS_OBSERVER;
  dynamic.form = OCT_QUANTIZE_DIVIDE;
  dynamic.scheme = scheme_of(scheme.type, scheme.flags);
  oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
  d.a_type = OCT_F32;
  d.dynamic = &dynamic;
  return multiply(context, d, x, x.data.data(), sizeof(float), w, b);
}

// The exact layer, and distances from it.
class Exact {
 public:
  Exact(const Matrix& x, const Matrix& w) {
    for (int64_t i = 0; i < x.rows; ++i)
      for (int64_t n = 0; n < w.rows; ++n) {
        double sum = 0;
        for (int64_t k = 0; k < x.cols; ++k) sum += double(x.row(i)[k]) * w.row(n)[k];
        y_.push_back(sum);
        power_ += sum * sum;
      }
  }

  LayerError error_of(const std::vector<float>& y) const {
    double noise = 0, worst = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      const double e = std::fabs(y[i] - y_[i]);
      noise += e * e;
      worst = std::max(worst, e);
    }
    LayerError error;
    error.sqnr_db = 10 * std::log10(power_ / noise);
    error.max_error = worst / std::sqrt(power_ / static_cast<double>(y.size()));
    return error;
  }

 private:
  std::vector<double> y_;
  double power_ = 0;
};

}  // namespace

std::vector<LayerError> layer_errors(oct_context* context, const Matrix& x, const Matrix& w) {
  const Exact exact(x, w);
  std::vector<LayerError> all;
  const auto add = [&](const std::vector<float>& y, const ActivationScheme& a, const char* range,
                       const WeightScheme& s) {
    LayerError e = exact.error_of(y);
    e.activations = a.name;
    e.observer = range;
    e.weights = s.name;
    all.push_back(std::move(e));
  };
  const auto add_observed = [&](const ActivationScheme& a, const ObserverChoice& o,
                                const WeightScheme& s) {
    const Activations q = quantize_activations(context, x, a, o.kind);
    add(multiply(context, x, q, w, quantize_weights(w, s)), a, o.name, s);
  };
  const Weights best = quantize_weights(w, kWeights[0]);
  for (const ActivationScheme& a : kActivations) {
    for (const ObserverChoice& o : kObservers) add_observed(a, o, kWeights[0]);
    for (const DynamicChoice& d : kDynamic)
      add(multiply_dynamic(context, x, a, d.granularity, w, best), a, d.name, kWeights[0]);
  }
  for (const WeightScheme& s : kWeights)
    if (&s != &kWeights[0]) add_observed(kActivations[0], kObservers[0], s);
  return all;
}

}  // namespace oct::perf
