// AVX-VNNI and AVX-VNNI-INT8 instructions, one at a time: against formulas written out here, and
// against the EVEX forms of AVX512-VNNI where the host has them.
#include "tests/emulate/vectors.h"

#include <gtest/gtest.h>
#include <xbyak/xbyak.h>

#include <cstring>
#include <tuple>

#include "tests/emulate/machine.h"

namespace oct::emulate {
namespace {

using Bytes = std::vector<uint8_t>;

// `row` xmm|ymm reg, xmm|ymm vvvv, xmm|ymm rm, by the encoding rules. The registers are 0 to 7.
Bytes encode(const Row& row, bool is_256, int reg, int vvvv, int rm) {
  return {0xc4, 0xe2,
          static_cast<uint8_t>((15 - vvvv) << 3 | is_256 << 2 | static_cast<int>(row.prefix)),
          row.opcode, static_cast<uint8_t>(0xc0 | reg << 3 | rm)};
}

// The same with memory as last operand, `displacement` bytes behind the instruction.
Bytes encode_memory(const Row& row, bool is_256, int reg, int vvvv, int32_t displacement) {
  Bytes code = encode(row, is_256, reg, vvvv, 0);
  code.back() = static_cast<uint8_t>(5 | reg << 3);
  code.resize(code.size() + 4);
  std::memcpy(code.data() + code.size() - 4, &displacement, 4);
  return code;
}

int64_t signed_byte(uint8_t x) { return x < 128 ? x : x - 256; }
int64_t signed_word(const uint8_t* p) {
  const int64_t x = p[0] + 256 * p[1];
  return x < 32768 ? x : x - 65536;
}

// Element i of what the manual says, by the mnemonic's own letters.
uint32_t expected(std::string_view name, const Zmm& acc, const Zmm& a, const Zmm& b, size_t i) {
  uint32_t before;
  std::memcpy(&before, &acc[4 * i], 4);
  int64_t sum = 0;
  if (name[4] == 'w') {
    for (size_t j = 0; j < 4; j += 2)
      sum += signed_word(&a[4 * i + j]) * signed_word(&b[4 * i + j]);
  } else {
    for (size_t j = 4 * i; j < 4 * i + 4; ++j)
      sum +=
          (name[5] == 's' ? signed_byte(a[j]) : a[j]) * (name[6] == 's' ? signed_byte(b[j]) : b[j]);
  }
  if (name.back() != 's') return before + static_cast<uint32_t>(sum);
  if (name.substr(5, 2) == "uu")
    return static_cast<uint32_t>(std::min<int64_t>(before + sum, UINT32_MAX));
  sum += static_cast<int32_t>(before);
  return static_cast<uint32_t>(std::clamp<int64_t>(sum, INT32_MIN, INT32_MAX));
}

Zmm expected(std::string_view name, bool is_256, const Zmm& acc, const Zmm& a, const Zmm& b) {
  Zmm result{};  // above the operation's width: zero
  for (size_t i = 0; i < (is_256 ? 8 : 4); ++i) {
    const uint32_t value = expected(name, acc, a, b, i);
    std::memcpy(&result[4 * i], &value, 4);
  }
  return result;
}

// Accumulators near the ends, so that saturation and wrapping happen.
void push_to_ends(test::Rng& rng, Machine& machine, int reg) {
  Zmm acc = machine.zmm(reg);
  for (size_t i = 0; i < acc.size(); i += 4) {
    constexpr uint32_t kEnds[] = {0x7fffffff, 0x80000000, 0xffffffff, 0};
    const uint32_t value = rng.pick(kEnds) + static_cast<uint32_t>(rng.between(-100000, 100000));
    if (rng.one_in(2)) std::memcpy(&acc[i], &value, 4);
  }
  machine.set_zmm(reg, acc);
}

class Vectors : public testing::TestWithParam<std::tuple<Mnemonic, bool>> {
 protected:
  const Row& row() const { return row_of(std::get<0>(GetParam())); }
  bool is_256() const { return std::get<1>(GetParam()); }

  test::Rng rng_{row().name, is_256()};
};

TEST_P(Vectors, ComputesWhatTheManualSays) {
  for (int i = 0; i < 200; ++i) {
    Machine machine(rng_);
    if (!machine.state.vectors.has_ymm()) GTEST_SKIP() << "the host has no AVX";
    const int reg = static_cast<int>(rng_.between(0, 7)),
              vvvv = static_cast<int>(rng_.between(0, 7)),
              rm = static_cast<int>(rng_.between(0, 7));
    push_to_ends(rng_, machine, reg);
    std::array<Zmm, 16> want;
    for (int r = 0; r < 16; ++r) want[static_cast<size_t>(r)] = machine.zmm(r);

    // In half of the cases the last operand is memory.
    Bytes code = encode(row(), is_256(), reg, vvvv, rm);
    Zmm b = machine.zmm(rm);
    if (rng_.one_in(2)) {
      fill_extremes(rng_, b.data(), b.size());
      code = encode_memory(row(), is_256(), reg, vvvv, 3);
      const size_t length = code.size();
      code.resize(length + 3 + (is_256() ? 32 : 16));
      std::memcpy(code.data() + length + 3, b.data(), code.size() - length - 3);
      machine.state.rip = reinterpret_cast<uint64_t>(code.data());
      ASSERT_TRUE(step(machine.state).none());
    } else {
      ASSERT_TRUE(machine.run(code).none());
    }

    Zmm& result = want[static_cast<size_t>(reg)];
    result = expected(row().name, is_256(), result, want[static_cast<size_t>(vvvv)], b);
    for (int r = 0; r < 16; ++r)
      ASSERT_EQ(machine.zmm(r), want[static_cast<size_t>(r)])
          << "register " << r << " of " << reg << ", " << vvvv << ", " << rm << ", seed "
          << test::base_seed();
  }
}

// A component in its initial state is zero, whatever the bytes of the area say, and stays so in
// the registers that were not written.
TEST_P(Vectors, TreatsInitialComponentsAsZero) {
  for (const uint64_t held : {uint64_t{0}, Machine::kSse, Machine::kSse | Machine::kAvx}) {
    Machine machine(rng_);
    if (!machine.state.vectors.has_ymm()) GTEST_SKIP() << "the host has no AVX";
    machine.set_xstate_bv(held);
    const Zmm acc = machine.zmm(1), a = machine.zmm(2), b = machine.zmm(3), other = machine.zmm(4);
    ASSERT_TRUE(machine.run(encode(row(), is_256(), 1, 2, 3)).none());
    EXPECT_EQ(machine.zmm(1), expected(row().name, is_256(), acc, a, b));
    EXPECT_EQ(machine.zmm(2), a);
    EXPECT_EQ(machine.zmm(4), other);
    EXPECT_EQ(machine.xstate_bv(), Machine::kSse | Machine::kAvx);
  }
}

TEST_P(Vectors, FaultWithoutYmmInTheFrame) {
  RegisterState state;
  const Bytes code = encode(row(), is_256(), 1, 2, 3);
  state.rip = reinterpret_cast<uint64_t>(code.data());
  const Fault fault = step(state);
  ASSERT_FALSE(fault.none());
  EXPECT_STREQ(fault.reason, "the signal frame holds no ymm registers");
}

std::vector<Mnemonic> vector_mnemonics() {
  std::vector<Mnemonic> found;
  for (const Row& row : kRows)
    if (row.form == Form::kVectorBytes || row.form == Form::kVectorWords)
      found.push_back(row.mnemonic);
  return found;
}

std::string case_name(const testing::TestParamInfo<std::tuple<Mnemonic, bool>>& info) {
  return std::string(row_of(std::get<0>(info.param)).name) +
         (std::get<1>(info.param) ? "_ymm" : "_xmm");
}

INSTANTIATE_TEST_SUITE_P(All, Vectors,
                         testing::Combine(testing::ValuesIn(vector_mnemonics()), testing::Bool()),
                         case_name);

// acc[0..4) += dot products of a and b, with the EVEX instruction that the row names.
class EvexForm : public Xbyak::CodeGenerator {
 public:
  EvexForm(Mnemonic mnemonic, bool is_256) {
    const Xbyak::Xmm acc = is_256 ? Xbyak::Xmm(ymm0) : xmm0, a = is_256 ? Xbyak::Xmm(ymm1) : xmm1;
    vmovdqu(acc, ptr[rdi]);
    vmovdqu(a, ptr[rsi]);
    switch (mnemonic) {
      case Mnemonic::kVpdpbusd: vpdpbusd(acc, a, ptr[rdx], Xbyak::EvexEncoding); break;
      case Mnemonic::kVpdpbusds: vpdpbusds(acc, a, ptr[rdx], Xbyak::EvexEncoding); break;
      case Mnemonic::kVpdpwssd: vpdpwssd(acc, a, ptr[rdx], Xbyak::EvexEncoding); break;
      default: vpdpwssds(acc, a, ptr[rdx], Xbyak::EvexEncoding); break;
    }
    vmovdqu(ptr[rdi], acc);
    vzeroupper();
    ret();
  }
  void operator()(Zmm& acc, const Zmm& a, const Zmm& b) {
    getCode<void (*)(void*, const void*, const void*)>()(acc.data(), a.data(), b.data());
  }
};

TEST(VectorsNative, AgreeWithAvx512Vnni) {
  if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512vl"))
    GTEST_SKIP() << "the host has no AVX512-VNNI";
  test::Rng rng("VectorsNative");
  for (const Mnemonic mnemonic :
       {Mnemonic::kVpdpbusd, Mnemonic::kVpdpbusds, Mnemonic::kVpdpwssd, Mnemonic::kVpdpwssds})
    for (const bool is_256 : {false, true}) {
      EvexForm native(mnemonic, is_256);
      for (int i = 0; i < 2000; ++i) {
        Machine machine(rng);
        push_to_ends(rng, machine, 5);
        Zmm want{};
        std::memcpy(want.data(), machine.zmm(5).data(), is_256 ? 32 : 16);
        native(want, machine.zmm(6), machine.zmm(7));
        ASSERT_TRUE(machine.run(encode(row_of(mnemonic), is_256, 5, 6, 7)).none());
        ASSERT_EQ(machine.zmm(5), want) << row_of(mnemonic).name;
      }
    }
}

}  // namespace
}  // namespace oct::emulate
