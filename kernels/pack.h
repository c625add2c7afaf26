// Operand layouts and the code that makes them.
//
// A panel of B holds n columns (n <= nr), padded to whole vectors of L lanes (nv of them), over
// all of K padded to whole steps (below); padding is zero.
//
// Weights are packed as s8, u8 ones less 128, or as u8 for rows that take u8 (kRowUnsignedB).
//
//   BForm::kQuads8     for each K group g, for each vector j:   lane l = column j*L + l
//                      | w[4g] w[4g+1] w[4g+2] w[4g+3] | ...        4 bytes a lane
//
//   BForm::kPairs16    for each K group g, for each vector j, two vectors of s16 pairs:
//                      | w[4g+1] w[4g+3] | ...    then    | w[4g] w[4g+2] | ...
//
//   BForm::kMixed      panels of one vector of 8; whole K groups sorted by which of their products
//                      may share an int16 sum without leaving it, for all columns of the panel and
//                      any A up to mixed_a_max:
//                      | where the groups begin, in bytes from the list |
//                      | count | offset, offset | ..         two groups, pair by pair
//                      | count | offset, offset, order | ..  likewise, the second in another order
//                                                            of its bytes: that of A's, as vpshufb
//                                                            takes it
//                      | count | offset | ..                 by itself, (0 1) and (2 3)
//                      | count | offset | ..                 none of these               all int32
//                      | sections left |                     K is cut into such lists
//                      then the groups in that order: the last, and the tail, as in kPairs16, the
//                      others as in kQuads8. Offsets are those of a group's bytes in a row of A
//
//   AForm::kPairs16    a' = (a + shift) mod 256; per row, for each K group, eight bytes:
//                      | a'[4g] a'[4g+2] | a'[4g+1] a'[4g+3] |    s16 pairs; zero beyond K
//
// The kPairs16 forms feed Winograd's inner product (S. Winograd, "A new algorithm for inner
// product", IEEE Trans. Comput. C-17, 1968): a0*w0 + a1*w1 = (a0 + w1)(a1 + w0) - a0*a1 - w1*w0,
// which halves the multiplications; the terms that depend on one operand only are summed while
// packing: per column into `ColumnSums::product`, per row into `row_term`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/table.h"

namespace oct {

// How a kernel takes a run of K: `whole` steps of `step` bytes of A, then `tail` < step bytes.
// Vector kernels step by K groups, and packed A has no tail. Tile kernels step by up to kr bytes,
// all of them as long as the fewest steps allow: K = 96 is 48 + 48, which leaves no tail.
struct KSteps {
  int step, tail;
  int64_t whole;
  int64_t count() const { return whole + (tail != 0); }
};
KSteps k_steps(const KernelRow& row, int64_t k);

enum class BLayout : uint8_t { kKN, kNK };

// Weights to bring into L2 before they are packed: columns of them are more streams than hardware
// prefetchers follow.
struct WeightRun {
  const int8_t *begin = nullptr, *end = nullptr;
};

struct BView {
  const int8_t* data;
  BLayout layout;
  int64_t stride_bytes;
  int64_t k, n;
  bool is_unsigned = false;  // u8
  WeightRun ahead = {};      // kNK: fetched little by little while columns are packed
};

// Where columns [n0, n0 + n) of kNK lie, as far as there are any, and of these bytes part i of
// `parts`. Empty for kKN.
WeightRun weight_run(const BView& b, int64_t n0, int n, int64_t i = 0, int64_t parts = 1);

// Fetches at once what L2 should hold of it.
void fetch_weights(WeightRun run);

// What the epilogue has to correct, per column of a panel; w as packed.
struct ColumnSums {
  int32_t sum;      // of w[k], modulo 2^32
  int32_t product;  // of w[2i] * w[2i+1] over the padded K, modulo 2^32
};

// Bytes of a packed panel of n columns, at most.
size_t packed_b_bytes(const KernelRow& row, int64_t k, int n);

// Packs columns [n0, n0 + n) into dst (64-byte aligned) and writes n sums, unless `sums` is null.
// Returns how many bytes were needed, a multiple of 64 if fewer than packed_b_bytes.
size_t pack_b_panel(const KernelRow& row, const BView& b, int64_t n0, int n, void* dst,
                    ColumnSums* sums);

// Whether no pair (w[2i], w[2i+1]) of any column can leave int16 when multiplied by two u8.
bool weight_pairs_safe(const BView& b);

// kMixed, whose rows take A up to that.
inline constexpr int kMixedColumns = 8;
int mixed_a_max(const KernelRow& row);

// Of the groups of its panels, the shares that stand in pairs, in such with another order, and
// that take the exact form: estimated from a sample.
struct MixedShares {
  double paired, ordered, exact;
};
MixedShares mixed_shares(const BView& b, int a_max);

// Bytes of the list, at most; and pack_b_panel.
size_t mixed_list_bytes(int64_t k);
size_t pack_mixed_panel(const BView& b, int64_t n0, int n, int a_max, void* dst, ColumnSums* sums);

// Bytes of one packed row of A, and the packing of `rows` rows. row_term[m] receives minus the
// sum of a'[2i] * a'[2i+1]. Needs AVX2.
size_t packed_a_row_bytes(int64_t k);
void pack_a_rows(const uint8_t* a, int64_t a_stride_bytes, int rows, int64_t k, uint8_t shift,
                 void* dst, int32_t* row_term);

// Rows of A as a GEMM row sees them: `k` bytes at every tap's a_offset, of which it makes
// (a + shift) mod 256 or, if `is_signed`, takes a as s8.
struct ARows {
  const uint8_t* a;
  int64_t stride_bytes;
  const Tap *taps, *taps_end;
  int64_t k;
  uint8_t shift;
  bool is_signed;
};

// sums[m]: of all the bytes of row m, modulo 2^32, less the taps that leave it out; the `count`
// rows are those of one tile if any tap does. Needs AVX2.
void sum_a_rows(const ARows& rows, int64_t count, int32_t* sums);

}  // namespace oct
