// The instructions the emulator performs: one row each, from which follow how it is decoded, what
// it computes, its name in messages and its counter.
#pragma once

#include <cstdint>

#include "jit/isa.h"

namespace oct::emulate {

enum class Mnemonic : uint8_t {
  kLdtilecfg,
  kSttilecfg,
  kTilerelease,
  kTilezero,
  kTileloadd,
  kTileloaddt1,
  kTilestored,
  kTdpbssd,
  kTdpbsud,
  kTdpbusd,
  kTdpbuud,
  kVpdpbusd,
  kVpdpbusds,
  kVpdpwssd,
  kVpdpwssds,
  kVpdpbssd,
  kVpdpbssds,
  kVpdpbsud,
  kVpdpbsuds,
  kVpdpbuud,
  kVpdpbuuds,
};
inline constexpr int kMnemonicCount = 21;

// The pp field of a VEX prefix.
enum class Prefix : uint8_t { kNone = 0, k66 = 1, kF3 = 2, kF2 = 3 };

// What follows the opcode byte, as the manuals write it.
enum class Form : uint8_t {
  kConfig,       // !(11):000:bbb   64 bytes of memory, any addressing
  kRelease,      // 11:000:000      nothing
  kTile,         // 11:rrr:000      one tile
  kTileMemory,   // !(11):rrr:100   a tile and memory with a SIB byte: base + row * index * scale
  kThreeTiles,   // 11:rrr:bbb      three tiles, one of them in VEX.vvvv
  kVectorBytes,  // /r              three xmm or ymm registers, the last of them perhaps memory;
  kVectorWords,  //                 dot products of four bytes, or of two words
};

// Which factors of a dot product are signed: the first source (VEX.vvvv of a vector instruction,
// ModRM.rm of a tile one), then the second.
enum class Signs : uint8_t { kNone, kSS, kSU, kUS, kUU };

struct Row {
  Mnemonic mnemonic;
  const char* name;
  Isa isa;
  uint8_t opcode;  // in the map 0F38
  Prefix prefix;
  Form form;
  Signs signs;
  bool saturates;
};

extern const Row kRows[kMnemonicCount];

inline const Row& row_of(Mnemonic mnemonic) { return kRows[static_cast<int>(mnemonic)]; }

}  // namespace oct::emulate
