// Post-operations through the C API.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "tests/api_support.h"
#include "tests/guard_buffer.h"

namespace oct::test {
namespace {

class ApiPost : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }
};

TEST_F(ApiPost, RandomChainsMatchTheReferenceUnderEveryCapAndThreadCount) {
  std::vector<std::unique_ptr<Context>> contexts;
  for (oct_isa cap : distinct_caps()) contexts.push_back(std::make_unique<Context>(cap));
  contexts.push_back(std::make_unique<Context>(OCT_ISA_NONE, 3));
  for (int repeat = 0; repeat < by_effort(120, 900, 9000); ++repeat) {
    Rng rng("api post", static_cast<uint64_t>(repeat));
    const QgemmProblem p = draw_problem(rng, {.post = true});
    set_fault_note(p.text());
    const std::vector<uint8_t> expected = p.expected();
    for (size_t i = 0; i < contexts.size(); ++i)
      ASSERT_EQ(first_difference(p.run(*contexts[i]), expected, p), "")
          << "problem " << repeat << ", context " << i;
  }
}

// A layer of u8 C with one post-operation.
QgemmProblem with_post(Rng& rng, int64_t m, int64_t n, const PostOp& op) {
  QgemmProblem p = simple_problem(rng, m, n, 40);
  p.chain.chain[0] = op;
  p.chain.ops.push_back({static_cast<oct_post_kind>(op.kind), op.alpha, op.beta,
                         static_cast<oct_dtype>(op.type), op.scale, op.zero_point});
  p.chain.x.emplace_back(static_cast<size_t>(m * n) * dtype_bytes(op.type));
  if (has_tensor(op.kind)) fill_tensor(rng, op, p.chain.x[0].data(), static_cast<size_t>(m * n));
  p.desc.post = p.chain.ops.data();
  p.desc.post_count = 1;
  return p;
}

TEST_F(ApiPost, AStrideOfZeroRepeatsTheRow) {
  const Context context;
  Rng rng("post broadcast");
  QgemmProblem p = with_post(rng, 13, 37, {PostKind::kAdd, 0, 0, DType::kF32, 2.0f, 0});
  for (size_t i = 1; i < 13; ++i)
    std::memcpy(&p.chain.x[0][i * 37 * 4], p.chain.x[0].data(), 37 * 4);
  const Plan plan(context, p.desc);
  std::vector<uint8_t> c(p.c_bytes());
  const oct_post_tensor x{p.chain.x[0].data(), 0};
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = 13;
  args.a = p.a.data();
  args.a_stride_bytes = 40;
  args.c = c.data();
  args.c_stride_bytes = 37;
  args.post = &x;
  ASSERT_EQ(oct_qgemm_run(plan, &args), OCT_OK) << oct_last_error();
  EXPECT_EQ(first_difference(c, p.expected(), p), "");
}

TEST_F(ApiPost, XMayBeCItself) {
  const Context context;
  Rng rng("post in place");
  const QgemmProblem p = with_post(rng, 20, 70, {PostKind::kAdd, 0, 0, DType::kU8, 0.04f, 7});
  const Plan plan(context, p.desc);
  std::vector<uint8_t> c = p.chain.x[0];
  const oct_post_tensor x{c.data(), 70};
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = 20;
  args.a = p.a.data();
  args.a_stride_bytes = 40;
  args.c = c.data();
  args.c_stride_bytes = 70;
  args.post = &x;
  ASSERT_EQ(oct_qgemm_run(plan, &args), OCT_OK) << oct_last_error();
  EXPECT_EQ(first_difference(c, p.expected(), p), "");
}

// A chain that only bounds the result is the flag: the same plan, the same bits.
TEST_F(ApiPost, ALastReluIsTheFlag) {
  const Context context;
  Rng rng("post relu");
  const QgemmProblem p = with_post(rng, 30, 70, {PostKind::kRelu});
  const std::vector<uint8_t> by_chain = p.run(context);
  oct_qgemm_desc flagged = p.desc;
  flagged.post = nullptr;
  flagged.post_count = 0;
  flagged.flags = OCT_QGEMM_RELU;
  const Plan plan(context, flagged);
  EXPECT_EQ(by_chain, p.run(static_cast<const oct_qgemm*>(plan)));
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct BadPost {
  const char* name;
  std::function<void(QgemmProblem&)> spoil;
  std::vector<std::string> mentions;
};

TEST_F(ApiPost, BadChainsAreRefused) {
  const auto op = [](auto set) { return [set](QgemmProblem& p) { set(p.chain.ops[0]); }; };
  const BadPost bad[] = {
      {"too many", [](QgemmProblem& p) { p.desc.post_count = 9; }, {"post_count is 9", "0 .. 8"}},
      {"negative", [](QgemmProblem& p) { p.desc.post_count = -1; }, {"post_count is -1"}},
      {"null", [](QgemmProblem& p) { p.desc.post = nullptr; }, {"post is null", "1"}},
      {"kind", op([](oct_post_op& o) { o.kind = static_cast<oct_post_kind>(99); }), {"99"}},
      {"type", op([](oct_post_op& o) { o.type = OCT_BF16; }), {"post[0].type is 5"}},
      {"scale", op([](oct_post_op& o) { o.scale = 0; }), {"post[0].scale is 0"}},
      {"zero point", op([](oct_post_op& o) { o.zero_point = 256; }), {"256", "0 .. 255"}},
      {"f32 zero point",
       op([](oct_post_op& o) {
         o.type = OCT_F32;
         o.zero_point = 1;
       }),
       {"zero_point is 1", "f32"}},
      {"alpha",
       op([](oct_post_op& o) { o = {OCT_POST_LEAKY_RELU, kNan, 0, OCT_NONE, 1, 0}; }),
       {"post[0]", "nan"}},
      {"clamp",
       op([](oct_post_op& o) { o = {OCT_POST_CLAMP, 2, 1, OCT_NONE, 1, 0}; }),
       {"post[0]", "[2, 1]"}},
      {"s32", [](QgemmProblem& p) { p.desc.c_type = OCT_S32; }, {"s32 C", "post_count 1"}},
      {"two bounds",
       [](QgemmProblem& p) {
         p.chain.ops[0] = {OCT_POST_RELU, 0, 0, OCT_NONE, 1, 0};
         p.desc.flags = OCT_QGEMM_RELU;
       },
       {"post[0]", "0x2"}},
  };
  const Context context;
  for (const BadPost& b : bad) {
    Rng rng("bad post");
    QgemmProblem p = with_post(rng, 2, 20, {PostKind::kAdd, 0, 0, DType::kU8, 1, 0});
    b.spoil(p);
    oct_qgemm* plan = nullptr;
    EXPECT_EQ(oct_qgemm_create(context, &p.desc, &plan), OCT_INVALID_ARGUMENT) << b.name;
    EXPECT_EQ(plan, nullptr) << b.name;
    for (const std::string& text : b.mentions)
      EXPECT_NE(std::string(oct_last_error()).find(text), std::string::npos)
          << b.name << ": " << oct_last_error();
    oct_qgemm_destroy(plan);
  }
}

TEST_F(ApiPost, BadTensorsAreRefused) {
  const Context context;
  Rng rng("bad post tensors");
  const QgemmProblem p = with_post(rng, 4, 20, {PostKind::kAdd, 0, 0, DType::kF32, 1, 0});
  const Plan plan(context, p.desc);
  std::vector<uint8_t> c(p.c_bytes(), 0x55);
  uint8_t* const x = const_cast<uint8_t*>(p.chain.x[0].data());
  struct {
    const void* data;
    int64_t stride;
    const char* mention;
  } bad[] = {{nullptr, 80, "post[0].data is null"},
             {x + 1, 80, "multiples of 4"},
             {x, 82, "stride_bytes (82)"},
             {x, 76, "80 bytes"},
             {x, -80, "-80"},
             {x, std::numeric_limits<int64_t>::max() / 4 * 4, "overflows"},
             {c.data(), 80, "overlaps post[0]"}};
  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = 4;
  args.a = p.a.data();
  args.a_stride_bytes = 40;
  args.c = c.data();
  args.c_stride_bytes = 20;
  EXPECT_EQ(oct_qgemm_run(plan, &args), OCT_INVALID_ARGUMENT);
  EXPECT_STREQ(oct_last_error(), "post is null; a post-operation has a tensor");
  for (const auto& b : bad) {
    const oct_post_tensor tensor{b.data, b.stride};
    args.post = &tensor;
    EXPECT_EQ(oct_qgemm_run(plan, &args), OCT_INVALID_ARGUMENT) << b.mention;
    EXPECT_NE(std::string(oct_last_error()).find(b.mention), std::string::npos) << oct_last_error();
  }
  EXPECT_EQ(c, std::vector<uint8_t>(p.c_bytes(), 0x55));
}

}  // namespace
}  // namespace oct::test
