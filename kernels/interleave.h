// Interleaving rows of pixels: for every pixel x the bytes of row 0, then of row 1, and so on.
//
//   rows    | r0x0 r0x1 .. |            to   | r0x0 r1x0 r2x0 | r0x1 r1x1 r2x1 | ..
//           | r1x0 r1x1 .. |   ------>
//           | r2x0 r2x1 .. |                 a column of pixels, rows * bytes long
//
// This is how a convolution whose pixels are too short for kernels to read in place gets windows
// that are contiguous over all rows under its filter.
#pragma once

#include <cstdint>
#include <vector>

namespace oct {

class Interleaver {
 public:
  // `bytes` of a pixel in each of `rows` rows.
  Interleaver(int rows, int64_t bytes);

  // `pixels` dense pixels of each row; null stands for a row of `fill`. Up to kSlack bytes beyond
  // the end are written, too.
  void run(const uint8_t* const* rows, uint8_t fill, int64_t pixels, uint8_t* to) const;

  static constexpr int kMaxRows = 64;
  static constexpr int64_t kSlack = 64;

 private:
  static constexpr int kMostShuffledRows = 8;  // rows whose pointers are kept in registers, or near

  void shuffle_masks();
  template <int kRows>
  void shuffle_step(const uint8_t* const* from, const uint8_t* mask, uint8_t* to) const;
  template <int kRows>
  bool shuffle(const uint8_t* const* rows, uint8_t fill, int64_t pixels, uint8_t* to) const;
  bool shuffle_any(const uint8_t* const* rows, uint8_t fill, int64_t pixels, uint8_t* to) const;

  int rows_;
  int64_t bytes_;
  int step_ = 0;                             // pixels shuffled at a time; 0: none
  int vectors_ = 0;                          // of 32 bytes that they become
  std::vector<uint8_t> masks_, last_masks_;  // [vector][row][32]
};

}  // namespace oct
