#include "perf/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace oct::perf {
namespace {

// Multiply-accumulates that the reference may spend on one problem: a fraction of a second.
constexpr int64_t kReferenceBudget = int64_t{1} << 25;

double element(DType type, const void* data, int64_t i) {
  switch (type) {
    case DType::kU8: return static_cast<const uint8_t*>(data)[i];
    case DType::kS8: return static_cast<const int8_t*>(data)[i];
    case DType::kS32: return static_cast<const int32_t*>(data)[i];
    case DType::kF32: return static_cast<const float*>(data)[i];
    case DType::kBf16: {
      const uint32_t bits = uint32_t{static_cast<const uint16_t*>(data)[i]} << 16;
      float value;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    }
    case DType::kNone: break;
  }
  return 0;
}

// By how much the peer's value may differ from ours.
double peer_tolerance(DType type, double value) {
  switch (type) {
    case DType::kU8:
    case DType::kS8: return 1;
    case DType::kF32: return std::abs(value) * 0x1p-22;
    case DType::kBf16: return std::abs(value) * 0x1p-7;
    case DType::kS32:
    case DType::kNone: break;
  }
  return 0;
}

std::vector<int64_t> rows_to_check(const QgemmCase& problem) {
  const auto& shape = problem.shape();
  const int64_t wanted = std::max<int64_t>(2, kReferenceBudget / (shape.k * shape.n));
  std::vector<int64_t> rows;
  if (wanted >= shape.m) {
    for (int64_t row = 0; row < shape.m; ++row) rows.push_back(row);
    return rows;
  }
  std::mt19937_64 random(problem.options().seed);
  std::uniform_int_distribution<int64_t> any_row(0, shape.m - 1);
  rows = {0, shape.m - 1};
  while (static_cast<int64_t>(rows.size()) < wanted) rows.push_back(any_row(random));
  return rows;
}

// Adds one row's differences beyond `tolerance(value)`.
template <class Tolerance>
void compare_row(DType type, int64_t row, int64_t n, const void* values, const void* expected,
                 Tolerance tolerance, Difference& difference) {
  difference.compared += n;
  if (std::memcmp(values, expected, n * dtype_bytes(type)) == 0) return;
  for (int64_t column = 0; column < n; ++column) {
    const double value = element(type, values, column);
    const double wanted = element(type, expected, column);
    const double distance = std::abs(value - wanted);
    if (distance <= tolerance(value)) continue;
    if (!difference.any())
      difference.first =
          fmt::format("row {}, column {}: {}, expected {}", row, column, value, wanted);
    ++difference.different;
    difference.largest = std::max(difference.largest, distance);
  }
}

const void* row_of(const void* c, int64_t row, size_t row_bytes) {
  return static_cast<const std::byte*>(c) + row * row_bytes;
}

}  // namespace

Difference compare_with_reference(const QgemmCase& problem, const void* c) {
  const auto& shape = problem.shape();
  const DType type = problem.options().dst;
  const size_t row_bytes = shape.n * dtype_bytes(type);
  const ReferenceGemm reference = problem.reference();
  std::vector<std::byte> expected(row_bytes);
  Difference difference;
  for (const int64_t row : rows_to_check(problem)) {
    reference_gemm(reference, 1, row_of(problem.a(), row, shape.k), shape.k, expected.data(),
                   row_bytes);
    compare_row(
        type, row, shape.n, row_of(c, row, row_bytes), expected.data(), [](double) { return 0.0; },
        difference);
  }
  return difference;
}

Difference compare_with_peer(const QgemmCase& problem, const void* ours, const void* peers) {
  const auto& shape = problem.shape();
  const DType type = problem.options().dst;
  const size_t row_bytes = shape.n * dtype_bytes(type);
  Difference difference;
  for (int64_t row = 0; row < shape.m; ++row)
    compare_row(
        type, row, shape.n, row_of(ours, row, row_bytes), row_of(peers, row, row_bytes),
        [type](double value) { return peer_tolerance(type, value); }, difference);
  return difference;
}

}  // namespace oct::perf
