// The kernel table: one row per kernel, from which its tests, benchmarks, eligibility, name in
// logs and perf maps follow.
//
// A GEMM row computes an m x n block of C, 1 <= m <= mr, 1 <= n <= nr, over the whole of K; code
// is generated per GemmSpec (columns, tail of K, epilogue) with one entry point for every m. A
// depthwise row computes mr output rows of nr channels, kr taps to a dot (kernels/depthwise.h). An
// elementwise row handles nr elements in a pass of its loop (kernels/elementwise.h).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "jit/isa.h"
#include "kernels/epilogue.h"

namespace oct {

struct KernelRow;

inline constexpr int kMaxMr = 64;        // most rows of any tile
inline constexpr int kMaxVectorMr = 16;  // and of those in vector registers
inline constexpr int kMaxNr = 64;        // most columns of any tile
inline constexpr int kMaxSums = 1024;    // most sums of any tile
inline constexpr int kMaxRowTerms = 2;
inline constexpr int kKr = 4;  // packed B is made of groups of four K on every ISA

// How a kernel wants its operands; kernels/pack.h draws the layouts.
enum class AForm : uint8_t {
  kBytes,   // in place: rows of bytes at the caller's stride
  kPairs16  // packed: s16 halves of each K group, with one correction term per row
};
enum class BForm : uint8_t {
  kQuads8,   // bytes, four consecutive k of a column in one 32-bit lane
  kPairs16,  // s16 halves of each K group
  kMixed     // kQuads8 where pairs of products are safe, kPairs16 elsewhere
};

// Facts that limit where a row may be used.
enum RowFlags : uint32_t {
  kRowAnyData = 0,
  // Exact only if no sum of two products leaves int16: A promised to span at most 128 values (it
  // is then shifted to 0..127), or every adjacent pair of weights proven safe at pack time.
  kRowNeedsSafePairs = 1,
  // A is s8, and multiplied as it is; other rows shift s8 A to u8.
  kRowSignedA = 2,
  // A is u8: this row cannot shift.
  kRowUnsignedA = 4,
  // B is u8, and multiplied as it is; other rows take u8 B less 128, as s8.
  kRowUnsignedB = 8
};

// What code is generated for.
struct GemmSpec {
  int n = 0;             // columns of this panel, 1 .. nr
  int k_step = kKr;      // bytes of A that one step of K takes: KSteps of kernels/pack.h
  int k_tail = 0;        // bytes of A in the last step, if it is not whole
  bool a_shift = false;  // kBytes only: GemmArgs::a_shift is added to every byte of A
  int row_terms = 0;     // products of a row's and a column's number added to sums: 0, 1 or 2
  bool taps = false;     // K is a list of taps (convolution) instead of one run of groups
  int clip = 0;          // taps may leave out up to so many rows at either end of a tile
  // Tile kernels only.
  int rows_per_step = 0;  // of the last tile, that are finished in each step of the next
  bool a_once = false;    // a panel sees every byte of A once: it need not stay in L1
  // Vector kernels only.
  int k_fixed = 0;  // the whole steps of a run, if few enough to be unrolled; 0: GemmArgs::k_groups
  // Taps are runs that leave run_tail bytes, 1 or 2, beyond their k_fixed groups: those of
  // kKr / run_tail runs share a group. The list has run_count taps, whose parts of the panel lie
  // side by side; the shared groups follow. Bytes up to the next multiple of kKr may be read.
  int run_tail = 0, run_count = 0;
  // So many of the last steps, the tail being one, go row by row, amid the epilogue of the rows
  // before. Not with taps, mixed and block-diagonal B.
  int k_last = 0;
  // Block-diagonal B: a column sees only the group_in bytes of A that belong to its group of
  // group_out columns (powers of two; both 0: all of A). A run is one group's bytes.
  int group_in = 0, group_out = 0;
  bool in_lanes = false;  // sums lie as A does: kernels/gemm_lanes.h
  EpilogueSpec epilogue;

  // K groups of all runs, with those they share.
  int run_groups() const { return run_count * k_fixed + (run_count * run_tail + kKr - 1) / kKr; }
  // Whether numbers of rows are read.
  bool counts_rows() const { return row_terms > 0 || epilogue.row_scale; }

  friend bool operator==(const GemmSpec&, const GemmSpec&) = default;
};

// One tap: where its part of a row of A and its K groups in the panel begin, in bytes from
// GemmArgs::a (plus the row) and GemmArgs::b. Every tap has the same number of K groups and the
// same tail. It contributes to rows [0, m) of a tile less the first `clip` (positive) or the last
// -clip (negative) ones, |clip| <= GemmSpec::clip; A is not read for those.
struct Tap {
  int64_t a_offset, b_offset;
  int64_t clip;
};

// The tensor of a post-operation in one call: the row that belongs to c, and on to the next.
struct PostTensor {
  const void* data;
  int64_t stride_bytes;
};

// One call: `tiles` consecutive tiles of m rows against one panel of B. Strides in bytes.
struct GemmArgs {
  const void* a;  // first row
  int64_t a_stride_bytes;
  const void* b;  // the packed panel
  void* c;        // first row, first column of the panel
  int64_t c_stride_bytes;
  // Per column, padded to whole vectors.
  const int32_t* init;            // where accumulators start: bias less corrections
  int64_t init_stride_bytes = 0;  // with GemmSpec::clip: from one row's init to the next
  const float* mult;              // unused for s32
  const float* bias;              // only with bias_f32
  const int32_t* row_init;        // per row, AForm::kPairs16 only: added to the accumulators
  // With row_terms: sums += row_factor[t][row] * col_factor[t][column], the first t of both.
  const int32_t* row_factor[kMaxRowTerms];
  const int32_t* col_factor[kMaxRowTerms];
  const float* row_scale;  // with EpilogueSpec::row_scale: of the first row
  const EpilogueParams* epilogue;
  const Tap *taps, *taps_end;    // with taps: at least none
  PostTensor post[kMaxPostOps];  // of the operations that have one
  int64_t k_groups;              // whole steps of K; of one tap with taps
  int64_t tiles;                 // >= 1
  uint32_t a_shift;              // the byte to add, in all four bytes
  // Set by GemmCalls, for tile kernels only.
  int64_t m;      // rows of a tile
  void* scratch;  // kGemmScratchBytes (kernels/gemm_amx.h), aligned to 64
};

using GemmFn = void (*)(const GemmArgs*);

// Emits the entry point for m rows, or for the entry_rows up to m.
using EmitGemm = void (*)(Assembler&, const KernelRow&, const GemmSpec&, int m);

struct KernelRow {
  const char* name;  // <op>_<types>_<mr>x<nr>x<kr>_<isa>, with its bits if narrower than the ISA
  const char* op;    // "gemm", "depthwise", "quantize", "dequantize", "requantize", "minmax"
  Isa isa;
  int mr, nr, kr;
  AForm a_form;
  BForm b_form;
  uint32_t flags;
  int lanes;  // 32-bit lanes of its vectors: panels are padded to whole vectors. Vectors may be
              // narrower than the ISA's
  int entry_rows;  // row counts that share an entry point
  EmitGemm emit;   // null for other operations
};

// All rows, every name once; and those of one operation, which are neighbours.
std::span<const KernelRow> kernel_table();
std::span<const KernelRow> kernels_of(std::string_view op);

// The row of that name, or nullptr.
const KernelRow* find_kernel(const char* name);

}  // namespace oct
