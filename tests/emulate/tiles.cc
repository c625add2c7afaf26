#include "tests/emulate/tiles.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "tests/emulate/guest_memory.h"

namespace oct::emulate {

namespace {

// The fault for the first byte of `bytes` that is not zero.
Fault reserved_bytes(const TileConfig& config, size_t begin, size_t end) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&config);
  for (size_t i = begin; i < end; ++i)
    if (bytes[i] != 0)
      return {"tile configuration: a reserved byte is not zero: offset, value",
              static_cast<int64_t>(i), bytes[i]};
  return {};
}

Fault check_config(const TileConfig& config) {
  if (config.palette != 1) return {"tile configuration: unknown palette", config.palette};
  constexpr size_t kReserved[][2] = {
      {offsetof(TileConfig, reserved), offsetof(TileConfig, colsb)},
      {offsetof(TileConfig, colsb) + 2 * kTiles, offsetof(TileConfig, rows)},
      {offsetof(TileConfig, rows) + kTiles, sizeof(TileConfig)}};
  for (const auto& range : kReserved)
    if (Fault fault = reserved_bytes(config, range[0], range[1]); !fault.none()) return fault;
  for (int t = 0; t < kTiles; ++t) {
    const int rows = config.rows[t], colsb = config.colsb[t];
    if (rows > kTileRows) return {"tile configuration: more than 16 rows: tile, rows", t, rows};
    if (colsb > kTileRowBytes)
      return {"tile configuration: more than 64 bytes per row: tile, bytes", t, colsb};
    if ((rows == 0) != (colsb == 0))
      return {"tile configuration: rows without bytes or bytes without rows: tile", t};
  }
  return {};
}

// Of each four bytes, 0 and 2, and 1 and 3, as 16-bit numbers.
template <bool kSigned>
__m128i even_bytes(__m128i v) {
  if (kSigned) return _mm_srai_epi16(_mm_slli_epi16(v, 8), 8);
  return _mm_and_si128(v, _mm_set1_epi16(0xff));
}
template <bool kSigned>
__m128i odd_bytes(__m128i v) {
  return kSigned ? _mm_srai_epi16(v, 8) : _mm_srli_epi16(v, 8);
}

// Exact: a sum of two products of bytes is far below 2^31. SSE2, which every host has, because
// scalar code takes most of the time of a test under sanitizers.
template <bool kSignedA, bool kSignedB>
void multiply_as(Tile& c, const Tile& a, const Tile& b, int rows, int quads) {
  constexpr int kVectors = kTileRowBytes / 16;
  for (int m = 0; m < rows; ++m) {
    __m128i* sums = reinterpret_cast<__m128i*>(c.row[m]);
    for (int k = 0; k < quads; ++k) {
      int quad;
      std::memcpy(&quad, a.row[m] + 4 * k, sizeof quad);
      const __m128i x = _mm_set1_epi32(quad);
      const __m128i x_even = even_bytes<kSignedA>(x), x_odd = odd_bytes<kSignedA>(x);
      // All 16 columns, whatever the shape: those beyond it are zero in b and stay so in c.
      for (int i = 0; i < kVectors; ++i) {
        const __m128i y = reinterpret_cast<const __m128i*>(b.row[k])[i];
        const __m128i even = _mm_madd_epi16(x_even, even_bytes<kSignedB>(y));
        const __m128i odd = _mm_madd_epi16(x_odd, odd_bytes<kSignedB>(y));
        sums[i] = _mm_add_epi32(sums[i], _mm_add_epi32(even, odd));
      }
    }
  }
}

// Initial-exec: the first access from a thread must not allocate, for it comes from a signal
// handler.
constinit thread_local TileUnit t_tiles __attribute__((tls_model("initial-exec")));

}  // namespace

TileUnit& this_threads_tiles() { return t_tiles; }

// Palette 0 asks for the initial state, and the other bytes are not looked at.
Fault TileUnit::configure(const TileConfig& config) {
  if (config.palette != 0)
    if (Fault fault = check_config(config); !fault.none()) return fault;
  release();
  if (config.palette != 0) config_ = config;
  return {};
}

void TileUnit::release() {
  config_ = {};
  std::fill(std::begin(tiles_), std::end(tiles_), Tile{});
}

Fault TileUnit::unusable(int tile) const {
  if (!configured()) return {"no tile configuration is loaded"};
  if (config_.rows[tile] == 0) return {"the tile is not configured", tile};
  return {};
}

Fault TileUnit::cannot_transfer(int tile) const {
  if (Fault fault = unusable(tile); !fault.none()) return fault;
  if (config_.colsb[tile] % 4 != 0)
    return {"bytes per row not a multiple of 4: tile, bytes", tile, config_.colsb[tile]};
  if (config_.start_row >= config_.rows[tile])
    return {"start_row not below the tile's rows: start_row, rows", config_.start_row,
            config_.rows[tile]};
  return {};
}

Fault TileUnit::load(int tile, uint64_t start, uint64_t stride) {
  if (Fault fault = cannot_transfer(tile); !fault.none()) return fault;
  Tile& to = tiles_[tile];
  const int first = config_.start_row, rows = config_.rows[tile];
  std::memset(to.row[first], 0, static_cast<size_t>((kTileRows - first) * kTileRowBytes));
  for (int r = first; r < rows; ++r)
    emulate::load(start + static_cast<uint64_t>(r) * stride, to.row[r], config_.colsb[tile]);
  config_.start_row = 0;
  return {};
}

Fault TileUnit::store(int tile, uint64_t start, uint64_t stride) {
  if (Fault fault = cannot_transfer(tile); !fault.none()) return fault;
  for (int r = config_.start_row; r < config_.rows[tile]; ++r)
    emulate::store(start + static_cast<uint64_t>(r) * stride, tiles_[tile].row[r],
                   config_.colsb[tile]);
  config_.start_row = 0;
  return {};
}

Fault TileUnit::zero(int tile) {
  if (Fault fault = unusable(tile); !fault.none()) return fault;
  tiles_[tile] = {};
  config_.start_row = 0;
  return {};
}

Fault TileUnit::shapes_differ(int c, int a, int b) const {
  if (c == a || c == b || a == b) return {"two of the three tiles are the same"};
  for (const int t : {c, a, b}) {
    if (Fault fault = unusable(t); !fault.none()) return fault;
    if (config_.colsb[t] % 4 != 0)
      return {"bytes per row not a multiple of 4: tile, bytes", t, config_.colsb[t]};
  }
  if (config_.rows[c] != config_.rows[a])
    return {"rows of C and of A differ", config_.rows[c], config_.rows[a]};
  if (config_.colsb[c] != config_.colsb[b])
    return {"bytes per row of C and of B differ", config_.colsb[c], config_.colsb[b]};
  if (config_.colsb[a] / 4 != config_.rows[b])
    return {"a quarter of A's bytes per row and B's rows differ", config_.colsb[a] / 4,
            config_.rows[b]};
  return {};
}

Fault TileUnit::multiply(Signs signs, int c, int a, int b) {
  if (Fault fault = shapes_differ(c, a, b); !fault.none()) return fault;
  const auto multiply = signs == Signs::kSS   ? multiply_as<true, true>
                        : signs == Signs::kSU ? multiply_as<true, false>
                        : signs == Signs::kUS ? multiply_as<false, true>
                                              : multiply_as<false, false>;
  multiply(tiles_[c], tiles_[a], tiles_[b], config_.rows[c], config_.rows[b]);
  config_.start_row = 0;
  return {};
}

}  // namespace oct::emulate
