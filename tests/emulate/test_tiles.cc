// The tile unit: what it accepts, what it refuses, and what it computes.
#include "tests/emulate/tiles.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tests/emulate/traps.h"

namespace oct::emulate {
namespace {

void set_shape(TileConfig& config, int tile, int rows, int colsb) {
  config.rows[tile] = static_cast<uint8_t>(rows);
  config.colsb[tile] = static_cast<uint16_t>(colsb);
}

void expect_fault(const Fault& fault, const char* reason) {
  ASSERT_FALSE(fault.none()) << "not refused: " << reason;
  EXPECT_NE(std::string(fault.reason).find(reason), std::string::npos) << fault.reason;
}

bool is_zero(const Tile& tile) {
  const Tile zero{};
  return std::memcmp(&tile, &zero, sizeof tile) == 0;
}

// A tile unit whose tiles hold random bytes.
struct FilledUnit {
  explicit FilledUnit(test::Rng& rng, const TileConfig& config = full_tiles()) {
    EXPECT_TRUE(unit.configure(config).none());
    for (int t = 0; t < kTiles; ++t) {
      if (config.rows[t] == 0) continue;
      Tile bytes;
      fill_extremes(rng, &bytes, sizeof bytes);
      EXPECT_TRUE(unit.load(t, reinterpret_cast<uint64_t>(&bytes), 64).none());
    }
  }
  TileUnit unit;
};

TEST(TileConfigs, AreRefusedLikeByTheCpu) {
  using Change = std::function<void(TileConfig&)>;
  const auto set_byte = [](int offset, uint8_t value) {
    return [=](TileConfig& c) { reinterpret_cast<uint8_t*>(&c)[offset] = value; };
  };
  const struct {
    const char* reason;
    Change change;
  } cases[] = {
      {"unknown palette", [](TileConfig& c) { c.palette = 2; }},
      {"unknown palette", [](TileConfig& c) { c.palette = 255; }},
      {"more than 16 rows", [](TileConfig& c) { c.rows[3] = 17; }},
      {"more than 64 bytes", [](TileConfig& c) { c.colsb[7] = 65; }},
      {"more than 64 bytes", [](TileConfig& c) { c.colsb[0] = 64 + 256; }},
      {"rows without bytes", [](TileConfig& c) { c.rows[2] = 0; }},
      {"rows without bytes", [](TileConfig& c) { c.colsb[2] = 0; }},
      {"reserved byte", set_byte(2, 1)},
      {"reserved byte", set_byte(15, 1)},
      {"reserved byte", [](TileConfig& c) { set_shape(c, 8, 16, 64); }},  // a ninth tile
      {"reserved byte", set_byte(32, 1)},
      {"reserved byte", set_byte(47, 1)},
      {"reserved byte", set_byte(56, 1)},
      {"reserved byte", set_byte(63, 1)},
  };
  test::Rng rng("TileConfigs");
  for (const auto& c : cases) {
    FilledUnit filled(rng);
    const Tile before = filled.unit.tile(0);
    TileConfig config = full_tiles();
    c.change(config);
    expect_fault(filled.unit.configure(config), c.reason);
    // A fault leaves the unit as it was.
    EXPECT_EQ(std::memcmp(&filled.unit.tile(0), &before, sizeof before), 0);
    EXPECT_EQ(filled.unit.config().rows[3], 16);
  }
}

TEST(TileConfigs, AreAcceptedLikeByTheCpu) {
  TileUnit unit;
  TileConfig config = full_tiles();
  EXPECT_TRUE(unit.configure(config).none());
  set_shape(config, 5, 0, 0);  // unused
  set_shape(config, 6, 1, 1);  // refused only when it is loaded
  config.start_row = 200;      // likewise
  EXPECT_TRUE(unit.configure(config).none());
  EXPECT_EQ(std::memcmp(&unit.config(), &config, sizeof config), 0);
}

TEST(TileConfigs, ClearTheTiles) {
  test::Rng rng("ClearTheTiles");
  TileConfig initial = full_tiles();
  initial.palette = 0;
  for (const TileConfig& config : {full_tiles(), initial}) {
    FilledUnit filled(rng);
    EXPECT_FALSE(is_zero(filled.unit.tile(7)));
    ASSERT_TRUE(filled.unit.configure(config).none());
    EXPECT_EQ(filled.unit.configured(), config.palette == 1);
    for (int t = 0; t < kTiles; ++t) EXPECT_TRUE(is_zero(filled.unit.tile(t)));
  }
}

TEST(Tiles, AreUnusableUntilConfiguredAndAfterRelease) {
  test::Rng rng("AreUnusable");
  FilledUnit filled(rng);
  filled.unit.release();
  TileUnit fresh;
  for (TileUnit* unit : {&fresh, &filled.unit}) {
    EXPECT_FALSE(unit->configured());
    const TileConfig zero{};
    EXPECT_EQ(std::memcmp(&unit->config(), &zero, sizeof zero), 0);
    for (int t = 0; t < kTiles; ++t) EXPECT_TRUE(is_zero(unit->tile(t)));
    Tile bytes{};
    const auto at = reinterpret_cast<uint64_t>(&bytes);
    expect_fault(unit->load(0, at, 64), "no tile configuration");
    expect_fault(unit->store(0, at, 64), "no tile configuration");
    expect_fault(unit->zero(0), "no tile configuration");
    expect_fault(unit->multiply(Signs::kSS, 0, 1, 2), "no tile configuration");
  }
}

TEST(Tiles, RefuseLoadsAndStoresOfShapesTheyCannotHave) {
  TileConfig config = full_tiles();
  set_shape(config, 1, 0, 0);
  set_shape(config, 2, 16, 62);
  TileUnit unit;
  ASSERT_TRUE(unit.configure(config).none());
  Tile bytes{};
  const auto at = reinterpret_cast<uint64_t>(&bytes);
  expect_fault(unit.load(1, at, 64), "not configured");
  expect_fault(unit.store(1, at, 64), "not configured");
  expect_fault(unit.zero(1), "not configured");
  expect_fault(unit.load(2, at, 64), "multiple of 4");
  expect_fault(unit.store(2, at, 64), "multiple of 4");
  EXPECT_TRUE(unit.zero(2).none());
  config.start_row = 16;
  ASSERT_TRUE(unit.configure(config).none());
  expect_fault(unit.load(0, at, 64), "start_row");
  expect_fault(unit.store(0, at, 64), "start_row");
}

TEST(Tiles, LoadAndStoreExactlyTheirShape) {
  test::Rng rng("LoadAndStore");
  for (int i = 0; i < test::by_effort(50, 300, 2000); ++i) {
    const int rows = static_cast<int>(rng.between(1, 16)),
              colsb = 4 * static_cast<int>(rng.between(1, 16));
    const int64_t stride = rng.between(-200, 200);
    TileConfig config = full_tiles();
    set_shape(config, 4, rows, colsb);
    FilledUnit filled(rng, config);

    std::vector<uint8_t> memory(8192);
    rng.fill_bytes(memory.data(), memory.size());
    const uint8_t* middle = memory.data() + memory.size() / 2;
    const auto at = reinterpret_cast<uint64_t>(middle);
    ASSERT_TRUE(filled.unit.load(4, at, static_cast<uint64_t>(stride)).none());
    Tile want{};
    for (int r = 0; r < rows; ++r)
      std::memcpy(want.row[r], middle + r * stride, static_cast<size_t>(colsb));
    ASSERT_EQ(std::memcmp(&filled.unit.tile(4), &want, sizeof want), 0);

    std::vector<uint8_t> stored(memory.size(), 0xee), want_stored = stored;
    const size_t half = stored.size() / 2;
    ASSERT_TRUE(filled.unit
                    .store(4, reinterpret_cast<uint64_t>(stored.data() + half),
                           static_cast<uint64_t>(stride))
                    .none());
    for (int r = 0; r < rows; ++r)
      std::memcpy(want_stored.data() + static_cast<int64_t>(half) + r * stride, want.row[r],
                  static_cast<size_t>(colsb));
    ASSERT_EQ(stored, want_stored);
  }
}

// As after a page fault in row 5.
TEST(Tiles, ResumeAtStartRow) {
  TileConfig config = full_tiles();
  config.start_row = 5;
  Tile bytes, stored{};
  std::memset(&bytes, 7, sizeof bytes);
  TileUnit unit;
  ASSERT_TRUE(unit.configure(config).none());
  ASSERT_TRUE(unit.load(0, reinterpret_cast<uint64_t>(&bytes), 64).none());
  EXPECT_EQ(unit.tile(0).row[4][0], 0);
  EXPECT_EQ(unit.tile(0).row[5][0], 7);
  EXPECT_EQ(unit.config().start_row, 0);  // the load is complete

  ASSERT_TRUE(unit.configure(config).none());
  ASSERT_TRUE(unit.store(0, reinterpret_cast<uint64_t>(&bytes), 64).none());
  EXPECT_EQ(bytes.row[4][63], 7);
  EXPECT_EQ(bytes.row[5][0], 0);
  ASSERT_TRUE(unit.store(0, reinterpret_cast<uint64_t>(&stored), 64).none());
  EXPECT_EQ(unit.config().start_row, 0);
}

TEST(TileProducts, AreRefusedUnlessTheShapesFit) {
  const struct {
    const char* reason;
    int c_rows, c_bytes, a_rows, a_bytes, b_rows, b_bytes;
  } cases[] = {
      {"rows of C and of A", 15, 64, 16, 64, 16, 64},
      {"bytes per row of C and of B", 16, 60, 16, 64, 16, 64},
      {"A's bytes per row and B's rows", 16, 64, 16, 60, 16, 64},
      {"A's bytes per row and B's rows", 16, 64, 16, 64, 15, 64},
      {"multiple of 4: tile, bytes", 16, 62, 16, 64, 16, 62},
      {"multiple of 4: tile, bytes", 16, 64, 16, 63, 15, 64},
      {"not configured", 0, 0, 16, 64, 16, 64},
      {"not configured", 16, 64, 0, 0, 16, 64},
      {"not configured", 16, 64, 16, 64, 0, 0},
  };
  for (const auto& c : cases) {
    TileConfig config = full_tiles();
    set_shape(config, 0, c.c_rows, c.c_bytes);
    set_shape(config, 1, c.a_rows, c.a_bytes);
    set_shape(config, 2, c.b_rows, c.b_bytes);
    TileUnit unit;
    ASSERT_TRUE(unit.configure(config).none());
    for (const Signs signs : {Signs::kSS, Signs::kSU, Signs::kUS, Signs::kUU})
      expect_fault(unit.multiply(signs, 0, 1, 2), c.reason);
  }
  TileUnit unit;
  ASSERT_TRUE(unit.configure(full_tiles()).none());
  expect_fault(unit.multiply(Signs::kSS, 0, 0, 1), "the same");
  expect_fault(unit.multiply(Signs::kSS, 0, 1, 0), "the same");
  expect_fault(unit.multiply(Signs::kSS, 0, 1, 1), "the same");
}

// C[m][n] by the definition; dwords of tiles are little-endian.
uint32_t product(Signs signs, const Tile& c, const Tile& a, const Tile& b, int m, int n,
                 int quads) {
  const bool a_signed = signs == Signs::kSS || signs == Signs::kSU;
  const bool b_signed = signs == Signs::kSS || signs == Signs::kUS;
  const auto value = [](uint8_t x, bool is_signed) -> int64_t {
    return is_signed && x >= 128 ? x - 256 : x;
  };
  uint32_t before;
  std::memcpy(&before, &c.row[m][4 * n], 4);
  int64_t sum = before;
  for (int k = 0; k < quads; ++k)
    for (int j = 0; j < 4; ++j)
      sum += value(a.row[m][4 * k + j], a_signed) * value(b.row[k][4 * n + j], b_signed);
  return static_cast<uint32_t>(sum);
}

TEST(TileProducts, AreWhatTheManualSays) {
  test::Rng rng("TileProducts");
  for (const Signs signs : {Signs::kSS, Signs::kSU, Signs::kUS, Signs::kUU})
    for (int i = 0; i < test::by_effort(10, 60, 500); ++i) {
      const int m = i == 0 ? 16 : static_cast<int>(rng.between(1, 16));
      const int n = i == 0 ? 16 : static_cast<int>(rng.between(1, 16));
      const int k = i == 0 ? 16 : static_cast<int>(rng.between(1, 16));
      TileConfig config = full_tiles();
      set_shape(config, 6, m, 4 * n);
      set_shape(config, 3, m, 4 * k);
      set_shape(config, 5, k, 4 * n);
      FilledUnit filled(rng, config);
      Tile want{};
      for (int row = 0; row < m; ++row)
        for (int column = 0; column < n; ++column) {
          const uint32_t value = product(signs, filled.unit.tile(6), filled.unit.tile(3),
                                         filled.unit.tile(5), row, column, k);
          std::memcpy(&want.row[row][4 * column], &value, 4);
        }
      ASSERT_TRUE(filled.unit.multiply(signs, 6, 3, 5).none());
      // All of the tile: rows and columns beyond the shape are zero.
      ASSERT_EQ(std::memcmp(&filled.unit.tile(6), &want, sizeof want), 0)
          << m << "x" << n << "x" << k << ", seed " << test::base_seed();
    }
}

}  // namespace
}  // namespace oct::emulate
