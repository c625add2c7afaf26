// The tile unit of one thread: AMX's configuration and eight tile registers, with the checks that
// a CPU makes. Palette 1, the only one there is: tiles of up to 16 rows of 64 bytes.
#pragma once

#include <cstdint>

#include "tests/emulate/fault.h"
#include "tests/emulate/mnemonic.h"

namespace oct::emulate {

inline constexpr int kTiles = 8, kTileRows = 16, kTileRowBytes = 64;

// What LDTILECFG reads and STTILECFG writes.
struct TileConfig {
  uint8_t palette;
  uint8_t start_row;  // where an interrupted load or store resumes
  uint8_t reserved[14];
  uint16_t colsb[16];  // bytes per row; only the first eight may be used
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

struct alignas(64) Tile {
  uint8_t row[kTileRows][kTileRowBytes];
};

class TileUnit {
 public:
  constexpr TileUnit() = default;  // unconfigured, as after TILERELEASE

  Fault configure(const TileConfig& config);
  void release();

  // `stride`: from a row to the next, modulo 2^64.
  Fault load(int tile, uint64_t start, uint64_t stride);
  Fault store(int tile, uint64_t start, uint64_t stride);
  Fault zero(int tile);

  // c[m][n] += dot product of the four bytes a[m][4k..] and b[k][4n..], over all k, modulo 2^32.
  Fault multiply(Signs signs, int c, int a, int b);

  bool configured() const { return config_.palette != 0; }
  const TileConfig& config() const { return config_; }  // all zero when not configured
  const Tile& tile(int i) const { return tiles_[i]; }

 private:
  // Why `tile` cannot be an operand.
  Fault unusable(int tile) const;
  Fault cannot_transfer(int tile) const;
  Fault shapes_differ(int c, int a, int b) const;

  TileConfig config_{};
  // Beyond a tile's configured rows and bytes it is zero: LDTILECFG clears all of it, and every
  // write to it keeps this true.
  Tile tiles_[kTiles]{};
};

// The calling thread's.
TileUnit& this_threads_tiles();

}  // namespace oct::emulate
