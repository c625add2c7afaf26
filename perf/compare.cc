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

std::vector<int64_t> rows_to_check(const Case& problem) {
  const int64_t rows = problem.rows();
  const int64_t wanted = std::max<int64_t>(2, kReferenceBudget / (problem.k() * problem.n()));
  std::vector<int64_t> chosen;
  if (wanted >= rows) {
    for (int64_t row = 0; row < rows; ++row) chosen.push_back(row);
    return chosen;
  }
  std::mt19937_64 random(problem.options().seed);
  std::uniform_int_distribution<int64_t> any_row(0, rows - 1);
  chosen = {0, rows - 1};
  while (static_cast<int64_t>(chosen.size()) < wanted) chosen.push_back(any_row(random));
  return chosen;
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
          fmt::format("row {}, channel {}: {}, expected {}", row, column, value, wanted);
    ++difference.different;
    difference.largest = std::max(difference.largest, distance);
  }
}

const void* row_of(const void* c, int64_t row, size_t row_bytes) {
  return static_cast<const std::byte*>(c) + row * row_bytes;
}

}  // namespace

Difference compare_with_reference(const Case& problem, const void* c) {
  const DType type = problem.options().dst;
  std::vector<std::byte> expected(problem.row_bytes());
  Difference difference;
  for (const int64_t row : rows_to_check(problem)) {
    problem.reference_row(row, expected.data());
    compare_row(
        type, row, problem.n(), row_of(c, row, problem.row_bytes()), expected.data(),
        [](double) { return 0.0; }, difference);
  }
  return difference;
}

Difference compare_with_peer(const Case& problem, const void* ours, const void* peers) {
  const DType type = problem.options().dst;
  Difference difference;
  for (int64_t row = 0; row < problem.rows(); ++row)
    compare_row(
        type, row, problem.n(), row_of(ours, row, problem.row_bytes()),
        row_of(peers, row, problem.row_bytes()),
        [type](double value) { return peer_tolerance(type, value); }, difference);
  return difference;
}

}  // namespace oct::perf
