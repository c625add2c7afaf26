// Where AMX, and which form of its products and of AVX-VNNI-INT8's, are chosen: by name, as on a
// Sapphire Rapids, whatever this machine is.
#include <gtest/gtest.h>

#include "dispatch/select.h"

namespace oct::test {
namespace {

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

Layout choose(const Layer& layer, const std::vector<Isa>& usable, int64_t m, int64_t n, int64_t k) {
  UsableIsas isas;
  isas.reason.fill("not on this machine");
  for (Isa isa : usable) {
    isas.usable[static_cast<size_t>(isa)] = true;
    isas.reason[static_cast<size_t>(isa)].clear();
  }
  Selection selection;
  const Work work{layer,
                  m,
                  n,
                  k,
                  max_packed_rows(k),
                  [] { return false; },
                  [](int) { return MixedShares{0, 0, 1}; }};
  EXPECT_EQ(select_kernels(work, sapphire_rapids(), isas, &selection), OCT_OK);
  return selection.best();
}

const std::vector<Isa> kAmxAndBelow{Isa::kAvx2, Isa::kAvx512bw, Isa::kAvx512Vnni, Isa::kAmx};

std::string chosen(DType a_type, int64_t m, int64_t n, int64_t k) {
  return choose(layer_of(a_type), kAmxAndBelow, m, n, k).main->name;
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
    const Layout amx = choose(layer, kAmxAndBelow, 1024, 1024, 1024);
    EXPECT_STREQ(amx.main->name, c.on_amx);
    EXPECT_EQ(amx.row_sums, c.row_sums) << c.on_amx;
    const Layout avx = choose(layer, int8, 1024, 1024, 1024);
    EXPECT_STREQ(avx.main->name, c.on_int8);
    EXPECT_EQ(avx.row_sums, c.row_sums) << c.on_int8;
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
