#include "perf/qgemm_case.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>
#include <random>

namespace oct::perf {

AlignedBytes::AlignedBytes(size_t size)
    : data_(std::aligned_alloc(64, (std::max<size_t>(size, 1) + 63) / 64 * 64)) {
  if (!data_) throw std::bad_alloc();
}

void AlignedBytes::Free::operator()(void* p) const { std::free(p); }

QgemmCase::QgemmCase(const GemmShape& shape, const CaseOptions& options)
    : shape_(shape), options_(options), a_(shape.m * shape.k), b_(shape.n * shape.k) {
  draw_activations();
  draw_weights();
  choose_scales();
}

int QgemmCase::a_min() const {
  return options_.act_bits == 7 ? dtype_min(options_.src) / 2 : dtype_min(options_.src);
}
int QgemmCase::a_max() const {
  return options_.act_bits == 7 ? dtype_max(options_.src) / 2 : dtype_max(options_.src);
}

void QgemmCase::draw_activations() {
  std::mt19937_64 random(options_.seed);
  std::uniform_int_distribution<int> value(a_min(), a_max());
  auto* a = static_cast<uint8_t*>(a_.data());
  for (int64_t i = 0; i < shape_.m * shape_.k; ++i) a[i] = static_cast<uint8_t>(value(random));
}

void QgemmCase::draw_weights() {
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
  std::vector<float> channel(shape_.k);
  for (int64_t n = 0; n < shape_.n; ++n, b += shape_.k) {
    float largest = 0.0f;
    for (float& w : channel) {
      w = draw();
      largest = std::max(largest, std::abs(w));
    }
    const float scale = largest > 0 ? 127.0f / largest : 0.0f;
    for (int64_t k = 0; k < shape_.k; ++k)
      b[k] = static_cast<int8_t>(std::lrint(channel[k] * scale));
  }
}

// An 8-bit output step is a 64th of the sums' standard deviation: about half the outputs are
// strictly inside the range of u8 at zero point 0, and nearly all of s8's.
void QgemmCase::choose_scales() {
  std::mt19937_64 random(options_.seed + 2);
  std::uniform_real_distribution<float> scale(0.5e-3f, 1.5e-3f);
  b_scales_.resize(shape_.n);
  for (float& s : b_scales_) s = scale(random);

  double w_squares = 0;
  for (int64_t i = 0; i < shape_.n * shape_.k; ++i)
    w_squares += static_cast<double>(b()[i]) * b()[i];
  const double lo = a_min() - options_.a_zero_point, hi = a_max() - options_.a_zero_point;
  const double a_square = (lo * lo + lo * hi + hi * hi) / 3;  // mean over a uniform distribution
  const double deviation = std::sqrt(a_square * w_squares / static_cast<double>(shape_.n));
  c_scale_ = static_cast<float>(std::max(deviation, 1.0) * 1e-3 / 64);
}

size_t QgemmCase::c_bytes() const { return shape_.m * shape_.n * dtype_bytes(options_.dst); }

double QgemmCase::operations() const {
  return 2.0 * static_cast<double>(shape_.m) * static_cast<double>(shape_.k) *
         static_cast<double>(shape_.n);
}

oct_qgemm_desc QgemmCase::desc(const std::string& kernel) const {
  oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
  d.n = shape_.n;
  d.k = shape_.k;
  d.a_type = static_cast<oct_dtype>(options_.src);
  d.a_zero_point = options_.a_zero_point;
  d.a_scale = a_scale();
  if (options_.act_bits == 7) {
    d.a_min = a_min();
    d.a_max = a_max();
  }
  d.b = b();
  d.b_layout = OCT_B_NK;
  d.b_scales = b_scales_.data();
  d.b_scale_count = shape_.n;
  d.c_type = static_cast<oct_dtype>(options_.dst);
  if (is_int8(options_.dst)) {
    d.c_scale = c_scale_;
    d.c_zero_point = options_.c_zero_point;
  }
  d.m_hint = shape_.m;
  d.kernel = kernel.empty() ? nullptr : kernel.c_str();
  return d;
}

ReferenceGemm QgemmCase::reference() const {
  ReferenceGemm r{};
  r.b = {b(), BLayout::kNK, shape_.k, shape_.k, shape_.n};
  r.a_type = options_.src;
  r.a_zero_point = options_.a_zero_point;
  r.a_scale = a_scale();
  r.b_scales = b_scales_.data();
  r.bias_type = DType::kNone;
  r.c_type = options_.dst;
  r.c_scale = is_int8(options_.dst) ? c_scale_ : 1.0f;
  r.c_zero_point = is_int8(options_.dst) ? options_.c_zero_point : 0;
  return r;
}

OurGemm::OurGemm(oct_context* context, const QgemmCase& problem, const std::string& kernel, void* c)
    : plan_(create_plan(context, problem.desc(kernel))) {
  args_.m = problem.shape().m;
  args_.a = problem.a();
  args_.a_stride_bytes = problem.shape().k;
  args_.c = c;
  args_.c_stride_bytes = problem.shape().n * dtype_bytes(problem.options().dst);
}

void OurGemm::run(int64_t calls) {
  oct_status status = OCT_OK;
  for (int64_t i = 0; i < calls && status == OCT_OK; ++i)
    status = oct_qgemm_run(plan_.get(), &args_);
  check(status);
}

}  // namespace oct::perf
