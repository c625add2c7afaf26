#include "tests/dynamic_case.h"

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>

#include "quant/affine.h"
#include "quant/requant.h"

namespace oct::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

float at(const QgemmProblem& p, int64_t i) {
  const auto index = static_cast<size_t>(i);
  if (p.desc.a_type == OCT_BF16) {
    uint16_t half;
    std::memcpy(&half, &p.a[2 * index], 2);
    return std::bit_cast<float>(uint32_t{half} << 16);
  }
  float x;
  std::memcpy(&x, &p.a[4 * index], 4);
  return x;
}

QParams params(const oct_dynamic& d, const Range& range) {
  const float min = range.empty() ? 0 : range.min, max = range.empty() ? 0 : range.max;
  QParams p;
  oct_status s = OCT_OK;
  switch (d.formula) {
    case OCT_QPARAMS_OBSERVER:
      s = oct_qparams_observer(&d.scheme, min, max, &p.scale, &p.zero_point);
      break;
    case OCT_QPARAMS_FBGEMM:
      s = oct_qparams_fbgemm(&d.scheme, min, max, &p.scale, &p.zero_point);
      break;
    case OCT_QPARAMS_ATEN:
      s = oct_qparams_aten(&d.scheme, min, max, &p.scale, &p.zero_point);
      break;
    case OCT_QPARAMS_ONNX: s = oct_qparams_onnx(min, max, &p.scale, &p.zero_point); break;
  }
  EXPECT_EQ(s, OCT_OK) << oct_last_error();
  return p;
}

}  // namespace

QgemmProblem DynamicCase::quantised() const {
  const QgemmProblem& p = problem;
  QgemmProblem q = p.copy();
  q.desc.dynamic = nullptr;
  q.desc.a_type = dynamic.scheme.type;
  q.desc.flags |= OCT_QGEMM_A_PER_ROW;
  const int64_t k = p.desc.k;
  QRange range;
  EXPECT_EQ(oct_qscheme_range(&dynamic.scheme, &range.lo, &range.hi), OCT_OK);
  std::vector<Range> ranges(static_cast<size_t>(p.m));
  Range all;
  for (int64_t i = 0; i < p.m * k; ++i)
    if (const float x = at(p, i); std::isfinite(x)) {
      ranges[static_cast<size_t>(i / k)].include(x);
      all.include(x);
    }
  q.a.resize(static_cast<size_t>(p.m * k));
  for (int64_t m = 0; m < p.m; ++m) {
    const bool per_row = dynamic.granularity == OCT_PER_ROW;
    const QParams row = params(dynamic, per_row ? ranges[static_cast<size_t>(m)] : all);
    q.a_scales.push_back(row.scale);
    q.a_zero_points.push_back(row.zero_point);
    for (int64_t i = m * k; i < (m + 1) * k; ++i) {
      const float x = at(p, i);
      const int value = dynamic.form == OCT_QUANTIZE_DIVIDE
                            ? quantize_divide(x, row.scale, row.zero_point, range)
                            : quantize_reciprocal(x, 1.0f / row.scale, row.zero_point, range);
      q.a[static_cast<size_t>(i)] = static_cast<uint8_t>(value);
    }
  }
  return q;
}

void draw_dynamic(Rng& rng, const ProblemLimits& limits, DynamicCase* c) {
  QgemmProblem& p = c->problem;
  c->dynamic = OCT_DYNAMIC_INIT;
  do {
    p = draw_problem(rng, limits);
  } while (p.desc.c_type == OCT_S32);
  oct_qgemm_desc& d = p.desc;
  d.a_type = rng.one_in(2) ? OCT_F32 : OCT_BF16;
  d.a_min = d.a_max = 0;
  d.dynamic = &c->dynamic;
  oct_dynamic& dynamic = c->dynamic;
  dynamic.granularity = rng.one_in(2) ? OCT_PER_ROW : OCT_PER_TENSOR;
  constexpr oct_qparams_formula kFormulas[] = {OCT_QPARAMS_OBSERVER, OCT_QPARAMS_FBGEMM,
                                               OCT_QPARAMS_ATEN, OCT_QPARAMS_ONNX};
  dynamic.formula = rng.pick(kFormulas);
  dynamic.form = rng.one_in(2) ? OCT_QUANTIZE_DIVIDE : OCT_QUANTIZE_RECIPROCAL;
  if (dynamic.formula != OCT_QPARAMS_ONNX) {
    dynamic.scheme.type = rng.one_in(2) ? OCT_U8 : OCT_S8;
    constexpr uint32_t kFlags[] = {0, OCT_QSCHEME_NARROW, OCT_QSCHEME_REDUCED,
                                   OCT_QSCHEME_SYMMETRIC};
    dynamic.scheme.flags = rng.pick(kFlags);
  }
  const size_t size = dtype_bytes(static_cast<DType>(d.a_type));
  p.a.resize(static_cast<size_t>(p.m * d.k) * size);
  for (int64_t m = 0; m < p.m; ++m) {
    const double scale = rng.log_real(1e-3, 1e3), offset = rng.one_in(2) ? 0 : rng.real(-1, 1);
    const int kind = static_cast<int>(rng.between(0, 9));  // 0: nothing finite, 1: all zero
    for (int64_t i = m * d.k; i < (m + 1) * d.k; ++i) {
      float x = static_cast<float>((rng.real(-1, 1) + offset) * scale);
      if (kind == 1) x = 0;
      if (kind == 0 || rng.one_in(50)) {
        constexpr float kOdd[] = {kInf, -kInf, NAN};
        x = rng.pick(kOdd);
      }
      const uint16_t half = std::isnan(x) ? 0x7fc0 : bf16_from_float(x);
      uint8_t* to = &p.a[static_cast<size_t>(i) * size];
      size == 4 ? std::memcpy(to, &x, 4) : std::memcpy(to, &half, 2);
    }
  }
}

}  // namespace oct::test
