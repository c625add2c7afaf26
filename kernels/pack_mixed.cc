// Packing B in the form in which most of it can be multiplied by vpmaddubsw.

#include <array>
#include <vector>

#include "kernels/pack_block.h"

namespace oct {
namespace {

constexpr int kPairings = 3, kExact = kPairings, kKinds = kPairings + 1;
constexpr unsigned kAllPairings = (1u << kPairings) - 1;

// With two activations of up to 255 each, a pair's sum stays within int16 exactly when the positive
// parts of the weights add up to at most 128 and so do the negative ones.
bool sums_fit(__m128i w, __m128i v) {
  const __m128i zero = _mm_setzero_si128();
  const __m128i up = _mm_add_epi16(_mm_max_epi16(w, zero), _mm_max_epi16(v, zero));
  const __m128i down = _mm_add_epi16(_mm_min_epi16(w, zero), _mm_min_epi16(v, zero));
  const __m128i bad = _mm_or_si128(_mm_cmpgt_epi16(up, _mm_set1_epi16(128)),
                                   _mm_cmplt_epi16(down, _mm_set1_epi16(-128)));
  return _mm_movemask_epi8(bad) == 0;
}

__m128i swap_words(__m128i v) {
  constexpr int swapped = 0xb1;
  return _mm_shufflehi_epi16(_mm_shufflelo_epi16(v, swapped), swapped);
}

// A bit for each pairing that is safe in all columns of the block.
unsigned safe_pairings(__m128i block) {
  const auto [even, odd] = halves(block);
  const __m128i even_swapped = swap_words(even), odd_swapped = swap_words(odd);
  unsigned safe = sums_fit(even, odd);
  safe |= unsigned{sums_fit(even, even_swapped) && sums_fit(odd, odd_swapped)} << 1;
  return safe | unsigned{sums_fit(even, odd_swapped)} << 2;
}

// The four weights of each column in the order of the pairing.
__m128i ordered(__m128i block, int pairing) {
  const auto bytes = [](__m128i v, int mask) { return _mm_and_si128(v, _mm_set1_epi32(mask)); };
  switch (pairing) {
    case 1:  // 0 2 1 3
      return _mm_or_si128(bytes(block, static_cast<int>(0xff0000ff)),
                          _mm_or_si128(bytes(_mm_srli_epi32(block, 8), 0x0000ff00),
                                       bytes(_mm_slli_epi32(block, 8), 0x00ff0000)));
    case 2:  // 0 3 1 2
      return _mm_or_si128(bytes(block, 0x000000ff),
                          _mm_or_si128(bytes(_mm_srli_epi32(block, 16), 0x0000ff00),
                                       _mm_slli_epi32(bytes(block, 0x00ffff00), 8)));
    default: return block;
  }
}

class MixedPacker {
 public:
  MixedPacker(const BView& b, int64_t n0, int n, int lanes)
      : b_(b), n0_(n0), n_(n), lanes_(lanes), blocks_((n + lanes - 1) / lanes * lanes / kColumns) {}

  // The kind of a whole group.
  int kind(int64_t group) const {
    unsigned safe = kAllPairings;
    for (int c = 0; c < blocks_ && safe; ++c) safe &= safe_pairings(block_at(group, c));
    for (int pairing = 0; pairing < kPairings; ++pairing)
      if (safe >> pairing & 1) return pairing;
    return kExact;
  }

  void pack(void* dst, ColumnSums* sums) {
    const int64_t groups = b_.k / kKr;
    std::array<std::vector<int32_t>, kKinds> lists;
    for (int64_t g = 0; g < groups; ++g)
      lists[static_cast<size_t>(kind(g))].push_back(static_cast<int32_t>(g));
    auto* list = static_cast<int32_t*>(dst);
    to_ = static_cast<uint8_t*>(dst) + mixed_list_bytes(b_.k);
    *list++ = static_cast<int32_t>(mixed_list_bytes(b_.k));
    for (int kind = 0; kind < kKinds; ++kind) {
      const std::vector<int32_t>& of_kind = lists[static_cast<size_t>(kind)];
      *list++ = static_cast<int32_t>(of_kind.size());
      for (int32_t g : of_kind) {
        *list++ = g * kKr;
        put_group(g, kind);
      }
    }
    if (b_.k % kKr) put_group(groups, kExact);
    for (int i = 0; sums && i < n_; ++i) {
      int32_t lane[kColumns];
      std::memcpy(lane, &sums_[i / kColumns], sizeof lane);
      sums[i] = {lane[i % kColumns], 0};
    }
  }

 private:
  static constexpr int kColumns = kBlockColumns;

  __m128i block_at(int64_t group, int c) const {
    return any_block(b_, group * kKr, n0_ + c * kColumns, n0_ + n_);
  }

  void put_group(int64_t group, int kind) {
    for (int c = 0; c < blocks_; ++c) {
      const __m128i block = block_at(group, c);
      const auto [even, odd] = halves(block);
      __m128i& sum = sums_[c];
      sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_add_epi16(even, odd), _mm_set1_epi16(1)));
      const int column = c * kColumns;
      if (kind != kExact) {
        store(to_ + 4 * column, ordered(block, kind));
        continue;
      }
      uint8_t* const vector = to_ + 8 * (column / lanes_ * lanes_) + 4 * (column % lanes_);
      store(vector, odd);
      store(vector + 4 * lanes_, even);
    }
    to_ += blocks_ * kColumns * (kind == kExact ? 8 : 4);
  }

  static void store(uint8_t* to, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), v); }

  const BView& b_;
  const int64_t n0_;
  const int n_, lanes_, blocks_;
  __m128i sums_[kMaxNr / kColumns] = {};
  uint8_t* to_ = nullptr;
};

}  // namespace

size_t mixed_list_bytes(int64_t k) {
  const auto numbers = static_cast<size_t>(1 + kKinds + k / kKr);
  return (4 * numbers + 63) / 64 * 64;
}

void pack_mixed_panel(const BView& b, int64_t n0, int n, int lanes, void* dst, ColumnSums* sums) {
  MixedPacker(b, n0, n, lanes).pack(dst, sums);
}

double mixed_exact_share(const BView& b, int n) {
  constexpr int64_t kSamples = 2000;  // a standard error of at most one percent
  const int64_t width = std::min<int64_t>(n, b.n), panels = b.n / width, groups = b.k / kKr;
  const int64_t all = panels * groups;
  if (all == 0) return 1;
  const int64_t step = std::max<int64_t>(1, all / kSamples) | 1;  // odd: all panels get their share
  int64_t exact = 0, seen = 0;
  for (int64_t i = 0; i < all; i += step, ++seen) {
    const MixedPacker panel(b, i % panels * width, static_cast<int>(width), kBlockColumns);
    exact += panel.kind(i / panels) == kExact;
  }
  return static_cast<double>(exact) / static_cast<double>(seen);
}

}  // namespace oct
