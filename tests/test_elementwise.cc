// Elementwise kernels against their reference, bit for bit, and the reference against exact
// arithmetic.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/reference_elementwise.h"
#include "tests/elementwise_case.h"
#include "tests/kernel_places.h"

namespace oct::test {
namespace {

constexpr int kMaxRows = 5, kMaxCols = 400;

constexpr DType kFloats[] = {DType::kF32, DType::kBf16};
constexpr DType kBytes[] = {DType::kU8, DType::kS8};

// Everything that the operation of a row covers.
std::vector<ElementwiseSpec> specs_of(const KernelRow& row) {
  std::vector<ElementwiseSpec> all;
  const auto add = [&](DType in, DType out) {
    for (bool divide : {false, true})
      for (bool per_column : {false, true})
        for (bool streams : {false, true}) {
          const ElementwiseSpec spec{in, out, divide, per_column, streams};
          if (out == DType::kNone && (divide || streams)) continue;
          if (spec.op() == std::string(row.op)) all.push_back(spec);
        }
  };
  for (DType a : kFloats) add(a, DType::kNone);
  for (DType b : kBytes) {
    for (DType a : kFloats) add(a, b), add(b, a);
    for (DType a : kBytes) add(a, b);
  }
  return all;
}

class Elementwise : public testing::TestWithParam<const KernelRow*> {
 protected:
  void SetUp() override {
    record_place(row);
    if (place_of(row.isa) == Place::kNowhere)
      GTEST_SKIP() << row.name << ": " << why_nowhere(row.isa);
  }

  void check(const ElementwiseSpec& spec, int rows, int cols) {
    const std::string wrong = runner.run({spec, rows, cols, rng.next()});
    ASSERT_TRUE(wrong.empty()) << wrong;
  }

  const KernelRow& row = *GetParam();
  Rng rng{row.name};
  ElementwiseRunner runner{row, kMaxRows, kMaxCols};
};

// Every tail of a row.
TEST_P(Elementwise, ColumnsMatchTheReference) {
  for (const ElementwiseSpec& spec : specs_of(row))
    for (int cols = 1; cols <= 2 * row.nr + 1; ++cols) {
      if (effort() == Effort::kQuick && !rng.one_in(3)) continue;
      check(spec, static_cast<int>(rng.between(1, kMaxRows)), cols);
      if (HasFatalFailure()) return;
    }
}

TEST_P(Elementwise, RandomSizesMatchTheReference) {
  for (const ElementwiseSpec& spec : specs_of(row))
    for (int repeat = 0; repeat < by_effort(5, 60, 400); ++repeat) {
      check(spec, static_cast<int>(rng.between(1, kMaxRows)),
            static_cast<int>(rng.between(1, kMaxCols)));
      if (HasFatalFailure()) return;
    }
}

std::vector<const KernelRow*> elementwise_rows() {
  std::vector<const KernelRow*> rows;
  for (const char* op : {"quantize", "dequantize", "requantize", "minmax"})
    for (const KernelRow& row : kernels_of(op)) rows.push_back(&row);
  return rows;
}

INSTANTIATE_TEST_SUITE_P(Table, Elementwise, testing::ValuesIn(elementwise_rows()),
                         [](const auto& info) { return std::string(info.param->name); });

// The division form decided by integers: x and scale are multiples of one power of two, so x/scale
// is a quotient of integers, rounded to nearest even without any floating point. binary32 has too
// few bits to tell only where the quotient lies within 2^-24 of its size from a tie.
TEST(ElementwiseReference, DividesExactly) {
  Rng rng("divide");
  for (int i = 0; i < 20000; ++i) {
    const int64_t s = rng.between(1, 4000), x = rng.between(-1200000, 1200000);
    const int zero_point = static_cast<int>(rng.between(0, 255));
    int64_t q = std::abs(x) / s;
    const int64_t rest = 2 * (std::abs(x) % s) - s;
    if (rest > 0 || (rest == 0 && q % 2 == 1)) ++q;
    q = std::min<int64_t>(255, std::max<int64_t>(0, (x < 0 ? -q : q) + zero_point));

    const float x_f = std::ldexp(static_cast<float>(x), -10);
    const float s_f = std::ldexp(static_cast<float>(s), -10);
    const int32_t z = zero_point;
    uint8_t got = 0;
    ElementwiseArgs args{};
    args.in = &x_f;
    args.out = &got;
    args.rows = args.cols = 1;
    args.scale = &s_f;
    args.zero_point_in = args.zero_point_out = &z;
    args.hi = 255;
    reference_elementwise({DType::kF32, DType::kU8, true, false, false}, args);
    ASSERT_EQ(got, q) << x << " / " << s << " + " << zero_point;
  }
}

}  // namespace
}  // namespace oct::test
