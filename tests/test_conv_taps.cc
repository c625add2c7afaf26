// Lists of taps and where sums start are kept from row to row. Results are the same without, only
// later: most of all in small layers with a zero point (octavo bench --a-zp 100).
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "dispatch/conv_taps.h"
#include "tests/api_support.h"
#include "tests/conv_case.h"

namespace oct::test {
namespace {

constexpr int64_t kSize = 14, kChannels = 64;

class ConvTapsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }

  // 3x3 with padding, and a zero point.
  static oct_qconv_desc desc(const int8_t* weights) {
    static const float scale = 0.01f;
    oct_qconv_desc desc = OCT_QCONV_DESC_INIT;
    desc.in_channels = desc.out_channels = kChannels;
    for (int i = 0; i < 2; ++i) {
      desc.kernel[i] = 3;
      desc.pad_begin[i] = desc.pad_end[i] = 1;
    }
    desc.a_zero_point = 100;
    desc.w = weights;
    desc.w_scales = &scale;
    desc.w_scale_count = 1;
    return desc;
  }

  // The input of an output row of the image, which the tests do not read.
  ConvInput row(const oct_qconv& plan, int64_t y) const {
    const auto& axes = plan.shape.axes;
    const int64_t pixel = kChannels, line = kSize * pixel;
    ConvInput in{image_.data(), {1, kSize, kSize}, {line * kSize, line, pixel}, {}, {}, nullptr};
    in.d = {&axes[0].phases[0], 0, taps_seen(axes[0].phases[0], 1, 0)};
    in.h = {&axes[1].phases[0], y, taps_seen(axes[1].phases[0], kSize, y)};
    in.w = &axes[2].phases[0];
    in.row = image_.data() + y * line;
    return in;
  }

  const std::vector<int8_t> weights_ = std::vector<int8_t>(9 * kChannels * kChannels, 1);
  const std::vector<uint8_t> image_ = std::vector<uint8_t>(kSize * kSize * kChannels);
};

TEST_F(ConvTapsTest, AreKeptFromRowToRow) {
  const Context context;
  const ConvPlan plan(context, desc(weights_.data()));
  const oct_qconv& p = *static_cast<oct_qconv*>(plan);
  ASSERT_FALSE(p.folded);
  const int height = p.clip > 0 ? 2 : 1;  // the first pixels of a row, some beside the padding
  const IndexRange q{0, height};
  ConvSource source(p);
  ConvTaps taps(p, source.spare_sums());
  const auto list_of = [&](int64_t y) {
    const ConvInput in = row(p, y);
    source.prepare(in, q, 0);
    return taps.find(in, source, q);
  };
  TapList* const inner = list_of(5);
  EXPECT_EQ(inner->count, p.clip > 0 ? 9 : 6);
  const ConvTaps::Start start = taps.start(*inner, p.panels[0], height);
  EXPECT_EQ(list_of(6), inner);
  EXPECT_EQ(taps.start(*inner, p.panels[0], height).sums, start.sums);

  TapList* const top = list_of(0);  // sees two rows of the filter
  EXPECT_NE(top, inner);
  EXPECT_EQ(top->count, inner->count / 3 * 2);
  EXPECT_NE(taps.start(*top, p.panels[0], height).sums, start.sums);

  EXPECT_EQ(list_of(7), inner);  // and both are there
  EXPECT_EQ(taps.start(*inner, p.panels[0], height).sums, start.sums);
}

}  // namespace
}  // namespace oct::test
