// Code for a row of the table: found in the code cache or generated; and how it is called.
#pragma once

#include <array>
#include <memory>

#include "jit/code_cache.h"
#include "kernels/gemm_amx.h"
#include "kernels/table.h"

namespace oct {

// How K of one run (one tap of `runs` with taps) is cut, into `spec`, whose columns and
// epilogue are set.
void set_k(const KernelRow& row, int64_t k, int64_t runs, GemmSpec* spec);

struct GemmCode {
  GemmSpec spec;
  bool tiles = false;                      // runs in AMX tiles
  std::shared_ptr<const Code> code;        // keeps the entry points alive
  std::array<GemmFn, kMaxMr + 1> entry{};  // entry[m], 1 <= m <= mr
};

// Throws std::bad_alloc, or CodeError when the system refuses executable memory.
GemmCode gemm_code(CodeCache& cache, const KernelRow& row, const GemmSpec& spec);

// Turns the rows of A, C and post-operations' tensors round, the last of `rows` first; twice is not
// at all. No row may have numbers of its own (row_init, row_factor, row_scale, init with clip).
void turn_rows(GemmArgs& args, int64_t rows);

// One task's calls of GEMM code: keeps the thread's tile configuration that of the kernel that is
// called, loading it only when the kernel changes, and leaves the thread without tiles.
class GemmCalls {
 public:
  GemmCalls() = default;
  ~GemmCalls() {
    if (code_) release_tiles();
  }
  GemmCalls(const GemmCalls&) = delete;
  GemmCalls& operator=(const GemmCalls&) = delete;

  // Tiles of m rows; completes `args`.
  void call(const GemmCode& code, int m, GemmArgs& args) {
    if (code.tiles) prepare(code, m, args);
    code.entry[static_cast<size_t>(m)](&args);
  }

 private:
  void prepare(const GemmCode& code, int m, GemmArgs& args);

  const GemmCode* code_ = nullptr;  // whose configuration for m_ rows is loaded
  int m_ = 0;
  TileConfig config_;
  alignas(64) uint8_t scratch_[kGemmScratchBytes];
};

}  // namespace oct
