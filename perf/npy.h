// Matrices of f32 in NumPy's .npy files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace oct::perf {

// Row-major. Further axes have been folded: see read_npy.
struct Matrix {
  int64_t rows = 0, cols = 0;
  std::vector<float> data;

  const float* row(int64_t i) const { return data.data() + i * cols; }
};

enum class Fold { kLeading, kTrailing };  // which axes become rows, or columns

// An array of one to eight axes of little-endian float32 in C order. kLeading: its last axis is the
// columns, as of activations [..., K]; kTrailing: its first axis is the rows, as of weights [N,
// ...]. Throws UsageError, naming the file and what is wrong with it.
Matrix read_npy(const std::string& path, Fold fold);

}  // namespace oct::perf
