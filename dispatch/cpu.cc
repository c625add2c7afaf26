#include "dispatch/cpu.h"

#include <cpuid.h>
#include <cpuinfo.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>

#include "dispatch/amx_permission.h"

namespace oct {
namespace {

// ------------------------------------------------------------------- CPUID and XGETBV --

enum Register { kEax, kEbx, kEcx, kEdx };

struct CpuidResult {
  unsigned reg[4] = {0, 0, 0, 0};  // all zero for a leaf the CPU does not have
};

CpuidResult cpuid(unsigned leaf, unsigned subleaf = 0) {
  CpuidResult r;
  __get_cpuid_count(leaf, subleaf, &r.reg[kEax], &r.reg[kEbx], &r.reg[kEcx], &r.reg[kEdx]);
  return r;
}

struct Feature {
  const char* name;  // Intel's spelling
  unsigned leaf, subleaf;
  Register reg;
  int bit;
};

bool has(const Feature& f) {
  // Leaf 7 tells in subleaf 0 how many subleaves follow.
  if (f.subleaf > 0 && cpuid(f.leaf).reg[kEax] < f.subleaf) return false;
  return (cpuid(f.leaf, f.subleaf).reg[f.reg] >> f.bit) & 1;
}

// The register state the operating system saves; 0 if it does not use XSAVE.
uint64_t read_xcr0() {
  if (!has({"OSXSAVE", 1, 0, kEcx, 27})) return 0;
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// ------------------------------------------------------------------- instruction sets --

constexpr uint64_t kYmmState = 0x6;       // SSE, AVX
constexpr uint64_t kZmmState = 0xE6;      // and mask registers, upper halves, ZMM16-31
constexpr uint64_t kTileState = 0x60000;  // TILECFG, TILEDATA

constexpr int kMaxFeatures = 6;

struct IsaNeeds {
  Isa isa;
  uint64_t state;
  const char* state_name;
  Feature features[kMaxFeatures];  // ends at the first without a name
};

constexpr Feature kAvx = {"AVX", 1, 0, kEcx, 28};
constexpr Feature kAvx2 = {"AVX2", 7, 0, kEbx, 5};
constexpr Feature kAvx512f = {"AVX512F", 7, 0, kEbx, 16};
constexpr Feature kAvx512dq = {"AVX512DQ", 7, 0, kEbx, 17};
constexpr Feature kAvx512bw = {"AVX512BW", 7, 0, kEbx, 30};
constexpr Feature kAvx512vl = {"AVX512VL", 7, 0, kEbx, 31};
constexpr Feature kAvx512vnni = {"AVX512_VNNI", 7, 0, kEcx, 11};
constexpr Feature kAvxVnni = {"AVX-VNNI", 7, 1, kEax, 4};
constexpr Feature kAvxVnniInt8 = {"AVX-VNNI-INT8", 7, 1, kEdx, 4};
constexpr Feature kAmxTile = {"AMX-TILE", 7, 0, kEdx, 24};
constexpr Feature kAmxInt8 = {"AMX-INT8", 7, 0, kEdx, 25};

constexpr IsaNeeds kIsaNeeds[] = {
    {Isa::kAvx2, kYmmState, "YMM", {kAvx2, kAvx}},
    {Isa::kAvxVnni, kYmmState, "YMM", {kAvx2, kAvx, kAvxVnni}},
    {Isa::kAvxVnniInt8, kYmmState, "YMM", {kAvx2, kAvx, kAvxVnni, kAvxVnniInt8}},
    {Isa::kAvx512bw, kZmmState, "ZMM", {kAvx2, kAvx512f, kAvx512bw, kAvx512dq, kAvx512vl}},
    {Isa::kAvx512Vnni,
     kZmmState,
     "ZMM",
     {kAvx2, kAvx512f, kAvx512bw, kAvx512dq, kAvx512vl, kAvx512vnni}},
    // Its kernels end in AVX-512, which every CPU with AMX has.
    {Isa::kAmx,
     kTileState | kZmmState,
     "tile and ZMM",
     {kAmxInt8, kAmxTile, kAvx512f, kAvx512bw, kAvx512dq, kAvx512vl}},
};

// Why this machine cannot run the ISA; "" if it can.
std::string why_not(const IsaNeeds& needs, uint64_t xcr0) {
  for (const Feature& f : needs.features)
    if (f.name && !has(f)) return std::string("CPU lacks ") + f.name;
  if ((xcr0 & needs.state) != needs.state) {
    char text[96];
    std::snprintf(text, sizeof text, "operating system does not enable %s state (XCR0 = 0x%llx)",
                  needs.state_name, static_cast<unsigned long long>(xcr0));
    return text;
  }
  return "";
}

// --------------------------------------------------------------------------- identity --

std::string vendor_name() {
  const CpuidResult r = cpuid(0);
  char id[12];
  std::memcpy(id, &r.reg[kEbx], 4);
  std::memcpy(id + 4, &r.reg[kEdx], 4);
  std::memcpy(id + 8, &r.reg[kEcx], 4);
  const std::string_view vendor(id, sizeof id);
  if (vendor == "GenuineIntel") return "intel";
  if (vendor == "AuthenticAMD") return "amd";
  if (vendor == "HygonGenuine") return "hygon";
  return "unknown";
}

// The brand string, without the blanks that pad it on either side.
std::string brand_name() {
  char brand[48] = {};
  for (unsigned i = 0; i < 3; ++i) {
    const CpuidResult r = cpuid(0x80000002 + i);
    std::memcpy(brand + 16 * i, r.reg, 16);
  }
  const std::string text(brand, strnlen(brand, sizeof brand));
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return "unknown";
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

const char* cpuinfo_uarch_name(cpuinfo_uarch uarch) {
  switch (uarch) {
    case cpuinfo_uarch_nehalem: return "nehalem";
    case cpuinfo_uarch_sandy_bridge: return "sandy_bridge";
    case cpuinfo_uarch_ivy_bridge: return "ivy_bridge";
    case cpuinfo_uarch_haswell: return "haswell";
    case cpuinfo_uarch_broadwell: return "broadwell";
    case cpuinfo_uarch_sky_lake: return "sky_lake";
    case cpuinfo_uarch_palm_cove: return "palm_cove";
    case cpuinfo_uarch_sunny_cove: return "sunny_cove";
    case cpuinfo_uarch_excavator: return "excavator";
    case cpuinfo_uarch_zen: return "zen";
    case cpuinfo_uarch_zen2: return "zen2";
    case cpuinfo_uarch_zen3: return "zen3";
    default: return "unknown";
  }
}

// Cores that cpuinfo is too old to know, and those that issue one 512-bit multiply per cycle. The
// first row that matches holds.
struct KnownModels {
  const char* vendor;
  unsigned family, first_model, last_model;
  const char* uarch;
  int zmm_per_cycle;
};
constexpr KnownModels kKnownModels[] = {
    {"amd", 0x19, 0x10, 0x1f, "zen4", 1},         // Genoa; 512-bit words take two passes
    {"amd", 0x19, 0x60, 0x7f, "zen4", 1},         // Raphael, Phoenix
    {"amd", 0x19, 0xa0, 0xaf, "zen4", 1},         // Bergamo
    {"amd", 0x1a, 0x20, 0x2f, "zen5", 1},         // Strix Point keeps 256-bit data paths
    {"amd", 0x1a, 0x60, 0x6f, "zen5", 1},         // Krackan Point, likewise
    {"amd", 0x1a, 0x00, 0xff, "zen5", 2},         // all others
    {"intel", 6, 0x7d, 0x7e, "sunny_cove", 1},    // Ice Lake client: VPDPBUSD on port 0 only
    {"intel", 6, 0x8c, 0x8d, "willow_cove", 1},   // Tiger Lake, likewise
    {"intel", 6, 0xa7, 0xa7, "cypress_cove", 1},  // Rocket Lake, likewise
    {"intel", 6, 0x8f, 0x8f, "golden_cove", 2},   // Sapphire Rapids
    {"intel", 6, 0xcf, 0xcf, "raptor_cove", 2},   // Emerald Rapids
    {"intel", 6, 0xad, 0xae, "redwood_cove", 2},  // Granite Rapids
};

void apply_known_models(CpuFacts& facts) {
  const unsigned signature = cpuid(1).reg[kEax];
  unsigned family = signature >> 8 & 0xf;
  unsigned model = signature >> 4 & 0xf;
  if (family == 6 || family == 15) model |= signature >> 12 & 0xf0;
  if (family == 15) family += signature >> 20 & 0xff;
  for (const KnownModels& row : kKnownModels)
    if (facts.vendor == row.vendor && family == row.family && model >= row.first_model &&
        model <= row.last_model) {
      facts.uarch = row.uarch;
      facts.zmm_per_cycle = row.zmm_per_cycle;
      return;
    }
}

// --------------------------------------------------------------------------- topology --

// The logical processors this process may run on. The kernel refuses a set smaller than its own.
class Affinity {
 public:
  Affinity() : known_(sched_getaffinity(0, sizeof set_, set_) == 0) {}

  bool allows(int cpu) const { return !known_ || CPU_ISSET_S(cpu, sizeof set_, set_); }
  int count() const {
    return known_ ? CPU_COUNT_S(sizeof set_, set_)
                  : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  }

 private:
  cpu_set_t set_[8] = {};  // 8192 processors, the most Linux supports
  bool known_;
};

size_t cache_bytes(const cpuinfo_cache* cache, int sysconf_name, size_t otherwise) {
  if (cache && cache->size > 0) return cache->size;
  const long bytes = sysconf(sysconf_name);
  return bytes > 0 ? static_cast<size_t>(bytes) : otherwise;
}

// Cores, caches and microarchitecture, as far as cpuinfo knows them.
void read_topology(CpuFacts& facts) {
  const Affinity affinity;
  const cpuinfo_processor* first = nullptr;
  std::set<const cpuinfo_core*> cores;
  if (cpuinfo_initialize())
    for (uint32_t i = 0; i < cpuinfo_get_processors_count(); ++i) {
      const cpuinfo_processor* p = cpuinfo_get_processor(i);
      if (!affinity.allows(p->linux_id)) continue;
      if (!first) first = p;
      cores.insert(p->core);
    }
  const bool known = first != nullptr;
  facts.cores = known ? static_cast<int>(cores.size()) : affinity.count();
  if (facts.cores < 1) facts.cores = 1;
  facts.uarch = known ? cpuinfo_uarch_name(first->core->uarch) : "unknown";
  facts.l1d_bytes =
      cache_bytes(known ? first->cache.l1d : nullptr, _SC_LEVEL1_DCACHE_SIZE, 32 << 10);
  facts.l2_bytes = cache_bytes(known ? first->cache.l2 : nullptr, _SC_LEVEL2_CACHE_SIZE, 256 << 10);
  facts.l3_bytes = cache_bytes(known ? first->cache.l3 : nullptr, _SC_LEVEL3_CACHE_SIZE, 0);
}

CpuFacts detect() {
  CpuFacts facts;
  facts.name = brand_name();
  facts.vendor = vendor_name();
  read_topology(facts);
  apply_known_models(facts);
  const uint64_t xcr0 = read_xcr0();
  for (const IsaNeeds& needs : kIsaNeeds) {
    const int i = static_cast<int>(needs.isa);
    facts.reason[i] = why_not(needs, xcr0);
    facts.runs[i] = facts.reason[i].empty();
  }
  return facts;
}

}  // namespace

const CpuFacts& cpu_facts() {
  static const CpuFacts facts = detect();
  return facts;
}

bool CpuFacts::only_emulated(Isa isa) const {
  return !runs[static_cast<size_t>(isa)] && runs[static_cast<size_t>(emulated_on(isa))];
}

bool UsableIsas::any() const {
  for (bool u : usable)
    if (u) return true;
  return false;
}

const char* UsableIsas::vnni() const {
  for (int i = kIsaCount; i-- > 1;)
    if (usable[i] && has_vnni(static_cast<Isa>(i))) return kIsaNames[i];
  return nullptr;
}

UsableIsas usable_isas(const CpuFacts& facts, Isa cap) {
  UsableIsas isas{cap, facts.runs, facts.reason};
  for (int i = 1; i < kIsaCount; ++i)
    if (cap != Isa::kNone && i > static_cast<int>(cap) && isas.usable[i]) {
      isas.usable[i] = false;
      isas.reason[i] = std::string("above the cap ") + isa_name(cap);
    }
  // Asked for only here, so that a cap below AMX leaves the process's signal frames small.
  constexpr auto kAmx = static_cast<size_t>(Isa::kAmx);
  if (isas.usable[kAmx]) {
    isas.reason[kAmx] = why_no_tiles();
    isas.usable[kAmx] = isas.reason[kAmx].empty();
  }
  return isas;
}

}  // namespace oct
