// Convolution plans against the reference: every lowering, under every cap, with guard pages at
// both ends of all tensors; strided tensors; threads; and input that must be refused.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/table.h"
#include "tests/api_support.h"
#include "tests/conv_case.h"
#include "tests/guard_buffer.h"
#include "tests/machines.h"

namespace oct::test {
namespace {

std::string difference(const std::vector<uint8_t>& got, const std::vector<uint8_t>& expected,
                       const ConvCase& c) {
  if (got == expected) return "";
  size_t i = 0;
  while (got[i] == expected[i]) ++i;
  const size_t element = i / dtype_bytes(static_cast<DType>(c.desc.c_type));
  const auto channels = static_cast<size_t>(c.desc.out_channels);
  return "pixel " + std::to_string(element / channels) + " channel " +
         std::to_string(element % channels) + ": " + c.text();
}

// Dense tensors flush against guard pages: first to the right, then to the left.
std::vector<uint8_t> run_guarded(oct_qconv* plan, const ConvCase& c, Flush flush) {
  const GuardBuffer a("A", c.a.size()), x("X", c.x.size() + 1), out("C", c.c_bytes());
  const PostTensors post = dense_tensors(c);
  oct_qconv_args args = dense_args(c, post, out.place(flush, c.c_bytes()));
  args.a.data = std::memcpy(a.place(flush, c.a.size()), c.a.data(), c.a.size());
  if (!c.x.empty()) args.add.data = std::memcpy(x.place(flush, c.x.size()), c.x.data(), c.x.size());
  set_fault_note(c.text());
  EXPECT_EQ(oct_qconv_run(plan, &args), OCT_OK) << oct_last_error();
  const uint8_t* result = static_cast<const uint8_t*>(args.c.data);
  return {result, result + c.c_bytes()};
}

// Under the emulator, one problem in so many, and a small one.
constexpr int kEmulatedShare = 10;
constexpr int64_t kEmulatedPixels = 100;

void check_guarded(oct_context* context, const ConvCase& c, const std::vector<uint8_t>& expected,
                   const std::string& where) {
  const ConvPlan plan(context, c.desc);
  ASSERT_NE(static_cast<oct_qconv*>(plan), nullptr) << c.text();
  for (Flush flush : {Flush::kRight, Flush::kLeft})
    ASSERT_EQ(difference(run_guarded(plan, c, flush), expected, c), "") << where;
}

void check_random(const char* name, const ConvLimits& limits, int count) {
  const auto caps = distinct_caps();
  for (int i = 0; i < count; ++i) {
    Rng rng(name, static_cast<uint64_t>(i));
    const ConvCase c = draw_conv(rng, limits);
    if (c.out_pixels() == 0 || c.out_pixels() > 3000) continue;
    const std::vector<uint8_t> expected = c.expected();
    for (oct_isa cap : caps) {
      const Context context(cap);
      check_guarded(context, c, expected, "cap " + std::to_string(cap));
    }
    if (i % kEmulatedShare != 0 || c.out_pixels() > kEmulatedPixels) continue;
    for (const Machine& machine : machines()) {
      if (machine.place != Place::kEmulated) continue;
      const Context context(machine.isas, 1);
      check_guarded(context, c, expected, machine.name());
    }
  }
}

TEST(Conv, RandomProblemsMatchTheReference) {
  check_random("conv", {}, by_effort(150, 900, 10000));
}

// As many problems of a kind, by every kernel that takes them.
template <class F>
void check_every_kernel(const char* kind, const ConvLimits& limits, int count, F is_wanted) {
  const Context context(distinct_caps().back());
  for (int i = 0; i < count; ++i) {
    Rng rng(kind, static_cast<uint64_t>(i));
    ConvCase c = draw_conv(rng, limits);
    if (c.out_pixels() == 0 || c.out_pixels() > 200 || !is_wanted(c.desc)) continue;
    const std::vector<uint8_t> expected = c.expected();
    for (const KernelRow& row : kernels_of("gemm")) {
      c.desc.kernel_name = row.name;
      oct_qconv* plan = nullptr;
      if (oct_qconv_create(context, &c.desc, &plan) != OCT_OK) continue;
      EXPECT_EQ(difference(run_guarded(plan, c, Flush::kRight), expected, c), "") << row.name;
      oct_qconv_destroy(plan);
    }
  }
}

TEST(Conv, SmallGroupsMatchTheReferenceByEveryKernel) {
  check_every_kernel("small groups", {.kernel = 3, .small_groups = true}, by_effort(20, 150, 1500),
                     [](const oct_qconv_desc&) { return true; });
}

TEST(Conv, FewChannelsMatchTheReferenceByEveryKernel) {
  check_every_kernel("few channels", {}, by_effort(300, 1500, 15000), [](const oct_qconv_desc& d) {
    return d.groups == 1 && d.in_channels < 8 && d.in_channels % 4 != 0;
  });
}

// Several lots of copied rows, and rows too far apart to copy those between.
TEST(Conv, FewChannelsOfTallImagesMatchTheReference) {
  check_random("tall", {.kernel = 3, .tall = true}, by_effort(30, 100, 1000));
}

TEST(Conv, PostOperationsMatchTheReference) {
  check_random("conv post", {.post = true}, by_effort(100, 600, 5000));
  check_random("depthwise post", {.depthwise = true, .post = true}, by_effort(40, 300, 3000));
}

TEST(Conv, DepthwiseProblemsMatchTheReference) {
  check_random("depthwise", {.kernel = 7, .stride = 3, .dilation = 3, .depthwise = true},
               by_effort(60, 300, 3000));
}

TEST(Conv, StridesThreadsAndScratchGiveTheSameBits) {
  for (int i = 0; i < by_effort(30, 120, 1000); ++i) {
    Rng rng("strided conv", static_cast<uint64_t>(i));
    const ConvCase c = draw_conv(rng);
    if (c.out_pixels() == 0 || c.out_pixels() > 3000) continue;
    const Context context(OCT_ISA_NONE, static_cast<int>(rng.between(1, 3)));
    const ConvPlan plan(context, c.desc);
    const auto size = static_cast<int64_t>(dtype_bytes(static_cast<DType>(c.desc.c_type)));
    const int64_t a_pixel = c.desc.in_channels + 5, c_pixel = (c.desc.out_channels + 3) * size;
    const int64_t a_pixels = c.batch * c.in_pixels(), c_pixels = c.batch * c.out_pixels();
    std::vector<uint8_t> a(static_cast<size_t>(a_pixels * a_pixel), 0xee);
    std::vector<uint8_t> out(static_cast<size_t>(c_pixels * c_pixel), 0xdd), got(c.c_bytes());
    for (int64_t p = 0; p < a_pixels; ++p)
      std::memcpy(&a[static_cast<size_t>(p * a_pixel)],
                  &c.a[static_cast<size_t>(p * c.desc.in_channels)],
                  static_cast<size_t>(c.desc.in_channels));
    const PostTensors post = dense_tensors(c);
    oct_qconv_args args = dense_args(c, post, out.data());
    args.a.data = a.data();
    args.a.stride_bytes[c.desc.rank - 1] = a_pixel;
    args.c.stride_bytes[c.desc.rank - 1] = c_pixel;
    size_t scratch_bytes = 0;
    ASSERT_EQ(oct_qconv_scratch_bytes(plan, &scratch_bytes), OCT_OK);
    const GuardBuffer scratch("scratch", scratch_bytes);
    if (rng.one_in(2)) {
      args.scratch = scratch.place(rng.one_in(2) ? Flush::kLeft : Flush::kRight, scratch_bytes);
      args.scratch_bytes = scratch_bytes;
    }
    const auto run = [&] { return oct_qconv_run(plan, &args); };
    ASSERT_EQ(rng.one_in(2) ? run_body(context, run) : run(), OCT_OK)
        << oct_last_error() << c.text();
    const size_t row = static_cast<size_t>(c.desc.out_channels * size);
    for (size_t p = 0; p < static_cast<size_t>(c_pixels); ++p) {
      const uint8_t* pixel = out.data() + p * static_cast<size_t>(c_pixel);
      std::memcpy(got.data() + p * row, pixel, row);
      for (size_t b = row; b < static_cast<size_t>(c_pixel); ++b)
        ASSERT_EQ(pixel[b], 0xdd) << "padding of pixel " << p << " written: " << c.text();
    }
    ASSERT_EQ(difference(got, c.expected(), c), "");
  }
}

TEST(Conv, OutputSizeIsReportedOrRefused) {
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    Rng rng("output size", static_cast<uint64_t>(i));
    const ConvCase c = draw_conv(rng);
    const Context context;
    const ConvPlan plan(context, c.desc);
    int64_t out[OCT_MAX_SPATIAL] = {-7, -7, -7};
    const oct_status status = oct_qconv_output_size(plan, c.in, out);
    if (c.out_pixels() > 0) {
      ASSERT_EQ(status, OCT_OK) << oct_last_error();
      for (int j = 0; j < c.desc.rank; ++j) EXPECT_EQ(out[j], c.out[j]) << c.text();
    } else {
      ++refused;
      EXPECT_EQ(status, OCT_INVALID_ARGUMENT) << c.text();
      EXPECT_EQ(out[0], -7);
    }
  }
  EXPECT_GT(refused, 0);
}

struct BadConv {
  const char* name;
  void (*spoil)(oct_qconv_desc&);
  oct_status status;
  const char* says;
};

TEST(Conv, BadDescriptionsAreRefusedWithTheNumbers) {
  const BadConv cases[] = {
      {"rank", [](oct_qconv_desc& d) { d.rank = 4; }, OCT_INVALID_ARGUMENT, "rank is 4"},
      {"groups", [](oct_qconv_desc& d) { d.groups = 3; }, OCT_INVALID_ARGUMENT, "groups is 3"},
      {"kernel", [](oct_qconv_desc& d) { d.kernel[1] = 0; }, OCT_INVALID_ARGUMENT,
       "kernel[1] is 0"},
      {"stride", [](oct_qconv_desc& d) { d.stride[0] = 0; }, OCT_INVALID_ARGUMENT,
       "stride[0] is 0"},
      {"dilation", [](oct_qconv_desc& d) { d.dilation[0] = -1; }, OCT_INVALID_ARGUMENT, "-1"},
      {"padding", [](oct_qconv_desc& d) { d.pad_end[0] = -2; }, OCT_INVALID_ARGUMENT,
       "pad_end[0] is -2"},
      {"output padding", [](oct_qconv_desc& d) { d.output_padding[0] = 1; }, OCT_INVALID_ARGUMENT,
       "output_padding[0] is 1"},
      {"negative hint", [](oct_qconv_desc& d) { d.size_hint[1] = -1; }, OCT_INVALID_ARGUMENT,
       "size_hint[1] is -1"},
      {"huge hint", [](oct_qconv_desc& d) { d.size_hint[0] = INT64_MAX; }, OCT_INVALID_ARGUMENT,
       "size_hint[0] is 9223372036854775807"},
      {"flags", [](oct_qconv_desc& d) { d.flags = 1u << 20; }, OCT_INVALID_ARGUMENT, "0x100000"},
      {"weights", [](oct_qconv_desc& d) { d.w = nullptr; }, OCT_INVALID_ARGUMENT, "w is null"},
      {"scale count", [](oct_qconv_desc& d) { d.w_scale_count = 3; }, OCT_INVALID_ARGUMENT,
       "w_scale_count is 3"},
      {"residual", [](oct_qconv_desc& d) { d.add_type = OCT_F32; }, OCT_INVALID_ARGUMENT,
       "add_type is 4"},
      {"residual scale",
       [](oct_qconv_desc& d) {
         d.add_type = OCT_U8;
         d.add_scale = 0;
       },
       OCT_INVALID_ARGUMENT, "add_scale is 0"},
      {"sums",
       [](oct_qconv_desc& d) {
         d.kernel[0] = d.kernel[1] = 31;
         d.in_channels = 128;
       },
       OCT_INVALID_ARGUMENT, "k is 123008"},
      {"taps", [](oct_qconv_desc& d) { d.kernel[0] = d.kernel[1] = 33; }, OCT_UNSUPPORTED,
       "1089 taps"},
      {"size", [](oct_qconv_desc& d) { d.struct_size = 8; }, OCT_VERSION_MISMATCH,
       "struct_size is 8"},
  };
  const std::vector<int8_t> w(1 << 20);
  const std::vector<float> scales(8, 0.5f);
  const Context context;
  for (const BadConv& bad : cases) {
    oct_qconv_desc d = OCT_QCONV_DESC_INIT;
    d.in_channels = 4;
    d.out_channels = 8;
    d.w = w.data();
    d.w_scales = scales.data();
    d.w_scale_count = 8;
    bad.spoil(d);
    oct_qconv* plan = reinterpret_cast<oct_qconv*>(&d);
    EXPECT_EQ(oct_qconv_create(context, &d, &plan), bad.status) << bad.name;
    EXPECT_NE(std::string(oct_last_error()).find(bad.says), std::string::npos)
        << bad.name << ": " << oct_last_error();
    EXPECT_EQ(plan, reinterpret_cast<oct_qconv*>(&d)) << bad.name;
  }
}

TEST(Conv, BadArgumentsLeaveTheOutputAlone) {
  const std::vector<int8_t> w(8 * 9 * 4, 1);
  const float scale = 0.5f;
  oct_qconv_desc d = OCT_QCONV_DESC_INIT;
  d.in_channels = 4;
  d.out_channels = 8;
  d.kernel[0] = d.kernel[1] = 3;
  d.w = w.data();
  d.w_scales = &scale;
  d.w_scale_count = 1;
  const Context context;
  const ConvPlan plan(context, d);
  std::vector<uint8_t> a(5 * 5 * 4, 1), c(3 * 3 * 8, 0x5a);
  struct {
    const char* name;
    void (*spoil)(oct_qconv_args&);
    const char* says;
  } const cases[] = {
      {"null a", [](oct_qconv_args& r) { r.a.data = nullptr; }, "a.data is null"},
      {"null c", [](oct_qconv_args& r) { r.c.data = nullptr; }, "c.data is null"},
      {"batch", [](oct_qconv_args& r) { r.batch = -1; }, "batch is -1"},
      {"too small", [](oct_qconv_args& r) { r.in_size[0] = 2; }, "input 2, kernel 3"},
      {"pixel stride", [](oct_qconv_args& r) { r.a.stride_bytes[1] = 3; }, "stride 3"},
      {"row stride", [](oct_qconv_args& r) { r.c.stride_bytes[0] = 23; }, "stride 23"},
      {"overlap", [](oct_qconv_args& r) { r.c.data = r.a.data; }, "overlaps A"},
      {"overflow", [](oct_qconv_args& r) { r.batch = INT64_MAX; }, "overflows"},
      {"small scratch",
       [](oct_qconv_args& r) {
         r.scratch = r.c.data;
         r.scratch_bytes = 1000;
       },
       "scratch_bytes is 1000; the plan needs"},
      {"overlapping scratch",
       [](oct_qconv_args& r) {
         r.scratch = r.a.data;
         r.scratch_bytes = 1 << 20;
       },
       "A ["},
  };
  for (const auto& bad : cases) {
    oct_qconv_args args = OCT_QCONV_ARGS_INIT;
    args.in_size[0] = args.in_size[1] = 5;
    args.a.data = a.data();
    args.c.data = c.data();
    bad.spoil(args);
    EXPECT_EQ(oct_qconv_run(plan, &args), OCT_INVALID_ARGUMENT) << bad.name;
    EXPECT_NE(std::string(oct_last_error()).find(bad.says), std::string::npos)
        << bad.name << ": " << oct_last_error();
  }
  for (uint8_t v : c) EXPECT_EQ(v, 0x5a);
}

}  // namespace
}  // namespace oct::test
