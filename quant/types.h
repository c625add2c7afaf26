// Element types and their ranges.
#pragma once

#include <cstddef>
#include <cstdint>

namespace oct {

// The values equal oct_dtype's.
enum class DType : uint8_t { kNone = 0, kU8, kS8, kS32, kF32, kBf16 };

constexpr size_t dtype_bytes(DType t) {
  switch (t) {
    case DType::kU8:
    case DType::kS8: return 1;
    case DType::kBf16: return 2;
    case DType::kS32:
    case DType::kF32: return 4;
    case DType::kNone: break;
  }
  return 0;
}

constexpr const char* dtype_name(DType t) {
  constexpr const char* names[] = {"none", "u8", "s8", "s32", "f32", "bf16"};
  return names[static_cast<int>(t)];
}

constexpr bool is_int8(DType t) { return t == DType::kU8 || t == DType::kS8; }

// The range of an 8-bit type.
constexpr int dtype_min(DType t) { return t == DType::kS8 ? -128 : 0; }
constexpr int dtype_max(DType t) { return t == DType::kS8 ? 127 : 255; }

}  // namespace oct
