// What this CPU is and which instruction sets it can run: the only place that asks.
//
// Cores, caches and microarchitecture come from cpuinfo; identity, features (cpuinfo is too old
// to know AVX-VNNI, AVX-VNNI-INT8 and AMX) and the operating system's part (XCR0) from CPUID and
// XGETBV, which also suffice where cpuinfo cannot initialise. "Can run" is kept apart from "is
// allowed": caps are applied by usable_isas.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "jit/isa.h"

namespace oct {

struct CpuFacts {
  std::string name;           // as the CPU calls itself
  std::string vendor, uarch;  // cpuinfo's names, lower case: "amd", "zen4"
  int cores = 1;              // physical cores this process may run on (affinity respected)
  // As one core sees them. Where nothing tells: 32 KiB, 256 KiB and no L3 (0).
  size_t l1d_bytes = 0, l2_bytes = 0, l3_bytes = 0;
  // 512-bit integer operations per cycle: 1 where 512-bit words are cracked into two halves or a
  // single port serves them, otherwise 2.
  int zmm_per_cycle = 2;
  // Per ISA: whether the CPU and the operating system run it, and if not, why not ("" if so).
  std::array<bool, kIsaCount> runs{};
  std::array<std::string, kIsaCount> reason;

  // Whether the tests alone can run the ISA here, by performing what the CPU lacks.
  bool only_emulated(Isa isa) const;
};

// Detected once per process; thread-safe.
const CpuFacts& cpu_facts();

// The ISAs a context may use: those the CPU runs, up to `cap` (kNone: no cap). AMX also needs the
// system's permission, which is asked for here.
struct UsableIsas {
  Isa cap = Isa::kNone;
  std::array<bool, kIsaCount> usable{};
  std::array<std::string, kIsaCount> reason;  // why not; "" where usable

  bool operator[](Isa isa) const { return usable[static_cast<int>(isa)]; }
  bool any() const;
  const char* vnni() const;  // the name of the best one with VNNI, or null
};
UsableIsas usable_isas(const CpuFacts& facts, Isa cap);

}  // namespace oct
