// Packing B, with the SSE2 that every x86-64 CPU has: creation must also be quick where the library
// is only going to say that the CPU is too old.

#include "kernels/pack.h"

#include <emmintrin.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace oct {
namespace {

// A "block" is one K group of four columns: a 4x4 transpose away from either layout.
constexpr int kBlockColumns = 4;

__m128i load4(const int8_t* p) {
  int32_t v;
  std::memcpy(&v, p, sizeof v);
  return _mm_cvtsi32_si128(v);
}

// What turns u8 into s8 less 128 by xor, or nothing.
__m128i flip_of(const BView& b) { return _mm_set1_epi8(b.is_unsigned ? -128 : 0); }

// Lane c of the result holds w[4g .. 4g+3] of column n0 + c.
__m128i whole_block(const BView& b, int64_t k, int64_t n) {
  const bool kn = b.layout == BLayout::kKN;
  const int8_t* p = kn ? b.data + k * b.stride_bytes + n : b.data + n * b.stride_bytes + k;
  const __m128i r0 = load4(p), r1 = load4(p + b.stride_bytes);
  const __m128i r2 = load4(p + 2 * b.stride_bytes), r3 = load4(p + 3 * b.stride_bytes);
  const __m128i block =
      kn ? _mm_unpacklo_epi16(_mm_unpacklo_epi8(r0, r1), _mm_unpacklo_epi8(r2, r3))
         : _mm_unpacklo_epi64(_mm_unpacklo_epi32(r0, r1), _mm_unpacklo_epi32(r2, r3));
  return _mm_xor_si128(block, flip_of(b));
}

// The same at the edges of B: elements at or beyond (b.k, n_end) are zero.
__m128i edge_block(const BView& b, int64_t k, int64_t n, int64_t n_end) {
  int8_t block[16] = {};
  const int flip = b.is_unsigned ? -128 : 0;
  for (int64_t c = n; c < std::min(n + kBlockColumns, n_end); ++c)
    for (int64_t i = k; i < std::min(k + kKr, b.k); ++i)
      block[(c - n) * kKr + (i - k)] = static_cast<int8_t>(
          flip ^
          b.data[b.layout == BLayout::kKN ? i * b.stride_bytes + c : c * b.stride_bytes + i]);
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(block));
}

__m128i any_block(const BView& b, int64_t k, int64_t n, int64_t n_end) {
  const bool whole = k + kKr <= b.k && n + kBlockColumns <= n_end;
  return whole ? whole_block(b, k, n) : edge_block(b, k, n, n_end);
}

__m128i load16(const BView& b, int64_t offset) {
  return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b.data + offset)),
                       flip_of(b));
}

struct FourBlocks {
  __m128i block[4];
};

// Four blocks side by side from K rows: sixteen columns of each row in one load.
FourBlocks blocks_from_rows(const BView& b, int64_t k, int64_t n) {
  const auto row = [&](int64_t i) { return load16(b, (k + i) * b.stride_bytes + n); };
  const __m128i r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3);
  const __m128i lo01 = _mm_unpacklo_epi8(r0, r1), hi01 = _mm_unpackhi_epi8(r0, r1);
  const __m128i lo23 = _mm_unpacklo_epi8(r2, r3), hi23 = _mm_unpackhi_epi8(r2, r3);
  return {{_mm_unpacklo_epi16(lo01, lo23), _mm_unpackhi_epi16(lo01, lo23),
           _mm_unpacklo_epi16(hi01, hi23), _mm_unpackhi_epi16(hi01, hi23)}};
}

// Four blocks below each other from four columns: sixteen K of each column in one load.
FourBlocks blocks_from_columns(const BView& b, int64_t k, int64_t n) {
  const auto column = [&](int64_t i) { return load16(b, (n + i) * b.stride_bytes + k); };
  const __m128i c0 = column(0), c1 = column(1), c2 = column(2), c3 = column(3);
  const __m128i lo01 = _mm_unpacklo_epi32(c0, c1), hi01 = _mm_unpackhi_epi32(c0, c1);
  const __m128i lo23 = _mm_unpacklo_epi32(c2, c3), hi23 = _mm_unpackhi_epi32(c2, c3);
  return {{_mm_unpacklo_epi64(lo01, lo23), _mm_unpackhi_epi64(lo01, lo23),
           _mm_unpacklo_epi64(hi01, hi23), _mm_unpackhi_epi64(hi01, hi23)}};
}

struct Halves {
  __m128i even, odd;  // w[0] w[2] and w[1] w[3] of each column, as s16
};
Halves halves(__m128i block) {
  return {_mm_srai_epi16(_mm_slli_epi16(block, 8), 8), _mm_srai_epi16(block, 8)};
}

struct BlockSums {
  __m128i sum = _mm_setzero_si128(), product = _mm_setzero_si128();
};

int64_t padded_groups(const KernelRow& row, int64_t k) {
  const KSteps s = k_steps(row, k);
  return s.count() * s.step / kKr;
}

class PanelPacker {
 public:
  PanelPacker(const KernelRow& row, const BView& b, int64_t n0, int n, void* dst)
      : b_(b), n0_(n0), n_(n), pairs_(row.b_form == BForm::kPairs16), lanes_(row.lanes),
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
    const auto [even, odd] = halves(block);
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

  const BView& b_;
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
  return static_cast<size_t>(padded_groups(row, k)) * width *
         (row.b_form == BForm::kPairs16 ? 8 : 4);
}

void pack_b_panel(const KernelRow& row, const BView& b, int64_t n0, int n, void* dst,
                  ColumnSums* sums) {
  assert(n >= 1 && n <= row.nr && n0 + n <= b.n);
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
