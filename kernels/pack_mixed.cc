// Packing B in the form in which most of it can be multiplied by vpmaddubsw, two K groups at once
// where their sums allow it. Needs AVX2, as the kernels do.
//
// Partners are sought one by one among the groups of a section, which takes most of the time: a
// test takes five instructions, a search some ten to forty tests.

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <utility>

#include "kernels/pack_block.h"

namespace oct {
namespace {

#define OCT_AVX2 __attribute__((target("avx2")))

constexpr int kKinds = 4;  // of entries in the list
// Of a section of it: 10 rows of A are then a third of L1 while its groups are visited in any
// order.
constexpr int kSectionGroups = 256;

size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

int64_t sections(int64_t k) {
  return std::max<int64_t>(1, (k / kKr + kSectionGroups - 1) / kSectionGroups);
}

// The bytes of a K group in other orders: other pairs share a sum, or other sums the pairs.
constexpr uint8_t kOrders[][kKr] = {
    {0, 1, 2, 3}, {0, 2, 1, 3}, {1, 3, 0, 2}, {0, 3, 1, 2}, {1, 2, 0, 3}};
constexpr int kNatural = 0, kAllOrders = std::size(kOrders);

// A group of all columns of a panel.
OCT_AVX2 inline __m256i in_order(__m256i group, int order) {
  int32_t bytes;
  std::memcpy(&bytes, kOrders[order], sizeof bytes);
  const __m128i columns = _mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c);
  const __m256i from =
      _mm256_add_epi8(_mm256_broadcastsi128_si256(columns), _mm256_set1_epi32(bytes));
  return _mm256_shuffle_epi8(group, from);
}

// What the pairs of a group add up to in each column: positive parts and negative ones, at most
// 255 of each.
OCT_AVX2 inline __m256i pair_sums(__m256i group) {
  const __m256i zero = _mm256_setzero_si256(), ones = _mm256_set1_epi8(1);
  const __m256i up = _mm256_maddubs_epi16(ones, _mm256_max_epi8(group, zero));
  const __m256i down = _mm256_maddubs_epi16(ones, _mm256_min_epi8(group, zero));
  return _mm256_packus_epi16(up, _mm256_sub_epi16(zero, down));
}

// With A of up to a_max each, a sum of products stays within int16 if the positive parts of its
// weights add up to at most `most` = INT16_MAX / a_max, and so do the negative ones.
OCT_AVX2 inline bool fit(__m256i sums, __m256i most) {
  const __m256i over = _mm256_subs_epu8(sums, most);
  return _mm256_testz_si256(over, over);
}

OCT_AVX2 inline uint8_t largest(__m256i sums) {
  const __m128i most =
      _mm_max_epu8(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  const __m128i rest = _mm_xor_si128(most, _mm_set1_epi8(-1));
  const __m128i least = _mm_minpos_epu16(_mm_min_epu8(rest, _mm_srli_epi16(rest, 8)));
  return static_cast<uint8_t>(~_mm_cvtsi128_si32(least));
}

// Groups of a section whose natural order is safe, by falling size of their largest sum, and which
// of them are taken.
class Candidates {
 public:
  OCT_AVX2 void sort(const __m256i* groups, const uint8_t* list, int count) {
    constexpr int kSizes = 256;
    uint8_t size[kSectionGroups];
    uint16_t places[kSizes] = {};
    for (int i = 0; i < count; ++i) ++places[size[i] = ~largest(pair_sums(groups[list[i]]))];
    for (int i = 0, at = 0; i < kSizes; ++i)
      at += std::exchange(places[i], static_cast<uint16_t>(at));
    for (int i = 0; i < count; ++i) {
      const int at = places[size[i]]++;
      sums_[at] = pair_sums(groups[list[i]]);
      group_[at] = list[i];
    }
    set_count(count);
  }

  // Leaves out those that are taken.
  OCT_AVX2 void compact() {
    int count = 0;
    for_all([&](int at) OCT_AVX2 {
      sums_[count] = sums_[at];
      group_[count++] = group_[at];
    });
    set_count(count);
  }

  // f(place), for those that are not taken when their turn comes.
  template <class F>
  OCT_AVX2 void for_all(F f) {
    for (int word = 0; word < kWords; ++word)
      while (left_[word]) {
        const int at = word * kWordBits + __builtin_ctzll(left_[word]);
        left_[word] &= left_[word] - 1;
        f(at);
      }
  }

  int group(int at) const { return group_[at]; }
  OCT_AVX2 __m256i sums(int at) const { return sums_[at]; }

  // Takes the first from `at` on that has room beside `sums`, which fit by themselves, and gives
  // its group; -1 if there is none.
  OCT_AVX2 int take_partner(__m256i sums, int at, __m256i most) {
    const __m256i* const partner = seek(sums, &sums_[at], most);
    at = static_cast<int>(partner - sums_);
    if (at == count_) return -1;
    sums_[at] = _mm256_set1_epi8(-1);  // has room beside nothing
    left_[at / kWordBits] &= ~(uint64_t{1} << at % kWordBits);
    return group_[at];
  }

 private:
  static constexpr int kWordBits = 64, kWords = kSectionGroups / kWordBits;
  static constexpr int kUnrolled = 4;

  OCT_AVX2 static const __m256i* seek(__m256i sums, const __m256i* from, __m256i most) {
    for (;; from += kUnrolled)
#pragma GCC unroll 4
      for (int i = 0; i < kUnrolled; ++i)
        if (fit(_mm256_adds_epu8(sums, from[i]), most)) return from + i;
  }

  OCT_AVX2 void set_count(int count) {
    count_ = count;
    sums_[count] = _mm256_setzero_si256();  // ends every search
    for (int word = 0; word < kWords; ++word) {
      const int bits = std::clamp(count - word * kWordBits, 0, kWordBits);
      left_[word] = bits ? ~uint64_t{0} >> (kWordBits - bits) : 0;
    }
  }

  int count_ = 0;
  __m256i sums_[kSectionGroups + kUnrolled];
  uint8_t group_[kSectionGroups];
  uint64_t left_[kWords];
};

class MixedPacker {
 public:
  MixedPacker(const BView& b, int64_t n0, int n, int a_max)
      : b_(b), n0_(n0), n_(n), most_(std::min(254, INT16_MAX / a_max)) {}

  // Whole groups of a section: those that have no natural order that is safe look for partners
  // first, then the others among each other. Large sums go first, while there is a choice.
  OCT_AVX2 void sort(int64_t section) {
    first_ = section * kSectionGroups;
    count_ = static_cast<int>(std::min<int64_t>(b_.k / kKr - first_, kSectionGroups));
    read_groups();
    const __m256i most = _mm256_set1_epi8(static_cast<char>(most_));
    uint8_t safe[kSectionGroups], others[kSectionGroups];
    int safe_count = 0, other_count = 0;
    for (int g = 0; g < count_; ++g) {
      const bool is_safe = fit(pair_sums(groups_[g]), most);
      kind_[g] = is_safe ? kSingle : kExact;
      safe[safe_count] = others[other_count] = static_cast<uint8_t>(g);
      safe_count += is_safe;
      other_count += !is_safe;
    }
    candidates_.sort(groups_, safe, safe_count);
    for (int i = 0; i < other_count; ++i) find_partner(others[i], most);
    if (other_count) candidates_.compact();
    pair_candidates(most);
    list_kinds();
  }

  // Of the section that was sorted.
  MixedShares shares() const {
    const auto part = [&](int groups) { return static_cast<double>(groups) / count_; };
    return {part(2 * kinds_[kPair]), part(2 * kinds_[kOrderedPair]), part(kinds_[kExact])};
  }

  // Returns the panel's bytes.
  OCT_AVX2 size_t pack(void* dst, ColumnSums* sums) {
    list_ = static_cast<int32_t*>(dst);
    to_ = static_cast<uint8_t*>(dst) + mixed_list_bytes(b_.k);
    *list_++ = static_cast<int32_t>(mixed_list_bytes(b_.k));
    for (int64_t left = sections(b_.k); left-- > 0;) {
      sort(sections(b_.k) - 1 - left);
      put_section();
      *list_++ = static_cast<int32_t>(left);
    }
    if (b_.k % kKr) put_exact(any_group(b_.k / kKr));
    alignas(__m256i) int32_t sum[kMixedColumns];
    _mm256_store_si256(reinterpret_cast<__m256i*>(sum), sums_);
    for (int i = 0; sums && i < n_; ++i) sums[i] = {sum[i], 0};
    return round_up(static_cast<size_t>(to_ - static_cast<uint8_t*>(dst)));
  }

 private:
  enum Kind : uint8_t { kPair, kOrderedPair, kSingle, kExact, kSecond, kAllKinds };

  OCT_AVX2 __m256i any_group(int64_t group) const {
    const auto block = [&](int c) {
      return any_block(b_, group * kKr, n0_ + c * kBlockColumns, n0_ + n_);
    };
    return _mm256_set_m128i(block(1), block(0));
  }

  OCT_AVX2 void read_groups() {
    const int64_t stride = b_.stride_bytes;
    int g = 0;
    if (n_ == kMixedColumns && b_.layout == BLayout::kNK) {
      const int8_t* const from = b_.data + n0_ * stride + first_ * kKr;
      for (; g + 4 <= count_; g += 4) {
        const FourBlocks left = blocks_from_columns(from + g * kKr, stride, flip_of(b_));
        const FourBlocks right =
            blocks_from_columns(from + kBlockColumns * stride + g * kKr, stride, flip_of(b_));
        for (int i = 0; i < 4; ++i)
          groups_[g + i] = _mm256_set_m128i(right.block[i], left.block[i]);
      }
    }
    for (; g < count_; ++g) groups_[g] = any_group(first_ + g);
  }

  OCT_AVX2 void find_partner(int g, __m256i most) {
    for (int order = kNatural + 1; order < kAllOrders; ++order) {
      const __m256i sums = pair_sums(in_order(groups_[g], order));
      if (!fit(sums, most)) continue;
      const int partner = candidates_.take_partner(sums, 0, most);
      if (partner < 0) continue;
      order_[partner] = static_cast<uint8_t>(order);
      return join(kOrderedPair, partner, g);
    }
  }

  OCT_AVX2 void pair_candidates(__m256i most) {
    candidates_.for_all([&](int at) OCT_AVX2 {
      const int partner = candidates_.take_partner(candidates_.sums(at), at + 1, most);
      if (partner < 0) return;
      const int g = candidates_.group(at);
      join(kPair, std::min(g, partner), std::max(g, partner));
    });
  }

  void join(Kind kind, int first, int second) {
    kind_[first] = kind;
    second_[first] = static_cast<uint8_t>(second);
    kind_[second] = kSecond;
  }

  void list_kinds() {
    std::fill(std::begin(kinds_), std::end(kinds_), 0);
    for (int g = 0; g < count_; ++g)
      groups_of_[kind_[g]][kinds_[kind_[g]]++] = static_cast<uint8_t>(g);
  }

  OCT_AVX2 void put_section() {
    for (const Kind kind : {kPair, kOrderedPair, kSingle, kExact}) {
      *list_++ = kinds_[kind];
      for (int i = 0; i < kinds_[kind]; ++i) put(kind, groups_of_[kind][i]);
    }
  }

  OCT_AVX2 void put(Kind kind, int g) {
    put_offset(g);
    if (kind == kExact) return put_exact(groups_[g]);
    put_bytes(groups_[g], groups_[g]);
    if (kind == kSingle) return;
    const __m256i second = groups_[second_[g]];
    put_offset(second_[g]);
    if (kind == kPair) return put_bytes(second, second);
    std::memcpy(list_++, kOrders[order_[g]], kKr);
    put_bytes(second, in_order(second, order_[g]));
  }

  void put_offset(int g) { *list_++ = static_cast<int32_t>((first_ + g) * kKr); }

  OCT_AVX2 void put_bytes(__m256i group, __m256i bytes) {
    add_up(group);
    store(bytes);
  }

  OCT_AVX2 void put_exact(__m256i group) {
    add_up(group);
    store(_mm256_srai_epi16(group, 8));
    store(_mm256_srai_epi16(_mm256_slli_epi16(group, 8), 8));
  }

  OCT_AVX2 void add_up(__m256i group) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), group);
    sums_ = _mm256_add_epi32(sums_, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  OCT_AVX2 void store(__m256i v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to_), v);
    to_ += sizeof v;
  }

  const BView& b_;
  const int64_t n0_;
  const int n_, most_;
  __m256i sums_ = {};  // of the columns
  int32_t* list_ = nullptr;
  uint8_t* to_ = nullptr;
  // Of the section at hand.
  int64_t first_ = 0;
  int count_ = 0;
  __m256i groups_[kSectionGroups];
  Candidates candidates_;
  Kind kind_[kSectionGroups];
  uint8_t second_[kSectionGroups], order_[kSectionGroups];  // by the first of a pair
  uint8_t groups_of_[kAllKinds][kSectionGroups];
  int kinds_[kAllKinds];
};

}  // namespace

size_t mixed_list_bytes(int64_t k) {
  const int64_t groups = k / kKr;
  const auto numbers = static_cast<size_t>(1 + (kKinds + 1) * sections(k) + groups + groups / 2);
  return round_up(4 * numbers);
}

size_t pack_mixed_panel(const BView& b, int64_t n0, int n, int a_max, void* dst, ColumnSums* sums) {
  return MixedPacker(b, n0, n, a_max).pack(dst, sums);
}

MixedShares mixed_shares(const BView& b, int a_max) {
  constexpr int64_t kSamples = 500;  // groups: a standard error of at most two percent
  const int n = static_cast<int>(std::min<int64_t>(kMixedColumns, b.n));
  const int64_t panels = b.n / n, groups = b.k / kKr;
  if (panels * groups == 0) return {0, 0, 1};
  const int64_t some = std::min<int64_t>(groups, kSectionGroups);
  const int64_t seen = std::clamp<int64_t>(kSamples / some, 1, panels);
  MixedShares mean = {0, 0, 0};
  for (int64_t i = 0; i < seen; ++i) {
    MixedPacker panel(b, i * panels / seen * n, n, a_max);
    panel.sort(i % std::max<int64_t>(1, groups / kSectionGroups));
    const MixedShares s = panel.shares();
    const auto part = 1 / static_cast<double>(seen);
    mean.paired += s.paired * part;
    mean.ordered += s.ordered * part;
    mean.exact += s.exact * part;
  }
  return mean;
}

}  // namespace oct
