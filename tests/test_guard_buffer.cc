// A guard that does not bite would make every other test vacuous.
#include "tests/guard_buffer.h"

#include <gtest/gtest.h>

namespace oct::test {
namespace {

uint8_t read(const uint8_t* p) { return *static_cast<const volatile uint8_t*>(p); }

TEST(GuardBuffer, PlacesAtEitherEnd) {
  GuardBuffer buffer("x", 5000, 2);
  EXPECT_EQ(buffer.left(100, 3), buffer.body() + 3);
  EXPECT_EQ(buffer.right(100) + 100, buffer.body() + buffer.body_bytes());
  const auto aligned = reinterpret_cast<uintptr_t>(buffer.right(100, 64));
  EXPECT_EQ(aligned % 64, 0u);
  EXPECT_GE(buffer.body_bytes(), 5000u);
  EXPECT_EQ(buffer.body(1) - buffer.body(0), static_cast<ptrdiff_t>(buffer.stride_bytes()));
}

TEST(GuardBufferDeathTest, FaultsOnBothSidesOfEveryRow) {
  GTEST_FLAG_SET(death_test_style, "fast");
  GuardBuffer buffer("weights", 100, 2);
  set_fault_note("case 17");
  const uint8_t* right = buffer.right(100);
  EXPECT_EQ(read(right + 99), 0);
  EXPECT_DEATH(read(right + 100), "case 17\nfault in the guard of weights: 1 byte.* after row 0");
  EXPECT_DEATH(read(right + buffer.stride_bytes() + 102), "weights: 3 byte.* after row 1");
  EXPECT_DEATH(read(buffer.left(100) - 1), "weights: 1 byte.* before row 0");
  EXPECT_DEATH(read(buffer.left(100) + buffer.stride_bytes() - 2),
               "weights: 2 byte.* before row 1");
}

}  // namespace
}  // namespace oct::test
