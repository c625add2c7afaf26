// The trampoline must see what it is there to see: each function below breaks one promise.
#include "tests/trampoline.h"

#include <gtest/gtest.h>

#include "dispatch/cpu.h"

namespace oct::test {
namespace {

[[gnu::naked]] void keeps_all(const void*) { asm("vzeroupper\n ret"); }
[[gnu::naked]] void clobbers_rbx(const void*) { asm("vzeroupper\n xor %ebx, %ebx\n ret"); }
[[gnu::naked]] void clobbers_rbp(const void*) { asm("vzeroupper\n inc %rbp\n ret"); }
[[gnu::naked]] void clobbers_r12(const void*) { asm("vzeroupper\n inc %r12\n ret"); }
[[gnu::naked]] void clobbers_r13(const void*) { asm("vzeroupper\n inc %r13\n ret"); }
[[gnu::naked]] void clobbers_r14(const void*) { asm("vzeroupper\n inc %r14\n ret"); }
[[gnu::naked]] void clobbers_r15(const void*) { asm("vzeroupper\n mov %rdi, %r15\n ret"); }
[[gnu::naked]] void pops_too_much(const void*) { asm("vzeroupper\n ret $16"); }
[[gnu::naked]] void writes_caller_frame(const void*) {
  asm("vzeroupper\n movq $0, 40(%rsp)\n ret");
}
[[gnu::naked]] void sets_direction(const void*) { asm("vzeroupper\n std\n ret"); }
[[gnu::naked]] void leaves_rounding(const void*) {
  asm("vzeroupper\n movl $0x7f80, -8(%rsp)\n ldmxcsr -8(%rsp)\n ret");
}
[[gnu::naked]] void leaves_ymm(const void*) {
  asm("vzeroupper\n vpcmpeqd %ymm7, %ymm7, %ymm7\n ret");
}
[[gnu::naked]] void leaves_zmm(const void*) {
  asm("vzeroupper\n vpternlogd $255, %zmm3, %zmm3, %zmm3\n"
      "vextracti64x4 $1, %zmm3, %ymm4\n vinserti64x4 $1, %ymm4, %zmm5, %zmm3\n"
      "vpxor %xmm4, %xmm4, %xmm4\n ret");
}
[[gnu::naked]] void ends_without_vzeroupper(const void*) { asm("ret"); }

class Trampoline : public testing::Test {
  void SetUp() override {
    if (!cpu_facts().runs[static_cast<int>(Isa::kAvx2)]) GTEST_SKIP() << "needs AVX2";
  }
};

TEST_F(Trampoline, PassesAFunctionThatKeepsAllPromises) {
  EXPECT_EQ(checked_call(keeps_all, nullptr), "");
}

TEST_F(Trampoline, PassesTheArgument) {
  static const void* seen;
  const int x = 0;
  checked_call([](const void* p) { seen = p; }, &x);
  EXPECT_EQ(seen, &x);
}

TEST_F(Trampoline, ReportsEveryCalleeSavedRegister) {
  EXPECT_EQ(checked_call(clobbers_rbx, nullptr), "rbx changed");
  EXPECT_EQ(checked_call(clobbers_rbp, nullptr), "rbp changed");
  EXPECT_EQ(checked_call(clobbers_r12, nullptr), "r12 changed");
  EXPECT_EQ(checked_call(clobbers_r13, nullptr), "r13 changed");
  EXPECT_EQ(checked_call(clobbers_r14, nullptr), "r14 changed");
  EXPECT_EQ(checked_call(clobbers_r15, nullptr), "r15 changed");
}

TEST_F(Trampoline, ReportsTheStack) {
  EXPECT_EQ(checked_call(pops_too_much, nullptr), "rsp moved by 16");
  EXPECT_EQ(checked_call(writes_caller_frame, nullptr), "the caller's stack frame was written");
}

TEST_F(Trampoline, ReportsModes) {
  EXPECT_EQ(checked_call(sets_direction, nullptr), "the direction flag is set");
  EXPECT_EQ(checked_call(leaves_rounding, nullptr), "MXCSR control bits changed from 1f80 to 7f80");
}

TEST_F(Trampoline, ReportsAMissingVzeroupper) {
  EXPECT_EQ(checked_call(leaves_ymm, nullptr),
            "vzeroupper is missing: the upper part of vector 7 is not zero");
  EXPECT_EQ(checked_call(ends_without_vzeroupper, nullptr),
            "vzeroupper is missing: the upper part of vector 0 is not zero");
  if (cpu_facts().runs[static_cast<int>(Isa::kAvx512bw)]) {
    EXPECT_EQ(checked_call(leaves_zmm, nullptr),
              "vzeroupper is missing: the upper part of vector 3 is not zero");
  }
}

}  // namespace
}  // namespace oct::test
