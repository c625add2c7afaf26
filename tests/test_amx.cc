// Plans on AMX, natively or under the emulator: every number of rows, convolutions, the state that
// threads are left in, and how often tiles are configured.
#include <gtest/gtest.h>

#include <cstdio>

#include "kernels/pack.h"
#include "tests/amx_pipeline.h"
#include "tests/api_support.h"
#include "tests/conv_case.h"
#include "tests/emulate/emulate.h"
#include "tests/machines.h"

namespace oct::test {
namespace {

using emulate::Mnemonic;

class Amx : public testing::Test {
 protected:
  void SetUp() override {
    for (const Machine& m : machines())
      if (m.best == Isa::kAmx) machine = m;
    if (machine.best != Isa::kAmx) GTEST_SKIP() << why_nowhere(Isa::kAmx);
    emulate::reset_counters();
  }

  // What the emulator counts is nothing where the CPU has AMX.
  bool counts() const { return machine.place == Place::kEmulated; }

  // A problem of the types that a kernel takes; weights without zero points.
  static QgemmProblem problem(const char* kernel, int64_t m, int64_t n, int64_t k) {
    Rng rng("amx", static_cast<uint64_t>(m * n + k));
    QgemmProblem p = simple_problem(rng, m, n, k);
    if (find_kernel(kernel)->flags & kRowSignedA) {
      p.desc.a_type = OCT_S8;
      p.desc.a_zero_point = -3;
    }
    if (find_kernel(kernel)->flags & kRowUnsignedB) p.desc.b_type = OCT_U8;
    p.desc.kernel = kernel;
    return p;
  }

  static std::vector<const KernelRow*> rows() {
    std::vector<const KernelRow*> all;
    for (const KernelRow& row : kernels_of("gemm"))
      if (row.isa == Isa::kAmx) all.push_back(&row);
    return all;
  }

  Machine machine{Isa::kNone, Place::kNowhere, {}};
};

TEST_F(Amx, OnePlanRunsEveryNumberOfRows) {
  const Context context(machine.isas, 1);
  for (const KernelRow* row : rows())
    for (int64_t k : {5, 64, 100}) {
      QgemmProblem p = problem(row->name, 70, 83, k);
      const Plan plan(context, p.desc);
      const std::vector<uint8_t> all = p.expected();
      for (int64_t m = 1; m <= 70; m += m % 16 < 2 ? 1 : 5) {
        const std::vector<uint8_t> c = p.run(plan, m);
        ASSERT_TRUE(std::equal(c.begin(), c.end(), all.begin()))
            << row->name << ", m " << m << ", k " << k;
      }
    }
}

// Tiles are configured once for each height of them, not for each panel or call.
TEST_F(Amx, TilesAreConfiguredOncePerKernelChange) {
  if (!counts()) GTEST_SKIP() << "the CPU has AMX: nothing is counted";
  const Context context(machine.isas, 1);
  struct {
    int64_t m, n;
    uint64_t configurations;
  } const cases[] = {{64, 96, 1}, {32, 32, 1}, {70, 96, 2}, {64, 100, 2}, {7, 96, 1}};
  for (const auto& c : cases) {
    const QgemmProblem p = problem("gemm_u8s8s32_32x32x64_amx", c.m, c.n, 192);
    const Plan plan(context, p.desc);
    emulate::reset_counters();
    EXPECT_EQ(first_difference(p.run(plan, p.m), p.expected(), p), "");
    EXPECT_EQ(emulate::counters()[Mnemonic::kLdtilecfg], c.configurations) << c.m << "x" << c.n;
    EXPECT_EQ(emulate::counters()[Mnemonic::kTilerelease], 1u);
  }
}

// Kernels without tiles leave the tile unit alone; those with tiles leave no thread with them.
TEST_F(Amx, ThreadsAreLeftWithoutTiles) {
  for (int threads : {1, 3}) {
    const Context context(machine.isas, threads);
    QgemmProblem p = problem("gemm_u8s8s32_32x32x64_amx", 256, 64, 320);
    p.desc.kernel = nullptr;
    p.desc.m_hint = p.m;
    const Plan plan(context, p.desc);
    EXPECT_EQ(first_difference(p.run(plan, p.m), p.expected(), p), "");
    EXPECT_EQ(emulate::threads_with_tiles(), 0);
    if (counts()) {
      EXPECT_GT(emulate::counters().tile_products(), 0u) << "AMX was not chosen";
    }
  }
  emulate::reset_counters();
  const Context context(machine.isas, 1);
  const QgemmProblem p = problem("gemm_u8s8s32_6x64x4_avx512vnni", 64, 64, 64);
  EXPECT_EQ(first_difference(p.run(context), p.expected(), p), "");
  EXPECT_EQ(emulate::counters().total(), 0u);
}

// By the library's own choice of kernel.
TEST_F(Amx, ProductsOfEveryTypeHaveTheirInstruction) {
  if (!counts()) GTEST_SKIP() << "the CPU has AMX: nothing is counted";
  const Context context(machine.isas, 1);
  const int32_t middle = 128;
  struct {
    oct_dtype a_type, b_type;
    const int32_t* zero_point;
    Mnemonic product;
  } const cases[] = {
      {OCT_U8, OCT_S8, nullptr, Mnemonic::kTdpbusd}, {OCT_S8, OCT_S8, nullptr, Mnemonic::kTdpbssd},
      {OCT_U8, OCT_U8, nullptr, Mnemonic::kTdpbuud}, {OCT_S8, OCT_U8, nullptr, Mnemonic::kTdpbsud},
      {OCT_U8, OCT_U8, &middle, Mnemonic::kTdpbusd}, {OCT_S8, OCT_U8, &middle, Mnemonic::kTdpbssd}};
  for (const auto& c : cases) {
    QgemmProblem p = problem("gemm_u8s8s32_32x32x64_amx", 128, 64, 320);
    p.desc.kernel = nullptr;
    p.desc.m_hint = p.m;
    p.desc.a_type = c.a_type;
    p.desc.a_zero_point = 5;
    p.desc.b_type = c.b_type;
    p.desc.b_zero_points = c.zero_point;
    p.desc.b_zero_point_count = 1;
    emulate::reset_counters();
    EXPECT_EQ(first_difference(p.run(context), p.expected(), p), "");
    const emulate::Counters seen = emulate::counters();
    EXPECT_GT(seen[c.product], 0u) << p.text();
    EXPECT_EQ(seen[c.product], seen.tile_products()) << p.text();
  }
}

// How busy the products keep their unit, by a model: one product in 16 cycles with a latency of 52;
// tile loads of 8 cycles and stores of 16, which share the load and store ports but run beside
// products. What does not overlap is the start of a call (a tile of A and of B, the latency of the
// first product) and the epilogue of its last tile, on two vector ports.
TEST_F(Amx, ScheduleReachesNineTenthsOfTheIssueLimit) {
  if (!counts()) GTEST_SKIP() << "the CPU has AMX: nothing is counted";
  constexpr int64_t kK = 1024, kPanel = 32;
  const int64_t m = by_effort(128, 256, 1024), n = by_effort(64, 128, 1024);
  const Context context(machine.isas, 1);
  const QgemmProblem p = problem("gemm_u8s8s32_32x32x64_amx", m, n, kK);
  const Plan plan(context, p.desc);
  emulate::reset_counters();
  EXPECT_EQ(first_difference(p.run(plan, p.m), p.expected(), p), "");

  const emulate::Counters seen = emulate::counters();
  const auto products = static_cast<double>(seen.tile_products());
  const auto loads = static_cast<double>(seen.tile_loads());
  const auto stores = static_cast<double>(seen.tile_stores());
  EXPECT_EQ(seen.tile_products(), static_cast<uint64_t>(m * n * kK / (16 * 16 * 64)));

  const int64_t block_rows =
      std::max<int64_t>(32, static_cast<int64_t>(cpu_facts().l2_bytes) / 2 / kK / 32 * 32);
  const auto calls = static_cast<double>(n / kPanel * ((m + block_rows - 1) / block_rows));
  constexpr double kEpilogueRow = 22.0 / 2;
  const double start = 2 * 8 + 52, end = kPanel * kEpilogueRow;
  const double busy = std::max(16 * products, 8 * loads + 16 * stores);
  const double fraction = 16 * products / (busy + calls * (start + end));
  std::printf(
      "AMX, %lldx%lldx%lld, u8 C: %.0f products, %.0f loads, %.0f stores in %.0f calls;\n"
      "products to loads and stores %.3f; of the issue limit %.1f %% by the model\n",
      static_cast<long long>(m), static_cast<long long>(n), static_cast<long long>(kK), products,
      loads, stores, calls, products / (loads + stores), 100 * fraction);
  EXPECT_GE(fraction, 0.9);
}

// The same of the kernel alone, by a model of a whole core that the instructions really executed
// pass through.
TEST_F(Amx, CoreModelKeepsTheProductUnitBusy) {
  const KernelRow& row = *find_kernel("gemm_u8s8s32_32x32x64_amx");
  constexpr int kTiles = 16;
  for (const int64_t k : {64, 128, 256, 512, 1024, 4096}) {
    if (k != 1024 && effort() != Effort::kThorough) continue;
    GemmSpec spec;
    spec.n = row.nr;
    spec.epilogue.c_type = DType::kU8;
    spec.epilogue.saturating = spec.epilogue.zero_point = true;
    set_k(row, k, 1, &spec);
    CodeCache cache;
    const GemmCode code = gemm_code(cache, row, spec);

    const auto rows = static_cast<size_t>(row.mr * kTiles), n = static_cast<size_t>(row.nr);
    std::vector<uint8_t> a(rows * static_cast<size_t>(k)), c(rows * n);
    std::vector<uint8_t> b(packed_b_bytes(row, k, row.nr)), scratch(kGemmScratchBytes + 64);
    const std::vector<int32_t> init(n);
    const std::vector<float> mult(n, 0.5f);
    const EpilogueParams params = spread({});
    GemmArgs args = {};
    args.a = a.data();
    args.a_stride_bytes = k;
    args.b = b.data();
    args.c = c.data();
    args.c_stride_bytes = row.nr;
    args.init = init.data();
    args.mult = mult.data();
    args.epilogue = &params;
    args.k_groups = k_steps(row, k).whole;
    args.tiles = kTiles;
    args.m = row.mr;
    args.scratch = scratch.data();

    load_tile_config(amx_tile_config(spec, row.mr));
    const Pipeline p = predict(code, code.entry[static_cast<size_t>(row.mr)], args);
    release_tiles();
    std::printf("AMX, %d tiles, K %4lld: %.0f cycles for %d instructions, products %.1f %% busy\n",
                kTiles, static_cast<long long>(k), p.cycles, p.instructions, 100 * p.busy());
    EXPECT_EQ(p.products, kTiles * 4 * k_steps(row, k).count());
    if (k >= 512) {
      EXPECT_GE(p.busy(), 0.9) << "K = " << k;
    }
  }
}

// ---- convolutions ----

struct ConvSize {
  const char* what;
  int64_t in_channels, out_channels, kernel, stride, pad, size;
};

ConvCase conv_case(const ConvSize& s, oct_dtype a_type) {
  Rng rng(s.what);
  ConvCase c;
  c.batch = 1;
  oct_qconv_desc& d = c.desc;
  d.rank = 2;
  d.in_channels = s.in_channels;
  d.out_channels = s.out_channels;
  d.groups = 1;
  for (int i = 0; i < 2; ++i) {
    d.kernel[i] = s.kernel;
    d.stride[i] = s.stride;
    d.dilation[i] = 1;
    d.pad_begin[i] = d.pad_end[i] = s.pad;
    c.in[i] = s.size;
    c.out[i] = (s.size + 2 * s.pad - s.kernel) / s.stride + 1;
  }
  d.a_type = a_type;
  d.a_zero_point = a_type == OCT_U8 ? 131 : 7;
  d.a_scale = 0.01f;
  d.c_type = OCT_U8;
  d.c_scale = 0.3f;
  d.c_zero_point = 128;
  c.w.resize(static_cast<size_t>(s.out_channels * s.kernel * s.kernel * s.in_channels));
  rng.fill_bytes(c.w.data(), c.w.size());
  c.w_ohwi = c.w;
  c.a.resize(static_cast<size_t>(s.size * s.size * s.in_channels));
  rng.fill_bytes(c.a.data(), c.a.size());
  c.scales.assign(static_cast<size_t>(s.out_channels), 0.02f);
  d.w = c.w.data();
  d.w_layout = OCT_WEIGHTS_OHWI;
  d.w_scales = c.scales.data();
  d.w_scale_count = s.out_channels;
  return c;
}

TEST_F(Amx, ConvolutionsOfEveryLoweringMatchTheReference) {
  const ConvSize sizes[] = {
      {"1x1, as GEMM", 96, 40, 1, 1, 0, 7},
      {"1x1, stride 2", 64, 24, 1, 2, 0, 9},
      {"3x3, taps", 32, 36, 3, 1, 1, 8},
      {"3x3, two tiles wide", 20, 17, 3, 1, 1, 37},
      {"3x3, taps with a tail", 70, 16, 3, 2, 1, 9},
      {"first layer, folded", 3, 24, 7, 2, 3, 17},
      {"5x5, padding all around", 16, 33, 5, 1, 4, 5},
  };
  const Context context(machine.isas, 1);
  for (const ConvSize& size : sizes)
    for (const KernelRow* row : rows()) {
      ConvCase c = conv_case(size, row->flags & kRowSignedA ? OCT_S8 : OCT_U8);
      if (row->flags & kRowUnsignedB) c.desc.w_type = OCT_U8;
      c.desc.kernel_name = row->name;
      oct_qconv* plan = nullptr;
      ASSERT_EQ(oct_qconv_create(context, &c.desc, &plan), OCT_OK) << oct_last_error();
      EXPECT_EQ(c.run(plan, 1), c.expected()) << size.what << " by " << row->name;
      oct_qconv_destroy(plan);
      EXPECT_EQ(emulate::threads_with_tiles(), 0);
    }
}

// Once for each kernel and height of its tiles, not for each row of the image or panel.
TEST_F(Amx, ConvolutionsConfigureTilesOncePerKernelChange) {
  if (!counts()) GTEST_SKIP() << "the CPU has AMX: nothing is counted";
  const Context context(machine.isas, 1);
  struct {
    ConvSize size;
    uint64_t configurations;
  } const cases[] = {
      {{"one panel, one height", 16, 32, 3, 1, 1, 28}, 1},
      {{"rows of 32 + 5", 16, 32, 3, 1, 1, 37}, 2},
      {{"a narrower panel", 16, 36, 3, 1, 1, 20}, 2},
      {{"both", 16, 36, 3, 1, 1, 37}, 4},
      {{"both, folded", 3, 36, 3, 1, 1, 37}, 4},
      {{"a narrower panel, 1x1", 16, 36, 1, 1, 0, 9}, 2},
  };
  for (const auto& c : cases) {
    ConvCase conv = conv_case(c.size, OCT_U8);
    conv.desc.kernel_name = "gemm_u8s8s32_32x32x64_amx";
    oct_qconv* plan = nullptr;
    ASSERT_EQ(oct_qconv_create(context, &conv.desc, &plan), OCT_OK) << oct_last_error();
    emulate::reset_counters();
    EXPECT_EQ(conv.run(plan, 1), conv.expected()) << c.size.what;
    EXPECT_EQ(emulate::counters()[Mnemonic::kLdtilecfg], c.configurations) << c.size.what;
    EXPECT_EQ(emulate::counters()[Mnemonic::kTilerelease], 1u) << c.size.what;
    oct_qconv_destroy(plan);
  }
}

}  // namespace
}  // namespace oct::test
