// The unit in which B is packed, read from either layout.
#pragma once

#include <emmintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/pack.h"

namespace oct {

// A "block" is one K group of four columns: a 4x4 transpose away from either layout.
inline constexpr int kBlockColumns = 4;

inline __m128i load4(const int8_t* p) {
  int32_t v;
  std::memcpy(&v, p, sizeof v);
  return _mm_cvtsi32_si128(v);
}

// What turns u8 into s8 less 128 by xor, or nothing.
inline __m128i flip_of(const BView& b) { return _mm_set1_epi8(b.is_unsigned ? -128 : 0); }

// Lane c of the result holds w[4g .. 4g+3] of column n0 + c.
inline __m128i whole_block(const BView& b, int64_t k, int64_t n) {
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
inline __m128i edge_block(const BView& b, int64_t k, int64_t n, int64_t n_end) {
  int8_t block[16] = {};
  const int flip = b.is_unsigned ? -128 : 0;
  for (int64_t c = n; c < std::min(n + kBlockColumns, n_end); ++c)
    for (int64_t i = k; i < std::min(k + kKr, b.k); ++i)
      block[(c - n) * kKr + (i - k)] = static_cast<int8_t>(
          flip ^
          b.data[b.layout == BLayout::kKN ? i * b.stride_bytes + c : c * b.stride_bytes + i]);
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(block));
}

inline __m128i any_block(const BView& b, int64_t k, int64_t n, int64_t n_end) {
  const bool whole = k + kKr <= b.k && n + kBlockColumns <= n_end;
  return whole ? whole_block(b, k, n) : edge_block(b, k, n, n_end);
}

inline __m128i load16(const BView& b, int64_t offset) {
  return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b.data + offset)),
                       flip_of(b));
}

struct FourBlocks {
  __m128i block[4];
};

// Four blocks side by side from K rows: sixteen columns of each row in one load.
inline FourBlocks blocks_from_rows(const BView& b, int64_t k, int64_t n) {
  const auto row = [&](int64_t i) { return load16(b, (k + i) * b.stride_bytes + n); };
  const __m128i r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3);
  const __m128i lo01 = _mm_unpacklo_epi8(r0, r1), hi01 = _mm_unpackhi_epi8(r0, r1);
  const __m128i lo23 = _mm_unpacklo_epi8(r2, r3), hi23 = _mm_unpackhi_epi8(r2, r3);
  return {{_mm_unpacklo_epi16(lo01, lo23), _mm_unpackhi_epi16(lo01, lo23),
           _mm_unpacklo_epi16(hi01, hi23), _mm_unpackhi_epi16(hi01, hi23)}};
}

// Four blocks below each other from four columns `stride` bytes apart: sixteen K of each in one
// load.
inline FourBlocks blocks_from_columns(const int8_t* first, int64_t stride, __m128i flip) {
  const auto column = [&](int64_t i) {
    return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(first + i * stride)),
                         flip);
  };
  const __m128i c0 = column(0), c1 = column(1), c2 = column(2), c3 = column(3);
  const __m128i lo01 = _mm_unpacklo_epi32(c0, c1), hi01 = _mm_unpackhi_epi32(c0, c1);
  const __m128i lo23 = _mm_unpacklo_epi32(c2, c3), hi23 = _mm_unpackhi_epi32(c2, c3);
  return {{_mm_unpacklo_epi64(lo01, lo23), _mm_unpackhi_epi64(lo01, lo23),
           _mm_unpacklo_epi64(hi01, hi23), _mm_unpackhi_epi64(hi01, hi23)}};
}

struct Halves {
  __m128i even, odd;  // w[0] w[2] and w[1] w[3] of each column, as s16
};
inline Halves halves(__m128i block) {
  return {_mm_srai_epi16(_mm_slli_epi16(block, 8), 8), _mm_srai_epi16(block, 8)};
}
// The same of unsigned weights.
inline Halves unsigned_halves(__m128i block) {
  return {_mm_and_si128(block, _mm_set1_epi16(0xff)), _mm_srli_epi16(block, 8)};
}

}  // namespace oct
