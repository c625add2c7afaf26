// The formulas of scale and zero point, with the constants of their sources.
#include "quant/qparams.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/affine.h"
#include "tests/support.h"

namespace oct {
namespace {

constexpr float kEps = 1.1920929e-07f;

QScheme u8(uint32_t flags = 0, int lo = 0, int hi = 0) { return {DType::kU8, flags, lo, hi}; }
QScheme s8(uint32_t flags = 0, int lo = 0, int hi = 0) { return {DType::kS8, flags, lo, hi}; }

void expect_range(const QScheme& scheme, int lo, int hi) {
  const QRange q = quant_range(scheme);
  EXPECT_EQ(q.lo, lo);
  EXPECT_EQ(q.hi, hi);
}

TEST(QuantRange, FollowsTypeAndFlags) {
  expect_range(u8(), 0, 255);
  expect_range(s8(), -128, 127);
  expect_range(u8(kNarrow), 1, 255);
  expect_range(s8(kNarrow), -127, 127);
  expect_range(u8(kReduced), 0, 127);
  expect_range(s8(kReduced), -64, 63);
  expect_range(s8(kReduced, -127, 127), -64, 63);  // both ends rounded down
  expect_range(s8(0, -64, 64), -64, 64);           // ONNX Runtime's reduced range
}

TEST(QuantScheme, RefusesWhatHasNoMeaning) {
  for (const QScheme& good : {u8(), s8(), u8(kSymmetric), s8(kSymmetric | kNarrow), u8(kNarrow),
                              s8(kSymmetric | kReduced), u8(0, 0, 127), s8(0, -127, 127)})
    EXPECT_EQ(scheme_error(good), "");
  EXPECT_NE(scheme_error({DType::kS32}), "");
  EXPECT_NE(scheme_error(u8(8)), "");
  EXPECT_NE(scheme_error(u8(kSymmetric | kReduced)), "");  // as PyTorch
  EXPECT_NE(scheme_error(u8(0, 1, 255)), "");              // without 0
  EXPECT_NE(scheme_error(u8(0, -1, 255)), "");
  EXPECT_NE(scheme_error(s8(0, -128, 128)), "");
  EXPECT_NE(scheme_error(s8(kNarrow, -10, 10)), "");
  EXPECT_NE(scheme_error(u8(kReduced, 0, 1)), "");
  EXPECT_NE(scheme_error({DType::kU8, 0, 0, 0, 0.0f}), "");
  EXPECT_NE(scheme_error({DType::kU8, 0, 0, 0, 1e-40f}), "");
}

TEST(ObserverQParams, PyTorchsCornerCases) {
  EXPECT_EQ(observer_qparams(u8(), Range()), (QParams{1, 0}));
  EXPECT_EQ(observer_qparams(u8(), {5, 5}), (QParams{5.0f / 255, 0}));
  EXPECT_EQ(observer_qparams(u8(), {0, 0}), (QParams{kEps, 0}));
  EXPECT_EQ(observer_qparams(s8(), {0, 0}), (QParams{kEps, -128}));
  EXPECT_EQ(observer_qparams(u8(), {-3, -1}).zero_point, 255);
  EXPECT_EQ(observer_qparams(u8(), {-0.5f, 4.5f}).zero_point, 26);
  EXPECT_EQ(observer_qparams(u8(), {-1e-6f, 1e-6f}), (QParams{kEps, 8}));
}

TEST(ObserverQParams, EpsIsTheLeastScale) {
  QScheme scheme = s8(kSymmetric);
  scheme.eps = 1.0f / 4096;
  EXPECT_EQ(observer_qparams(scheme, {-1e-3f, 1e-3f}).scale, 1.0f / 4096);
}

TEST(ObserverQParams, ZeroPointStaysInRangeAndMapsToZero) {
  test::Rng rng("zero point");
  for (int i = 0; i < test::by_effort(1000, 20000, 200000); ++i) {
    const float a = static_cast<float>(rng.log_real(1e-9, 1e9)) * (rng.one_in(2) ? 1.0f : -1.0f);
    const float b = static_cast<float>(rng.log_real(1e-9, 1e9)) * (rng.one_in(2) ? 1.0f : -1.0f);
    const Range range = {std::min(a, b), std::max(a, b)};
    for (const QScheme& scheme : {u8(), s8(), u8(kReduced), s8(kNarrow), s8(kSymmetric)}) {
      const QRange q = quant_range(scheme);
      for (const QParams& p :
           {observer_qparams(scheme, range), choose_qparams_fbgemm(scheme, range),
            choose_qparams_aten(scheme, range)}) {
        EXPECT_GE(p.zero_point, q.lo) << range.min << " " << range.max;
        EXPECT_LE(p.zero_point, q.hi) << range.min << " " << range.max;
        EXPECT_EQ(quantize_divide(0, p.scale, p.zero_point, q), p.zero_point);
      }
    }
  }
}

TEST(ChooseQParams, DiffersFromTheObservers) {
  EXPECT_EQ(choose_qparams_fbgemm(u8(), {-1.5f, 1.5f}).zero_point, 127);
  EXPECT_EQ(choose_qparams_fbgemm(u8(), {-0.5f, 4.5f}).zero_point, 25);
  EXPECT_EQ(choose_qparams_fbgemm(u8(), {-1e-6f, 1e-6f}), (QParams{6.1e-5f, 128}));
  EXPECT_EQ(choose_qparams_aten(u8(), {-1e-6f, 1e-6f}).scale, 6.1e-5f);
}

TEST(ChooseQParams, ZeroRangeAndSmallOneSidedRanges) {
  EXPECT_EQ(choose_qparams_fbgemm(u8(), {0, 0}), (QParams{0.1f, 0}));
  EXPECT_EQ(choose_qparams_aten(u8(), {0, 0}), (QParams{0.1f, 0}));
  EXPECT_EQ(choose_qparams_fbgemm(u8(), {0, 1e-6f}), (QParams{6.1e-5f, 0}));
  EXPECT_EQ(choose_qparams_fbgemm(u8(), {-1e-6f, 0}), (QParams{6.1e-5f, 255}));
  // A denormal scale has an infinite reciprocal.
  EXPECT_EQ(choose_qparams_fbgemm(u8(), {0, 1e-38f}).scale, 0.1f);
}

TEST(ChooseQParams, PreservesSparsity) {
  EXPECT_EQ(choose_qparams_fbgemm(s8(kSymmetric), {-1, 0.5f}).zero_point, 0);
  EXPECT_EQ(choose_qparams_fbgemm(u8(kSymmetric), {-1, 0.5f}).zero_point, 128);
  EXPECT_EQ(choose_qparams_fbgemm(s8(kSymmetric), {-1, 0.5f}).scale, 1.0f / 128);
  EXPECT_EQ(choose_qparams_fbgemm(s8(kSymmetric), {-1, 1}).scale,
            static_cast<float>(static_cast<double>(1.0f / 127)));
}

// The three cases of ONNX's test_dynamicquantizelinear*.
TEST(DynamicQParamsOnnx, NodeTests) {
  EXPECT_EQ(dynamic_qparams_onnx({-2.5f, 2.5f}).scale, 5.0f / 255);
  EXPECT_EQ(dynamic_qparams_onnx({-3.0f, 2.0f}), (QParams{0.0196078438f, 153}));
  EXPECT_EQ(dynamic_qparams_onnx({-4.3f, -1.0f}), (QParams{4.3f / 255, 255}));
  EXPECT_EQ(dynamic_qparams_onnx({1.0f, 4.0f}), (QParams{4.0f / 255, 0}));
  EXPECT_EQ(dynamic_qparams_onnx({0, 0}), (QParams{1.0f / 255, 0}));
}

}  // namespace
}  // namespace oct
