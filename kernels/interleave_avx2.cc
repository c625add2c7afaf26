// Per step of 16 / bytes pixels: one broadcast load per row and output vector, a byte shuffle that
// puts the row's pieces into place, and an or. For 3 rows of 3 bytes that is 18 instructions for
// five columns; copying piece by piece took five times as long.

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/interleave.h"

namespace oct {
namespace {

constexpr int kLane = 16, kVector = 32;  // bytes

}  // namespace

Interleaver::Interleaver(int rows, int64_t bytes) : rows_(rows), bytes_(bytes) {
  if (rows <= kMostShuffledRows && bytes <= kLane) shuffle_masks();
}

void Interleaver::shuffle_masks() {
  step_ = static_cast<int>(kLane / bytes_);
  const auto column = static_cast<int>(rows_ * bytes_);
  vectors_ = (step_ * column + kVector - 1) / kVector;
  masks_.assign(static_cast<size_t>(vectors_ * rows_ * kVector), 0x80);
  for (int p = 0; p < step_ * column; ++p) {
    const int x = p / column, row = p % column / static_cast<int>(bytes_);
    const int at = (p / kVector * rows_ + row) * kVector + p % kVector;
    masks_[static_cast<size_t>(at)] =
        static_cast<uint8_t>(x * bytes_ + p % column % static_cast<int>(bytes_));
  }
  // Of 16 bytes that end with the last pixel.
  last_masks_ = masks_;
  for (uint8_t& m : last_masks_)
    if (m != 0x80) m = static_cast<uint8_t>(m + kLane - step_ * bytes_);
}

// One step: from[r] .. to.
template <int kRows>
__attribute__((target("avx2"), always_inline)) inline void Interleaver::shuffle_step(
    const uint8_t* const* from, const uint8_t* mask, uint8_t* to) const {
  __m256i in[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    in[r] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from[r])));
  for (int v = 0; v < vectors_; ++v, to += kVector) {
    __m256i out = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r, mask += kVector) {
      const __m256i places = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask));
      out = _mm256_or_si256(out, _mm256_shuffle_epi8(in[r], places));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), out);
  }
}

// All pixels, if they fill a step; nothing is read beyond any row.
template <int kRows>
__attribute__((target("avx2"))) bool Interleaver::shuffle(const uint8_t* const* rows, uint8_t fill,
                                                          int64_t pixels, uint8_t* to) const {
  if (pixels * bytes_ < kLane) return false;
  alignas(kLane) uint8_t filled[kLane];
  std::memset(filled, fill, sizeof filled);
  const uint8_t* from[kRows];
  int64_t advance[kRows];
  for (int r = 0; r < kRows; ++r) {
    from[r] = rows[r] ? rows[r] : filled;
    advance[r] = rows[r] ? step_ * bytes_ : 0;
  }
  const int64_t column = kRows * bytes_;
  for (int64_t x = 0; x * bytes_ + kLane <= pixels * bytes_; x += step_) {
    shuffle_step<kRows>(from, masks_.data(), to + x * column);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) from[r] += advance[r];
  }
  for (int r = 0; r < kRows; ++r) from[r] = rows[r] ? rows[r] + pixels * bytes_ - kLane : filled;
  shuffle_step<kRows>(from, last_masks_.data(), to + (pixels - step_) * column);
  _mm256_zeroupper();
  return true;
}

bool Interleaver::shuffle_any(const uint8_t* const* rows, uint8_t fill, int64_t pixels,
                              uint8_t* to) const {
  switch (rows_) {
    case 1: return shuffle<1>(rows, fill, pixels, to);
    case 2: return shuffle<2>(rows, fill, pixels, to);
    case 3: return shuffle<3>(rows, fill, pixels, to);
    case 4: return shuffle<4>(rows, fill, pixels, to);
    case 5: return shuffle<5>(rows, fill, pixels, to);
    case 6: return shuffle<6>(rows, fill, pixels, to);
    case 7: return shuffle<7>(rows, fill, pixels, to);
    default: return shuffle<8>(rows, fill, pixels, to);
  }
}

void Interleaver::run(const uint8_t* const* rows, uint8_t fill, int64_t pixels, uint8_t* to) const {
  if (step_ > 0 && shuffle_any(rows, fill, pixels, to)) return;
  const auto bytes = static_cast<size_t>(bytes_);
  for (int64_t x = 0; x < pixels; ++x)
    for (int r = 0; r < rows_; ++r, to += bytes)
      if (rows[r])
        std::memcpy(to, rows[r] + x * bytes_, bytes);
      else
        std::memset(to, fill, bytes);
}

}  // namespace oct
