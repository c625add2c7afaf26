// Packing B in the form in which most of it can be multiplied by vpmaddubsw, two K groups at once
// where their sums allow it.

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "kernels/pack_block.h"

namespace oct {
namespace {

constexpr int kKinds = 4;  // of entries in the list
// Of a section of it: 10 rows of A are then a third of L1 while its groups are visited in any
// order.
constexpr int64_t kSectionGroups = 256;

int64_t sections(int64_t k) {
  return std::max<int64_t>(1, (k / kKr + kSectionGroups - 1) / kSectionGroups);
}

// The bytes of a K group in other orders: other pairs share a sum, or other sums the pairs.
constexpr uint8_t kOrders[][kKr] = {
    {0, 1, 2, 3}, {0, 2, 1, 3}, {1, 3, 0, 2}, {0, 3, 1, 2}, {1, 2, 0, 3}};
constexpr int kNatural = 0, kAllOrders = std::size(kOrders);

__m128i swap_words(__m128i v) {
  constexpr int swapped = 0xb1;
  return _mm_shufflehi_epi16(_mm_shufflelo_epi16(v, swapped), swapped);
}

// Sums of the words of either half whose bytes share a sum, in that order of bytes.
__m128i pairs_of(__m128i even, __m128i odd, int order) {
  if (order == kNatural) return _mm_add_epi16(even, odd);
  __m128i sums;
  if (order <= 2) {
    const __m128i first = _mm_set1_epi32(0xffff);
    sums = _mm_or_si128(_mm_and_si128(first, _mm_add_epi16(even, swap_words(even))),
                        _mm_andnot_si128(first, _mm_add_epi16(odd, swap_words(odd))));
  } else {
    sums = _mm_add_epi16(even, swap_words(odd));
  }
  return order % 2 ? sums : swap_words(sums);
}

// What the pairs of a group add up to in each column of a panel: positive parts and negative ones,
// at most 255 of each.
struct alignas(32) PairSums {
  __m128i up, down;

  // With A of up to a_max each, a sum of products stays within int16 if the positive parts of its
  // weights add up to at most `most` = INT16_MAX / a_max, and so do the negative ones.
  bool fit(__m128i most) const {
    const __m128i over = _mm_or_si128(_mm_subs_epu8(up, most), _mm_subs_epu8(down, most));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(over, _mm_setzero_si128())) == 0xffff;
  }
  int largest() const {
    __m128i v = _mm_max_epu8(up, down);
    v = _mm_max_epu8(v, _mm_srli_si128(v, 8));
    v = _mm_max_epu8(v, _mm_srli_si128(v, 4));
    v = _mm_max_epu8(v, _mm_srli_si128(v, 2));
    v = _mm_max_epu8(v, _mm_srli_si128(v, 1));
    return static_cast<uint8_t>(_mm_cvtsi128_si32(v));
  }
};

// What there is one of for a group of a section at most: packing allocates nothing.
template <class T>
class SectionList {
 public:
  void clear() { count_ = 0; }
  void push_back(const T& item) { items_[count_++] = item; }
  size_t size() const { return count_; }
  T* begin() { return items_; }
  T* end() { return items_ + count_; }
  const T* begin() const { return items_; }
  const T* end() const { return items_ + count_; }

 private:
  size_t count_ = 0;
  T items_[kSectionGroups];
};

// Groups of a section whose natural order is safe, by falling size of their largest sum, and which
// of them are taken.
class Candidates {
 public:
  void clear() { count_ = 0; }
  void add(int group, const PairSums& sums) {
    unsorted_[count_] = {sums, sums.largest(), group};
    ++count_;
  }

  void sort() {
    int places[kSizes] = {};
    for (int i = 0; i < count_; ++i) ++places[kSizes - 1 - unsorted_[i].largest];
    for (int size = 0, at = 0; size < kSizes; ++size) at += std::exchange(places[size], at);
    for (int i = 0; i < count_; ++i) {
      const int at = places[kSizes - 1 - unsorted_[i].largest]++;
      sums_[at] = unsorted_[i].sums;
      group_[at] = unsorted_[i].group;
    }
  }

  // f(group, sums, its place), for those that are not taken when their turn comes.
  template <class F>
  void for_all(F f) {
    for (int at = 0; at < count_; ++at)
      if (group_[at] >= 0) {
        const PairSums sums = sums_[at];
        f(take(at), sums, at);
      }
  }

  // Takes the first from `at` on that has room beside `sums`, and gives its group; -1 if there is
  // none.
  __attribute__((target("avx2"))) int take_partner(const PairSums& sums, int at, __m128i most) {
    const __m256i own = _mm256_load_si256(reinterpret_cast<const __m256i*>(&sums));
    const __m256i room = _mm256_broadcastsi128_si256(most);
    for (; at < count_; ++at) {
      const __m256i its = _mm256_load_si256(reinterpret_cast<const __m256i*>(&sums_[at]));
      const __m256i over = _mm256_subs_epu8(_mm256_adds_epu8(own, its), room);
      if (_mm256_testz_si256(over, over)) return take(at);
    }
    return -1;
  }

 private:
  static constexpr int kSizes = 256;
  struct Candidate {
    PairSums sums;
    int largest, group;
  };

  // One that is taken has room beside nothing.
  int take(int at) {
    const __m128i all = _mm_set1_epi8(-1);
    sums_[at] = {all, all};
    return std::exchange(group_[at], -1);
  }

  int count_ = 0;
  Candidate unsorted_[kSectionGroups];
  PairSums sums_[kSectionGroups];  // by size, as their groups; -1: taken
  int group_[kSectionGroups];
};

class MixedPacker {
 public:
  MixedPacker(const BView& b, int64_t n0, int n, int a_max)
      : b_(b), n0_(n0), n_(n),
        most_(_mm_set1_epi8(static_cast<char>(std::min(254, INT16_MAX / a_max)))) {}

  // Whole groups of a section: those that have no natural order that is safe look for partners
  // first, then the others among each other. Large sums go first, while there is a choice.
  void sort(int64_t section) {
    first_ = static_cast<int32_t>(section * kSectionGroups);
    const auto count = static_cast<int>(std::min(b_.k / kKr - first_, kSectionGroups));
    pairs_.clear();
    ordered_pairs_.clear();
    singles_.clear();
    exact_.clear();
    others_.clear();
    candidates_.clear();
    for (int g = 0; g < count; ++g) {
      for (int c = 0; c < kBlocks; ++c) blocks_[g][c] = block_at(first_ + g, c);
      const PairSums sums = pair_sums(g, kNatural);
      sums.fit(most_) ? candidates_.add(g, sums) : others_.push_back(g);
    }
    candidates_.sort();
    for (int g : others_)
      if (!find_partner(g)) exact_.push_back(first_ + g);
    pair_candidates();
    std::sort(singles_.begin(), singles_.end());
    for (SectionList<Pair>* pairs : {&pairs_, &ordered_pairs_})
      std::sort(pairs->begin(), pairs->end(),
                [](const Pair& p, const Pair& q) { return p.first < q.first; });
  }

  // Of the section that was sorted.
  MixedShares shares() const {
    const size_t all =
        2 * pairs_.size() + 2 * ordered_pairs_.size() + singles_.size() + exact_.size();
    const auto part = [&](size_t groups) {
      return static_cast<double>(groups) / static_cast<double>(all);
    };
    return {part(2 * pairs_.size()), part(2 * ordered_pairs_.size()), part(exact_.size())};
  }

  void pack(void* dst, ColumnSums* sums) {
    list_ = static_cast<int32_t*>(dst);
    to_ = static_cast<uint8_t*>(dst) + mixed_list_bytes(b_.k);
    *list_++ = static_cast<int32_t>(mixed_list_bytes(b_.k));
    for (int64_t left = sections(b_.k); left-- > 0;) {
      sort(sections(b_.k) - 1 - left);
      put_section();
      *list_++ = static_cast<int32_t>(left);
    }
    if (b_.k % kKr) put_exact(b_.k / kKr);
    for (int i = 0; sums && i < n_; ++i) {
      int32_t lane[kColumns];
      std::memcpy(lane, &sums_[i / kColumns], sizeof lane);
      sums[i] = {lane[i % kColumns], 0};
    }
  }

 private:
  static constexpr int kColumns = kBlockColumns, kBlocks = kMixedColumns / kColumns;

  struct Pair {
    int32_t first, second;
    int order;  // of the second
  };

  __m128i block_at(int64_t group, int c) const {
    return any_block(b_, group * kKr, n0_ + c * kColumns, n0_ + n_);
  }

  // Of group g of the section.
  PairSums pair_sums(int g, int order) const {
    const __m128i zero = _mm_setzero_si128();
    __m128i up[kBlocks], down[kBlocks];
    for (int c = 0; c < kBlocks; ++c) {
      const auto [even, odd] = halves(blocks_[g][c]);
      up[c] = pairs_of(_mm_max_epi16(even, zero), _mm_max_epi16(odd, zero), order);
      down[c] =
          _mm_sub_epi16(zero, pairs_of(_mm_min_epi16(even, zero), _mm_min_epi16(odd, zero), order));
    }
    return {_mm_packus_epi16(up[0], up[1]), _mm_packus_epi16(down[0], down[1])};
  }

  bool find_partner(int g) {
    for (int order = kNatural + 1; order < kAllOrders; ++order) {
      const PairSums sums = pair_sums(g, order);
      if (!sums.fit(most_)) continue;
      const int partner = candidates_.take_partner(sums, 0, most_);
      if (partner < 0) continue;
      ordered_pairs_.push_back({first_ + partner, first_ + g, order});
      return true;
    }
    return false;
  }

  void pair_candidates() {
    candidates_.for_all([&](int g, const PairSums& sums, int at) {
      const int partner = candidates_.take_partner(sums, at, most_);
      if (partner < 0)
        singles_.push_back(first_ + g);
      else
        pairs_.push_back({first_ + g, first_ + partner, kNatural});
    });
  }

  void put_section() {
    for (const SectionList<Pair>* pairs : {&pairs_, &ordered_pairs_}) {
      *list_++ = static_cast<int32_t>(pairs->size());
      for (const Pair& p : *pairs) put_pair(p);
    }
    for (const SectionList<int32_t>* groups : {&singles_, &exact_}) {
      *list_++ = static_cast<int32_t>(groups->size());
      for (int32_t g : *groups) {
        *list_++ = g * kKr;
        groups == &exact_ ? put_exact(g) : put_bytes(g, kNatural);
      }
    }
  }

  void put_pair(const Pair& p) {
    *list_++ = p.first * kKr;
    *list_++ = p.second * kKr;
    if (p.order != kNatural) std::memcpy(list_++, kOrders[p.order], kKr);
    put_bytes(p.first, kNatural);
    put_bytes(p.second, p.order);
  }

  void put_bytes(int64_t group, int order) {
    for (int c = 0; c < kBlocks; ++c) {
      const __m128i block = blocks_[group - first_][c];
      add_up(c, halves(block));
      store(to_, block);
      if (order != kNatural) reorder(to_, order);
      to_ += kColumns * kKr;
    }
  }

  void put_exact(int64_t group) {
    for (int c = 0; c < kBlocks; ++c) {
      const Halves h = halves(block_at(group, c));
      add_up(c, h);
      store(to_ + c * kColumns * kKr, h.odd);
      store(to_ + (kMixedColumns + c * kColumns) * kKr, h.even);
    }
    to_ += 2 * kMixedColumns * kKr;
  }

  void add_up(int c, const Halves& h) {
    const __m128i both = _mm_add_epi16(h.even, h.odd);
    sums_[c] = _mm_add_epi32(sums_[c], _mm_madd_epi16(both, _mm_set1_epi16(1)));
  }

  static void store(uint8_t* to, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), v); }

  static void reorder(uint8_t* block, int order) {
    uint8_t from[kColumns * kKr];
    std::memcpy(from, block, sizeof from);
    for (int i = 0; i < kColumns * kKr; ++i)
      block[i] = from[i / kKr * kKr + kOrders[order][i % kKr]];
  }

  const BView& b_;
  const int64_t n0_;
  const int n_;
  const __m128i most_;
  // Of the section at hand.
  int32_t first_ = 0;
  __m128i blocks_[kSectionGroups][kBlocks];
  Candidates candidates_;
  SectionList<int> others_;
  SectionList<Pair> pairs_, ordered_pairs_;
  SectionList<int32_t> singles_, exact_;
  __m128i sums_[kBlocks] = {};
  int32_t* list_ = nullptr;
  uint8_t* to_ = nullptr;
};

}  // namespace

size_t mixed_list_bytes(int64_t k) {
  const int64_t groups = k / kKr;
  const auto numbers = static_cast<size_t>(1 + (kKinds + 1) * sections(k) + groups + groups / 2);
  return (4 * numbers + 63) / 64 * 64;
}

void pack_mixed_panel(const BView& b, int64_t n0, int n, int a_max, void* dst, ColumnSums* sums) {
  MixedPacker(b, n0, n, a_max).pack(dst, sums);
}

MixedShares mixed_shares(const BView& b, int a_max) {
  constexpr int64_t kSamples = 2000;  // groups: a standard error of at most one percent
  const int n = static_cast<int>(std::min<int64_t>(kMixedColumns, b.n));
  const int64_t panels = b.n / n, groups = b.k / kKr;
  if (panels * groups == 0) return {0, 0, 1};
  const int64_t some = std::min(groups, kSectionGroups);
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
