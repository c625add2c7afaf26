// The instruction sets Octavo emits code for, with the one spelling of their names.
//
// The order is the order of preference and of the OCTAVO_MAX_ISA cap; a higher set does not
// imply a lower one (AVX-512 machines need not have AVX-VNNI). What a given CPU can run is
// the dispatch layer's business.
#pragma once

#include <string_view>

namespace oct {

// kAvxVnniInt8 includes AVX-VNNI: no CPU has the one without the other.
enum class Isa { kNone = 0, kAvx2, kAvxVnni, kAvxVnniInt8, kAvx512bw, kAvx512Vnni, kAmx };

inline constexpr int kIsaCount = 7;
inline constexpr const char* kIsaNames[kIsaCount] = {
    "none", "avx2", "avxvnni", "avxvnniint8", "avx512bw", "avx512vnni", "amx"};

constexpr const char* isa_name(Isa isa) { return kIsaNames[static_cast<int>(isa)]; }

// Whether vpdpbusd exists: exact sums at one instruction each.
constexpr bool has_vnni(Isa isa) { return isa != Isa::kAvx2 && isa != Isa::kAvx512bw; }

// The ISA that a CPU must have for the tests to run the kernels of `isa` all the same, by trapping
// the instructions it lacks and performing them; kNone where they cannot.
constexpr Isa emulated_on(Isa isa) {
  switch (isa) {
    case Isa::kAvxVnni:
    case Isa::kAvxVnniInt8: return Isa::kAvx2;
    case Isa::kAmx: return Isa::kAvx512Vnni;
    default: return Isa::kNone;
  }
}

// The ISA of that name, or kNone.
constexpr Isa isa_from_name(std::string_view name) {
  for (int i = 1; i < kIsaCount; ++i)
    if (name == kIsaNames[i]) return static_cast<Isa>(i);
  return Isa::kNone;
}

}  // namespace oct
