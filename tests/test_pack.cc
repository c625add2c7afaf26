// Packed operands against the definitions that kernels/pack.h draws, element by element.
#include "kernels/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "dispatch/cpu.h"
#include "tests/guard_buffer.h"
#include "tests/operands.h"
#include "tests/support.h"

namespace oct::test {
namespace {

constexpr int64_t kMaxK = 70;
constexpr int kMaxN = 150;

// The sum of a pair's products is largest or smallest with each activation at 0 or 255.
bool pair_fits_int16(int w0, int w1) {
  for (int a0 : {0, 255})
    for (int a1 : {0, 255}) {
      const int sum = a0 * w0 + a1 * w1;
      if (sum < -32768 || sum > 32767) return false;
    }
  return true;
}

// B behind guards, as KxN or NxK at any stride.
class Weights {
 public:
  // Of magnitudes up to `most`.
  Weights(Rng& rng, BLayout layout, int64_t k, int64_t n, int most = 128) {
    const bool kn = layout == BLayout::kKN;
    const int64_t width = kn ? n : k, height = kn ? k : n;
    const int64_t stride = width + (rng.one_in(2) ? 0 : rng.between(1, 20));
    const auto size = static_cast<size_t>((height - 1) * stride + width);
    uint8_t* p = buffer_.place(rng.one_in(2) ? Flush::kLeft : Flush::kRight, size);
    const Fill fill = rng.pick(kFills);
    for (size_t i = 0; i < size; ++i)
      p[i] = static_cast<uint8_t>(
          fill_value(rng, fill, -most, std::min(most, 127), static_cast<int64_t>(i)));
    view = {reinterpret_cast<const int8_t*>(p), layout, stride, k, n};
  }

  // The bytes are u8, packed less `shift`.
  void make_unsigned(int shift) {
    view.is_unsigned = true;
    shift_ = shift;
  }

  // As packed; zero beyond K, as padding is.
  int at(int64_t k, int64_t n) const {
    if (k >= view.k) return 0;
    const bool kn = view.layout == BLayout::kKN;
    const int8_t w = view.data[kn ? k * view.stride_bytes + n : n * view.stride_bytes + k];
    return view.is_unsigned ? static_cast<uint8_t>(w) - shift_ : w;
  }

  BView view;

 private:
  int shift_ = 0;
  GuardBuffer buffer_{"B", (kMaxN + 20) * (kMaxN + 20)};
};

// The panel of columns [n0, n0 + n), built one element at a time.
std::vector<uint8_t> expected_panel(const KernelRow& row, const Weights& b, int64_t n0, int n) {
  const int lanes = row.lanes, vectors = (n + lanes - 1) / lanes;
  const KSteps steps = k_steps(row, b.view.k);
  const int64_t groups = steps.count() * steps.step / 4;
  std::vector<uint8_t> panel;
  const auto put8 = [&](int w) { panel.push_back(static_cast<uint8_t>(w)); };
  const auto put16 = [&](int w) { put8(w & 0xff), put8(w >> 8); };
  for (int64_t g = 0; g < groups; ++g)
    for (int j = 0; j < vectors; ++j) {
      const auto w = [&](int i, int lane) {
        const int column = j * lanes + lane;
        return column < n ? b.at(4 * g + i, n0 + column) : 0;
      };
      if (row.b_form != BForm::kPairs16) {
        for (int lane = 0; lane < lanes; ++lane)
          for (int i = 0; i < 4; ++i) put8(w(i, lane));
      } else {
        for (int lane = 0; lane < lanes; ++lane) put16(w(1, lane)), put16(w(3, lane));
        for (int lane = 0; lane < lanes; ++lane) put16(w(0, lane)), put16(w(2, lane));
      }
    }
  return panel;
}

void check_panel(const KernelRow& row, const Weights& b, int64_t n0, int n, GuardBuffer& out,
                 Rng& rng) {
  const std::vector<uint8_t> expected = expected_panel(row, b, n0, n);
  ASSERT_EQ(packed_b_bytes(row, b.view.k, n), expected.size());
  uint8_t* dst = out.place(rng.one_in(2) ? Flush::kLeft : Flush::kRight, expected.size(), 64);
  std::vector<uint8_t> before(out.body_bytes());
  rng.fill_bytes(before.data(), before.size());
  std::memcpy(out.body(), before.data(), before.size());
  std::vector<ColumnSums> sums(static_cast<size_t>(n) + 1, ColumnSums{-7, -7});

  pack_b_panel(row, b.view, n0, n, dst, sums.data());

  ASSERT_TRUE(std::equal(expected.begin(), expected.end(), dst));
  std::memcpy(before.data() + (dst - out.body()), expected.data(), expected.size());
  ASSERT_EQ(std::memcmp(before.data(), out.body(), before.size()), 0) << "wrote outside the panel";
  for (int i = 0; i < n; ++i) {
    int sum = 0, product = 0;
    for (int64_t k = 0; k < b.view.k; ++k) sum += b.at(k, n0 + i);
    for (int64_t k = 0; k < b.view.k; k += 2) product += b.at(k, n0 + i) * b.at(k + 1, n0 + i);
    ASSERT_EQ(sums[static_cast<size_t>(i)].sum, sum) << "column " << i;
    if (row.b_form == BForm::kPairs16) {
      ASSERT_EQ(sums[static_cast<size_t>(i)].product, product) << "column " << i;
    }
  }
  ASSERT_EQ(sums[static_cast<size_t>(n)].sum, -7) << "wrote more sums than columns";
  std::memset(dst, 0x55, expected.size());
  pack_b_panel(row, b.view, n0, n, dst, nullptr);
  ASSERT_TRUE(std::equal(expected.begin(), expected.end(), dst)) << "without sums";
}

// The fewest steps of at most kr bytes, of equal length where that leaves no tail.
TEST(Pack, StepsCoverK) {
  for (const KernelRow& row : kernels_of("gemm"))
    for (int64_t k = 1; k <= 1000; ++k) {
      const KSteps s = k_steps(row, k);
      const int64_t covered = s.whole * s.step + s.tail, kr = row.kr;
      ASSERT_TRUE(row.a_form == AForm::kPairs16 ? covered >= k && covered < k + 4 : covered == k);
      ASSERT_TRUE(s.step > 0 && s.step <= kr && s.step % 4 == 0 && s.tail < s.step) << row.name;
      ASSERT_EQ(s.count(), (k + kr - 1) / kr) << row.name << ", K = " << k;
      if (k % (4 * s.count()) == 0) {
        ASSERT_EQ(s.tail, 0) << row.name << ", K = " << k;
      }
    }
}

TEST(Pack, PanelsFollowTheirDefinition) {
  for (const KernelRow& row : kernels_of("gemm")) {
    if (row.b_form == BForm::kMixed) continue;  // its own test, below
    Rng rng("pack_b", static_cast<uint64_t>(row.nr * 64 + row.lanes));
    GuardBuffer out("panel", packed_b_bytes(row, kMaxK, row.nr));
    for (int repeat = 0; repeat < by_effort(60, 300, 3000); ++repeat) {
      const auto layout = rng.one_in(2) ? BLayout::kKN : BLayout::kNK;
      const int64_t k = rng.one_in(2) ? rng.between(1, 9) : rng.between(1, kMaxK);
      const int n = static_cast<int>(rng.between(1, row.nr));
      const int64_t n0 = rng.between(0, 20);
      Weights b(rng, layout, k, n0 + n + (rng.one_in(2) ? 0 : rng.between(0, 20)));
      if (row.flags & kRowUnsignedB)
        b.make_unsigned(0);
      else if (rng.one_in(3))
        b.make_unsigned(128);
      set_fault_note("packing for " + std::string(row.name));
      check_panel(row, b, n0, n, out, rng);
      if (HasFatalFailure())
        FAIL() << row.name << ", OCTAVO_TEST_SEED=" << base_seed() << ", repeat " << repeat << ", "
               << (layout == BLayout::kKN ? "KxN" : "NxK") << ", k " << k << ", n " << n << ", n0 "
               << n0;
    }
  }
}

// The list names every whole group once, in pairs whose products can be added up in int16 in all
// columns, by themselves or as what cannot, and the data follow in its order.
class MixedPanel {
 public:
  MixedPanel(const Weights& b, int64_t n0, int n, int most, const uint8_t* panel)
      : b_(b), n0_(n0), n_(n), most_(most), list_(reinterpret_cast<const int32_t*>(panel)),
        data_(panel + *list_++), seen_(static_cast<size_t>(b.view.k / kKr)) {}

  void check() {
    do check_section();
    while (*list_++ > 0);
    EXPECT_EQ(std::count(seen_.begin(), seen_.end(), false), 0);
    if (b_.view.k % kKr) check_words(b_.view.k / kKr);
  }

 private:
  static constexpr int kLanes = 8;
  static constexpr int32_t kNatural = 0x03020100;

  void check_section() {
    for (const bool has_order : {false, true})
      for (int32_t count = *list_++; count > 0; --count) {
        const int64_t first = next_group(), second = next_group();
        const int32_t order = has_order ? *list_++ : kNatural;
        check_sums({{first, kNatural}, {second, order}});
        check_bytes(first, kNatural);
        check_bytes(second, order);
      }
    for (int32_t count = *list_++; count > 0; --count) {
      const int64_t group = next_group();
      check_sums({{group, kNatural}});
      check_bytes(group, kNatural);
    }
    for (int32_t count = *list_++; count > 0; --count) check_words(next_group());
  }

  int at(int64_t group, int32_t order, int i, int column) const {
    return column < n_ ? b_.at(kKr * group + (order >> 8 * i & 0xff), n0_ + column) : 0;
  }

  int64_t next_group() {
    const int32_t offset = *list_++, group = offset / kKr;
    EXPECT_EQ(offset % kKr, 0);
    EXPECT_LT(group, b_.view.k / kKr);
    EXPECT_FALSE(seen_[static_cast<size_t>(group)]);
    seen_[static_cast<size_t>(group)] = true;
    return group;
  }

  void check_sums(const std::vector<std::pair<int64_t, int32_t>>& groups) {
    for (int column = 0; column < kLanes; ++column)
      for (int pair = 0; pair < kKr; pair += 2) {
        int up = 0, down = 0;
        for (const auto& [group, order] : groups)
          for (int i = pair; i < pair + 2; ++i) {
            const int w = at(group, order, i, column);
            (w > 0 ? up : down) += w;
          }
        ASSERT_TRUE(up <= most_ && down >= -most_) << "group " << groups[0].first;
      }
  }

  void check_bytes(int64_t group, int32_t order) {
    for (int column = 0; column < kLanes; ++column)
      for (int i = 0; i < kKr; ++i)
        ASSERT_EQ(static_cast<int8_t>(*data_++), at(group, order, i, column)) << "group " << group;
  }

  void check_words(int64_t group) {
    for (int i : {1, 3, 0, 2}) {
      const int half = i % 2 ? 0 : 2 * kLanes;
      for (int column = 0; column < kLanes; ++column)
        ASSERT_EQ(reinterpret_cast<const int16_t*>(data_)[half + 2 * column + i / 2],
                  kKr * group + i < b_.view.k ? at(group, kNatural, i, column) : 0)
            << "group " << group;
    }
    data_ += 8 * kLanes;
  }

  const Weights& b_;
  const int64_t n0_;
  const int n_, most_;
  const int32_t* list_;
  const uint8_t* data_;
  std::vector<bool> seen_;
};

TEST(Pack, MixedPanelsFollowTheirDefinition) {
  for (const KernelRow& row : kernels_of("gemm")) {
    if (row.b_form != BForm::kMixed) continue;
    Rng rng("mixed", static_cast<uint64_t>(row.nr));
    constexpr int64_t kTwoSections = 1030;
    GuardBuffer out("panel", packed_b_bytes(row, kTwoSections, row.nr));
    for (int repeat = 0; repeat < by_effort(60, 300, 3000); ++repeat) {
      const auto layout = rng.one_in(2) ? BLayout::kKN : BLayout::kNK;
      const bool is_long = rng.one_in(10);
      const int64_t k =
          is_long ? rng.between(kTwoSections - 3, kTwoSections) : rng.between(1, kMaxK);
      const int64_t n0 = is_long ? 0 : rng.between(0, 20);
      const int n = static_cast<int>(rng.between(1, row.nr));
      const Weights b(rng, layout, k, n0 + n, static_cast<int>(rng.between(50, 128)));
      std::vector<ColumnSums> sums(static_cast<size_t>(n));
      uint8_t* panel = out.right(packed_b_bytes(row, k, n), 64);
      pack_b_panel(row, b.view, n0, n, panel, sums.data());
      MixedPanel(b, n0, n, std::min(254, INT16_MAX / mixed_a_max(row)), panel).check();
      for (int i = 0; i < n; ++i) {
        int sum = 0;
        for (int64_t j = 0; j < k; ++j) sum += b.at(j, n0 + i);
        ASSERT_EQ(sums[static_cast<size_t>(i)].sum, sum) << "column " << i;
      }
      if (HasFatalFailure()) FAIL() << row.name << ", repeat " << repeat << ", k " << k;
    }
  }
}

TEST(Pack, TheShareWithoutSafePairsIsEstimated) {
  Rng rng("share");
  for (const auto layout : {BLayout::kKN, BLayout::kNK}) {
    EXPECT_EQ(mixed_shares(Weights(rng, layout, kMaxK, 100, 64).view, 255).exact, 0);
    EXPECT_EQ(mixed_shares(Weights(rng, layout, 64, 100, 32).view, 255).paired, 1);
    EXPECT_EQ(mixed_shares(Weights(rng, layout, 3, 16, 1).view, 255).exact, 1) << "no whole group";
  }
}

TEST(Pack, RowsOfAFollowTheirDefinition) {
  if (!cpu_facts().runs[static_cast<int>(Isa::kAvx2)]) GTEST_SKIP() << "needs AVX2";
  constexpr int kRows = 3;
  GuardBuffer source("A", 200, kRows), packed("packed A", kRows * packed_a_row_bytes(200)),
      terms("row_term", kRows * 4);
  Rng rng("pack_a");
  for (int64_t k = 1; k <= by_effort(100, 200, 200); ++k)
    for (int shift : {0, 1, 77, 128, 200, 255}) {
      const Fill fill = rng.pick(kFills);
      const uint8_t* a =
          source.place(rng.one_in(2) ? Flush::kLeft : Flush::kRight, static_cast<size_t>(k));
      const auto stride = static_cast<int64_t>(source.stride_bytes());
      const auto at = [&](int r, int64_t i) -> uint8_t& {
        return const_cast<uint8_t*>(a)[r * stride + i];
      };
      for (int r = 0; r < kRows; ++r)
        for (int64_t i = 0; i < k; ++i)
          at(r, i) = static_cast<uint8_t>(fill_value(rng, fill, 0, 255, i));
      const size_t row_bytes = packed_a_row_bytes(k);
      ASSERT_EQ(row_bytes, static_cast<size_t>((k + 31) / 32 * 64));
      uint8_t* dst = packed.right(kRows * row_bytes);
      auto* term = reinterpret_cast<int32_t*>(terms.right(kRows * 4));

      pack_a_rows(a, stride, kRows, k, static_cast<uint8_t>(shift), dst, term);

      for (int r = 0; r < kRows; ++r) {
        const auto shifted = [&](int64_t i) { return i < k ? (at(r, i) + shift) & 0xff : 0; };
        uint32_t products = 0;
        for (int64_t i = 0; i < k; i += 2)
          products += static_cast<uint32_t>(shifted(i) * shifted(i + 1));
        ASSERT_EQ(static_cast<uint32_t>(term[r]), 0 - products) << "k " << k << ", row " << r;
        for (int64_t g = 0; g < static_cast<int64_t>(row_bytes) / 8; ++g) {
          const int64_t order[4] = {4 * g, 4 * g + 2, 4 * g + 1, 4 * g + 3};
          for (int i = 0; i < 4; ++i) {
            int16_t value;
            std::memcpy(&value, dst + static_cast<size_t>(r) * row_bytes + g * 8 + i * 2, 2);
            ASSERT_EQ(value, shifted(order[i]))
                << "k " << k << ", shift " << shift << ", row " << r << ", element " << order[i];
          }
        }
      }
    }
}

TEST(WeightPairsSafe, AgreesWithTheArithmeticOfEveryPair) {
  for (int w0 = -128; w0 <= 127; ++w0)
    for (int w1 = -128; w1 <= 127; ++w1) {
      const int8_t w[2] = {static_cast<int8_t>(w0), static_cast<int8_t>(w1)};
      for (BView b : {BView{w, BLayout::kKN, 1, 2, 1}, BView{w, BLayout::kNK, 2, 2, 1}})
        ASSERT_EQ(weight_pairs_safe(b), pair_fits_int16(w0, w1)) << w0 << ", " << w1;
    }
}

TEST(WeightPairsSafe, FindsOneBadPairAnywhere) {
  Rng rng("weight_pairs");
  for (int repeat = 0; repeat < by_effort(200, 1000, 10000); ++repeat) {
    const auto layout = rng.one_in(2) ? BLayout::kKN : BLayout::kNK;
    const int64_t k = rng.between(2, 40), n = rng.between(1, 40);
    Weights b(rng, layout, k, n);
    auto* data = const_cast<int8_t*>(b.view.data);
    const auto set = [&](int64_t i, int64_t j, int w) {
      const bool kn = layout == BLayout::kKN;
      data[kn ? i * b.view.stride_bytes + j : j * b.view.stride_bytes + i] = static_cast<int8_t>(w);
    };
    // Neighbours that are not a pair (w1, w2) may add up to anything.
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < k; ++i) set(i, j, (i + 1) / 2 % 2 ? 127 : 0);
    ASSERT_TRUE(weight_pairs_safe(b.view)) << "k " << k << ", n " << n;
    const int64_t i = rng.between(0, k / 2 - 1) * 2, j = rng.between(0, n - 1);
    const int bad = rng.one_in(2) ? 127 : -128;
    set(i, j, bad);
    set(i + 1, j, bad > 0 ? 2 : -1);
    ASSERT_FALSE(weight_pairs_safe(b.view)) << "k " << i << ", n " << j << ", seed " << base_seed();
  }
}

// Rows of any length, flush against guard pages, at taps that leave out rows at either end.
TEST(Pack, RowSumsFollowTheirDefinition) {
  if (!cpu_facts().runs[static_cast<size_t>(Isa::kAvx2)]) GTEST_SKIP() << "needs AVX2";
  constexpr int64_t kRows = 7, kTaps = 3, kMostK = 100;
  Rng rng("row sums");
  GuardBuffer buffer("A", (kRows + kTaps) * kMostK);
  for (int repeat = 0; repeat < by_effort(1000, 5000, 50000); ++repeat) {
    const int64_t k = rng.between(1, kMostK), rows = rng.between(1, kRows);
    const auto size = static_cast<size_t>((rows - 1 + kTaps) * k);
    uint8_t* a = buffer.place(rng.one_in(2) ? Flush::kLeft : Flush::kRight, size);
    rng.fill_bytes(a, size);
    Tap taps[kTaps];
    for (int64_t t = 0; t < kTaps; ++t)
      taps[t] = {t * k, 0, rng.one_in(2) ? 0 : rng.between(1 - rows, rows - 1)};
    const bool is_signed = rng.one_in(2);
    const auto shift = static_cast<uint8_t>(is_signed || rng.one_in(2) ? 0 : 128);
    int32_t sums[kRows + 1];
    sums[rows] = -7;
    sum_a_rows({a, k, taps, taps + kTaps, k, shift, is_signed}, rows, sums);
    for (int64_t m = 0; m < rows; ++m) {
      int32_t expected = 0;
      for (const Tap& tap : taps) {
        if (m < tap.clip || m >= rows + std::min<int64_t>(0, tap.clip)) continue;
        for (int64_t i = 0; i < k; ++i) {
          const uint8_t byte = a[m * k + tap.a_offset + i];
          expected += is_signed ? static_cast<int8_t>(byte) : static_cast<uint8_t>(byte + shift);
        }
      }
      ASSERT_EQ(sums[m], expected) << "row " << m << " of " << rows << ", K = " << k;
    }
    ASSERT_EQ(sums[rows], -7);
  }
}

}  // namespace
}  // namespace oct::test
