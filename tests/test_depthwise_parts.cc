// The parts of depthwise kernels: how taps are packed, the proof of safe pairs, and the ABI.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "dispatch/conv_depthwise_run.h"
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

// Memory for what generated code reads and writes.
struct CodeMemory {
  alignas(64) uint8_t bytes[1 << 16];
  EpilogueParams params;

  DepthwiseOutputs outputs() {
    const auto* mult = reinterpret_cast<const float*>(bytes + 32768);
    return {mult, mult, &params, bytes + 40960, 1024, 256, 2048};
  }
};

// Code emitted by `emit`, called with `args`, for every output type and some block widths.
template <class Emit, class Args>
void expect_abi(const KernelRow& row, Emit emit, Args args) {
  for (const OutputCase& output : all_output_cases(Chains::kWithoutTensors))
    for (int n : {3, 16, row.nr}) {
      DepthwiseSpec spec{n, 1024, true, kMaxOutputRows, {}};
      spec.epilogue.c_type = output.c_type;
      spec.epilogue.bias_f32 = output.bias == DType::kF32;
      Assembler as;
      emit(as, spec);
      const auto code = as.finish("abi");
      auto lost = args;
      EXPECT_EQ(checked_call(reinterpret_cast<CheckedFn>(code->entry(0)), &lost), "")
          << row.name << " n " << n << " C " << dtype_name(output.c_type);
    }
}

TEST(DepthwiseCode, FollowsTheAbi) {
  const auto memory = std::make_unique<CodeMemory>();
  uint8_t* const bytes = memory->bytes;
  const DepthwiseStream stream{{bytes, bytes, bytes, bytes}, {64, 64, 64, 64}, bytes + 4096, 7};
  DepthwiseArgs args{};
  args.streams = &stream;
  args.streams_end = &stream + 1;
  args.strip = bytes + 4096;
  args.weights = bytes + 16384;
  args.init = reinterpret_cast<const int32_t*>(bytes + 32768);
  args.outputs = memory->outputs();
  args.pixels = 5;
  const DepthwiseTaps taps = pack_taps(kMaxOutputRows, {3, 1, 1}, {3, 1, 1}, {1, 1});
  for (const KernelRow& row : kernels_of("depthwise")) {
    if (!cpu_facts().runs[static_cast<size_t>(row.isa)]) continue;
    expect_abi(
        row, [&](Assembler& as, const DepthwiseSpec& spec) { emit_depthwise(as, row, spec, taps); },
        args);
  }
}

TEST(DepthwiseCode, WindowFollowsTheAbi) {
  const auto memory = std::make_unique<CodeMemory>();
  const DepthwiseWindowStep steps[] = {{0, 0, 0xff, 4 * 64, 1024, 4096, 2},
                                       {512, 4096, 0x3, 0, 0, 2048, 1}};
  DepthwiseWindowArgs args{};
  args.a = args.padding_row = memory->bytes;
  for (int i = 0; i < kMaxWindowRows; ++i) args.row_offset[i] = i * 512;
  args.pixel_bytes = 64;
  args.column = -64;
  args.width_bytes = 5 * 64;
  args.blocks = 1;
  args.weights = memory->bytes + 16384;
  args.outputs = memory->outputs();
  args.pixels = 5;
  args.steps = steps;
  args.steps_end = std::end(steps);
  for (const KernelRow& row : kernels_of("depthwise"))
    for (const Axis& axis : {Axis{3, 1, 1}, Axis{3, 2, 1}, Axis{5, 2, 1}}) {
      if (!cpu_facts().runs[static_cast<size_t>(row.isa)]) continue;
      if (!depthwise_window_fits(row, axis, axis)) continue;
      expect_abi(
          row,
          [&](Assembler& as, DepthwiseSpec spec) {
            while (!depthwise_window_has(row, spec, axis)) --spec.outputs;
            emit_depthwise_window(as, row, spec, axis);
          },
          args);
    }
}

TEST(DepthwiseCode, RollingFollowsTheAbi) {
  const auto memory = std::make_unique<CodeMemory>();
  DepthwiseRollingArgs args{};
  for (const uint8_t*& p : args.rows) p = memory->bytes;
  args.column = -1;
  args.width = 5;
  args.packed = memory->bytes + 16384;
  args.epilogue = &memory->params;
  args.c = memory->bytes + 40960;
  args.c_row_bytes = 1024;
  args.c_pixel_bytes = 256;
  args.pixels = 5;
  args.blocks = 2;
  for (const KernelRow& row : kernels_of("depthwise"))
    for (const Axis& axis : {Axis{3, 1, 1}, Axis{3, 2, 1}, Axis{5, 1, 1}, Axis{5, 2, 1}}) {
      if (!cpu_facts().runs[static_cast<size_t>(row.isa)]) continue;
      if (!depthwise_rolling_fits(row, axis, axis)) continue;
      expect_abi(
          row,
          [&](Assembler& as, DepthwiseSpec spec) {
            spec.n = std::min(spec.n, depthwise_rolling_channels(row, axis));
            emit_depthwise_rolling(as, row, spec, axis, axis);
          },
          args);
    }
}

// Shares of threads cover every row of every block once, in either order. They differ by less than
// two pairs of rows where a row by itself counts two thirds of a pair.
TEST(DepthwiseUnits, AreSharedEvenly) {
  for (const auto& [rows, blocks] : {std::pair{7, 15}, {14, 6}, {1, 3}, {5, 1}, {112, 2}})
    for (const bool by_blocks : {false, true})
      for (int64_t parts = 1; parts <= 5; ++parts) {
        const DepthwiseUnits units(rows, blocks, by_blocks);
        const auto thirds = [](int64_t length) { return length / 2 * 3 + length % 2 * 2; };
        std::set<std::pair<int64_t, int64_t>> seen;
        for (int64_t i = 0; i < parts; ++i) {
          int64_t mine = 0;  // thirds of a pair
          units.for_rectangles(units.share(i, parts), share_order(i, parts),
                               [&](IndexRange r, IndexRange b) {
                                 EXPECT_EQ(r.begin % 2, 0);
                                 mine += thirds(r.end - r.begin) * (b.end - b.begin);
                                 for (int64_t y = r.begin; y < r.end; ++y)
                                   for (int64_t x = b.begin; x < b.end; ++x)
                                     EXPECT_TRUE(seen.insert({y, x}).second) << y << ", " << x;
                               });
          EXPECT_LE(std::abs(mine * parts - thirds(rows) * blocks), 3 * parts)
              << rows << "x" << blocks;
        }
        EXPECT_EQ(seen.size(), static_cast<size_t>(rows * blocks));
      }
}

}  // namespace
}  // namespace oct::test
