// The instruction sets Octavo emits code for, with the one spelling of their names.
//
// The order is the order of preference and of the OCTAVO_MAX_ISA cap; a higher set does not
// imply a lower one (AVX-512 machines need not have AVX-VNNI). What a given CPU can run is
// the dispatch layer's business.
#pragma once

#include <string_view>

namespace oct {

enum class Isa { kNone = 0, kAvx2, kAvxVnni, kAvxVnniInt8, kAvx512bw, kAvx512Vnni, kAmx };

inline constexpr int kIsaCount = 7;
inline constexpr const char* kIsaNames[kIsaCount] = {
    "none", "avx2", "avxvnni", "avxvnniint8", "avx512bw", "avx512vnni", "amx"};

constexpr const char* isa_name(Isa isa) { return kIsaNames[static_cast<int>(isa)]; }

// The ISA of that name, or kNone.
constexpr Isa isa_from_name(std::string_view name) {
  for (int i = 1; i < kIsaCount; ++i)
    if (name == kIsaNames[i]) return static_cast<Isa>(i);
  return Isa::kNone;
}

}  // namespace oct
