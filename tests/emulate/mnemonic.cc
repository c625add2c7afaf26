#include "tests/emulate/mnemonic.h"

namespace oct::emulate {

namespace {

constexpr Isa kAmx = Isa::kAmx, kVnni = Isa::kAvxVnni, kInt8 = Isa::kAvxVnniInt8;
using enum Mnemonic;
using enum Form;
using enum Signs;

}  // namespace

// clang-format off
constexpr Row kRows[kMnemonicCount] = {
    {kLdtilecfg,   "ldtilecfg",   kAmx,   0x49, Prefix::kNone, kConfig,      kNone, false},
    {kSttilecfg,   "sttilecfg",   kAmx,   0x49, Prefix::k66,   kConfig,      kNone, false},
    {kTilerelease, "tilerelease", kAmx,   0x49, Prefix::kNone, kRelease,     kNone, false},
    {kTilezero,    "tilezero",    kAmx,   0x49, Prefix::kF2,   kTile,        kNone, false},
    {kTileloadd,   "tileloadd",   kAmx,   0x4b, Prefix::kF2,   kTileMemory,  kNone, false},
    {kTileloaddt1, "tileloaddt1", kAmx,   0x4b, Prefix::k66,   kTileMemory,  kNone, false},
    {kTilestored,  "tilestored",  kAmx,   0x4b, Prefix::kF3,   kTileMemory,  kNone, false},
    {kTdpbssd,     "tdpbssd",     kAmx,   0x5e, Prefix::kF2,   kThreeTiles,  kSS,   false},
    {kTdpbsud,     "tdpbsud",     kAmx,   0x5e, Prefix::kF3,   kThreeTiles,  kSU,   false},
    {kTdpbusd,     "tdpbusd",     kAmx,   0x5e, Prefix::k66,   kThreeTiles,  kUS,   false},
    {kTdpbuud,     "tdpbuud",     kAmx,   0x5e, Prefix::kNone, kThreeTiles,  kUU,   false},
    {kVpdpbusd,    "vpdpbusd",    kVnni,  0x50, Prefix::k66,   kVectorBytes, kUS,   false},
    {kVpdpbusds,   "vpdpbusds",   kVnni,  0x51, Prefix::k66,   kVectorBytes, kUS,   true},
    {kVpdpwssd,    "vpdpwssd",    kVnni,  0x52, Prefix::k66,   kVectorWords, kSS,   false},
    {kVpdpwssds,   "vpdpwssds",   kVnni,  0x53, Prefix::k66,   kVectorWords, kSS,   true},
    {kVpdpbssd,    "vpdpbssd",    kInt8,  0x50, Prefix::kF2,   kVectorBytes, kSS,   false},
    {kVpdpbssds,   "vpdpbssds",   kInt8,  0x51, Prefix::kF2,   kVectorBytes, kSS,   true},
    {kVpdpbsud,    "vpdpbsud",    kInt8,  0x50, Prefix::kF3,   kVectorBytes, kSU,   false},
    {kVpdpbsuds,   "vpdpbsuds",   kInt8,  0x51, Prefix::kF3,   kVectorBytes, kSU,   true},
    {kVpdpbuud,    "vpdpbuud",    kInt8,  0x50, Prefix::kNone, kVectorBytes, kUU,   false},
    {kVpdpbuuds,   "vpdpbuuds",   kInt8,  0x51, Prefix::kNone, kVectorBytes, kUU,   true},
};
// clang-format on

// row_of() indexes by mnemonic.
static_assert([] {
  for (int i = 0; i < kMnemonicCount; ++i)
    if (kRows[i].mnemonic != static_cast<Mnemonic>(i)) return false;
  return true;
}());

}  // namespace oct::emulate
