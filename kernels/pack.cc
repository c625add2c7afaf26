// Packing B, with the SSE2 that every x86-64 CPU has: creation must also be quick where the library
// is only going to say that the CPU is too old.

#include "kernels/pack.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "kernels/index_range.h"
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

constexpr int64_t kCacheLine = 64;
constexpr int64_t kMostFetched = 256 << 10;  // bytes at once: part of the smallest L2
// How far ahead lines of the panel are fetched: the system has cleared them, huge pages at a time,
// and they have left L1 and L2 since. Zen 5, 2026-11-29, 24 MiB of weights that no cache holds:
// 1.8 ms without, 1.5 so, 1.7 with half of it (K = 256, medians). Packing in zmm registers and
// touching the weights' next pages early made no difference beyond that.
constexpr int64_t kPanelAhead = 4096;
constexpr int64_t kLineGroups = kCacheLine / kKr;
constexpr int kLineBlocks = kCacheLine / (kBlockColumns * kKr);

inline void add_sums(const Halves& h, BlockSums& acc) {
  const __m128i ones = _mm_set1_epi16(1);
  acc.sum = _mm_add_epi32(acc.sum, _mm_madd_epi16(_mm_add_epi16(h.even, h.odd), ones));
}

class PanelPacker {
 public:
  PanelPacker(const KernelRow& row, const BView& b, int64_t n0, int n, void* dst, bool wants_sums)
      : unsigned_(row.flags & kRowUnsignedB), b_(unsigned_ ? as_is(b) : b), n0_(n0), n_(n),
        wants_sums_(wants_sums), pairs_(row.b_form == BForm::kPairs16), lanes_(row.lanes),
        groups_(padded_groups(row, b.k)), width_((n + row.lanes - 1) / row.lanes * row.lanes),
        dst_(static_cast<uint8_t*>(dst)), ahead_(b.ahead) {}

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
      for (int64_t g = 0; g < groups_; g += kLineGroups)
        for (int c = 0; c < blocks; c += kLineBlocks)
          pack_columns({c, std::min(c + kLineBlocks, blocks)},
                       {g, std::min(groups_, g + kLineGroups)}, acc);
    }
    if (!wants_sums_) return;
    for (int i = 0; i < n_; ++i) {
      const BlockSums& a = acc[i / kBlockColumns];
      sums[i] = {lane(a.sum, i % kBlockColumns), lane(a.product, i % kBlockColumns)};
    }
  }

 private:
  // Of each column a cache line at a time, and whole lines of the panel.
  void pack_columns(IndexRange blocks, IndexRange groups, BlockSums* acc) {
    // As much is fetched as is packed.
    const int64_t columns = (blocks.end - blocks.begin) * kBlockColumns;
    for (int64_t i = 0; i < columns && ahead_.begin < ahead_.end; ++i, ahead_.begin += kCacheLine)
      _mm_prefetch(reinterpret_cast<const char*>(ahead_.begin), _MM_HINT_T1);
    fetch_panel(blocks, groups);
    const bool whole = groups.end * kKr <= b_.k && blocks.end * kBlockColumns <= n_;
    if (!pairs_ && whole && blocks.end - blocks.begin == kLineBlocks &&
        groups.end - groups.begin == kLineGroups)
      return wants_sums_ ? pack_lines<true>(groups.begin, blocks.begin, acc)
                         : pack_lines<false>(groups.begin, blocks.begin, acc);
    for (int64_t g = groups.begin; g < groups.end; ++g)
      for (int64_t c = blocks.begin; c < blocks.end; ++c)
        put(g, static_cast<int>(c), block_at(g, static_cast<int>(c)), acc[c]);
  }

  void fetch_panel(IndexRange blocks, IndexRange groups) const {
    const int64_t step = 4 * width_;
    const uint8_t* line = dst_ + groups.begin * step + blocks.begin * kBlockColumns * kKr;
    for (int64_t g = groups.begin; g < groups.end; ++g, line += step)
      _mm_prefetch(reinterpret_cast<const char*>(line + kPanelAhead), _MM_HINT_T0);
  }

  // kLineGroups groups of kLineBlocks blocks. The stores that fill a line follow each other.
  template <bool kSums>
  void pack_lines(int64_t group, int64_t block, BlockSums* acc) {
    const int64_t stride = b_.stride_bytes, step = 4 * width_;
    const int8_t* from = b_.data + (n0_ + block * kBlockColumns) * stride + group * kKr;
    uint8_t* to = dst_ + group * step + block * kBlockColumns * kKr;
    const __m128i flip = flip_of(b_);
    for (int q = 0; q < kLineGroups; q += 4, from += 4 * kKr, to += 4 * step)
#pragma GCC unroll 4
      for (int c = 0; c < kLineBlocks; ++c) {
        const FourBlocks four =
            blocks_from_columns(from + c * kBlockColumns * stride, stride, flip);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          _mm_store_si128(reinterpret_cast<__m128i*>(to + i * step) + c, four.block[i]);
          if (kSums) add_sums(halves_of(four.block[i]), acc[block + c]);
        }
      }
  }

  static int32_t lane(__m128i v, int i) {
    int32_t lanes[4];
    std::memcpy(lanes, &v, sizeof v);
    return lanes[i];
  }

  __m128i block_at(int64_t g, int c) const {
    return any_block(b_, g * kKr, n0_ + c * kBlockColumns, n0_ + n_);
  }

  Halves halves_of(__m128i block) const {
    return unsigned_ ? unsigned_halves(block) : halves(block);
  }

  void put(int64_t g, int c, __m128i block, BlockSums& acc) {
    const auto [even, odd] = halves_of(block);
    add_sums({even, odd}, acc);
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
  const bool wants_sums_, pairs_;
  const int lanes_;
  const int64_t groups_, width_;
  uint8_t* const dst_;
  WeightRun ahead_;
};

}  // namespace

KSteps k_steps(const KernelRow& row, int64_t k) {
  if (row.a_form == AForm::kPairs16) return {kKr, 0, (k + kKr - 1) / kKr};
  if (row.kr == kKr) return {kKr, static_cast<int>(k % kKr), k / kKr};
  const int64_t steps = (k + row.kr - 1) / row.kr;
  const int64_t even = (k + steps - 1) / steps;
  const int64_t step = (even + kKr - 1) / kKr * kKr;
  return {static_cast<int>(step), static_cast<int>(k % step), k / step};
}

WeightRun weight_run(const BView& b, int64_t n0, int n, int64_t i, int64_t parts) {
  const int64_t columns = std::min<int64_t>(n, b.n - n0);
  if (b.layout == BLayout::kKN || columns <= 0) return {};
  const IndexRange bytes = part(columns * b.stride_bytes, parts, i);
  const int8_t* const first = b.data + n0 * b.stride_bytes;
  return {first + bytes.begin, first + bytes.end};
}

void fetch_weights(WeightRun run) {
  const int8_t* const end = std::min(run.end, run.begin + kMostFetched);
  for (const int8_t* p = run.begin; p < end; p += kCacheLine)
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
}

size_t packed_b_bytes(const KernelRow& row, int64_t k, int n) {
  const size_t width = static_cast<size_t>((n + row.lanes - 1) / row.lanes * row.lanes);
  const auto groups = static_cast<size_t>(padded_groups(row, k));
  if (row.b_form == BForm::kMixed) return mixed_list_bytes(k) + groups * width * 8;
  return groups * width * (row.b_form == BForm::kPairs16 ? 8 : 4);
}

size_t pack_b_panel(const KernelRow& row, const BView& b, int64_t n0, int n, void* dst,
                    ColumnSums* sums) {
  assert(n >= 1 && n <= row.nr && n0 + n <= b.n);
  assert(!(row.flags & kRowUnsignedB) || (b.is_unsigned && row.b_form == BForm::kQuads8));
  if (row.b_form == BForm::kMixed) return pack_mixed_panel(b, n0, n, mixed_a_max(row), dst, sums);
  PanelPacker(row, b, n0, n, dst, sums != nullptr).pack(sums);
  return packed_b_bytes(row, b.k, n);
}

int mixed_a_max(const KernelRow& row) { return row.flags & kRowNeedsSafePairs ? 128 : 255; }

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
