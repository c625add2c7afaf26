// Packing A for the kPairs16 kernels: the one part of a run that is not generated code. Bound by
// stores: 32 bytes in, 64 out, eleven instructions.

#include <immintrin.h>

#include <algorithm>
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

// The last k % 32 bytes of a row; what lies beyond K becomes zero when the shift is added.
OCT_AVX2 inline __m256i last_bytes(const uint8_t* a, int64_t count, uint8_t shift) {
  alignas(32) uint8_t last[32];
  std::memset(last, static_cast<uint8_t>(-shift), sizeof last);
  std::memcpy(last, a, static_cast<size_t>(count));
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(last));
}

OCT_AVX2 inline __m128i load_half(const uint8_t* a) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
}

// Indices of bytes, then what makes zeros.
alignas(32) constexpr uint8_t kBytes[32] = {
    0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,   15,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};

// The last `count` < 32 bytes of a row of at least 16, shifted, and zeros behind them. Read
// together with bytes before them: a copy to a buffer stalls for some forty cycles.
OCT_AVX2 inline __m256i row_end(const uint8_t* end, int64_t count, __m128i add) {
  const int64_t in_last = count % 16;
  const __m128i last =
      _mm_shuffle_epi8(_mm_add_epi8(load_half(end - 16), add), load_half(kBytes + 16 - in_last));
  return count < 16 ? _mm256_set_m128i(_mm_setzero_si128(), last)
                    : _mm256_set_m128i(last, _mm_add_epi8(load_half(end - count), add));
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
    const __m256i v = k >= 16 ? row_end(a + k, k - i, _mm256_castsi256_si128(add))
                              : _mm256_add_epi8(last_bytes(a, k, shift), add);
    products = _mm256_add_epi32(products, pack_32(v, dst + 2 * i));
  }
  return static_cast<int32_t>(0u - static_cast<uint32_t>(sum_lanes(products)));
}

// The sums of eight bytes each, in the low halves of quadwords.
OCT_AVX2 inline __m256i sum_bytes(__m256i v, __m256i add) {
  return _mm256_sad_epu8(_mm256_add_epi8(v, add), _mm256_setzero_si256());
}
OCT_AVX2 inline __m256i load(const uint8_t* a) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
}

// Zeros, then ones: the vector that ends `count` bytes into the ones keeps so many last bytes.
alignas(64) constexpr uint8_t kKeepLast[64] = {
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

// The sums of the last k % 32 bytes of a row of k, read together with bytes before them where there
// are enough, as in row_end().
OCT_AVX2 inline __m256i sum_last_bytes(const uint8_t* a, int64_t k, __m256i add, uint8_t shift) {
  const int64_t count = k % 32;
  if (k >= 32) {
    const __m256i v = _mm256_add_epi8(load(a + k - 32), add);
    return _mm256_sad_epu8(_mm256_and_si256(v, load(kKeepLast + count)), _mm256_setzero_si256());
  }
  if (k < 16) return sum_bytes(last_bytes(a, count, shift), add);
  const __m256i v = _mm256_add_epi8(_mm256_set_m128i(load_half(a + k - 16), load_half(a)), add);
  const __m256i keep = _mm256_set_m128i(load_half(kKeepLast + k), _mm_set1_epi8(-1));
  return _mm256_sad_epu8(_mm256_and_si256(v, keep), _mm256_setzero_si256());
}

OCT_AVX2 int32_t sum_row(const uint8_t* a, int64_t k, uint8_t shift) {
  const __m256i add = _mm256_set1_epi8(static_cast<char>(shift));
  __m256i sum0 = _mm256_setzero_si256(), sum1 = sum0;
  int64_t i = 0;
  for (; i + 64 <= k; i += 64) {
    sum0 = _mm256_add_epi32(sum0, sum_bytes(load(a + i), add));
    sum1 = _mm256_add_epi32(sum1, sum_bytes(load(a + i + 32), add));
  }
  if (i + 32 <= k) {
    sum0 = _mm256_add_epi32(sum0, sum_bytes(load(a + i), add));
    i += 32;
  }
  if (i < k) sum1 = _mm256_add_epi32(sum1, sum_last_bytes(a, k, add, shift));
  return sum_lanes(_mm256_add_epi32(sum0, sum1));
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

OCT_AVX2 void sum_a_rows(const ARows& r, int64_t count, int32_t* sums) {
  // s8 is u8 less 128 once its sign is flipped.
  const uint8_t shift = r.is_signed ? 128 : r.shift;
  const uint32_t offset = r.is_signed ? 128 * static_cast<uint32_t>(r.k) : 0;  // of a tap
  for (int64_t m = 0; m < count; ++m) {
    uint32_t sum = 0;
    for (const Tap* tap = r.taps; tap != r.taps_end; ++tap) {
      if (m < tap->clip || m >= count + std::min<int64_t>(0, tap->clip)) continue;
      const uint8_t* a = r.a + m * r.stride_bytes + tap->a_offset;
      sum += static_cast<uint32_t>(sum_row(a, r.k, shift)) - offset;
    }
    sums[m] = static_cast<int32_t>(sum);
  }
  _mm256_zeroupper();
}

}  // namespace oct
