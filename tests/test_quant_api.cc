// Quantisation parameters and observers through the C API: results, and refusals that leave outputs
// alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "octavo/octavo.h"
#include "tests/quant_api_support.h"
#include "tests/quant_support.h"

namespace oct::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(ApiQParams, Formulas) {
  const oct_qscheme u8 = OCT_QSCHEME_INIT;
  float scale = 0;
  int32_t zero_point = 0, lo = 0, hi = 0;
  EXPECT_EQ(oct_qparams_observer(&u8, -1.5f, 1.5f, &scale, &zero_point), OCT_OK);
  EXPECT_EQ(zero_point, 128);
  EXPECT_EQ(oct_qparams_fbgemm(&u8, -1.5f, 1.5f, &scale, &zero_point), OCT_OK);
  EXPECT_EQ(zero_point, 127);
  EXPECT_EQ(oct_qparams_aten(&u8, -1.5f, 1.5f, &scale, &zero_point), OCT_OK);
  EXPECT_EQ(zero_point, 128);
  EXPECT_EQ(oct_qparams_onnx(-3, 2, &scale, &zero_point), OCT_OK);
  EXPECT_EQ(zero_point, 153);
  EXPECT_EQ(scale, 5.0f / 255);
  EXPECT_EQ(oct_qscheme_range(&u8, &lo, &hi), OCT_OK);
  EXPECT_EQ(hi, 255);
}

TEST(ApiQParams, Refusals) {
  oct_qscheme scheme = OCT_QSCHEME_INIT;
  float scale = -7;
  int32_t zero_point = -7;
  const auto call = [&](float min, float max) {
    return oct_qparams_observer(&scheme, min, max, &scale, &zero_point);
  };
  expect_refused(call(2, 1), OCT_INVALID_ARGUMENT, "[2, 1]");
  expect_refused(call(kNan, 1), OCT_INVALID_ARGUMENT, "nan");
  expect_refused(call(0, kInf), OCT_INVALID_ARGUMENT, "inf");
  expect_refused(call(-3e38f, 3e38f), OCT_INVALID_ARGUMENT, "beyond binary32");
  expect_refused(oct_qparams_onnx(-3e38f, 3e38f, nullptr, &zero_point), OCT_INVALID_ARGUMENT,
                 "scale is null");
  expect_refused(oct_qparams_observer(nullptr, 0, 1, &scale, &zero_point), OCT_INVALID_ARGUMENT,
                 "scheme is null");
  scheme.type = OCT_S32;
  expect_refused(call(0, 1), OCT_INVALID_ARGUMENT, "type is 3");
  scheme.type = OCT_U8;
  scheme.quant_max = 256;
  expect_refused(call(0, 1), OCT_INVALID_ARGUMENT, "[0, 256]");
  scheme.struct_size = 4;
  expect_refused(call(0, 1), OCT_VERSION_MISMATCH, "struct_size is 4");
  EXPECT_EQ(scale, -7);
  EXPECT_EQ(zero_point, -7);
}

TEST(ApiObserver, FromDataToParameters) {
  oct_observer_desc desc = OCT_OBSERVER_DESC_INIT;
  desc.scheme.type = OCT_S8;
  desc.scheme.flags = OCT_QSCHEME_SYMMETRIC | OCT_QSCHEME_NARROW;
  desc.channels = 3;
  desc.channel_axis = 1;
  const ApiObserver observer(desc);
  const std::vector<float> data = {1, -2, 3, 0.5f, 4, kNan};
  const oct_f32_view dense = view_of(data, {2, 3});
  ASSERT_EQ(oct_observer_observe(observer, &dense), OCT_OK) << oct_last_error();
  float scales[3], mins[3], maxs[3];
  int32_t zero_points[3] = {-1, -1, -1};
  ASSERT_EQ(oct_observer_qparams(observer, scales, zero_points, 3), OCT_OK);
  ASSERT_EQ(oct_observer_ranges(observer, mins, maxs, 3), OCT_OK);
  for (int c = 0; c < 3; ++c) {
    EXPECT_EQ(scales[c], std::max(std::fabs(mins[c]), std::fabs(maxs[c])) / 127) << c;
    EXPECT_EQ(zero_points[c], 0);
  }
  EXPECT_EQ(maxs[1], 4);
  uint64_t finite = 0, nans = 0;
  EXPECT_EQ(oct_observer_counts(observer, &finite, &nans, nullptr), OCT_OK);
  EXPECT_EQ(finite, 5u);
  EXPECT_EQ(nans, 1u);
  EXPECT_EQ(oct_observer_reset(observer), OCT_OK);
  EXPECT_EQ(oct_observer_ranges(observer, mins, maxs, 3), OCT_OK);
  EXPECT_EQ(mins[0], kInf);
}

TEST(ApiObserver, HistogramCanBeRead) {
  oct_observer_desc desc = desc_of(OCT_OBSERVER_HISTOGRAM);
  desc.bins = 3;
  const ApiObserver observer(desc);
  for (const std::vector<float>& batch : {std::vector<float>{2, 3, 4, 5}, {5, 6, 7, 8}}) {
    const oct_f32_view view = view_of(batch, {4});
    ASSERT_EQ(oct_observer_observe(observer, &view), OCT_OK);
  }
  float counts[3], min, max;
  ASSERT_EQ(oct_observer_histogram(observer, counts, 3, &min, &max), OCT_OK);
  EXPECT_EQ(std::vector<float>(counts, counts + 3), (std::vector<float>{2, 3, 3}));
  EXPECT_EQ(min, 2);
  EXPECT_EQ(max, 8);
  expect_refused(oct_observer_histogram(observer, counts, 4, &min, &max), OCT_INVALID_ARGUMENT,
                 "bins is 4");
  const ApiObserver without(desc_of(OCT_OBSERVER_MIN_MAX));
  expect_refused(oct_observer_histogram(without, counts, 3, &min, &max), OCT_INVALID_ARGUMENT,
                 "no histogram");
}

TEST(ApiObserver, SavesMergesAndLoads) {
  const ApiObserver a(desc_of(OCT_OBSERVER_MIN_MAX)), b(desc_of(OCT_OBSERVER_MIN_MAX));
  const std::vector<float> data = {-1, 3};
  const oct_f32_view view = view_of(data, {2});
  ASSERT_EQ(oct_observer_observe(a, &view), OCT_OK);
  size_t needed = 0;
  ASSERT_EQ(oct_observer_save(a, nullptr, 0, &needed), OCT_OK);
  std::vector<uint8_t> blob(needed, 0xaa), untouched = blob;
  expect_refused(oct_observer_save(a, blob.data(), needed - 1, nullptr), OCT_INVALID_ARGUMENT,
                 std::to_string(needed));
  EXPECT_EQ(blob, untouched);
  ASSERT_EQ(oct_observer_save(a, blob.data(), needed, nullptr), OCT_OK);

  oct_observer* loaded = nullptr;
  ASSERT_EQ(oct_observer_load(blob.data(), blob.size(), &loaded), OCT_OK) << oct_last_error();
  EXPECT_EQ(oct_observer_merge(b, loaded), OCT_OK);
  oct_observer_destroy(loaded);
  float min, max;
  EXPECT_EQ(oct_observer_ranges(b, &min, &max, 1), OCT_OK);
  EXPECT_EQ(min, -1);
  EXPECT_EQ(max, 3);

  oct_observer* none = nullptr;
  expect_refused(oct_observer_load(blob.data(), 5, &none), OCT_INVALID_ARGUMENT, "5 bytes");
  expect_refused(oct_observer_load(blob.data(), needed - 1, &none), OCT_INVALID_ARGUMENT, "short");
  blob[50] ^= 1;
  expect_refused(oct_observer_load(blob.data(), needed, &none), OCT_INVALID_ARGUMENT, "damaged");
  blob[8] = 9;
  expect_refused(oct_observer_load(blob.data(), needed, &none), OCT_VERSION_MISMATCH, "version 9");
  blob.push_back(0);
  blob[8] = 1;
  expect_refused(oct_observer_load(blob.data(), blob.size(), &none), OCT_INVALID_ARGUMENT,
                 "shorter");
  EXPECT_EQ(none, nullptr);

  oct_observer_desc other = desc_of(OCT_OBSERVER_MIN_MAX);
  other.scheme.type = OCT_S8;
  const ApiObserver c(other);
  expect_refused(oct_observer_merge(a, c), OCT_INVALID_ARGUMENT, "type is 1 and 2");
}

struct BadDesc {
  std::function<void(oct_observer_desc&)> spoil;
  const char* mention;
};

TEST(ApiObserver, RefusesBadDescriptions) {
  const BadDesc all[] = {
      {[](auto& d) { d.kind = static_cast<oct_observer_kind>(0); }, "kind is 0"},
      {[](auto& d) { std::memset(&d.kind, 1, sizeof d.kind); }, "kind is 16843009"},
      {[](auto& d) { d.scheme.type = OCT_F32; }, "type is 4"},
      {[](auto& d) { d.scheme.flags = 64; }, "flags are 64"},
      {[](auto& d) { d.scheme.flags = OCT_QSCHEME_SYMMETRIC | OCT_QSCHEME_REDUCED; }, "reduced"},
      {[](auto& d) { d.scheme.eps = 0; }, "eps is 0"},
      {[](auto& d) { d.channels = -3; }, "channels is -3"},
      {[](auto& d) { d.channel_axis = 8; }, "channel_axis is 8"},
      {[](auto& d) { d.kind = OCT_OBSERVER_MSE, d.channels = 4; }, "channels is 4"},
      {[](auto& d) { d.kind = OCT_OBSERVER_MOVING_AVERAGE, d.averaging = 2; }, "averaging is 2"},
      {[](auto& d) { d.kind = OCT_OBSERVER_HISTOGRAM, d.bins = 1; }, "bins is 1"},
      {[](auto& d) { d.kind = OCT_OBSERVER_ENTROPY, d.bins = 256; }, "256"},
      {[](auto& d) { d.kind = OCT_OBSERVER_PERCENTILE, d.percentile = 101; }, "101"},
      {[](auto& d) { d.kind = OCT_OBSERVER_FIXED; }, "scale is 0"},
      {[](auto& d) { d.kind = OCT_OBSERVER_FIXED, d.scale = 1, d.zero_point = 300; }, "300"},
  };
  for (const BadDesc& bad : all) {
    oct_observer_desc desc = OCT_OBSERVER_DESC_INIT;
    bad.spoil(desc);
    oct_observer* observer = nullptr;
    expect_refused(oct_observer_create(&desc, &observer), OCT_INVALID_ARGUMENT, bad.mention);
    EXPECT_EQ(observer, nullptr);
  }
  oct_observer_desc desc = OCT_OBSERVER_DESC_INIT;
  desc.struct_size += 8;
  oct_observer* observer = nullptr;
  expect_refused(oct_observer_create(&desc, &observer), OCT_VERSION_MISMATCH, "oct_observer_desc");
  desc = OCT_OBSERVER_DESC_INIT;
  desc.scheme.struct_size = 0;
  expect_refused(oct_observer_create(&desc, &observer), OCT_VERSION_MISMATCH, "oct_qscheme");
  expect_refused(oct_observer_create(nullptr, &observer), OCT_INVALID_ARGUMENT, "desc is null");
}

TEST(ApiObserver, RefusesBadViews) {
  oct_observer_desc desc = OCT_OBSERVER_DESC_INIT;
  desc.channels = 3;
  desc.channel_axis = 1;
  const ApiObserver observer(desc);
  const std::vector<float> data(12, 1.0f);
  const auto refused = [&](auto spoil, oct_status status, const char* mention) {
    oct_f32_view view = view_of(data, {4, 3});
    spoil(view);
    expect_refused(oct_observer_observe(observer, &view), status, mention);
  };
  refused([](auto& v) { v.struct_size = 0; }, OCT_VERSION_MISMATCH, "oct_f32_view");
  refused([](auto& v) { v.rank = 0; }, OCT_INVALID_ARGUMENT, "rank is 0");
  refused([](auto& v) { v.rank = 9; }, OCT_INVALID_ARGUMENT, "rank is 9");
  refused([](auto& v) { v.rank = 1; }, OCT_INVALID_ARGUMENT, "channel_axis 1");
  refused([](auto& v) { v.sizes[0] = -1; }, OCT_INVALID_ARGUMENT, "sizes[0] is -1");
  refused([](auto& v) { v.sizes[1] = 4; }, OCT_INVALID_ARGUMENT, "sizes[1] is 4");
  refused([](auto& v) { v.data = nullptr; }, OCT_INVALID_ARGUMENT, "data is null");
  refused([](auto& v) { v.sizes[0] = INT64_MAX; }, OCT_INVALID_ARGUMENT, "too many");
  refused([](auto& v) { v.strides[0] = INT64_MIN; }, OCT_INVALID_ARGUMENT, "strides");
  refused(
      [](auto& v) {
        v.data = reinterpret_cast<const float*>(reinterpret_cast<const char*>(v.data) + 1);
      },
      OCT_INVALID_ARGUMENT, "aligned");
  float min, max;
  expect_refused(oct_observer_ranges(observer, &min, &max, 1), OCT_INVALID_ARGUMENT, "count is 1");
  uint64_t finite = 1;
  EXPECT_EQ(oct_observer_counts(observer, &finite, nullptr, nullptr), OCT_OK);
  EXPECT_EQ(finite, 0u);
  // An empty batch is no batch, whatever its other sizes.
  oct_f32_view empty = view_of(data, {0, 7});
  empty.data = nullptr;
  EXPECT_EQ(oct_observer_observe(observer, &empty), OCT_OK) << oct_last_error();
}

TEST(ApiObserver, TooWideARangeIsRefusedAtTheEnd) {
  const std::vector<float> data = {-3e38f, 3e38f};
  const oct_f32_view view = view_of(data, {2});
  for (int kind = 1; kind <= 6; ++kind) {
    const ApiObserver observer(desc_of(static_cast<oct_observer_kind>(kind)));
    ASSERT_EQ(oct_observer_observe(observer, &view), OCT_OK);
    float scale = -7;
    int32_t zero_point = -7;
    expect_refused(oct_observer_qparams(observer, &scale, &zero_point, 1), OCT_INVALID_ARGUMENT,
                   "binary32");
    EXPECT_EQ(scale, -7);
    EXPECT_EQ(zero_point, -7);
  }
}

}  // namespace
}  // namespace oct::test
