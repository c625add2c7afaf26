#include "perf/case.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>
#include <random>

#include "perf/qconv_case.h"
#include "perf/qgemm_case.h"

namespace oct::perf {

AlignedBytes::AlignedBytes(size_t size)
    : data_(std::aligned_alloc(64, (std::max<size_t>(size, 1) + 63) / 64 * 64)) {
  if (!data_) throw std::bad_alloc();
}

void AlignedBytes::Free::operator()(void* p) const { std::free(p); }

Case::Case(const Problem& problem, const CaseOptions& options, const Size& size)
    : problem_(problem), options_(options), size_(size), a_(static_cast<size_t>(size.a_bytes)),
      b_(static_cast<size_t>(size.n * size.k)) {
  draw_activations();
  draw_weights();
  choose_scales();
}

int Case::a_min() const {
  return options_.act_bits == 7 ? dtype_min(options_.src) / 2 : dtype_min(options_.src);
}
int Case::a_max() const {
  return options_.act_bits == 7 ? dtype_max(options_.src) / 2 : dtype_max(options_.src);
}

void Case::draw_activations() {
  std::mt19937_64 random(options_.seed);
  std::uniform_int_distribution<int> value(a_min(), a_max());
  auto* a = static_cast<uint8_t*>(a_.data());
  for (int64_t i = 0; i < size_.a_bytes; ++i) a[i] = static_cast<uint8_t>(value(random));
}

void Case::draw_weights() {
  std::mt19937_64 random(options_.seed + 1);
  std::normal_distribution<float> gaussian;
  std::exponential_distribution<float> exponential;
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  const auto draw = [&]() -> float {
    switch (options_.weights) {
      case Weights::kGaussian: return gaussian(random);
      case Weights::kLaplace: {
        const float magnitude = exponential(random);
        return std::copysign(magnitude, uniform(random));
      }
      case Weights::kUniform: return uniform(random);
    }
    return 0.0f;
  };
  auto* b = static_cast<int8_t*>(b_.data());
  std::vector<float> channel(size_.k);
  for (int64_t n = 0; n < size_.n; ++n, b += size_.k) {
    float largest = 0.0f;
    for (float& w : channel) {
      w = draw();
      largest = std::max(largest, std::abs(w));
    }
    const float scale = largest > 0 ? 127.0f / largest : 0.0f;
    for (int64_t k = 0; k < size_.k; ++k)
      b[k] = static_cast<int8_t>(std::lrint(channel[k] * scale));
  }
}

// An 8-bit output step is a 64th of the sums' standard deviation: about half the outputs are
// strictly inside the range of u8 at zero point 0, and nearly all of s8's.
void Case::choose_scales() {
  std::mt19937_64 random(options_.seed + 2);
  std::uniform_real_distribution<float> scale(0.5e-3f, 1.5e-3f);
  b_scales_.resize(size_.n);
  for (float& s : b_scales_) s = scale(random);

  double w_squares = 0;
  for (int64_t i = 0; i < size_.n * size_.k; ++i) w_squares += static_cast<double>(b()[i]) * b()[i];
  const double lo = a_min() - options_.a_zero_point, hi = a_max() - options_.a_zero_point;
  const double a_square = (lo * lo + lo * hi + hi * hi) / 3;  // mean over a uniform distribution
  const double deviation = std::sqrt(a_square * w_squares / static_cast<double>(size_.n));
  c_scale_ = static_cast<float>(std::max(deviation, 1.0) * 1e-3 / 64);
}

size_t Case::row_bytes() const { return static_cast<size_t>(n()) * dtype_bytes(options_.dst); }

double Case::operations() const {
  return 2.0 * static_cast<double>(rows()) * static_cast<double>(n()) * static_cast<double>(k());
}

ReferenceGemm Case::reference_layer() const {
  ReferenceGemm r{};
  r.a_type = options_.src;
  r.a_zero_point = options_.a_zero_point;
  r.a_scale = a_scale();
  r.b_scales = b_scales_.data();
  r.bias_type = DType::kNone;
  r.c_type = options_.dst;
  r.c_scale = is_int8(options_.dst) ? c_scale_ : 1.0f;
  r.c_zero_point = is_int8(options_.dst) ? options_.c_zero_point : 0;
  r.relu = relu();
  return r;
}

std::unique_ptr<Case> make_case(const Problem& problem, const CaseOptions& options) {
  if (const auto* shape = std::get_if<GemmShape>(&problem.shape))
    return std::make_unique<QgemmCase>(problem, *shape, options);
  return std::make_unique<QconvCase>(problem, std::get<ConvShape>(problem.shape), options);
}

}  // namespace oct::perf
