// The parts of depthwise kernels: how taps are packed, the proof of safe pairs, and the ABI.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

#include "dispatch/cpu.h"
#include "kernels/depthwise.h"
#include "tests/output_case.h"
#include "tests/trampoline.h"

namespace oct::test {
namespace {

// Every tap of every output row is multiplied exactly once, with the element that belongs to it.
void expect_complete(int outputs, const Axis& v, const Axis& h, const DotCost& cost) {
  const DepthwiseTaps taps = pack_taps(outputs, v, h, cost);
  ASSERT_EQ(taps.outputs, outputs);
  for (int r = 0; r < outputs; ++r) {
    std::set<int> seen;
    for (const TapDot& dot : taps.dots)
      for (size_t i = 0; i < kSources; ++i) {
        const int tap = dot.taps[r][i];
        if (tap < 0) continue;
        EXPECT_TRUE(dot.used[r]);
        EXPECT_TRUE(seen.insert(tap).second) << "tap " << tap << " appears twice";
        const Source& source = taps.streams[static_cast<size_t>(dot.stream)][i];
        EXPECT_EQ(source.row, r * v.stride + tap / h.kernel * v.dilation);
        EXPECT_EQ(source.column + dot.shift * h.stride, tap % h.kernel * h.dilation);
      }
    EXPECT_EQ(static_cast<int>(seen.size()), v.kernel * h.kernel);
  }
}

TEST(DepthwiseTaps, AreComplete) {
  for (int kernel = 1; kernel <= 9; ++kernel)
    for (int width = 1; width <= 9; ++width)
      for (int stride = 1; stride <= 4; ++stride)
        for (int dilation = 1; dilation <= 4; ++dilation)
          for (int outputs = 1; outputs <= kMaxOutputRows; ++outputs)
            for (const DotCost cost : {DotCost{1, 1}, {3, 1}, {4, 3}}) {
              SCOPED_TRACE(testing::Message() << "kernel " << kernel << "x" << width << " stride "
                                              << stride << " dilation " << dilation);
              expect_complete(outputs, {kernel, stride, dilation}, {width, 5 - stride, dilation},
                              cost);
            }
}

TEST(DepthwiseTaps, SmallKernelsAreDense) {
  EXPECT_EQ(pack_taps(2, {3, 1, 1}, {3, 1, 1}, {1, 1}).dot_count(), 6);
  EXPECT_EQ(pack_taps(2, {3, 1, 1}, {3, 1, 1}, {1, 1}).streams.size(), 1u);
  EXPECT_EQ(pack_taps(2, {3, 2, 1}, {3, 2, 1}, {1, 1}).streams.size(), 3u);
  EXPECT_EQ(pack_taps(2, {5, 1, 1}, {5, 1, 1}, {1, 1}).dot_count(), 16);
  EXPECT_EQ(pack_taps(1, {1, 1, 1}, {31, 1, 1}, {1, 1}).dot_count(), 8);
}

TEST(DepthwiseTaps, PairsAreProvenSafe) {
  for (const KernelRow& row : kernels_of("depthwise")) {
    const DepthwiseShape shape{3, {3, 1, 1}, {3, 1, 1}};
    std::vector<int8_t> w(27, 64);
    EXPECT_TRUE(Depthwise::pairs_safe(row, shape, w.data()));
    w[0] = 127;
    EXPECT_FALSE(Depthwise::pairs_safe(row, shape, w.data())) << "127 + 64 above each other";
    w[3] = 1;
    EXPECT_TRUE(Depthwise::pairs_safe(row, shape, w.data()));
    w[26] = -128;
    EXPECT_TRUE(Depthwise::pairs_safe(row, shape, w.data())) << "signs do not add up";
    w[23] = -1;
    EXPECT_FALSE(Depthwise::pairs_safe(row, shape, w.data()));
  }
}

TEST(DepthwiseCode, FollowsTheAbi) {
  for (const KernelRow& row : kernels_of("depthwise")) {
    if (!cpu_facts().runs[static_cast<size_t>(row.isa)]) continue;
    for (const OutputCase& output : all_output_cases(Chains::kWithoutTensors))
      for (int n : {3, 16, row.nr}) {
        const int outputs = n % kMaxOutputRows + 1;
        DepthwiseSpec spec{n, 1024, true, outputs, {}};
        spec.epilogue.c_type = output.c_type;
        spec.epilogue.bias_f32 = output.bias == DType::kF32;
        const DepthwiseTaps taps = pack_taps(outputs, {3, 1, 1}, {3, 1, 1}, {1, 1});
        Assembler as;
        emit_depthwise(as, row, spec, taps);
        const auto code = as.finish("abi");

        alignas(64) static uint8_t memory[1 << 16];
        alignas(64) static EpilogueParams params;
        std::memset(&params, 0, sizeof params);
        std::memset(memory, 0, sizeof memory);
        const DepthwiseStream stream{
            {memory, memory, memory, memory}, {64, 64, 64, 64}, memory + 4096, 7};
        DepthwiseArgs args{};
        args.streams = &stream;
        args.streams_end = &stream + 1;
        args.strip = memory + 4096;
        args.weights = memory + 16384;
        args.init = reinterpret_cast<const int32_t*>(memory + 32768);
        args.mult = args.bias = reinterpret_cast<const float*>(memory + 32768);
        args.epilogue = &params;
        args.c = memory + 40960;
        args.c_row_bytes = 4096;
        args.c_pixel_bytes = 256;
        args.pixels = 5;
        EXPECT_EQ(checked_call(reinterpret_cast<CheckedFn>(code->entry(0)), &args), "")
            << row.name << " n " << n << " C " << dtype_name(output.c_type);
      }
  }
}

}  // namespace
}  // namespace oct::test
