// Every run and every text query that must be refused, with nothing written.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "tests/api_support.h"

namespace oct::test {
namespace {

constexpr int64_t kMax64 = std::numeric_limits<int64_t>::max();
constexpr int64_t kM = 4, kN = 20, kK = 30;

// One block of memory for A and C, so that tests can make them overlap.
struct Memory {
  alignas(64) uint8_t bytes[4096];
  uint8_t* a() { return bytes; }
  uint8_t* c() { return bytes + 2048; }
};

struct BadArgs {
  const char* name;
  std::function<void(oct_qgemm_args&, Memory&)> spoil;
  std::vector<std::string> mentions;
  oct_status status = OCT_INVALID_ARGUMENT;
  oct_dtype c_type = OCT_F32;
};

#define ARGS(statement)                   \
  [](oct_qgemm_args& r, Memory& memory) { \
    (void)memory;                         \
    statement;                            \
  }

const std::vector<BadArgs>& bad_args() {
  static const std::vector<BadArgs> all = {
      {"struct_size_zero", ARGS(r.struct_size = 0), {"struct_size", " 0;"}, OCT_VERSION_MISMATCH},
      {"struct_size_larger",
       ARGS(r.struct_size += 8),
       {std::to_string(sizeof(oct_qgemm_args) + 8), std::to_string(sizeof(oct_qgemm_args))},
       OCT_VERSION_MISMATCH},
      {"m_negative", ARGS(r.m = -1), {"m is -1"}},
      {"m_very_negative",
       ARGS(r.m = std::numeric_limits<int64_t>::min()),
       {"-9223372036854775808"}},
      {"a_null", ARGS(r.a = nullptr), {"a is null"}},
      {"c_null", ARGS(r.c = nullptr), {"c is null"}},
      {"a_stride_short", ARGS(r.a_stride_bytes = kK - 1), {"a_stride_bytes", "29", "30"}},
      {"a_stride_zero", ARGS(r.a_stride_bytes = 0), {"a_stride_bytes", "0"}},
      {"a_stride_negative", ARGS(r.a_stride_bytes = -64), {"a_stride_bytes", "-64"}},
      {"c_stride_short", ARGS(r.c_stride_bytes = 4 * kN - 4), {"c_stride_bytes", "76", "80"}},
      {"c_stride_negative", ARGS(r.c_stride_bytes = -80), {"c_stride_bytes", "-80"}},
      {"c_stride_misaligned", ARGS(r.c_stride_bytes = 4 * kN + 2), {"c_stride_bytes", "82", "4"}},
      {"c_misaligned", ARGS(r.c = memory.c() + 2), {"multiple", "4"}},
      {"c_misaligned_s32",
       ARGS(r.c = memory.c() + 1),
       {"multiple", "4"},
       OCT_INVALID_ARGUMENT,
       OCT_S32},
      {"c_misaligned_bf16",
       ARGS(r.c = memory.c() + 1),
       {"multiple", "2"},
       OCT_INVALID_ARGUMENT,
       OCT_BF16},
      {"a_overflows", ARGS(r.m = kMax64), {std::to_string(kMax64)}},
      {"a_stride_overflows", ARGS(r.a_stride_bytes = kMax64 / 2), {std::to_string(kMax64 / 2)}},
      {"c_stride_overflows",
       ARGS(r.c_stride_bytes = kMax64 / 16 * 8),
       {std::to_string(kMax64 / 16 * 8)}},
      {"end_beyond_the_address_space",
       ARGS(r.a = reinterpret_cast<const void*>(UINTPTR_MAX - 64)),
       {"overflow"}},
      {"c_is_a", ARGS(r.c = memory.a(); r.a_stride_bytes = r.c_stride_bytes), {"overlap"}},
      {"c_inside_a", ARGS(r.c = memory.a() + 8), {"overlap"}},
      {"c_meets_the_last_byte_of_a",
       ARGS(r.a = memory.c() - (3 * r.a_stride_bytes + kK) + 1),
       {"overlap"}},
      {"a_meets_the_last_byte_of_c",
       ARGS(r.a = memory.c() + 3 * r.c_stride_bytes + 4 * kN - 1),
       {"overlap"}},
      {"columns_that_share_the_last_byte_of_a",
       ARGS(r.a_stride_bytes = r.c_stride_bytes = 50; r.c = memory.a() + kK - 1),
       {"overlap"},
       OCT_INVALID_ARGUMENT,
       OCT_U8},
      {"columns_that_share_the_last_byte_of_c",
       ARGS(r.a_stride_bytes = r.c_stride_bytes = 49; r.c = memory.a() + kK),
       {"overlap"},
       OCT_INVALID_ARGUMENT,
       OCT_U8},
      {"columns_of_different_strides",
       ARGS(r.a_stride_bytes = 60; r.c_stride_bytes = 50; r.c = memory.a() + kK),
       {"overlap"},
       OCT_INVALID_ARGUMENT,
       OCT_U8},
  };
  return all;
}

class BadArguments : public testing::TestWithParam<BadArgs> {
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }
};

TEST_P(BadArguments, AreRefusedWithTheNumbers) {
  const Context context;
  Rng rng("bad args");
  QgemmProblem p = simple_problem(rng, kM, kN, kK);
  p.desc.c_type = GetParam().c_type;
  const Plan plan(context, p.desc);
  Memory memory;
  rng.fill_bytes(memory.bytes, sizeof memory.bytes);
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = kM;
  args.a = memory.a();
  args.a_stride_bytes = kK;
  args.c = memory.c();
  args.c_stride_bytes = 4 * kN;
  ASSERT_EQ(oct_qgemm_run(plan, &args), OCT_OK) << "the run must be good before it is spoilt";
  GetParam().spoil(args, memory);

  const Memory before = memory;
  EXPECT_EQ(oct_qgemm_run(plan, &args), GetParam().status) << oct_last_error();
  EXPECT_EQ(std::memcmp(&before, &memory, sizeof memory), 0) << "memory was written";
  for (const std::string& text : GetParam().mentions)
    EXPECT_NE(std::string(oct_last_error()).find(text), std::string::npos)
        << "no \"" << text << "\" in: " << oct_last_error();
}

INSTANTIATE_TEST_SUITE_P(Run, BadArguments, testing::ValuesIn(bad_args()),
                         [](const auto& info) { return std::string(info.param.name); });

class ApiTexts : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
    context.emplace();
    Rng rng("texts");
    const QgemmProblem p = simple_problem(rng, kM, kN, kK);
    plan.emplace(*context, p.desc);
  }

  std::optional<Context> context;
  std::optional<Plan> plan;
};

TEST_F(ApiTexts, RunRefusesNull) {
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  EXPECT_EQ(oct_qgemm_run(nullptr, &args), OCT_INVALID_ARGUMENT);
  EXPECT_STREQ(oct_last_error(), "plan is null");
  EXPECT_EQ(oct_qgemm_run(*plan, nullptr), OCT_INVALID_ARGUMENT);
  EXPECT_STREQ(oct_last_error(), "args is null");
}

TEST_F(ApiTexts, NoRowsNeedNoPointers) {
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  EXPECT_EQ(oct_qgemm_run(*plan, &args), OCT_OK);
}

// The buffer rules that oct_describe and oct_qgemm_explain share.
template <class Query>
void check_buffer_rules(Query query) {
  size_t needed = 0;
  ASSERT_EQ(query(nullptr, 0, &needed), OCT_OK) << oct_last_error();
  ASSERT_GT(needed, 100u);

  std::vector<char> buffer(needed + 16, '#');
  size_t again = 0;
  ASSERT_EQ(query(buffer.data(), needed, &again), OCT_OK);
  EXPECT_EQ(again, needed);
  EXPECT_EQ(std::strlen(buffer.data()), needed - 1);
  EXPECT_EQ(std::string(buffer.end() - 16, buffer.end()), std::string(16, '#'));

  const std::vector<char> before(needed + 16, '#');
  buffer = before;
  again = 7;
  EXPECT_EQ(query(buffer.data(), needed - 1, &again), OCT_INVALID_ARGUMENT);
  EXPECT_NE(std::string(oct_last_error()).find(std::to_string(needed)), std::string::npos);
  EXPECT_NE(std::string(oct_last_error()).find(std::to_string(needed - 1)), std::string::npos);
  EXPECT_EQ(buffer, before);
  EXPECT_EQ(again, 7u);

  EXPECT_EQ(query(buffer.data(), buffer.size(), nullptr), OCT_OK);
  again = 7;
  EXPECT_EQ(query(nullptr, 100, &again), OCT_INVALID_ARGUMENT);
  EXPECT_NE(std::string(oct_last_error()).find("100"), std::string::npos);
  EXPECT_EQ(again, 7u);
}

TEST_F(ApiTexts, DescribeFollowsTheBufferRules) {
  check_buffer_rules(
      [](char* b, size_t size, size_t* needed) { return oct_describe(nullptr, b, size, needed); });
  check_buffer_rules([&](char* b, size_t size, size_t* needed) {
    return oct_describe(*context, b, size, needed);
  });
}

TEST_F(ApiTexts, ExplainFollowsTheBufferRules) {
  for (int64_t m : {0, 1, 1000})
    check_buffer_rules([&](char* b, size_t size, size_t* needed) {
      return oct_qgemm_explain(*plan, m, b, size, needed);
    });
}

TEST_F(ApiTexts, ExplainRefusesBadArguments) {
  size_t needed = 7;
  EXPECT_EQ(oct_qgemm_explain(nullptr, 1, nullptr, 0, &needed), OCT_INVALID_ARGUMENT);
  EXPECT_EQ(oct_qgemm_explain(*plan, -5, nullptr, 0, &needed), OCT_INVALID_ARGUMENT);
  EXPECT_NE(std::string(oct_last_error()).find("-5"), std::string::npos);
  EXPECT_EQ(needed, 7u);
}

}  // namespace
}  // namespace oct::test
