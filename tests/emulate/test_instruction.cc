// The decoder, against encodings assembled by hand from the manuals' rules, and against Xbyak.
#include "tests/emulate/instruction.h"

#include <gtest/gtest.h>
#include <xbyak/xbyak.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/emulate/listing.h"
#include "tests/emulate/machine.h"
#include "tests/guard_buffer.h"

namespace oct::emulate {
namespace {

using Bytes = std::vector<uint8_t>;

struct Encoding {
  const char* listing;
  Bytes bytes;
};

// After C4: R X B inverted in the top bits of a byte that ends in 2, the map 0F38; then W,
// vvvv inverted, L, and pp = 0, 1, 2, 3 for none, 66, F3, F2.
const Encoding kEncodings[] = {
    // ModRM alone: register, base, base + disp8, base + disp32, rip + disp32.
    {"ldtilecfg [rax]", {0xc4, 0xe2, 0x78, 0x49, 0x00}},
    {"ldtilecfg [r9]", {0xc4, 0xc2, 0x78, 0x49, 0x01}},
    {"ldtilecfg [rbp+0x8]", {0xc4, 0xe2, 0x78, 0x49, 0x45, 0x08}},
    {"ldtilecfg [rbp]", {0xc4, 0xe2, 0x78, 0x49, 0x45, 0x00}},
    {"ldtilecfg [r13-0x80]", {0xc4, 0xc2, 0x78, 0x49, 0x45, 0x80}},
    {"ldtilecfg [rsi+0x12345678]", {0xc4, 0xe2, 0x78, 0x49, 0x86, 0x78, 0x56, 0x34, 0x12}},
    {"ldtilecfg [rip+0x10]", {0xc4, 0xe2, 0x78, 0x49, 0x05, 0x10, 0x00, 0x00, 0x00}},
    {"ldtilecfg [rip-0x1]", {0xc4, 0xc2, 0x78, 0x49, 0x05, 0xff, 0xff, 0xff, 0xff}},
    // With a SIB byte: rsp and r12 as base, no index, no base, r12 as index.
    {"ldtilecfg [rsp+0x40]", {0xc4, 0xe2, 0x78, 0x49, 0x44, 0x24, 0x40}},
    {"ldtilecfg [r12]", {0xc4, 0xc2, 0x78, 0x49, 0x04, 0x24}},
    {"ldtilecfg [0x1000]", {0xc4, 0xe2, 0x78, 0x49, 0x04, 0x25, 0x00, 0x10, 0x00, 0x00}},
    {"ldtilecfg [0x0]", {0xc4, 0xe2, 0x78, 0x49, 0x04, 0x25, 0x00, 0x00, 0x00, 0x00}},
    {"ldtilecfg [rcx*2-0x100]", {0xc4, 0xe2, 0x78, 0x49, 0x04, 0x4d, 0x00, 0xff, 0xff, 0xff}},
    {"ldtilecfg [r9*1+0x1]", {0xc4, 0x82, 0x78, 0x49, 0x04, 0x0d, 0x01, 0x00, 0x00, 0x00}},
    {"ldtilecfg [rax+rcx*4+0x12345678]",
     {0xc4, 0xe2, 0x78, 0x49, 0x84, 0x88, 0x78, 0x56, 0x34, 0x12}},
    {"ldtilecfg [rax+r12*1]", {0xc4, 0xa2, 0x78, 0x49, 0x04, 0x20}},
    {"ldtilecfg [r13+r14*8-0x80]", {0xc4, 0x82, 0x78, 0x49, 0x44, 0xf5, 0x80}},
    {"ldtilecfg [rbp+r15*2]", {0xc4, 0xa2, 0x78, 0x49, 0x44, 0x7d, 0x00}},
    // AMX.
    {"sttilecfg [rsp-0x40]", {0xc4, 0xe2, 0x79, 0x49, 0x44, 0x24, 0xc0}},
    {"tilerelease", {0xc4, 0xe2, 0x78, 0x49, 0xc0}},
    {"tilezero tmm0", {0xc4, 0xe2, 0x7b, 0x49, 0xc0}},
    {"tilezero tmm5", {0xc4, 0xe2, 0x7b, 0x49, 0xe8}},
    {"tileloadd tmm2, [r8+r9*1]", {0xc4, 0x82, 0x7b, 0x4b, 0x14, 0x08}},
    {"tileloadd tmm0, [r12]", {0xc4, 0xc2, 0x7b, 0x4b, 0x04, 0x24}},
    {"tileloadd tmm1, [rax+r12*1]", {0xc4, 0xa2, 0x7b, 0x4b, 0x0c, 0x20}},
    {"tileloaddt1 tmm7, [rdi+rsi*1+0x400]",
     {0xc4, 0xe2, 0x79, 0x4b, 0xbc, 0x37, 0x00, 0x04, 0x00, 0x00}},
    {"tilestored [rdx+rax*2+0x40], tmm1", {0xc4, 0xe2, 0x7a, 0x4b, 0x4c, 0x42, 0x40}},
    {"tdpbssd tmm0, tmm1, tmm2", {0xc4, 0xe2, 0x6b, 0x5e, 0xc1}},
    {"tdpbsud tmm3, tmm4, tmm5", {0xc4, 0xe2, 0x52, 0x5e, 0xdc}},
    {"tdpbusd tmm7, tmm6, tmm0", {0xc4, 0xe2, 0x79, 0x5e, 0xfe}},
    {"tdpbuud tmm1, tmm0, tmm7", {0xc4, 0xe2, 0x40, 0x5e, 0xc8}},
    // Vectors.
    {"vpdpbusd xmm1, xmm2, xmm3", {0xc4, 0xe2, 0x69, 0x50, 0xcb}},
    {"vpdpbusd ymm15, ymm14, ymm13", {0xc4, 0x42, 0x0d, 0x50, 0xfd}},
    {"vpdpbusds ymm8, ymm0, [r10+r11*8+0x7f]", {0xc4, 0x02, 0x7d, 0x51, 0x44, 0xda, 0x7f}},
    {"vpdpwssd xmm0, xmm9, [rip-0x4]", {0xc4, 0xe2, 0x31, 0x52, 0x05, 0xfc, 0xff, 0xff, 0xff}},
    {"vpdpwssds ymm2, ymm3, ymm4", {0xc4, 0xe2, 0x65, 0x53, 0xd4}},
    {"vpdpbssd ymm0, ymm1, ymm2", {0xc4, 0xe2, 0x77, 0x50, 0xc2}},
    {"vpdpbssds xmm4, xmm5, [rbx]", {0xc4, 0xe2, 0x53, 0x51, 0x23}},
    {"vpdpbsud xmm10, xmm11, xmm12", {0xc4, 0x42, 0x22, 0x50, 0xd4}},
    {"vpdpbsuds ymm6, ymm7, [rbp]", {0xc4, 0xe2, 0x46, 0x51, 0x75, 0x00}},
    {"vpdpbuud ymm1, ymm15, [r13-0x200]", {0xc4, 0xc2, 0x04, 0x50, 0x8d, 0x00, 0xfe, 0xff, 0xff}},
    {"vpdpbuuds xmm9, xmm8, xmm7", {0xc4, 0x62, 0x38, 0x51, 0xcf}},
    // VEX.X means nothing without a SIB byte.
    {"vpdpbusd xmm1, xmm2, xmm3", {0xc4, 0xa2, 0x69, 0x50, 0xcb}},
    {"vpdpbusd xmm1, xmm2, [rbx]", {0xc4, 0xa2, 0x69, 0x50, 0x0b}},
};

// With a guard page behind the last byte, which the decoder must not touch.
Fault decode(const Bytes& bytes, Instruction& in) {
  static const test::GuardBuffer buffer("code", 64);
  uint8_t* code = buffer.right(bytes.size());
  std::memcpy(code, bytes.data(), bytes.size());
  return decode(reinterpret_cast<uint64_t>(code), in);
}

TEST(Decoder, ReadsHandAssembledEncodings) {
  for (const Encoding& encoding : kEncodings) {
    Instruction in;
    const Fault fault = decode(encoding.bytes, in);
    ASSERT_TRUE(fault.none()) << encoding.listing << ": " << fault.reason;
    Text text;
    list(in, text);
    EXPECT_STREQ(text.c_str(), encoding.listing);
    EXPECT_EQ(in.length, static_cast<int>(encoding.bytes.size())) << encoding.listing;
  }
}

TEST(Decoder, IsTestedOnEveryMnemonic) {
  std::array<int, kMnemonicCount> seen{};
  for (const Encoding& encoding : kEncodings) {
    Instruction in;
    if (decode(encoding.bytes, in).none()) ++seen[static_cast<size_t>(in.mnemonic)];
  }
  for (const Row& row : kRows) EXPECT_GT(seen[static_cast<size_t>(row.mnemonic)], 0) << row.name;
}

// What a CPU answers with #UD, or what belongs to another instruction.
TEST(Decoder, RefusesWhatItDoesNotKnow) {
  const char* const unknown = "not an instruction the emulator knows";
  const struct {
    const char* what;
    const char* reason;
    Bytes bytes;
  } cases[] = {
      {"ud2", unknown, {0x0f, 0x0b}},
      {"vpaddd xmm0, xmm0, xmm1, map 0F, short VEX", unknown, {0xc5, 0xf9, 0xfe, 0xc1}},
      {"map 0F, long VEX", unknown, {0xc4, 0xe1, 0x69, 0x50, 0xcb}},
      {"map 0F3A", unknown, {0xc4, 0xe3, 0x69, 0x50, 0xcb, 0x00}},
      {"EVEX vpdpbusd", unknown, {0x62, 0xf2, 0x6d, 0x08, 0x50, 0xcb}},
      {"REX before VEX", unknown, {0x48, 0xc4, 0xe2, 0x69, 0x50, 0xcb}},
      {"66 before VEX", unknown, {0x66, 0xc4, 0xe2, 0x69, 0x50, 0xcb}},
      {"32-bit address", unknown, {0x67, 0xc4, 0xe2, 0x69, 0x50, 0x0b}},
      {"segment override", unknown, {0x64, 0xc4, 0xe2, 0x69, 0x50, 0x0b}},
      {"tdpbf16ps", unknown, {0xc4, 0xe2, 0x6a, 0x5c, 0xc1}},
      {"vpdpwusd", unknown, {0xc4, 0xe2, 0x69, 0xd2, 0xcb}},
      {"vpdpwssd with prefix F2", unknown, {0xc4, 0xe2, 0x6b, 0x52, 0xcb}},
      {"sttilecfg of a register", unknown, {0xc4, 0xe2, 0x79, 0x49, 0xc0}},
      {"tilezero of memory", unknown, {0xc4, 0xe2, 0x7b, 0x49, 0x00}},
      {"tileloadd of a register", unknown, {0xc4, 0xe2, 0x7b, 0x4b, 0xc1}},
      {"tileloadd without SIB", unknown, {0xc4, 0xe2, 0x7b, 0x4b, 0x00}},
      {"tileloadd relative to rip", unknown, {0xc4, 0xe2, 0x7b, 0x4b, 0x05, 0, 0, 0, 0}},
      {"tdpbssd of memory", unknown, {0xc4, 0xe2, 0x6b, 0x5e, 0x01}},
      {"ldtilecfg, W1", "VEX.W must be 0", {0xc4, 0xe2, 0xf8, 0x49, 0x00}},
      {"vpdpbusd, W1", "VEX.W must be 0", {0xc4, 0xe2, 0xe9, 0x50, 0xcb}},
      {"ldtilecfg, L1", "VEX.L must be 0", {0xc4, 0xe2, 0x7c, 0x49, 0x00}},
      {"tdpbssd, L1", "VEX.L must be 0", {0xc4, 0xe2, 0x6f, 0x5e, 0xc1}},
      {"ldtilecfg, vvvv 1", "VEX.vvvv must name no register", {0xc4, 0xe2, 0x70, 0x49, 0x00}},
      {"tilestored, vvvv 15",
       "VEX.vvvv must name no register",
       {0xc4, 0xe2, 0x02, 0x4b, 0x4c, 0x42, 0x40}},
      {"ldtilecfg, reg 1", "ModRM.reg must be 0", {0xc4, 0xe2, 0x78, 0x49, 0x08}},
      {"tilerelease, reg 1", "ModRM.reg must be 0", {0xc4, 0xe2, 0x78, 0x49, 0xc8}},
      {"tilerelease, rm 1", "ModRM.rm must be 0", {0xc4, 0xe2, 0x78, 0x49, 0xc1}},
      {"tilezero, rm 2", "ModRM.rm must be 0", {0xc4, 0xe2, 0x7b, 0x49, 0xc2}},
      {"tilezero tmm8", "eight tile registers", {0xc4, 0x62, 0x7b, 0x49, 0xc0}},
      {"tileloadd tmm15", "eight tile registers", {0xc4, 0x62, 0x7b, 0x4b, 0x3c, 0x08}},
      {"tdpbssd with vvvv 8", "eight tile registers", {0xc4, 0xe2, 0x3b, 0x5e, 0xc1}},
      {"tdpbssd with rm 9", "eight tile registers", {0xc4, 0xc2, 0x6b, 0x5e, 0xc1}},
  };
  for (const auto& c : cases) {
    Instruction in;
    const Fault fault = decode(c.bytes, in);
    ASSERT_FALSE(fault.none()) << c.what;
    EXPECT_NE(std::string(fault.reason).find(c.reason), std::string::npos)
        << c.what << ": " << fault.reason;
  }
}

// Every base, index, scale and size of displacement. What counts is the address: an assembler is
// free to swap base and index.
TEST(Decoder, FindsTheAddressOfEveryForm) {
  using namespace Xbyak;
  test::Rng rng("Decoder.FindsTheAddressOfEveryForm");
  Machine machine(rng);
  const auto& gpr = machine.state.gpr;
  constexpr int kRsp = 4;
  for (int base = 0; base < 16; ++base)
    for (int index = 0; index < 16; ++index)
      for (const int scale : {1, 2, 4, 8})
        for (const int displacement : {0, 127, -128, 128, -0x12345678}) {
          if (index == kRsp) continue;
          CodeGenerator code(64);
          const Address address = code.ptr[Reg64(base) + Reg64(index) * scale + displacement];
          code.vpdpbusd(Ymm(9), Ymm(10), address, VexEncoding);
          code.tileloadd(Tmm(3), address);
          const auto start = gpr[static_cast<size_t>(base)] + static_cast<uint64_t>(displacement);
          const auto indexed = gpr[static_cast<size_t>(index)] * static_cast<uint64_t>(scale);
          const auto at = reinterpret_cast<uint64_t>(code.getCode());
          SCOPED_TRACE(testing::Message() << "base " << base << " index " << index << " * " << scale
                                          << " displacement " << displacement);
          Instruction vector, tile;
          ASSERT_TRUE(decode(at, vector).none());
          EXPECT_EQ(vector.memory.start(machine.state, 0) + vector.memory.indexed(machine.state),
                    start + indexed);
          ASSERT_TRUE(decode(at + static_cast<uint64_t>(vector.length), tile).none());
          EXPECT_EQ(tile.memory.start(machine.state, 0), start);
          EXPECT_EQ(tile.memory.indexed(machine.state), indexed);
          EXPECT_EQ(static_cast<size_t>(vector.length + tile.length), code.getSize());
        }
}

TEST(Decoder, FindsEveryRegister) {
  using namespace Xbyak;
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j)
      for (int k = 0; k < 16; ++k) {
        CodeGenerator code(64);
        code.vpdpbssds(Ymm(i), Ymm(j), Ymm(k));
        Instruction in;
        ASSERT_TRUE(decode(reinterpret_cast<uint64_t>(code.getCode()), in).none());
        EXPECT_EQ(in.mnemonic, Mnemonic::kVpdpbssds);
        ASSERT_EQ(std::tie(in.reg, in.vvvv, in.rm), std::tie(i, j, k));
      }
}

}  // namespace
}  // namespace oct::emulate
