// What running convolutions must not do (allocate, call the system, use much stack), whatever the
// input's size, and that creating plans without end leaves nothing behind.
#include <malloc.h>

#include <cstring>

#include "jit/code_cache.h"
#include "tests/api_support.h"
#include "tests/conv_case.h"
#include "tests/counting_malloc.h"
#include "tests/memory_support.h"

namespace oct::test {
namespace {

// A convolution with room for outputs of every size that is drawn.
class ManySizes {
 public:
  explicit ManySizes(uint64_t number) : rng_("many sizes", number), c_(draw()) {
    c_.a.resize(static_cast<size_t>(kBatch * power(max_in()) * c_.desc.in_channels));
    rng_.fill_bytes(c_.a.data(), c_.a.size());
    if (c_.desc.add_type != OCT_NONE) c_.x.resize(max_outputs());
    out_.resize(max_outputs() * sizeof(float));
  }

  const oct_qconv_desc& desc() const { return c_.desc; }

  // Runs an input of random size and batch, unless the output would be empty.
  oct_status run(const oct_qconv* plan) {
    c_.batch = rng_.between(0, kBatch);
    for (int i = 0; i < c_.desc.rank; ++i) c_.in[i] = rng_.between(1, max_in());
    if (oct_qconv_output_size(plan, c_.in, c_.out) != OCT_OK) return OCT_OK;
    const PostTensors post{};
    oct_qconv_args args = dense_args(c_, post, out_.data());
    args.scratch = scratch_.data();
    args.scratch_bytes = scratch_.size();
    return oct_qconv_run(plan, &args);
  }

  // From now on runs are lent scratch.
  void lend_scratch(const oct_qconv* plan) {
    size_t bytes = 0;
    EXPECT_EQ(oct_qconv_scratch_bytes(plan, &bytes), OCT_OK);
    scratch_.resize(bytes);
  }

  std::string text() const { return c_.text(); }

 private:
  static constexpr int64_t kBatch = 2;
  int64_t max_in() const { return c_.desc.rank == 1 ? 30 : c_.desc.rank == 2 ? 10 : 4; }

  ConvCase draw() { return draw_conv(rng_, {.depthwise = rng_.one_in(3)}); }

  int64_t power(int64_t size) const {
    int64_t p = 1;
    for (int i = 0; i < c_.desc.rank; ++i) p *= size;
    return p;
  }

  // Elements: transposed convolutions spread the input by up to their stride of 3, and filters and
  // padding add less than 16.
  size_t max_outputs() const {
    return static_cast<size_t>(kBatch * power(3 * max_in() + 16) * c_.desc.out_channels);
  }

  Rng rng_;
  ConvCase c_;
  std::vector<uint8_t> out_, scratch_;
};

TEST_F(Memory, ConvolutionsOfManySizesLeaveMemoryAsItIs) {
  constexpr int kPlans = 20;
  const int runs = by_effort(2000, 10000, 100000) / kPlans;
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int i = 0; i < kPlans; ++i) {
      ManySizes sizes(static_cast<uint64_t>(i));
      const ConvPlan plan(context, sizes.desc());
      const uint64_t before = allocations();
      for (int run = 0; run < runs; ++run)
        ASSERT_EQ(sizes.run(plan), OCT_OK) << oct_last_error() << "; " << sizes.text();
      EXPECT_EQ(allocations() - before, 0u) << sizes.text();
    }
  }
}

TEST_F(Memory, CreatingConvolutionsWithoutEndLeavesNothingBehind) {
  // What allocators keep at hand; a leak of one plan's weights each time would exceed it.
  constexpr size_t kSlack = 4 << 20;
  constexpr size_t kOfOnePlan = 16;
  const int count = by_effort(600, 3000, 20000);
  const Context context;
  size_t halfway = 0;
  for (int i = 0; i < count; ++i) {
    Rng rng("without end", static_cast<uint64_t>(i));
    const ConvCase c = draw_conv(rng, {.depthwise = rng.one_in(3)});
    { const ConvPlan plan(context, c.desc); }
    ASSERT_LE(global_code_cache().entries(), CodeCache::kKeepUnused + kOfOnePlan) << c.text();
    if (i == count / 2) {
      malloc_trim(0);
      halfway = resident_bytes();
    }
  }
  malloc_trim(0);
  EXPECT_LE(resident_bytes(), halfway + kSlack);
}

TEST_F(Memory, AConvolutionUsesAtMost96KiBOfStack) {
  const size_t idle = stack_used([] {});
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int i = 0; i < by_effort(20, 60, 300); ++i) {
      ManySizes sizes(static_cast<uint64_t>(i));
      const ConvPlan plan(context, sizes.desc());
      oct_status status = OCT_OK;
      const size_t used = stack_used([&] { status = sizes.run(plan); });
      EXPECT_EQ(status, OCT_OK) << oct_last_error() << sizes.text();
      EXPECT_LE(used, idle + (96u << 10)) << sizes.text();
    }
  }
}

TEST_F(Memory, AConvolutionWithScratchUsesAtMost16KiBOfStack) {
  const size_t idle = stack_used([] {});
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int i = 0; i < by_effort(20, 60, 300); ++i) {
      ManySizes sizes(static_cast<uint64_t>(i));
      const ConvPlan plan(context, sizes.desc());
      sizes.lend_scratch(plan);
      oct_status status = OCT_OK;
      const size_t used = stack_used([&] { status = sizes.run(plan); });
      EXPECT_EQ(status, OCT_OK) << sizes.text();
      EXPECT_LE(used, idle + (16u << 10)) << sizes.text();
    }
  }
}

TEST_F(Memory, AConvolutionMakesNoSystemCall) {
  for (oct_isa cap : distinct_caps()) {
    const Context context(cap);
    for (int i = 0; i < 10; ++i) {
      ManySizes sizes(static_cast<uint64_t>(i));
      const ConvPlan plan(context, sizes.desc());
      const int status = in_strict_child([&] { return sizes.run(plan) == OCT_OK; });
      if (status == kSkip) GTEST_SKIP() << "no seccomp here";
      EXPECT_EQ(status, 0) << sizes.text();
    }
  }
}

TEST_F(Memory, ConvolutionCreationSurvivesEveryFailedAllocation) {
  const Context context;
  for (int i = 0; i < by_effort(3, 6, 30); ++i) {
    Rng rng("failing conv", static_cast<uint64_t>(i));
    const ConvCase c = draw_conv(rng, {.depthwise = i % 3 == 0});
    auto* const untouched = reinterpret_cast<oct_qconv*>(0x1234);
    oct_qconv* plan = untouched;
    fail_each_allocation(false, [&] {
      const oct_status status = oct_qconv_create(context, &c.desc, &plan);
      EXPECT_EQ(status != OCT_OK, plan == untouched);
      return status;
    });
    oct_qconv_destroy(plan);
  }
}

}  // namespace
}  // namespace oct::test
