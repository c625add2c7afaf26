// Plans on AMX, natively or under the emulator: every number of rows, convolutions, the state that
// threads are left in, how often tiles are configured, and where AMX is chosen.
#include <gtest/gtest.h>

#include <cstdio>

#include "dispatch/select.h"
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

// ---- selection ----

// As on Sapphire Rapids, whatever this machine is.
CpuFacts sapphire_rapids() {
  CpuFacts facts;
  facts.vendor = "intel";
  facts.l1d_bytes = 48 << 10;
  facts.l2_bytes = 2 << 20;
  facts.l3_bytes = 32 << 20;
  return facts;
}

Layer layer_of(DType a_type) {
  Layer layer;
  layer.a_type = a_type;
  layer.a_min = dtype_min(a_type);
  layer.a_max = dtype_max(a_type);
  return layer;
}

Candidate choose(const Layer& layer, const std::vector<Isa>& usable, int64_t m, int64_t n,
                 int64_t k) {
  UsableIsas isas;
  isas.reason.fill("not on this machine");
  for (Isa isa : usable) {
    isas.usable[static_cast<size_t>(isa)] = true;
    isas.reason[static_cast<size_t>(isa)].clear();
  }
  Selection selection;
  const Work work{layer, m, n, k, max_packed_rows(k), [] { return false; }, [] { return 1.0; }};
  EXPECT_EQ(select_kernels(work, sapphire_rapids(), isas, &selection), OCT_OK);
  return selection.best();
}

const std::vector<Isa> kAmxAndBelow{Isa::kAvx2, Isa::kAvx512bw, Isa::kAvx512Vnni, Isa::kAmx};

std::string chosen(DType a_type, int64_t m, int64_t n, int64_t k) {
  return choose(layer_of(a_type), kAmxAndBelow, m, n, k).row->name;
}

TEST(AmxSelection, LargeProblemsByName) {
  EXPECT_EQ(chosen(DType::kU8, 1024, 1024, 1024), "gemm_u8s8s32_32x32x64_amx");
  EXPECT_EQ(chosen(DType::kS8, 1024, 1024, 1024), "gemm_s8s8s32_32x32x64_amx");
  EXPECT_EQ(chosen(DType::kU8, 16, 1024, 1024), "gemm_u8s8s32_16x64x64_amx");
  EXPECT_EQ(chosen(DType::kU8, 1024, 16, 1024), "gemm_u8s8s32_64x16x64_amx");
}

// u8 weights are multiplied as they are where that saves the sums of A's rows, and where it does
// not cost any: it does for the zero point 128, with which s8 weights have none.
TEST(UnsignedWeights, AreMultipliedAsTheyAreUnlessTheirZeroPointIs128) {
  const std::vector<Isa> int8{Isa::kAvx2, Isa::kAvxVnni, Isa::kAvxVnniInt8};
  const std::vector<int32_t> none, zeros(1024), middle(1024, 128);
  std::vector<int32_t> mixed(1024, 128);
  mixed[1000] = 7;
  struct {
    DType a_type;
    const std::vector<int32_t>& zero_points;
    const char *on_amx, *on_int8;
    bool row_sums;
  } const cases[] = {
      {DType::kU8, none, "gemm_u8u8s32_32x32x64_amx", "gemm_u8u8s32_6x16x4_avxvnniint8", false},
      {DType::kU8, zeros, "gemm_u8u8s32_32x32x64_amx", "gemm_u8u8s32_6x16x4_avxvnniint8", false},
      {DType::kU8, middle, "gemm_u8s8s32_32x32x64_amx", "gemm_u8s8s32_6x16x4_avxvnni", false},
      {DType::kU8, mixed, "gemm_u8u8s32_32x32x64_amx", "gemm_u8u8s32_6x16x4_avxvnniint8", true},
      {DType::kS8, none, "gemm_s8u8s32_32x32x64_amx", "gemm_s8u8s32_6x16x4_avxvnniint8", false},
      {DType::kS8, middle, "gemm_s8s8s32_32x32x64_amx", "gemm_s8s8s32_6x16x4_avxvnniint8", false},
      {DType::kS8, mixed, "gemm_s8u8s32_32x32x64_amx", "gemm_s8u8s32_6x16x4_avxvnniint8", true},
  };
  for (const auto& c : cases) {
    Layer layer = layer_of(c.a_type);
    layer.w_unsigned = true;
    layer.w_zero_points = c.zero_points;
    const Candidate amx = choose(layer, kAmxAndBelow, 1024, 1024, 1024);
    EXPECT_STREQ(amx.row->name, c.on_amx);
    EXPECT_EQ(amx.layout.row_sums, c.row_sums) << c.on_amx;
    const Candidate avx = choose(layer, int8, 1024, 1024, 1024);
    EXPECT_STREQ(avx.row->name, c.on_int8);
    EXPECT_EQ(avx.layout.row_sums, c.row_sums) << c.on_int8;
  }
}

// Small ones cost less on vectors: a product takes as long for one row as for sixteen, and tiles
// have to be switched on and off.
TEST(AmxSelection, SmallProblemsGoToVectors) {
  const auto isa = [](int64_t m, int64_t n, int64_t k) {
    const std::string name = chosen(DType::kU8, m, n, k);
    return name.substr(name.rfind('_') + 1);
  };
  EXPECT_EQ(isa(1, 1024, 1024).substr(0, 10), "avx512vnni");
  EXPECT_EQ(isa(1, 32, 64).substr(0, 10), "avx512vnni");
  EXPECT_EQ(isa(16, 32, 64).substr(0, 10), "avx512vnni");
  EXPECT_EQ(isa(64, 64, 4).substr(0, 10), "avx512vnni");
  EXPECT_EQ(isa(256, 768, 768), "amx");
  EXPECT_EQ(isa(32, 768, 768), "amx");
}

}  // namespace
}  // namespace oct::test
