// A CPU without AVX2 gets a clear status, and can still be described; one with it gets a context.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "octavo/octavo.h"

namespace {

bool cpu_has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2");
}

TEST(Cpu, WithoutAvx2IsRefusedWithTheReason) {
  auto* const untouched = reinterpret_cast<oct_context*>(0x1234);
  oct_context* context = untouched;
  const oct_status status = oct_context_create(nullptr, &context);
  if (cpu_has_avx2()) {
    ASSERT_EQ(status, OCT_OK) << oct_last_error();
    EXPECT_NE(context, untouched);
    oct_context_destroy(context);
    return;
  }
  EXPECT_EQ(status, OCT_UNSUPPORTED_CPU);
  EXPECT_EQ(context, untouched);
  EXPECT_NE(std::string(oct_last_error()).find("AVX2"), std::string::npos) << oct_last_error();
}

TEST(Cpu, IsDescribedWhateverItIs) {
  size_t needed = 0;
  ASSERT_EQ(oct_describe(nullptr, nullptr, 0, &needed), OCT_OK) << oct_last_error();
  std::string text(needed, '\0');
  ASSERT_EQ(oct_describe(nullptr, text.data(), needed, nullptr), OCT_OK);
  const std::string avx2 = R"("name": "avx2", "usable": )";
  EXPECT_NE(text.find(avx2 + (cpu_has_avx2() ? "true" : "false")), std::string::npos) << text;
}

TEST(Cpu, ArgumentsAreStillChecked) {
  EXPECT_EQ(oct_context_create(nullptr, nullptr), OCT_INVALID_ARGUMENT);
  EXPECT_STREQ(oct_version(), "0.1.0");
}

}  // namespace
