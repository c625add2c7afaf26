// ONNX's node tests of quantised operators (Debian's libonnx-testdata), bit for bit through the C
// API and on every instruction set.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/api_support.h"
#include "tests/onnx_tensor.h"

namespace oct::test {
namespace {

std::string data_folder() {
  const char* folder = std::getenv("OCTAVO_ONNX_TESTDATA");
  return folder ? folder : "/usr/share/libonnx-testdata/data/node";
}

using Bytes = std::vector<uint8_t>;

class OnnxNodes : public testing::TestWithParam<oct_isa> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(data_folder()))
      GTEST_SKIP() << data_folder() << " does not exist: scripts/setup installs libonnx-testdata";
  }

  // The tensors of a test by the numbers of their files.
  OnnxTensor in(int i) const { return read("input_" + std::to_string(i)); }
  OnnxTensor out(int i) const { return read("output_" + std::to_string(i)); }
  OnnxTensor read(const std::string& file) const {
    return read_onnx_tensor(data_folder() + "/" + node + "/test_data_set_0/" + file + ".pb");
  }

  const Context context{GetParam()};
  std::string node;
};

std::vector<int32_t> ints(const OnnxTensor& t) {
  std::vector<int32_t> all;
  for (uint8_t v : t.data) all.push_back(t.type == OCT_S8 ? static_cast<int8_t>(v) : v);
  return all;
}

// ---- QuantizeLinear and DequantizeLinear ----------------------------------------------------

// The axis is 1, ONNX's default: [1, channels, inner] is a row for each channel.
struct Rows {
  int64_t rows, cols;
  oct_granularity granularity;
};
Rows rows_of(const OnnxTensor& x, const OnnxTensor& scale) {
  if (scale.size() == 1) return {1, x.size(), OCT_PER_TENSOR};
  EXPECT_EQ(x.dims[0], 1);
  return {x.dims[1], x.size() / x.dims[1], OCT_PER_ROW};
}

Bytes quantize(oct_context* context, const OnnxTensor& x, const OnnxTensor& scale,
               const std::vector<int32_t>& zero_points) {
  const Rows r = rows_of(x, scale);
  Bytes q(static_cast<size_t>(x.size()));
  oct_quantize_args args = OCT_QUANTIZE_ARGS_INIT;
  args.rows = r.rows;
  args.cols = r.cols;
  args.x.data = const_cast<uint8_t*>(x.data.data());
  args.q.data = q.data();
  args.granularity = r.granularity;
  args.form = OCT_QUANTIZE_DIVIDE;
  args.scales = scale.as<float>();
  args.zero_points = zero_points.data();
  EXPECT_EQ(oct_quantize(context, &args), OCT_OK) << oct_last_error();
  return q;
}

TEST_P(OnnxNodes, QuantizeLinear) {
  for (const char* name : {"test_quantizelinear", "test_quantizelinear_axis"}) {
    node = name;
    EXPECT_EQ(quantize(context, in(0), in(1), ints(in(2))), out(0).data) << node;
  }
}

TEST_P(OnnxNodes, DequantizeLinear) {
  for (const char* name : {"test_dequantizelinear", "test_dequantizelinear_axis"}) {
    node = name;
    const OnnxTensor q = in(0), scale = in(1);
    const std::vector<int32_t> zero_points = ints(in(2));
    const Rows r = rows_of(q, scale);
    Bytes x(q.data.size() * 4);
    oct_dequantize_args args = OCT_DEQUANTIZE_ARGS_INIT;
    args.rows = r.rows;
    args.cols = r.cols;
    args.q.data = const_cast<uint8_t*>(q.data.data());
    args.q.type = q.type;
    args.x.data = x.data();
    args.granularity = r.granularity;
    args.scales = scale.as<float>();
    args.zero_points = zero_points.data();
    ASSERT_EQ(oct_dequantize(context, &args), OCT_OK) << oct_last_error();
    EXPECT_EQ(x, out(0).data) << node;
  }
}

TEST_P(OnnxNodes, DynamicQuantizeLinear) {
  for (const char* name : {"test_dynamicquantizelinear", "test_dynamicquantizelinear_max_adjusted",
                           "test_dynamicquantizelinear_min_adjusted"}) {
    node = name;
    OnnxTensor x = in(0);
    float min, max;
    oct_minmax_args range = OCT_MINMAX_ARGS_INIT;
    range.rows = 1;
    range.cols = x.size();
    range.x.data = x.data.data();
    range.mins = &min;
    range.maxs = &max;
    ASSERT_EQ(oct_minmax(context, &range), OCT_OK) << oct_last_error();
    OnnxTensor scale{{1}, OCT_F32, Bytes(4)};
    int32_t zero_point;
    ASSERT_EQ(oct_qparams_onnx(min, max, reinterpret_cast<float*>(scale.data.data()), &zero_point),
              OCT_OK);
    EXPECT_EQ(scale.data, out(1).data) << node;
    EXPECT_EQ(zero_point, out(2).first_int()) << node;
    EXPECT_EQ(quantize(context, x, scale, {zero_point}), out(0).data) << node;
  }
}

// ---- products --------------------------------------------------------------------------------

// One matrix of a stack: A [M,K], B [K,N], both u8.
Bytes multiply(oct_context* context, const oct_qgemm_desc& desc, int64_t m, const uint8_t* a) {
  const Plan plan(context, desc);
  const auto element = desc.c_type == OCT_S32 ? 4 : 1;
  Bytes c(static_cast<size_t>(m * desc.n * element));
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = m;
  args.a = a;
  args.a_stride_bytes = desc.k;
  args.c = c.data();
  args.c_stride_bytes = desc.n * element;
  EXPECT_EQ(oct_qgemm_run(plan, &args), OCT_OK) << oct_last_error();
  return c;
}

TEST_P(OnnxNodes, MatMulInteger) {
  node = "test_matmulinteger";
  const OnnxTensor a = in(0), b = in(1);
  const std::vector<int32_t> b_zero_points = ints(in(3));
  oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
  d.k = a.dims[1];
  d.n = b.dims[1];
  d.a_zero_point = in(2).first_int();
  d.b = b.as<int8_t>();
  d.b_type = b.type;
  d.b_zero_points = b_zero_points.data();
  d.b_zero_point_count = 1;
  d.c_type = OCT_S32;
  EXPECT_EQ(multiply(context, d, a.dims[0], a.as<uint8_t>()), out(0).data);
}

TEST_P(OnnxNodes, QLinearMatMul) {
  for (const char* name : {"test_qlinearmatmul_2D", "test_qlinearmatmul_3D"}) {
    node = name;
    const OnnxTensor a = in(0), b = in(3), b_scale = in(4);
    const std::vector<int32_t> b_zero_points = ints(in(5));
    const size_t rank = a.dims.size();
    const int64_t m = a.dims[rank - 2];
    oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
    d.k = a.dims[rank - 1];
    d.n = b.dims[rank - 1];
    d.a_scale = *in(1).as<float>();
    d.a_zero_point = in(2).first_int();
    d.b_type = b.type;
    d.b_scales = b_scale.as<float>();
    d.b_scale_count = 1;
    d.b_zero_points = b_zero_points.data();
    d.b_zero_point_count = 1;
    d.c_scale = *in(6).as<float>();
    d.c_zero_point = in(7).first_int();
    Bytes c;
    for (int64_t i = 0; i < a.size() / (m * d.k); ++i) {
      d.b = b.as<int8_t>() + i * d.k * d.n;
      const Bytes one = multiply(context, d, m, a.as<uint8_t>() + i * m * d.k);
      c.insert(c.end(), one.begin(), one.end());
    }
    EXPECT_EQ(c, out(0).data) << node;
  }
}

// ---- convolutions ----------------------------------------------------------------------------

// [1, C, H, W] to [1, H, W, C] and back.
Bytes channels_last(const OnnxTensor& t) {
  const int64_t channels = t.dims[1], pixels = t.dims[2] * t.dims[3];
  Bytes to(t.data.size());
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t p = 0; p < pixels; ++p)
      to[static_cast<size_t>(p * channels + c)] = t.data[static_cast<size_t>(c * pixels + p)];
  return to;
}
Bytes channels_first(const Bytes& from, int64_t channels, size_t element) {
  const auto count = static_cast<size_t>(channels), pixels = from.size() / element / count;
  Bytes to(from.size());
  for (size_t c = 0; c < count; ++c)
    for (size_t p = 0; p < pixels; ++p)
      std::memcpy(&to[(c * pixels + p) * element], &from[(p * count + c) * element], element);
  return to;
}

// `desc` has everything but the shape.
Bytes convolve(oct_context* context, oct_qconv_desc desc, const OnnxTensor& x, const OnnxTensor& w,
               int64_t pad) {
  desc.in_channels = x.dims[1];
  desc.out_channels = w.dims[0];
  for (size_t i = 0; i < 2; ++i) {
    desc.kernel[i] = w.dims[2 + i];
    desc.pad_begin[i] = desc.pad_end[i] = pad;
  }
  desc.a_type = x.type;
  desc.w = w.as<int8_t>();
  desc.w_type = w.type;
  desc.w_layout = OCT_WEIGHTS_OIHW;
  oct_qconv* plan = nullptr;
  EXPECT_EQ(oct_qconv_create(context, &desc, &plan), OCT_OK) << oct_last_error();
  oct_qconv_args args = OCT_QCONV_ARGS_INIT;
  args.batch = x.dims[0];
  int64_t size[OCT_MAX_SPATIAL];
  for (size_t i = 0; i < 2; ++i) args.in_size[i] = x.dims[2 + i];
  EXPECT_EQ(oct_qconv_output_size(plan, args.in_size, size), OCT_OK) << oct_last_error();
  const size_t element = desc.c_type == OCT_S32 ? 4 : 1;
  Bytes a = channels_last(x);
  Bytes c(static_cast<size_t>(size[0] * size[1] * desc.out_channels) * element);
  args.a.data = a.data();
  args.c.data = c.data();
  EXPECT_EQ(oct_qconv_run(plan, &args), OCT_OK) << oct_last_error();
  oct_qconv_destroy(plan);
  return channels_first(c, desc.out_channels, element);
}

TEST_P(OnnxNodes, ConvInteger) {
  for (const char* name : {"test_convinteger_without_padding", "test_convinteger_with_padding"}) {
    node = name;
    oct_qconv_desc d = OCT_QCONV_DESC_INIT;
    d.a_zero_point = in(2).first_int();
    d.c_type = OCT_S32;
    const int64_t pad = node.ends_with("with_padding");  // the model's pads are [1, 1, 1, 1]
    EXPECT_EQ(convolve(context, d, in(0), in(1), pad), out(0).data) << node;
  }
}

TEST_P(OnnxNodes, QLinearConv) {
  node = "test_qlinearconv";
  const OnnxTensor w_scale = in(4);
  const std::vector<int32_t> w_zero_points = ints(in(5));
  oct_qconv_desc d = OCT_QCONV_DESC_INIT;
  d.a_scale = *in(1).as<float>();
  d.a_zero_point = in(2).first_int();
  d.w_scales = w_scale.as<float>();
  d.w_scale_count = w_scale.size();
  d.w_zero_points = w_zero_points.data();
  d.w_zero_point_count = static_cast<int64_t>(w_zero_points.size());
  d.c_scale = *in(6).as<float>();
  d.c_zero_point = in(7).first_int();
  EXPECT_EQ(convolve(context, d, in(0), in(3), 0), out(0).data);
}

INSTANTIATE_TEST_SUITE_P(Caps, OnnxNodes, testing::ValuesIn(distinct_caps()),
                         [](const auto& info) { return "cap" + std::to_string(info.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnnxNodes);

}  // namespace
}  // namespace oct::test
