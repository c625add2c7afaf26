// Every row of the kernel table against the reference, bit for bit.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "kernels/gemm_lanes.h"
#include "tests/kernel_case.h"
#include "tests/kernel_places.h"

namespace oct::test {
namespace {

constexpr int64_t kLongK = 1037;
constexpr int kMaxTiles = 3;

class Kernels : public testing::TestWithParam<const KernelRow*> {
 protected:
  void SetUp() override {
    if (place == Place::kNowhere) GTEST_SKIP() << row.name << ": " << why_nowhere(row.isa);
    record_place(row);
    runner = std::make_unique<KernelRunner>(row, kLongK, kMaxTiles);
  }

  // A case with everything drawn that the test does not set.
  KernelCase draw() {
    static const std::vector<OutputCase> outputs = all_output_cases(Chains::kAll);
    const std::vector<InputCase> inputs = input_cases(row, rng);
    KernelCase c;
    c.output =
        outputs[static_cast<size_t>(rng.between(0, static_cast<int64_t>(outputs.size()) - 1))];
    c.input = inputs[static_cast<size_t>(rng.between(0, static_cast<int64_t>(inputs.size()) - 1))];
    c.m = static_cast<int>(rng.between(1, row.mr));
    c.n = static_cast<int>(rng.between(1, row.nr));
    c.k = rng.between(1, 80);
    c.tiles = static_cast<int>(rng.between(1, kMaxTiles));
    c.affine = rng.one_in(3);
    c.per_row = rng.one_in(3);
    c.fixed = rng.one_in(3);
    return c;
  }

  void check(KernelCase c) {
    c.seed = rng.next();
    const std::string wrong = runner->run(c);
    ASSERT_TRUE(wrong.empty()) << wrong;
  }

  // Columns around every vector boundary; all of them in a thorough run.
  std::vector<int> columns() const {
    std::set<int> all{1, row.nr};
    for (int n = 1; n <= row.nr; ++n)
      if (by_effort_at(place, 0, 0, 1) || (n + 1) % row.lanes <= 2) all.insert(n);
    return {all.begin(), all.end()};
  }

  std::vector<int> row_counts() {
    std::vector<int> all;
    for (int m = 1; m <= row.mr; ++m)
      if (by_effort_at(place, 0, 1, 1) || m == 1 || m == row.mr || rng.one_in(4)) all.push_back(m);
    return all;
  }

  const KernelRow& row = *GetParam();
  const Place place = place_of(row.isa);
  Rng rng{row.name};
  std::unique_ptr<KernelRunner> runner;
};

constexpr int64_t kDepths[] = {1,  2,  3,  4,  5,  6,  7,  8,   9,   15,  16,
                               17, 31, 32, 33, 63, 64, 65, 127, 128, 129, kLongK};

// Every m, with n and K around every boundary.
TEST_P(Kernels, ShapesMatchTheReference) {
  for (int repeat = 0; repeat < by_effort_at(place, 1, 2, 20); ++repeat)
    for (int n : columns())
      for (int64_t k : kDepths) {
        KernelCase c = draw();
        c.n = n;
        c.k = k;
        for (int m : row_counts()) {
          c.m = m;
          c.tiles = k == kLongK ? 1 : static_cast<int>(rng.between(1, kMaxTiles));
          check(c);
          if (HasFatalFailure()) return;
        }
      }
}

// Every output type x bias x ReLU or clamp x form of the epilogue, on every kind of input.
TEST_P(Kernels, OutputsMatchTheReference) {
  for (const OutputCase& output : all_output_cases(Chains::kAll))
    for (const InputCase& input : input_cases(row, rng))
      for (int repeat = 0; repeat < by_effort_at(place, 1, 3, 60); ++repeat) {
        KernelCase c = draw();
        c.output = output;
        c.input = input;
        if (repeat % 4 == 0) c.n = row.nr;
        check(c);
        if (HasFatalFailure()) return;
      }
  EXPECT_GT(runner->interior_percent(), 15)
      << "the operands hardly ever give an unsaturated output";
}

constexpr int kMostTaps = 6, kMostClip = 7;

// Convolutions: lists of taps, some of which leave rows out, with the steps of a tap counted at run
// time or unrolled.
TEST_P(Kernels, TapsMatchTheReference) {
  for (int repeat = 0; repeat < by_effort_at(place, 1, 4, 30); ++repeat)
    for (int64_t k : {1, 3, 4, 5, 8, 15, 16, 31, 32, 33, 64, 67})
      for (bool fixed : {false, true}) {
        KernelCase c = draw();
        c.k = k;
        c.taps = static_cast<int>(rng.between(1, kMostTaps));
        c.clip = static_cast<int>(rng.between(0, kMostClip));
        c.fixed = fixed;
        if (c.clip) c.tiles = 1;
        check(c);
        if (HasFatalFailure()) return;
      }
}

// Groups of columns with bytes of A of their own, as wide as vectors span.
TEST_P(Kernels, BlockDiagonalTapsMatchTheReference) {
  if (row.isa == Isa::kAmx || row.a_form != AForm::kBytes || row.b_form == BForm::kMixed) return;
  for (int repeat = 0; repeat < by_effort_at(place, 1, 4, 30); ++repeat)
    for (int group_out = 1; group_out <= row.lanes; group_out *= 2)
      for (int group_in = 1; group_in <= group_out; group_in *= 2) {
        KernelCase c = draw();
        c.k = group_in;
        c.group_out = group_out;
        c.affine = false;
        // Whole vectors, but for single channels.
        if (group_in > 1 || group_out > 1)
          c.n = static_cast<int>(rng.between(1, row.nr / row.lanes)) * row.lanes;
        c.taps = static_cast<int>(rng.between(1, kMostTaps));
        c.clip = static_cast<int>(rng.between(0, kMostClip));
        if (c.clip) c.tiles = 1;
        check(c);
        if (HasFatalFailure()) return;
      }
}

// Filters of few channels: taps whose last bytes share K groups.
TEST_P(Kernels, SharedTailsMatchTheReference) {
  if (row.isa == Isa::kAmx || row.a_form != AForm::kBytes || row.b_form == BForm::kMixed) return;
  for (int repeat = 0; repeat < by_effort_at(place, 1, 4, 30); ++repeat)
    for (int64_t k : {5, 6, 8, 9, 10, 12, 21, 22})
      for (int taps = 1; taps <= 7; taps += 2) {
        KernelCase c = draw();
        if (c.input.safe_weights) continue;  // pairs of tails are not proven
        c.k = k;
        c.taps = taps;
        c.shared = true;
        check(c);
        if (HasFatalFailure()) return;
      }
}

// Small groups whose sums stay where the bytes of A lie.
TEST_P(Kernels, LanesMatchTheReference) {
  for (int repeat = 0; repeat < by_effort_at(place, 4, 16, 100); ++repeat)
    for (int group : {4, 8, 16}) {
      KernelCase c = draw();
      if (!keeps_lanes(row, {.c_type = DType::kU8}, group)) return;
      c.output.c_type = rng.one_in(2) ? DType::kU8 : DType::kS8;
      c.k = c.group_out = group;
      c.in_lanes = true;
      c.affine = false;
      c.n = kLaneChannels;
      c.m = static_cast<int>(rng.between(1, row.mr));
      c.taps = static_cast<int>(rng.between(1, kMostTaps));
      c.clip = static_cast<int>(rng.between(0, kMostClip));
      if (c.clip) c.tiles = 1;
      check(c);
      if (HasFatalFailure()) return;
    }
}

std::vector<const KernelRow*> all_rows() {
  std::vector<const KernelRow*> rows;
  for (const KernelRow& row : kernels_of("gemm")) rows.push_back(&row);
  return rows;
}

INSTANTIATE_TEST_SUITE_P(Table, Kernels, testing::ValuesIn(all_rows()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace oct::test
