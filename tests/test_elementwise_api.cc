// oct_quantize, oct_dequantize, oct_requantize and oct_minmax through the C API.
#include <gtest/gtest.h>

#include <xmmintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/reference_elementwise.h"
#include "quant/requant.h"
#include "tests/api_support.h"
#include "tests/elementwise_case.h"

namespace oct::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr oct_granularity kGranularities[] = {OCT_PER_TENSOR, OCT_PER_ROW, OCT_PER_COLUMN};

// A matrix of either kind in memory of its own.
struct Matrix {
  Matrix(oct_dtype type, int64_t rows, int64_t cols, int64_t pad)
      : bytes(static_cast<int64_t>(dtype_bytes(static_cast<DType>(type)))),
        stride((cols + pad) * bytes), data(static_cast<size_t>(rows * stride + bytes)), type(type) {
  }

  oct_matrix view() { return {data.data(), type, stride}; }
  uint8_t* at(int64_t r, int64_t c) { return &data[static_cast<size_t>(r * stride + c * bytes)]; }

  void fill_floats(Rng& rng, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) {
        const float x = awkward_float(rng, 0.02f);
        const uint16_t half = std::isnan(x) ? 0x7fc0 : bf16_from_float(x);
        type == OCT_F32 ? std::memcpy(at(r, c), &x, 4) : std::memcpy(at(r, c), &half, 2);
      }
  }

  int64_t bytes, stride;
  std::vector<uint8_t> data;
  oct_dtype type;
};

struct Params {
  Params(Rng& rng, int64_t count, DType type) {
    for (int64_t i = 0; i < count; ++i) {
      scales.push_back(static_cast<float>(rng.log_real(0.005, 0.1)));
      zero_points.push_back(static_cast<int32_t>(rng.between(dtype_min(type), dtype_max(type))));
    }
  }
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
};

int64_t count_of(oct_granularity g, int64_t rows, int64_t cols) {
  return g == OCT_PER_ROW ? rows : g == OCT_PER_COLUMN ? cols : 1;
}

ElementwiseArgs reference_args(const oct_matrix& in, const oct_matrix& out, int64_t rows,
                               int64_t cols, oct_granularity g) {
  ElementwiseArgs a{};
  a.in = in.data;
  a.in_stride_bytes = in.stride_bytes;
  a.out = out.data;
  a.out_stride_bytes = out.stride_bytes;
  a.rows = rows;
  a.cols = cols;
  a.param_stride_bytes = g == OCT_PER_ROW ? 4 : 0;
  return a;
}

class ElementwiseApi : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }

  // body(context, rng, granularity, rows, cols, pad) over caps, threads and sizes.
  void over_everything(const std::function<void(oct_context*, Rng&, oct_granularity, int64_t,
                                                int64_t, int64_t)>& body) {
    for (oct_isa cap : distinct_caps())
      for (int threads : {1, 3}) {
        Context context(cap, threads);
        Rng rng("elementwise_api");
        for (oct_granularity g : kGranularities)
          for (const auto& [rows, cols, pad] :
               {std::tuple{1, 1, 0}, {7, 65, 3}, {40, 2100, 0}, {2100, 33, 1}, {1, 100001, 0}}) {
            SCOPED_TRACE(testing::Message() << "cap " << cap << ", threads " << threads << ", " << g
                                            << ", " << rows << "x" << cols);
            body(context, rng, g, rows, cols, pad);
            if (HasFatalFailure()) return;
          }
      }
  }
};

TEST_F(ElementwiseApi, Quantise) {
  over_everything([](oct_context* context, Rng& rng, oct_granularity g, int64_t rows, int64_t cols,
                     int64_t pad) {
    Matrix x(rng.one_in(2) ? OCT_F32 : OCT_BF16, rows, cols, pad);
    Matrix q(rng.one_in(2) ? OCT_U8 : OCT_S8, rows, cols, rng.between(0, 2)), expected = q;
    x.fill_floats(rng, rows, cols);
    const Params p(rng, count_of(g, rows, cols), static_cast<DType>(q.type));
    oct_quantize_args args = OCT_QUANTIZE_ARGS_INIT;
    args.rows = rows;
    args.cols = cols;
    args.x = x.view();
    args.q = q.view();
    args.granularity = g;
    args.form = rng.one_in(2) ? OCT_QUANTIZE_DIVIDE : OCT_QUANTIZE_RECIPROCAL;
    args.scales = p.scales.data();
    args.zero_points = rng.one_in(4) ? nullptr : p.zero_points.data();
    args.q_min = rng.one_in(2) ? 0 : -5 * (q.type == OCT_S8);
    args.q_max = args.q_min || rng.one_in(2) ? 100 : 0;
    ASSERT_EQ(oct_quantize(context, &args), OCT_OK) << oct_last_error();

    const DType type = static_cast<DType>(q.type);
    ElementwiseArgs a = reference_args(args.x, expected.view(), rows, cols, g);
    std::vector<float> scale = p.scales;
    if (args.form == OCT_QUANTIZE_RECIPROCAL)
      for (float& s : scale) s = 1.0f / s;
    const std::vector<int32_t> zeros(scale.size());
    a.scale = scale.data();
    a.zero_point_out = args.zero_points ? args.zero_points : zeros.data();
    a.lo = args.q_min || args.q_max ? args.q_min : dtype_min(type);
    a.hi = args.q_min || args.q_max ? args.q_max : dtype_max(type);
    reference_elementwise({static_cast<DType>(x.type), type, args.form == OCT_QUANTIZE_DIVIDE,
                           g == OCT_PER_COLUMN, false},
                          a);
    ASSERT_EQ(q.data, expected.data);
  });
}

TEST_F(ElementwiseApi, Dequantise) {
  over_everything([](oct_context* context, Rng& rng, oct_granularity g, int64_t rows, int64_t cols,
                     int64_t pad) {
    Matrix q(rng.one_in(2) ? OCT_U8 : OCT_S8, rows, cols, pad);
    Matrix x(rng.one_in(2) ? OCT_F32 : OCT_BF16, rows, cols, rng.between(0, 2)), expected = x;
    rng.fill_bytes(q.data.data(), q.data.size());
    const Params p(rng, count_of(g, rows, cols), static_cast<DType>(q.type));
    oct_dequantize_args args = OCT_DEQUANTIZE_ARGS_INIT;
    args.rows = rows;
    args.cols = cols;
    args.q = q.view();
    args.x = x.view();
    args.granularity = g;
    args.scales = p.scales.data();
    args.zero_points = p.zero_points.data();
    ASSERT_EQ(oct_dequantize(context, &args), OCT_OK) << oct_last_error();
    ElementwiseArgs a = reference_args(args.q, expected.view(), rows, cols, g);
    a.scale = p.scales.data();
    a.zero_point_in = p.zero_points.data();
    reference_elementwise(
        {static_cast<DType>(q.type), static_cast<DType>(x.type), false, g == OCT_PER_COLUMN, false},
        a);
    ASSERT_EQ(x.data, expected.data);
  });
}

// Into memory of its own, and in place.
TEST_F(ElementwiseApi, Requantise) {
  over_everything([](oct_context* context, Rng& rng, oct_granularity g, int64_t rows, int64_t cols,
                     int64_t pad) {
    Matrix a(rng.one_in(2) ? OCT_U8 : OCT_S8, rows, cols, pad);
    Matrix c(rng.one_in(2) ? OCT_U8 : OCT_S8, rows, cols, pad);
    rng.fill_bytes(a.data.data(), a.data.size());
    c.data = a.data;
    Matrix expected = c;
    const int64_t count = count_of(g, rows, cols);
    const Params from(rng, count, static_cast<DType>(a.type));
    const Params to(rng, count, static_cast<DType>(c.type));
    oct_requantize_args args = OCT_REQUANTIZE_ARGS_INIT;
    args.rows = rows;
    args.cols = cols;
    args.a = a.view();
    args.c = c.view();
    args.granularity = g;
    args.a_scales = from.scales.data();
    args.a_zero_points = from.zero_points.data();
    args.c_scales = to.scales.data();
    args.c_zero_points = to.zero_points.data();
    ElementwiseArgs r = reference_args(args.a, expected.view(), rows, cols, g);
    std::vector<float> mult(from.scales.size());
    for (size_t i = 0; i < mult.size(); ++i) mult[i] = from.scales[i] / to.scales[i];
    r.scale = mult.data();
    r.zero_point_in = args.a_zero_points;
    r.zero_point_out = args.c_zero_points;
    r.lo = dtype_min(static_cast<DType>(c.type));
    r.hi = dtype_max(static_cast<DType>(c.type));
    reference_elementwise(
        {static_cast<DType>(a.type), static_cast<DType>(c.type), false, g == OCT_PER_COLUMN, false},
        r);
    ASSERT_EQ(oct_requantize(context, &args), OCT_OK) << oct_last_error();
    ASSERT_EQ(c.data, expected.data);
    args.c.data = a.data.data();
    ASSERT_EQ(oct_requantize(context, &args), OCT_OK) << oct_last_error();
    ASSERT_EQ(a.data, expected.data);
  });
}

TEST_F(ElementwiseApi, MinMax) {
  over_everything([](oct_context* context, Rng& rng, oct_granularity g, int64_t rows, int64_t cols,
                     int64_t pad) {
    Matrix x(rng.one_in(2) ? OCT_F32 : OCT_BF16, rows, cols, pad);
    x.fill_floats(rng, rows, cols);
    const auto count = static_cast<size_t>(count_of(g, rows, cols));
    std::vector<float> mins(count, 1), maxs(count, 1), min0(count, kInf), max0(count, -kInf);
    oct_minmax_args args = OCT_MINMAX_ARGS_INIT;
    args.rows = rows;
    args.cols = cols;
    args.x = x.view();
    args.granularity = g;
    args.mins = mins.data();
    args.maxs = maxs.data();
    ASSERT_EQ(oct_minmax(context, &args), OCT_OK) << oct_last_error();
    ElementwiseArgs a = reference_args(args.x, oct_matrix{}, rows, cols, g);
    a.min = min0.data();
    a.max = max0.data();
    reference_elementwise(
        {static_cast<DType>(x.type), DType::kNone, false, g == OCT_PER_COLUMN, false}, a);
    ASSERT_EQ(mins, min0);
    ASSERT_EQ(maxs, max0);
  });
}

// Sizes beyond the caches, whose stores go past them: from a start that is not a line's, too.
TEST_F(ElementwiseApi, LargeOutputs) {
  Context context;
  constexpr int64_t kCount = 9 << 20;
  std::vector<uint8_t> q(kCount + 3);
  std::vector<float> x(kCount + 3);
  Rng rng("large");
  rng.fill_bytes(q.data(), q.size());
  const float scale = 0.5f;
  const int32_t zero_point = 7;
  oct_dequantize_args args = OCT_DEQUANTIZE_ARGS_INIT;
  args.rows = 1;
  args.cols = kCount;
  args.q = {q.data() + 1, OCT_U8, 0};
  args.x = {x.data() + 3, OCT_F32, 0};
  args.scales = &scale;
  args.zero_points = &zero_point;
  ASSERT_EQ(oct_dequantize(context, &args), OCT_OK) << oct_last_error();
  for (int64_t i = 0; i < kCount; ++i)
    ASSERT_EQ(x[static_cast<size_t>(i + 3)],
              0.5f * static_cast<float>(q[static_cast<size_t>(i + 1)] - 7))
        << i;
  EXPECT_EQ(x[2], 0);
}

TEST_F(ElementwiseApi, NothingToDo) {
  Context context;
  float min = 1, max = 1;
  oct_minmax_args args = OCT_MINMAX_ARGS_INIT;
  args.mins = &min;
  args.maxs = &max;
  EXPECT_EQ(oct_minmax(context, &args), OCT_OK) << oct_last_error();
  EXPECT_EQ(min, kInf);
  EXPECT_EQ(max, -kInf);
}

// Bad input, each with a piece of the message; nothing is written.
TEST_F(ElementwiseApi, BadArguments) {
  Context context;
  std::vector<float> x(64, 1.0f), scales(8, 0.5f), mins(8, 5), maxs(8, 5);
  std::vector<int32_t> zero_points(8, 3);
  std::vector<uint8_t> q(64, 42);
  oct_quantize_args good = OCT_QUANTIZE_ARGS_INIT;
  good.rows = good.cols = 8;
  good.x.data = x.data();
  good.q.data = q.data();
  good.granularity = OCT_PER_ROW;
  good.form = OCT_QUANTIZE_RECIPROCAL;
  good.scales = scales.data();
  good.zero_points = zero_points.data();
  const auto refused = [&](const char* text, const std::function<void(oct_quantize_args&)>& change,
                           oct_status status = OCT_INVALID_ARGUMENT) {
    oct_quantize_args args = good;
    change(args);
    EXPECT_EQ(oct_quantize(context, &args), status) << text;
    EXPECT_NE(std::string(oct_last_error()).find(text), std::string::npos)
        << text << ": " << oct_last_error();
    EXPECT_EQ(std::count(q.begin(), q.end(), 42), 64);
  };
  const float denormal = 1e-40f, huge = 3e38f;
  const int32_t far = 256;
  refused(
      "struct_size is 1", [](auto& a) { a.struct_size = 1; }, OCT_VERSION_MISMATCH);
  refused("rows is -1", [](auto& a) { a.rows = -1; });
  refused("granularity is 3", [](auto& a) { a.granularity = static_cast<oct_granularity>(3); });
  refused("x.type is 3", [](auto& a) { a.x.type = OCT_S32; });
  refused("q.type is 4", [](auto& a) { a.q.type = OCT_F32; });
  refused("x.data is null", [](auto& a) { a.x.data = nullptr; });
  refused("q.stride_bytes is 7", [](auto& a) { a.q.stride_bytes = 7; });
  refused("must be multiples of 4", [](auto& a) { a.x.stride_bytes = 34; });
  refused("overflows", [](auto& a) { a.rows = int64_t{1} << 60; });
  refused("overlaps", [&](auto& a) { a.q.data = x.data(); });
  refused("form is 0", [](auto& a) { a.form = static_cast<oct_quantize_form>(0); });
  refused("scales is null", [](auto& a) { a.scales = nullptr; });
  refused("scales[0] is 9.99995e-41",
          [&](auto& a) { a.scales = &denormal, a.granularity = OCT_PER_TENSOR; });
  refused("1 / scale", [&](auto& a) { a.scales = &huge, a.granularity = OCT_PER_TENSOR; });
  refused("zero_points[0] is 256",
          [&](auto& a) { a.zero_points = &far, a.granularity = OCT_PER_TENSOR; });
  refused("the bounds are [5, 4]", [](auto& a) { a.q_min = 5, a.q_max = 4; });
  EXPECT_EQ(oct_quantize(nullptr, &good), OCT_INVALID_ARGUMENT);
  EXPECT_EQ(oct_quantize(context, nullptr), OCT_INVALID_ARGUMENT);

  oct_minmax_args m = OCT_MINMAX_ARGS_INIT;
  m.rows = m.cols = 8;
  m.x.data = x.data();
  m.mins = mins.data();
  EXPECT_EQ(oct_minmax(context, &m), OCT_INVALID_ARGUMENT);
  EXPECT_EQ(mins[0], 5);
}

// The caller's rounding mode and flushing change nothing, and come back.
TEST_F(ElementwiseApi, FloatModeIsNotTheCallers) {
  Context context;
  const float x[] = {2.7f, -2.7f, 1.5f, 2.5f, 1e-40f}, scale = 1;
  uint8_t q[5];
  oct_quantize_args args = OCT_QUANTIZE_ARGS_INIT;
  args.rows = 1;
  args.cols = 5;
  args.x.data = const_cast<float*>(x);
  args.q.data = q;
  args.q.type = OCT_S8;
  args.form = OCT_QUANTIZE_DIVIDE;
  args.scales = &scale;
  const unsigned saved = _mm_getcsr();
  constexpr unsigned kTowardZeroFlushing = 0x1f80 | 0x6000 | 0x8040;
  _mm_setcsr(kTowardZeroFlushing);
  const oct_status status = oct_quantize(context, &args);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(saved);
  ASSERT_EQ(status, OCT_OK);
  EXPECT_EQ(after, kTowardZeroFlushing);
  EXPECT_EQ(std::vector<int8_t>(q, q + 5), (std::vector<int8_t>{3, -3, 2, 2, 0}));
}

}  // namespace
}  // namespace oct::test
