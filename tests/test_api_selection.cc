// Which kernel is chosen, asserted by name under a cap: a change of heuristic shows up here as a
// reviewable diff. And what oct_qgemm_explain says about it.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "kernels/table.h"
#include "tests/api_support.h"

namespace oct::test {
namespace {

using nlohmann::json;

json explain(const oct_qgemm* plan, int64_t m) {
  size_t needed = 0;
  EXPECT_EQ(oct_qgemm_explain(plan, m, nullptr, 0, &needed), OCT_OK) << oct_last_error();
  std::string text(needed, '\0');
  EXPECT_EQ(oct_qgemm_explain(plan, m, text.data(), needed, nullptr), OCT_OK);
  return json::parse(text.c_str());
}

class ApiSelection : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }
  static bool usable(oct_isa isa) {
    const auto caps = distinct_caps();
    return std::find(caps.begin(), caps.end(), isa) != caps.end();
  }

  // The kernel of the first panel of a problem of this size under a cap.
  static std::string chosen(oct_isa cap, int64_t m, int64_t n, int64_t k, int a_min, int a_max,
                            int largest_weight = 127) {
    const Context context(cap);
    Rng rng("selection");
    QgemmProblem p = simple_problem(rng, 1, n, k);
    for (int8_t& w : p.b) w = static_cast<int8_t>(w * largest_weight / 128);
    p.desc.a_min = a_min;
    p.desc.a_max = a_max;
    p.desc.m_hint = m;
    const Plan plan(context, p.desc);
    return explain(plan, m)["blocking"]["panels"][0]["kernel"];
  }
};

// The kernel of a 3x3 depthwise convolution.
std::string chosen_depthwise(oct_isa cap, int64_t channels, int64_t stride) {
  const Context context(cap);
  const std::vector<int8_t> weights(static_cast<size_t>(9 * channels), 127);
  const float scale = 0.01f;
  oct_qconv_desc desc = OCT_QCONV_DESC_INIT;
  desc.in_channels = desc.out_channels = desc.groups = channels;
  desc.w = weights.data();
  desc.w_scales = &scale;
  desc.w_scale_count = 1;
  oct_qconv_args args = OCT_QCONV_ARGS_INIT;
  for (int i = 0; i < 2; ++i) {
    desc.kernel[i] = 3;
    desc.stride[i] = stride;
    desc.pad_begin[i] = desc.pad_end[i] = 1;
    args.in_size[i] = 56;
  }
  oct_qconv* plan = nullptr;
  EXPECT_EQ(oct_qconv_create(context, &desc, &plan), OCT_OK) << oct_last_error();
  std::string text(1 << 16, '\0');
  EXPECT_EQ(oct_qconv_explain(plan, args.in_size, text.data(), text.size(), nullptr), OCT_OK);
  oct_qconv_destroy(plan);
  return json::parse(text.c_str())["kernel"];
}

// How a 3x3 convolution with padding is lowered, for an image of size x size.
std::string lowering(oct_isa cap, int64_t channels, int64_t size) {
  const Context context(cap);
  const std::vector<int8_t> weights(static_cast<size_t>(32 * channels * 9), 1);
  const float scale = 1.0f;
  oct_qconv_desc desc = OCT_QCONV_DESC_INIT;
  desc.in_channels = channels;
  desc.out_channels = 32;
  desc.w = weights.data();
  desc.w_scales = &scale;
  desc.w_scale_count = 1;
  const int64_t in_size[OCT_MAX_SPATIAL] = {size, size, 0};
  for (int i = 0; i < 2; ++i) {
    desc.kernel[i] = 3;
    desc.pad_begin[i] = desc.pad_end[i] = 1;
    desc.size_hint[i] = size;
  }
  oct_qconv* plan = nullptr;
  EXPECT_EQ(oct_qconv_create(context, &desc, &plan), OCT_OK) << oct_last_error();
  std::string text(1 << 16, '\0');
  EXPECT_EQ(oct_qconv_explain(plan, in_size, text.data(), text.size(), nullptr), OCT_OK);
  oct_qconv_destroy(plan);
  return json::parse(text.c_str())["lowering"];
}

// Few channels are folded, whether or not they fill K groups; unless most of what the filter sees
// at the image's sides is padding, which would then be computed.
TEST_F(ApiSelection, FewChannelsAreFolded) {
  for (int64_t channels : {3, 4, 16})
    EXPECT_EQ(lowering(OCT_ISA_AVX2, channels, 128).substr(0, 6), "folded") << channels;
  EXPECT_EQ(lowering(OCT_ISA_AVX2, 32, 128), "taps");
  if (!usable(OCT_ISA_AVX512VNNI)) return;
  for (int64_t channels : {3, 4, 16, 32})
    EXPECT_EQ(lowering(OCT_ISA_AVX512VNNI, channels, 128), "folded_rows") << channels;
  EXPECT_EQ(lowering(OCT_ISA_AVX512VNNI, 32, 14), "taps");
  EXPECT_EQ(lowering(OCT_ISA_AVX512VNNI, 64, 128), "taps");
}

// However few the channels: narrow blocks share vectors. Eight fill half of a narrow block's: with
// stride 2, where columns cost more, ymm vectors are better but where data paths are whole
// (tests/test_cost.cc).
TEST_F(ApiSelection, DepthwiseKernelsAreOfTheBestIsa) {
  const bool whole = cpu_facts().vendor == "amd" && cpu_facts().zmm_per_cycle == 2;
  for (int64_t channels : {8, 16, 24, 32, 72, 96, 144, 960})
    for (int64_t stride : {1, 2}) {
      EXPECT_EQ(chosen_depthwise(OCT_ISA_AVX2, channels, stride), "depthwise_u8s8s32_2x32x4_avx2")
          << channels;
      if (!usable(OCT_ISA_AVX512VNNI)) continue;
      EXPECT_EQ(chosen_depthwise(OCT_ISA_AVX512VNNI, channels, stride),
                channels == 8 && stride == 2 && !whole ? "depthwise_u8s8s32_2x32x4_avx2"
                                                       : "depthwise_u8s8s32_2x64x4_avx512vnni")
          << channels;
    }
}

TEST_F(ApiSelection, OnAvx2TheRangeOfADecidesTheForm) {
  for (int64_t m : {1, 8, 1024}) {
    EXPECT_EQ(chosen(OCT_ISA_AVX2, m, 1024, 1024, 0, 0).substr(0, 8), "gemm_u8s") << m;
    EXPECT_EQ(chosen(OCT_ISA_AVX2, m, 1024, 1024, 0, 127).substr(0, 8), "gemm_u7s") << m;
    EXPECT_EQ(chosen(OCT_ISA_AVX2, m, 1024, 1024, 100, 227).substr(0, 8), "gemm_u7s") << m;
    EXPECT_EQ(chosen(OCT_ISA_AVX2, m, 1024, 1024, 0, 128).substr(0, 8), "gemm_u8s") << m;
  }
  // Weights of at most seven bits are proven safe when they are packed.
  EXPECT_EQ(chosen(OCT_ISA_AVX2, 1, 1024, 1024, 0, 0, 64), "gemm_u7s8s32_4x24x4_avx2");
}

TEST_F(ApiSelection, Avx2KernelsByName) {
  EXPECT_EQ(chosen(OCT_ISA_AVX2, 1024, 1024, 1024, 0, 0), "gemm_u8s8s32_3x24x4_avx2");
  // Fewer multiplications for more instructions: which is better depends on the core.
  const std::set<std::string> either{"gemm_u7s8s32_10x8x4_avx2", "gemm_u7s8s32_6x16x4_avx2"};
  EXPECT_TRUE(either.contains(chosen(OCT_ISA_AVX2, 1024, 1024, 1024, 0, 127)));
  EXPECT_EQ(chosen(OCT_ISA_AVX2, 1024, 1024, 64, 0, 127), "gemm_u7s8s32_4x24x4_avx2");
  EXPECT_EQ(chosen(OCT_ISA_AVX2, 1024, 1024, 1024, 1, 128),
            chosen(OCT_ISA_AVX2, 1024, 1024, 1024, 0, 127));
  EXPECT_EQ(chosen(OCT_ISA_AVX2, 1024, 1024, 1024, 2, 129), "gemm_u7s8s32_6x16x4_avx2")
      << "shifted";
  // All pairs are safe, and most K groups can share sums.
  const std::set<std::string> harmless{"gemm_u8s8s32_10x8x4_avx2", "gemm_u7s8s32_6x16x4_avx2"};
  EXPECT_TRUE(harmless.contains(chosen(OCT_ISA_AVX2, 1024, 1024, 1024, 0, 0, 64)));
}

TEST_F(ApiSelection, Avx512KernelsByName) {
  if (!usable(OCT_ISA_AVX512VNNI)) GTEST_SKIP() << "needs avx512vnni";
  const auto kernel = [](int64_t m, int64_t n) {
    return chosen(OCT_ISA_AVX512VNNI, m, n, 1024, 0, 0);
  };
  EXPECT_EQ(kernel(1024, 1024), "gemm_u8s8s32_6x64x4_avx512vnni");
  EXPECT_EQ(kernel(8, 48), "gemm_u8s8s32_8x48x4_avx512vnni");
  EXPECT_EQ(kernel(12, 32), "gemm_u8s8s32_12x32x4_avx512vnni");
  EXPECT_EQ(kernel(1024, 16), "gemm_u8s8s32_16x16x4_avx512vnni");
}

TEST_F(ApiSelection, EveryKernelOfAPlanIsOfTheIsaItNames) {
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int repeat = 0; repeat < 50; ++repeat) {
      Rng rng("selection isa", static_cast<uint64_t>(repeat));
      const QgemmProblem p = draw_problem(rng);
      const Plan plan(context, p.desc);
      const json e = explain(plan, p.m);
      const KernelRow* row = find_kernel(e["kernel"].get<std::string>().c_str());
      ASSERT_NE(row, nullptr) << e["kernel"];
      EXPECT_EQ(e["isa"], isa_name(row->isa));
      EXPECT_LE(static_cast<int>(row->isa), static_cast<int>(cap));
      int64_t columns = 0;
      bool used = false;
      for (const json& panel : e["blocking"]["panels"]) {
        const KernelRow* part = find_kernel(panel["kernel"].get<std::string>().c_str());
        ASSERT_NE(part, nullptr) << panel;
        EXPECT_EQ(part->isa, row->isa) << panel;
        EXPECT_LE(panel["columns"].get<int>(), part->nr) << panel;
        used |= part == row;
        columns += panel["columns"].get<int64_t>() * panel["count"].get<int64_t>();
      }
      EXPECT_EQ(columns, p.desc.n) << e["blocking"];
      EXPECT_TRUE(used) << e["kernel"] << " runs none of " << e["blocking"];
    }
  }
}

TEST_F(ApiSelection, ExplainHasTheDocumentedFields) {
  const Context context(OCT_ISA_NONE, 2);
  Rng rng("explain");
  const QgemmProblem p = simple_problem(rng, 1, 100, 200);
  const Plan plan(context, p.desc);
  for (int64_t m : {int64_t{0}, int64_t{1}, int64_t{1000}, int64_t{1} << 40}) {
    const json e = explain(plan, m);
    EXPECT_EQ(e["op"], "gemm");
    EXPECT_EQ(e["problem"]["m"], m);
    EXPECT_EQ(e["problem"]["n"], 100);
    EXPECT_EQ(e["problem"]["k"], 200);
    EXPECT_TRUE(e["blocking"].is_object());
    EXPECT_EQ(e["threads"], 2);
    EXPECT_TRUE(e["predicted_cycles"].is_number());
    ASSERT_EQ(e["candidates"].size(), kernels_of("gemm").size());
    int chosen = 0;
    for (const json& c : e["candidates"]) {
      ASSERT_NE(find_kernel(c["kernel"].get<std::string>().c_str()), nullptr) << c;
      // A candidate has a prediction or a reason.
      EXPECT_NE(c["predicted_cycles"].is_null(), c["rejected"].is_null()) << c;
      EXPECT_NE(c["rejected"], "") << c;
      if (!c["chosen"].get<bool>()) continue;
      ++chosen;
      EXPECT_EQ(c["kernel"], e["kernel"]);
      EXPECT_TRUE(c["rejected"].is_null()) << c;
    }
    EXPECT_EQ(chosen, 1);
  }
}

// Zero points of weights cost sums of A's rows, unless they vanish when the weights are packed.
TEST_F(ApiSelection, ExplainSaysWhetherRowsAreSummed) {
  const Context context(OCT_ISA_AVX2);
  struct {
    oct_dtype b_type;
    int32_t zero_point;
    bool row_sums;
  } const cases[] = {
      {OCT_S8, 0, false}, {OCT_S8, 3, true}, {OCT_U8, 128, false}, {OCT_U8, 0, true}};
  for (const auto& c : cases) {
    Rng rng("row sums");
    QgemmProblem p = simple_problem(rng, 1, 100, 200);
    p.desc.b_type = c.b_type;
    p.desc.b_zero_points = &c.zero_point;
    p.desc.b_zero_point_count = 1;
    const Plan plan(context, p.desc);
    const json e = explain(plan, 1);
    EXPECT_EQ(e["problem"]["b_type"], c.b_type == OCT_U8 ? "u8" : "s8");
    EXPECT_EQ(e["blocking"]["row_sums"], c.row_sums) << c.zero_point;
  }
}

TEST_F(ApiSelection, RejectionsSayWhy) {
  const Context context(OCT_ISA_AVX2);
  Rng rng("rejections");
  const QgemmProblem p = simple_problem(rng, 1, 100, 200);
  const Plan plan(context, p.desc);
  const json why = explain(plan, 1);
  for (const json& c : why["candidates"]) {
    const KernelRow* row = find_kernel(c["kernel"].get<std::string>().c_str());
    const std::string reason = c["rejected"].is_null() ? "" : c["rejected"].get<std::string>();
    const auto says = [&](const char* text) { return reason.find(text) != std::string::npos; };
    if (row->isa != Isa::kAvx2) {
      EXPECT_TRUE(says("above the cap avx2") || says("CPU lacks")) << c;
    } else if (row->flags & kRowNeedsSafePairs) {
      EXPECT_TRUE(says("256 values")) << c;
    } else {
      EXPECT_EQ(reason, "") << c;
    }
  }
}

TEST_F(ApiSelection, AForcedKernelIsTheOneUsed) {
  const Context context(OCT_ISA_AVX2);
  Rng rng("forced");
  QgemmProblem p = simple_problem(rng, 1, 100, 200);
  for (const char* name : {"gemm_u8s8s32_3x24x4_avx2", "gemm_u8s8s32_6x8x4_avx2"}) {
    p.desc.kernel = name;
    const Plan plan(context, p.desc);
    EXPECT_EQ(explain(plan, 1)["kernel"], name);
  }
}

TEST_F(ApiSelection, AForcedKernelThatCannotServeIsUnsupported) {
  const Context context(OCT_ISA_AVX2);
  Rng rng("forced");
  QgemmProblem p = simple_problem(rng, 1, 100, 200);
  auto* const untouched = reinterpret_cast<oct_qgemm*>(0x1234);
  struct {
    const char* kernel;
    const char* mention;
  } const cases[] = {{"gemm_u7s8s32_6x16x4_avx2", "256 values"},
                     {"gemm_u8s8s32_6x64x4_avx512vnni", ""}};
  for (const auto& c : cases) {
    p.desc.kernel = c.kernel;
    oct_qgemm* plan = untouched;
    EXPECT_EQ(oct_qgemm_create(context, &p.desc, &plan), OCT_UNSUPPORTED);
    EXPECT_EQ(plan, untouched);
    const std::string error = oct_last_error();
    EXPECT_NE(error.find(c.kernel), std::string::npos) << error;
    EXPECT_NE(error.find(c.mention), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace oct::test
