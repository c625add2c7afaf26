#include "tests/api_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "dispatch/context.h"
#include "kernels/reference.h"
#include "tests/operands.h"

namespace oct::test {

Context::Context(oct_isa max_isa, int threads) {
  oct_context_desc desc = OCT_CONTEXT_DESC_INIT;
  desc.max_isa = max_isa;
  desc.threads = threads;
  EXPECT_EQ(oct_context_create(&desc, &context_), OCT_OK) << oct_last_error();
}

Context::Context(const oct_context_desc& desc) {
  EXPECT_EQ(oct_context_create(&desc, &context_), OCT_OK) << oct_last_error();
}

Context::Context(const UsableIsas& isas, int threads)
    : context_(new oct_context{isas, Threads(threads, nullptr, nullptr)}) {}

Plan::Plan(oct_context* context, const oct_qgemm_desc& desc) {
  EXPECT_EQ(oct_qgemm_create(context, &desc, &plan_), OCT_OK) << oct_last_error();
}

std::vector<oct_isa> distinct_caps() {
  const char* env = std::getenv("OCTAVO_MAX_ISA");
  const Isa limit = env && *env ? isa_from_name(env) : Isa::kAmx;
  std::vector<oct_isa> caps;
  for (int i = 1; i <= static_cast<int>(limit); ++i)
    if (cpu_facts().runs[static_cast<size_t>(i)]) caps.push_back(static_cast<oct_isa>(i));
  return caps;
}

std::vector<uint8_t> QgemmProblem::expected() const {
  const oct_qgemm_desc& d = desc;
  const bool kn = d.b_layout == OCT_B_KN;
  const int64_t stride = d.b_stride_bytes ? d.b_stride_bytes : kn ? d.n : d.k;
  std::vector<float> scales(static_cast<size_t>(d.n), 1.0f);
  for (size_t i = 0; i < scales.size() && d.b_scales; ++i)
    scales[i] = d.b_scales[d.b_scale_count == 1 ? 0 : i];
  std::vector<int32_t> zero_points(scales.size());
  for (size_t i = 0; i < zero_points.size() && d.b_zero_points; ++i)
    zero_points[i] = d.b_zero_points[d.b_zero_point_count == 1 ? 0 : i];
  ReferenceGemm reference = {
      .b = {static_cast<const int8_t*>(d.b), kn ? BLayout::kKN : BLayout::kNK, stride, d.k, d.n,
            d.b_type == OCT_U8},
      .a_type = static_cast<DType>(d.a_type),
      .a_zero_point = d.a_zero_point,
      .a_scale = d.a_scale,
      .b_scales = scales.data(),
      .bias_type = static_cast<DType>(d.bias_type),
      .bias = d.bias,
      .c_type = static_cast<DType>(d.c_type),
      .c_scale = d.c_scale,
      .c_zero_point = d.c_zero_point,
      .relu = (d.flags & OCT_QGEMM_RELU) != 0,
      .clamp = (d.flags & OCT_QGEMM_CLAMP) != 0,
      .clamp_min = d.clamp_min,
      .clamp_max = d.clamp_max,
      .post = chain.inner(),
      .a_scales = a_scales.empty() ? nullptr : a_scales.data(),
      .a_zero_points = a_zero_points.empty() ? nullptr : a_zero_points.data(),
      .b_zero_points = zero_points.data(),
  };
  if (const PostOp* bound = chain.bound()) {
    reference.relu = bound->kind == PostKind::kRelu;
    reference.clamp = !reference.relu;
    reference.clamp_min = bound->alpha;
    reference.clamp_max = bound->beta;
  }
  ReferenceOperands operands;
  for (size_t i = 0; i < chain.x.size(); ++i) {
    operands.data[i] = chain.x[i].data();
    operands.stride_bytes[i] = d.n * static_cast<int64_t>(dtype_bytes(chain.chain[i].type));
  }
  std::vector<uint8_t> c(c_bytes());
  reference_gemm(reference, m, a.data(), d.k, c.data(), d.n * static_cast<int64_t>(element_bytes()),
                 operands);
  return c;
}

QgemmProblem QgemmProblem::copy() const {
  QgemmProblem p;
  p.desc = desc;
  p.m = m;
  p.b = b;
  p.a = a;
  p.b_scales = b_scales;
  p.bias_f32 = bias_f32;
  p.bias_s32 = bias_s32;
  p.b_zero_points = b_zero_points;
  p.a_scales = a_scales;
  p.a_zero_points = a_zero_points;
  p.chain = chain;
  p.desc.b = p.b.data();
  if (desc.b_scales) p.desc.b_scales = p.b_scales.data();
  if (desc.b_zero_points) p.desc.b_zero_points = p.b_zero_points.data();
  if (desc.bias_type == OCT_S32) p.desc.bias = p.bias_s32.data();
  if (desc.bias_type == OCT_F32) p.desc.bias = p.bias_f32.data();
  if (desc.post) p.desc.post = p.chain.ops.data();
  return p;
}

std::vector<uint8_t> QgemmProblem::run(const oct_qgemm* plan, int64_t rows) const {
  std::vector<uint8_t> c(static_cast<size_t>(rows * desc.n) * element_bytes(), 0xcc);
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = rows;
  args.a = a.data();
  args.a_stride_bytes = desc.k * static_cast<int64_t>(dtype_bytes(static_cast<DType>(desc.a_type)));
  args.a_scales = a_scales.data();
  args.a_zero_points = a_zero_points.data();
  args.c = c.data();
  args.c_stride_bytes = desc.n * static_cast<int64_t>(element_bytes());
  oct_post_tensor post[OCT_MAX_POST_OPS];
  for (size_t i = 0; i < chain.x.size(); ++i)
    post[i] = {chain.x[i].data(), desc.n * static_cast<int64_t>(dtype_bytes(chain.chain[i].type))};
  args.post = post;
  EXPECT_EQ(oct_qgemm_run(plan, &args), OCT_OK) << oct_last_error() << "\n" << text();
  return c;
}

std::vector<uint8_t> QgemmProblem::run(oct_context* context) const {
  const Plan plan(context, desc);
  if (!plan) return {};
  return run(static_cast<const oct_qgemm*>(plan));
}

std::string QgemmProblem::text() const {
  const oct_qgemm_desc& d = desc;
  char out[512];
  snprintf(out, sizeof out,
           "OCTAVO_TEST_SEED=%llu, %lldx%lld:%lldx%lld, flags %u, A %s zero point %d in [%d, %d], "
           "B %s stride %lld, %lld scales, bias %s, C %s scale %g zero point %d, kernel %s",
           static_cast<unsigned long long>(base_seed()), static_cast<long long>(m),
           static_cast<long long>(d.k), static_cast<long long>(d.k), static_cast<long long>(d.n),
           d.flags, dtype_name(static_cast<DType>(d.a_type)), d.a_zero_point, d.a_min, d.a_max,
           d.b_layout == OCT_B_KN ? "KxN" : "NxK", static_cast<long long>(d.b_stride_bytes),
           static_cast<long long>(d.b_scale_count), dtype_name(static_cast<DType>(d.bias_type)),
           dtype_name(static_cast<DType>(d.c_type)), static_cast<double>(d.c_scale), d.c_zero_point,
           d.kernel ? d.kernel : "any");
  return out + (", post-operations" + text_of(chain.chain));
}

namespace {

void draw_a(Rng& rng, QgemmProblem& p) {
  oct_qgemm_desc& d = p.desc;
  d.a_type = rng.one_in(2) ? OCT_U8 : OCT_S8;
  const int type_lo = dtype_min(static_cast<DType>(d.a_type)), type_hi = type_lo + 255;
  d.a_zero_point = rng.one_in(4) ? 0 : static_cast<int32_t>(rng.between(type_lo, type_hi));
  int lo = type_lo, hi = type_hi;
  if (rng.one_in(2)) {  // a promise, of about 128 values as a rule
    lo = static_cast<int>(rng.between(type_lo, type_hi - 1));
    const int span = rng.one_in(2) ? 127 : static_cast<int>(rng.between(1, 200));
    hi = std::min(lo + span, type_hi);
    d.a_min = lo;
    d.a_max = hi;
  }
  p.a.resize(static_cast<size_t>(p.m * d.k));
  const Fill fill = rng.pick(kFills);
  for (size_t i = 0; i < p.a.size(); ++i)
    p.a[i] = static_cast<uint8_t>(fill_value(rng, fill, lo, hi, static_cast<int64_t>(i)));
}

void draw_zero_points(Rng& rng, QgemmProblem& p) {
  oct_qgemm_desc& d = p.desc;
  d.b_type = rng.one_in(2) ? OCT_U8 : OCT_S8;
  d.b_zero_point_count = rng.one_in(2) ? 1 : d.n;
  const DType type = static_cast<DType>(d.b_type);
  for (int64_t i = 0; i < d.b_zero_point_count; ++i)
    p.b_zero_points.push_back(static_cast<int32_t>(rng.between(dtype_min(type), dtype_max(type))));
  if (!rng.one_in(4)) d.b_zero_points = p.b_zero_points.data();
}

void draw_b(Rng& rng, QgemmProblem& p) {
  oct_qgemm_desc& d = p.desc;
  d.b_layout = rng.one_in(2) ? OCT_B_KN : OCT_B_NK;
  const int64_t width = d.b_layout == OCT_B_KN ? d.n : d.k;
  const int64_t height = d.b_layout == OCT_B_KN ? d.k : d.n;
  const int64_t stride = width + (rng.one_in(2) ? 0 : rng.between(1, 40));
  d.b_stride_bytes = stride == width && rng.one_in(2) ? 0 : stride;
  p.b.resize(static_cast<size_t>((height - 1) * stride + width));
  const Fill fill = rng.pick(kFills);
  const int limit = rng.one_in(4) ? 64 : 128;  // within 64 every pair of weights is safe
  for (size_t i = 0; i < p.b.size(); ++i)
    p.b[i] = static_cast<int8_t>(
        fill_value(rng, fill, -limit, std::min(limit, 127), static_cast<int64_t>(i)));
  d.b = p.b.data();
  if (rng.one_in(2)) draw_zero_points(rng, p);
}

// Scales around one output unit per typical sum.
void draw_scales(Rng& rng, QgemmProblem& p) {
  oct_qgemm_desc& d = p.desc;
  const double typical = std::sqrt(static_cast<double>(d.k)) * rng.log_real(10, 20000);
  d.a_scale = static_cast<float>(rng.log_real(1e-3, 1));
  d.c_scale = static_cast<float>(rng.log_real(1e-2, 1));
  d.b_scale_count = rng.one_in(2) ? 1 : d.n;
  p.b_scales.resize(static_cast<size_t>(d.b_scale_count));
  const double boost = rng.one_in(4) ? 1e4 : 1;  // multipliers of one and more
  for (float& s : p.b_scales)
    s = static_cast<float>(rng.log_real(10, 100) / typical * boost * d.c_scale / d.a_scale);
  d.b_scales = p.b_scales.data();
  if (d.c_type == OCT_S32 && rng.one_in(2)) d.b_scales = nullptr;
}

void draw_bias(Rng& rng, QgemmProblem& p) {
  oct_qgemm_desc& d = p.desc;
  constexpr oct_dtype kTypes[] = {OCT_NONE, OCT_S32, OCT_F32};
  d.bias_type = rng.pick(kTypes);
  if (d.c_type == OCT_S32 && d.bias_type == OCT_F32) d.bias_type = OCT_S32;
  for (int64_t i = 0; i < d.n; ++i) {
    p.bias_s32.push_back(static_cast<int32_t>(rng.between(-100000, 100000)));
    p.bias_f32.push_back(static_cast<float>(rng.real(-50, 50)) * d.c_scale);
  }
  d.bias = d.bias_type == OCT_S32   ? static_cast<const void*>(p.bias_s32.data())
           : d.bias_type == OCT_F32 ? p.bias_f32.data()
                                    : nullptr;
}

}  // namespace

QgemmProblem draw_problem(Rng& rng, const ProblemLimits& limits) {
  QgemmProblem p;
  oct_qgemm_desc& d = p.desc;
  p.m = rng.one_in(3) ? rng.between(1, 8) : rng.between(1, limits.m);
  d.n = rng.between(1, limits.n);
  d.k = rng.between(1, limits.k);
  constexpr oct_dtype kOutputs[] = {OCT_S32, OCT_F32, OCT_BF16, OCT_U8, OCT_S8};
  d.c_type = rng.pick(kOutputs);
  draw_a(rng, p);
  draw_b(rng, p);
  draw_scales(rng, p);
  draw_bias(rng, p);
  if (d.c_type == OCT_U8) d.c_zero_point = static_cast<int32_t>(rng.between(0, 255));
  if (d.c_type == OCT_S8) d.c_zero_point = static_cast<int32_t>(rng.between(-128, 127));
  if (d.c_type != OCT_S32) {
    constexpr uint32_t kFlags[] = {0, OCT_QGEMM_RELU, OCT_QGEMM_CLAMP};
    d.flags = rng.pick(kFlags);
  }
  if (d.flags & OCT_QGEMM_CLAMP) {
    d.clamp_min = rng.one_in(4) ? -INFINITY : static_cast<float>(rng.real(-60, 30)) * d.c_scale;
    d.clamp_max = rng.one_in(4) ? INFINITY : static_cast<float>(rng.real(30, 90)) * d.c_scale;
  }
  d.m_hint = rng.one_in(2) ? 0 : p.m;
  if (limits.post && d.c_type != OCT_S32) {
    p.chain =
        draw_api_chain(rng, 50.0 * d.c_scale, OCT_MAX_POST_OPS, static_cast<size_t>(p.m * d.n));
    if (p.chain.bound()) d.flags = 0;
    d.post = p.chain.ops.data();
    d.post_count = static_cast<int64_t>(p.chain.ops.size());
  }
  return p;
}

QgemmProblem simple_problem(Rng& rng, int64_t m, int64_t n, int64_t k) {
  QgemmProblem p;
  p.m = m;
  p.desc.n = n;
  p.desc.k = k;
  p.a.resize(static_cast<size_t>(m * k));
  p.b.resize(static_cast<size_t>(n * k));
  rng.fill_bytes(p.a.data(), p.a.size());
  rng.fill_bytes(p.b.data(), p.b.size());
  p.b_scales = {static_cast<float>(0.005 / std::sqrt(static_cast<double>(k)))};
  p.desc.b = p.b.data();
  p.desc.b_scales = p.b_scales.data();
  p.desc.b_scale_count = 1;
  p.desc.a_zero_point = p.desc.c_zero_point = 128;
  return p;
}

std::string first_difference(const std::vector<uint8_t>& got, const std::vector<uint8_t>& expected,
                             const QgemmProblem& p) {
  const auto at = std::mismatch(got.begin(), got.end(), expected.begin(), expected.end());
  if (at.first == got.end() && at.second == expected.end()) return "";
  const size_t element = static_cast<size_t>(at.first - got.begin()) / p.element_bytes();
  const size_t n = static_cast<size_t>(p.desc.n);
  return "C[" + std::to_string(element / n) + "," + std::to_string(element % n) +
         "] differs: " + p.text();
}

}  // namespace oct::test
