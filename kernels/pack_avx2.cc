// Packing A for the kPairs16 kernels: the one part of a run that is not generated code. Bound by
// stores: 32 bytes in, 64 out, eleven instructions.

#include <immintrin.h>

#include <cstring>

#include "kernels/pack.h"

namespace oct {
namespace {

#define OCT_AVX2 __attribute__((target("avx2")))

// Splits 32 bytes into s16 halves, interleaves them by K group and stores 64 bytes; returns the
// sum of even * odd.
OCT_AVX2 inline __m256i pack_32(__m256i bytes, uint8_t* dst) {
  const __m256i even = _mm256_and_si256(bytes, _mm256_set1_epi16(0x00ff));
  const __m256i odd = _mm256_srli_epi16(bytes, 8);
  const __m256i lo = _mm256_unpacklo_epi32(even, odd);  // groups 0 1 | 4 5
  const __m256i hi = _mm256_unpackhi_epi32(even, odd);  // groups 2 3 | 6 7
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), _mm256_permute2x128_si256(lo, hi, 0x20));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + 32),
                      _mm256_permute2x128_si256(lo, hi, 0x31));
  return _mm256_madd_epi16(even, odd);
}

OCT_AVX2 inline int32_t sum_lanes(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

OCT_AVX2 int32_t pack_row(const uint8_t* a, int64_t k, uint8_t shift, uint8_t* dst) {
  const __m256i add = _mm256_set1_epi8(static_cast<char>(shift));
  __m256i products = _mm256_setzero_si256();
  int64_t i = 0;
  for (; i + 32 <= k; i += 32) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i));
    products = _mm256_add_epi32(products, pack_32(_mm256_add_epi8(v, add), dst + 2 * i));
  }
  if (i < k) {
    // What lies beyond K must be zero after the shift, or it would enter the row's term.
    alignas(32) uint8_t last[32];
    std::memset(last, static_cast<uint8_t>(-shift), sizeof last);
    std::memcpy(last, a + i, static_cast<size_t>(k - i));
    const __m256i v = _mm256_load_si256(reinterpret_cast<const __m256i*>(last));
    products = _mm256_add_epi32(products, pack_32(_mm256_add_epi8(v, add), dst + 2 * i));
  }
  return static_cast<int32_t>(0u - static_cast<uint32_t>(sum_lanes(products)));
}

}  // namespace

size_t packed_a_row_bytes(int64_t k) { return static_cast<size_t>((k + 31) / 32 * 64); }

OCT_AVX2 void pack_a_rows(const uint8_t* a, int64_t a_stride_bytes, int rows, int64_t k,
                          uint8_t shift, void* dst, int32_t* row_term) {
  uint8_t* out = static_cast<uint8_t*>(dst);
  for (int r = 0; r < rows; ++r) {
    row_term[r] = pack_row(a + r * a_stride_bytes, k, shift, out);
    out += packed_a_row_bytes(k);
  }
  _mm256_zeroupper();
}

}  // namespace oct
