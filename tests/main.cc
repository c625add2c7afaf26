// The main of every test program.
#include <gtest/gtest.h>

#include "tests/guard_buffer.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  oct::test::report_faults();
  return RUN_ALL_TESTS();
}
