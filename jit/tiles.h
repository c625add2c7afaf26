// AMX tiles: how they are configured, and the two instructions of a thread's tile state.
//
// Tiles are state that a thread switches on (LDTILECFG, which also clears them) and off
// (TILERELEASE). While they are on, every context switch and signal frame carries 8 KiB more, so
// whoever loads a configuration releases it when the work is done.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace oct {

inline constexpr int kTileCount = 8;
inline constexpr int kTileRows = 16;      // most rows of a tile
inline constexpr int kTileRowBytes = 64;  // most bytes of its rows
inline constexpr int kTileLanes = kTileRowBytes / 4;
inline constexpr int kTileBytes = kTileRows * kTileRowBytes;

// What LDTILECFG reads. Tiles without rows are not to be used.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  std::array<uint8_t, 14> reserved{};
  std::array<uint16_t, 16> row_bytes{};
  std::array<uint8_t, 16> rows{};

  void set(int tile, int tile_rows, int tile_row_bytes) {
    rows[static_cast<size_t>(tile)] = static_cast<uint8_t>(tile_rows);
    row_bytes[static_cast<size_t>(tile)] = static_cast<uint16_t>(tile_row_bytes);
  }
  friend bool operator==(const TileConfig&, const TileConfig&) = default;
};
static_assert(sizeof(TileConfig) == 64);

// Of the calling thread. The CPU must have AMX and the system have granted its use.
inline void load_tile_config(const TileConfig& config) {
  asm volatile("ldtilecfg %0" : : "m"(config) : "memory");
}
inline void release_tiles() { asm volatile("tilerelease" : : : "memory"); }

}  // namespace oct
