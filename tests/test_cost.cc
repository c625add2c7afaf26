// The cost model, asked about CPUs that this one need not be.
#include <gtest/gtest.h>

#include "dispatch/cost.h"

namespace oct::test {
namespace {

CpuFacts zen(int zmm_per_cycle) {
  CpuFacts facts;
  facts.vendor = "amd";
  facts.uarch = zmm_per_cycle == 1 ? "zen4" : "zen5";
  facts.l1d_bytes = 48 << 10;
  facts.l2_bytes = 1 << 20;
  facts.l3_bytes = 32 << 20;
  facts.zmm_per_cycle = zmm_per_cycle;
  return facts;
}

const KernelRow& kernel(const char* name) { return *find_kernel(name); }

// Twice as many channels a vector on as many pipes, or half of these.
TEST(Cost, WholeDataPathsHalveTheTimeOfDepthwiseKernelsInZmm) {
  const KernelRow& zmm = kernel("depthwise_u8s8s32_2x64x4_avx512vnni");
  const KernelRow& ymm = kernel("depthwise_u8s8s32_2x32x4_avxvnni");
  for (int size : {3, 5})
    for (int stride : {1, 2}) {
      const Axis axis{size, stride, 1};
      const DepthwiseShape shape{640, axis, axis};
      const double whole = depthwise_cycles(zen(2), zmm, shape);
      EXPECT_GT(depthwise_cycles(zen(1), zmm, shape), 1.8 * whole) << size << ' ' << stride;
      EXPECT_LT(whole, depthwise_cycles(zen(2), ymm, shape)) << size << ' ' << stride;
    }
}

// Eight channels fill half of a narrow block, and with stride 2 columns cost more. 56 x 56 pixels
// in ymm and in zmm registers: 2.2 us and 2.8 on Zen 4; on Zen 5 1.54 and 1.64, but 5.27 and 5.22
// for 112 x 112: even, and left to zmm.
TEST(Cost, HalfFilledBlocksOfStrideTwoStayInYmmWhereZmmIsCracked) {
  const KernelRow& zmm = kernel("depthwise_u8s8s32_2x64x4_avx512vnni");
  const KernelRow& ymm = kernel("depthwise_u8s8s32_2x32x4_avx2");
  const DepthwiseShape shape{8, {3, 2, 1}, {3, 2, 1}};
  EXPECT_GT(depthwise_cycles(zen(1), zmm, shape), depthwise_cycles(zen(1), ymm, shape));
}

// What ymm registers do in a cycle, zmm registers do where data paths are whole.
TEST(Cost, WholeDataPathsHaveThePortsOfHalfVectors) {
  const CorePorts zmm = core_ports(zen(2), kernel("gemm_u8s8s32_6x64x4_avx512vnni"));
  const CorePorts ymm = core_ports(zen(2), kernel("gemm_u8s8s32_6x32x4_avx512vnni256"));
  EXPECT_EQ(zmm.multiplies, ymm.multiplies);
  EXPECT_EQ(zmm.vectors, ymm.vectors);
  EXPECT_EQ(zmm.loads, ymm.loads);
}

// Of a 1x1 convolution with 64 channels in and out.
double cycles_of_words(const CpuFacts& facts, const char* name) {
  const KernelRow& row = kernel(name);
  const CorePorts ports = core_ports(facts, row);
  const WorkSize size{3136, 64};
  const int64_t b_bytes = static_cast<int64_t>(packed_b_bytes(row, 64, 64));
  return 64 / row.nr * panel_cycles(ports, row, size, row.nr, b_bytes) +
         pack_cycles(ports, row, size);
}

// Measured: 120 us and 131 on Zen 5, the other way round on Zen 4.
TEST(Cost, PackingFewBytesPaysOnZen5) {
  const char *packed = "gemm_u8s8s32_4x16x4_avx2", *in_place = "gemm_u8s8s32_5x16x4_avx2";
  EXPECT_LT(cycles_of_words(zen(2), packed), cycles_of_words(zen(2), in_place));
  EXPECT_GT(cycles_of_words(zen(1), packed), cycles_of_words(zen(1), in_place));
}

}  // namespace
}  // namespace oct::test
