// Code for a row of the table: found in the code cache or generated.
#pragma once

#include <array>
#include <memory>

#include "jit/code_cache.h"
#include "kernels/table.h"

namespace oct {

struct GemmCode {
  std::shared_ptr<const Code> code;        // keeps the entry points alive
  std::array<GemmFn, kMaxMr + 1> entry{};  // entry[m], 1 <= m <= mr
};

// Throws std::bad_alloc, or CodeError when the system refuses executable memory.
GemmCode gemm_code(CodeCache& cache, const KernelRow& row, const GemmSpec& spec);

}  // namespace oct
