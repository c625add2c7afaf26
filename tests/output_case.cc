#include "tests/output_case.h"

#include <algorithm>
#include <cmath>

#include "quant/requant.h"
#include "tests/post_case.h"

namespace oct::test {

const char* post_name(Post post) {
  constexpr const char* kNames[] = {"none", "relu", "clamp", "upper clamp"};
  return kNames[static_cast<int>(post)];
}

std::vector<OutputCase> all_output_cases(Chains chains) {
  constexpr Post kPosts[] = {Post::kNone, Post::kRelu, Post::kClamp, Post::kUpperClamp};
  constexpr DType kBiases[] = {DType::kNone, DType::kS32, DType::kF32};
  std::vector<OutputCase> all;
  all.push_back({DType::kS32, DType::kNone});
  all.push_back({DType::kS32, DType::kS32});
  for (DType bias : kBiases)
    for (Post post : kPosts) {
      for (DType c_type : {DType::kF32, DType::kBf16}) all.push_back({c_type, bias, post});
      for (DType c_type : {DType::kU8, DType::kS8}) {
        all.push_back({c_type, bias, post, false, true});
        all.push_back({c_type, bias, post, false, false});
        if (bias != DType::kF32) all.push_back({c_type, bias, post, true, true});
      }
      for (DType c_type : {DType::kF32, DType::kBf16, DType::kU8, DType::kS8}) {
        if (chains == Chains::kNone || bias == DType::kS32) continue;
        all.push_back({c_type, bias, post, false, true, true, false});
        if (chains == Chains::kAll) all.push_back({c_type, bias, post, false, true, true, true});
      }
    }
  return all;
}

namespace {

class Drawing {
 public:
  Drawing(const OutputCase& c, int64_t k, int n, Rng& rng, ReferenceGemm& reference,
          OutputData& data)
      : c_(c), n_(n), rng_(rng), r_(reference), d_(data), int8_(is_int8(c.c_type)),
        reals_(!int8_ || c.bias == DType::kF32 || c.chain),
        magnitude_(rng.log_real(1.0, static_cast<double>(k) * 32640.0)) {}

  void draw() {
    r_.c_type = c_.c_type;
    r_.bias_type = c_.bias;
    draw_scales();
    draw_bias();
    draw_bounds();
    if (int8_) draw_zero_point();
    if (c_.chain) r_.post = draw_chain(rng_, unit(), c_.tensors);
    fill_spec();
    fill_scalars();
    if (int8_ && reals_ && rng_.one_in(2)) let_packs_clamp();
  }

 private:
  // Scales that bring sums of this K to the range of the output, from well inside to far beyond.
  // Every fourth case has powers of two, which make ties; and now and then the largest multiplier
  // that `saturating` allows meets the largest sums.
  void draw_scales() {
    const bool ties = rng_.one_in(4);
    r_.a_scale = ties ? 0.5f : static_cast<float>(rng_.log_real(1e-3, 10.0));
    r_.c_scale = ties ? 0.25f : static_cast<float>(rng_.log_real(1e-3, 10.0));
    for (int n = 0; n < n_; ++n) {
      double m = c_.small_multipliers ? std::min(rng_.log_real(1.0, 400.0) / magnitude_, 0.99999)
                                      : rng_.log_real(1.0, 1e6);
      if (ties) m = std::exp2(std::floor(std::log2(m)));
      d_.b_scales[n] = static_cast<float>(m * r_.c_scale / r_.a_scale);
      if (c_.small_multipliers && !ties && rng_.one_in(16)) d_.b_scales[n] = largest_below_one();
      d_.mult[n] = reals_ ? r_.a_scale * d_.b_scales[n]
                          : requant_multiplier(r_.a_scale, d_.b_scales[n], r_.c_scale);
    }
    r_.b_scales = d_.b_scales;
  }

  float largest_below_one() const {
    float s = r_.c_scale / r_.a_scale;
    while (requant_multiplier(r_.a_scale, s, r_.c_scale) >= 1) s = std::nextafter(s, 0.0f);
    return s;
  }

  // Of the size of the sums; in every eighth case of any size, so that T + bias wraps and real
  // results are infinite.
  void draw_bias() {
    const bool wild = rng_.one_in(8);
    for (int n = 0; n < n_; ++n) {
      const auto limit = static_cast<int64_t>(magnitude_);
      d_.bias_s32[n] = static_cast<int32_t>(wild ? rng_.between(INT32_MIN, INT32_MAX)
                                                 : rng_.between(-limit, limit));
      const double unit = static_cast<double>(r_.a_scale) * d_.b_scales[n];
      d_.bias_f32[n] = static_cast<float>(rng_.real(-1, 1) * magnitude_ * unit);
      if (!wild || !rng_.one_in(4)) continue;
      const bool up = rng_.one_in(2);
      d_.bias_s32[n] = up ? INT32_MAX : INT32_MIN;
      d_.bias_f32[n] = up ? INFINITY : -INFINITY;
    }
    r_.bias = c_.bias == DType::kS32   ? static_cast<const void*>(d_.bias_s32)
              : c_.bias == DType::kF32 ? d_.bias_f32
                                       : nullptr;
  }

  // What real results are like.
  double unit() const {
    return int8_ ? 80.0 * r_.c_scale : magnitude_ * r_.a_scale * d_.b_scales[0];
  }

  void draw_bounds() {
    const double unit = this->unit();
    r_.relu = c_.post == Post::kRelu;
    r_.clamp = c_.post == Post::kClamp || c_.post == Post::kUpperClamp;
    r_.clamp_min = static_cast<float>(rng_.real(-1.0, 0.5) * unit);
    r_.clamp_max = r_.clamp_min + static_cast<float>(rng_.real(0, 1.0) * unit);
    if (c_.post == Post::kUpperClamp) r_.clamp_min = -INFINITY;
  }

  void draw_zero_point() {
    const bool none = rng_.one_in(4);
    r_.c_zero_point =
        none ? 0 : static_cast<int>(rng_.between(dtype_min(c_.c_type), dtype_max(c_.c_type)));
  }

  void fill_spec() {
    d_.spec = {};
    d_.spec.c_type = c_.c_type;
    d_.spec.bias_f32 = c_.bias == DType::kF32;
    d_.spec.saturating = c_.saturating;
    d_.spec.zero_point = int8_ && r_.c_zero_point != 0;
    d_.spec.post = specs_of(r_.post);
    if (!reals_ && !c_.saturating) return;  // the one float clamp has the narrowed range
    // A bound of -inf only matters to NaNs, which chains can make.
    d_.spec.clamp_lo = c_.post == Post::kUpperClamp ? c_.chain : c_.post != Post::kNone;
    d_.spec.clamp_hi = r_.clamp;
  }

  void fill_scalars() {
    EpilogueScalars& s = d_.scalars;
    s = {};
    s.lo = r_.relu ? 0.0f : r_.clamp_min;
    s.hi = r_.clamp_max;
    s.post = r_.post;
    if (!int8_) return;
    s.zero_point = r_.c_zero_point;
    s.inv_scale = 1.0f / r_.c_scale;
    s.q_lo = dtype_min(c_.c_type);
    s.q_hi = dtype_max(c_.c_type);
    if (reals_) return;  // bounds act on the real result
    const auto quantized = [&](float x) {
      return quantize_value(x, r_.c_scale, r_.c_zero_point, c_.c_type);
    };
    if (r_.relu) s.q_lo = r_.c_zero_point;
    if (r_.clamp) s.q_lo = quantized(r_.clamp_min);
    if (r_.clamp) s.q_hi = quantized(r_.clamp_max);
  }

  // Where that is exact.
  void let_packs_clamp() {
    const float* bias = d_.spec.bias_f32 ? d_.bias_f32 : nullptr;
    d_.spec.saturating = reals_saturate(d_.scalars, d_.mult, bias, static_cast<size_t>(n_));
    if (d_.spec.saturating) narrow_by_reals(d_.spec, &d_.scalars);
  }

  const OutputCase& c_;
  const int n_;
  Rng& rng_;
  ReferenceGemm& r_;
  OutputData& d_;
  const bool int8_, reals_;
  const double magnitude_;  // of the sums that the scales are made for
};

}  // namespace

void draw_output(const OutputCase& c, int64_t k, int n, Rng& rng, ReferenceGemm& reference,
                 OutputData& data) {
  Drawing(c, k, n, rng, reference, data).draw();
}

}  // namespace oct::test
