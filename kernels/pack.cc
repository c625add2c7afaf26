// Packing B, with the SSE2 that every x86-64 CPU has: creation must also be quick where the library
// is only going to say that the CPU is too old.

#include "kernels/pack.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "kernels/pack_block.h"

namespace oct {
namespace {

struct BlockSums {
  __m128i sum = _mm_setzero_si128(), product = _mm_setzero_si128();
};

int64_t padded_groups(const KernelRow& row, int64_t k) {
  const KSteps s = k_steps(row, k);
  return s.count() * s.step / kKr;
}

// Bytes that are packed as they are.
BView as_is(BView b) {
  b.is_unsigned = false;
  return b;
}

class PanelPacker {
 public:
  PanelPacker(const KernelRow& row, const BView& b, int64_t n0, int n, void* dst)
      : unsigned_(row.flags & kRowUnsignedB), b_(unsigned_ ? as_is(b) : b), n0_(n0), n_(n),
        pairs_(row.b_form == BForm::kPairs16), lanes_(row.lanes),
        groups_(padded_groups(row, b.k)), width_((n + row.lanes - 1) / row.lanes * row.lanes),
        dst_(static_cast<uint8_t*>(dst)) {}

  void pack(ColumnSums* sums) {
    BlockSums acc[kMaxNr / kBlockColumns];
    const int blocks = width_ / kBlockColumns;
    if (b_.layout == BLayout::kKN) {  // walk along the caller's rows
      for (int64_t g = 0; g < groups_; ++g) {
        int c = 0;
        if ((g + 1) * kKr <= b_.k)
          for (; (c + 4) * kBlockColumns <= n_; c += 4) {
            const FourBlocks four = blocks_from_rows(b_, g * kKr, n0_ + c * kBlockColumns);
            for (int i = 0; i < 4; ++i) put(g, c + i, four.block[i], acc[c + i]);
          }
        for (; c < blocks; ++c) put(g, c, block_at(g, c), acc[c]);
      }
    } else {
      for (int64_t g = 0; g < groups_; g += kChunkGroups)
        for (int c = 0; c < blocks; ++c)
          pack_columns(c, g, std::min(groups_, g + kChunkGroups), acc[c]);
    }
    for (int i = 0; i < n_; ++i) {
      const BlockSums& a = acc[i / kBlockColumns];
      sums[i] = {lane(a.sum, i % kBlockColumns), lane(a.product, i % kBlockColumns)};
    }
  }

 private:
  // Columns are packed four at a time, a quarter of a cache line of the panel; what this many
  // groups fill of it stays in L1 until the other columns complete the lines.
  static constexpr int64_t kChunkGroups = 64;
  // Each column is a stream of its own, more of them than hardware prefetchers follow. Over
  // ResNet-50's 53 plans asking for the lines of the block after the next takes 10.5 ms down to
  // 8.7 (Zen 4, 2026-11-24; one or four blocks ahead: 8.9, 9.1).
  static constexpr int kBlocksAhead = 2;
  static constexpr int64_t kCacheLine = 64;

  void pack_columns(int c, int64_t g, int64_t end, BlockSums& acc) {
    const int64_t ahead = (n0_ + (c + kBlocksAhead) * kBlockColumns) * b_.stride_bytes;
    const uintptr_t base = reinterpret_cast<uintptr_t>(b_.data) + static_cast<uintptr_t>(ahead);
    if ((c + 1) * kBlockColumns <= n_)
      for (; g + 4 <= end && (g + 4) * kKr <= b_.k; g += 4) {
        // Not in a function of its own, which gcc 12 takes for pure and drops. The addresses are
        // integers, since the last blocks' lie behind the weights.
        for (int i = 0; i < kBlockColumns && g * kKr % kCacheLine == 0; ++i)
          _mm_prefetch(reinterpret_cast<const char*>(
                           base + static_cast<uintptr_t>(i * b_.stride_bytes + g * kKr)),
                       _MM_HINT_T0);
        const FourBlocks four = blocks_from_columns(b_, g * kKr, n0_ + c * kBlockColumns);
        for (int i = 0; i < 4; ++i) put(g + i, c, four.block[i], acc);
      }
    for (; g < end; ++g) put(g, c, block_at(g, c), acc);
  }

  static int32_t lane(__m128i v, int i) {
    int32_t lanes[4];
    std::memcpy(lanes, &v, sizeof v);
    return lanes[i];
  }

  __m128i block_at(int64_t g, int c) const {
    return any_block(b_, g * kKr, n0_ + c * kBlockColumns, n0_ + n_);
  }

  void put(int64_t g, int c, __m128i block, BlockSums& acc) {
    const auto [even, odd] = unsigned_ ? unsigned_halves(block) : halves(block);
    const __m128i ones = _mm_set1_epi16(1);
    acc.sum = _mm_add_epi32(acc.sum, _mm_madd_epi16(_mm_add_epi16(even, odd), ones));
    const int column = c * kBlockColumns;
    if (pairs_) {
      acc.product = _mm_add_epi32(acc.product, _mm_madd_epi16(even, odd));
      uint8_t* vector = dst_ + 8 * (g * width_ + column / lanes_ * lanes_) + 4 * (column % lanes_);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(vector), odd);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(vector + 4 * lanes_), even);
    } else {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dst_ + 4 * (g * width_ + column)), block);
    }
  }

  const bool unsigned_;  // the packed weights
  const BView b_;
  const int64_t n0_;
  const int n_;
  const bool pairs_;
  const int lanes_;
  const int64_t groups_, width_;
  uint8_t* const dst_;
};

}  // namespace

KSteps k_steps(const KernelRow& row, int64_t k) {
  if (row.a_form == AForm::kPairs16) return {kKr, 0, (k + kKr - 1) / kKr};
  const int64_t steps = (k + row.kr - 1) / row.kr;
  const int64_t even = (k + steps - 1) / steps;
  const int64_t step = (even + kKr - 1) / kKr * kKr;
  return {static_cast<int>(step), static_cast<int>(k % step), k / step};
}

size_t packed_b_bytes(const KernelRow& row, int64_t k, int n) {
  const size_t width = static_cast<size_t>((n + row.lanes - 1) / row.lanes * row.lanes);
  const auto groups = static_cast<size_t>(padded_groups(row, k));
  if (row.b_form == BForm::kMixed) return mixed_list_bytes(k) + groups * width * 8;
  return groups * width * (row.b_form == BForm::kPairs16 ? 8 : 4);
}

void pack_b_panel(const KernelRow& row, const BView& b, int64_t n0, int n, void* dst,
                  ColumnSums* sums) {
  assert(n >= 1 && n <= row.nr && n0 + n <= b.n);
  assert(!(row.flags & kRowUnsignedB) || (b.is_unsigned && row.b_form == BForm::kQuads8));
  if (row.b_form == BForm::kMixed)
    pack_mixed_panel(b, n0, n, row.lanes, dst, sums);
  else
    PanelPacker(row, b, n0, n, dst).pack(sums);
}

// With two activations of up to 255 each, a pair's sum stays within int16 exactly when the
// positive parts of the weights add up to at most 128 and so do the negative ones.
bool weight_pairs_safe(const BView& b) {
  const __m128i zero = _mm_setzero_si128();
  const __m128i most = _mm_set1_epi16(128), least = _mm_set1_epi16(-128);
  const auto block_safe = [&](int64_t k, int64_t n) {
    const Halves h = halves(any_block(b, k, n, b.n));
    const __m128i up = _mm_add_epi16(_mm_max_epi16(h.even, zero), _mm_max_epi16(h.odd, zero));
    const __m128i down = _mm_add_epi16(_mm_min_epi16(h.even, zero), _mm_min_epi16(h.odd, zero));
    const __m128i bad = _mm_or_si128(_mm_cmpgt_epi16(up, most), _mm_cmplt_epi16(down, least));
    return _mm_movemask_epi8(bad) == 0;
  };
  const bool kn = b.layout == BLayout::kKN;
  const int64_t outer_end = kn ? b.k : b.n, inner_end = kn ? b.n : b.k;
  for (int64_t outer = 0; outer < outer_end; outer += 4)
    for (int64_t inner = 0; inner < inner_end; inner += 4)
      if (!block_safe(kn ? outer : inner, kn ? inner : outer)) return false;
  return true;
}

}  // namespace oct
