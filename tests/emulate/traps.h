// For the emulator's own tests that take traps: functions to run, and fixtures that install the
// handler and skip what the host cannot show.
//
// On a host that has AMX itself, and lets us use it, the functions run natively and must give the
// same results; only then nothing traps.
#pragma once

#include <gtest/gtest.h>
#include <xbyak/xbyak.h>

#include <functional>

#include "tests/emulate/machine.h"
#include "tests/emulate/tiles.h"

namespace oct::emulate {

// A function of up to four pointers.
class Function : public Xbyak::CodeGenerator {
 public:
  explicit Function(const std::function<void(Function&)>& body) {
    body(*this);
    ret();
  }
  void operator()(const void* a = nullptr, const void* b = nullptr, void* c = nullptr,
                  const void* d = nullptr) {
    getCode<void (*)(const void*, const void*, void*, const void*)>()(a, b, c, d);
  }
};

// All eight tiles, as large as can be.
inline TileConfig full_tiles() {
  TileConfig config{};
  config.palette = 1;
  for (int t = 0; t < kTiles; ++t) {
    config.rows[t] = 16;
    config.colsb[t] = 64;
  }
  return config;
}

class Traps : public testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "fast");
    install();
    reset_counters();
  }
};

class TileTraps : public Traps {
 protected:
  void SetUp() override {
    if (!may_use_tiles()) GTEST_SKIP() << "the system refuses the permission to use AMX";
    Traps::SetUp();
  }
};

class VectorTraps : public Traps {
 protected:
  void SetUp() override {
    Traps::SetUp();
    if (!covers(Isa::kAvxVnni)) GTEST_SKIP() << "signal frames hold no ymm registers here";
    if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "the host has no AVX2";
  }
};

}  // namespace oct::emulate
