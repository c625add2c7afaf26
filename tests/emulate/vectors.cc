#include "tests/emulate/vectors.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace oct::emulate {

namespace {

template <class T>
T element(const Vector& v, size_t offset) {
  T value;
  std::memcpy(&value, v.data() + offset, sizeof value);
  return value;
}

// The exact sum of the products within one 32-bit element.
template <class A, class B>
int64_t sum_of_products(const Vector& a, const Vector& b, size_t offset) {
  int64_t sum = 0;
  for (size_t i = 0; i < 4; i += sizeof(A))
    sum += int64_t{element<A>(a, offset + i)} * element<B>(b, offset + i);
  return sum;
}

int64_t sum_of_products(const Row& row, const Vector& a, const Vector& b, size_t offset) {
  if (row.form == Form::kVectorWords) return sum_of_products<int16_t, int16_t>(a, b, offset);
  switch (row.signs) {
    case Signs::kSS: return sum_of_products<int8_t, int8_t>(a, b, offset);
    case Signs::kSU: return sum_of_products<int8_t, uint8_t>(a, b, offset);
    case Signs::kUS: return sum_of_products<uint8_t, int8_t>(a, b, offset);
    case Signs::kUU: return sum_of_products<uint8_t, uint8_t>(a, b, offset);
    case Signs::kNone: break;
  }
  return 0;
}

template <class T>
uint32_t saturated_sum(T acc, int64_t sum) {
  using Limits = std::numeric_limits<T>;
  return static_cast<uint32_t>(
      std::clamp<int64_t>(int64_t{acc} + sum, Limits::min(), Limits::max()));
}

}  // namespace

Vector dot_product(const Row& row, const Vector& acc, const Vector& a, const Vector& b,
                   size_t size) {
  Vector result{};
  for (size_t i = 0; i < size; i += 4) {
    const int64_t sum = sum_of_products(row, a, b, i);
    uint32_t value = element<uint32_t>(acc, i) + static_cast<uint32_t>(sum);
    if (row.saturates)
      value = row.signs == Signs::kUU ? saturated_sum(element<uint32_t>(acc, i), sum)
                                      : saturated_sum(element<int32_t>(acc, i), sum);
    std::memcpy(result.data() + i, &value, sizeof value);
  }
  return result;
}

}  // namespace oct::emulate
