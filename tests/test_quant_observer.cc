// Observers by extrema: batches, channels, strides, merging; and the walk over strided data.
#include "quant/observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/quant_support.h"

namespace oct {
namespace {

using test::dense_view;
using test::flat_view;
using test::normal_tensor;
using test::Rng;

ObserverConfig config_of(ObserverKind kind, int64_t channels = 0, int axis = 0) {
  ObserverConfig config;
  config.kind = kind;
  config.channels = channels;
  config.channel_axis = axis;
  return config;
}

TEST(FloatView, VisitsEveryElementWithItsChannel) {
  std::vector<float> data(2 * 3 * 4);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i);
  for (int axis = -1; axis < 3; ++axis) {
    std::vector<std::pair<int64_t, float>> seen;
    for_each(dense_view(data, {2, 3, 4}), axis,
             [&](int64_t channel, float x) { seen.emplace_back(channel, x); });
    ASSERT_EQ(seen.size(), data.size());
    for (int i = 0; i < 24; ++i) {
      const int64_t index[] = {i / 12, i / 4 % 3, i % 4};
      EXPECT_EQ(seen[static_cast<size_t>(i)].first, axis < 0 ? 0 : index[axis]);
      EXPECT_EQ(seen[static_cast<size_t>(i)].second, static_cast<float>(i));
    }
  }
}

TEST(FloatView, StridesOfEitherSignAndZero) {
  const std::vector<float> data = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  FloatView v = {data.data() + 9, 3, {2, 2, 3}, {-5, 0, -2}};
  std::vector<float> seen;
  for_each(v, 1, [&](int64_t, float x) { seen.push_back(x); });
  EXPECT_EQ(seen, (std::vector<float>{9, 7, 5, 9, 7, 5, 4, 2, 0, 4, 2, 0}));
  v.sizes[1] = 0;
  for_each(v, 1, [&](int64_t, float) { FAIL() << "an empty view has no elements"; });
}

TEST(Observer, StridedDataIsAsItsDenseCopy) {
  Rng rng("strided");
  const auto data = normal_tensor(rng, 6 * 10 * 8);
  // Every second row and column of [6, 10, 8], transposed to [4, 5, 6].
  const FloatView strided = {data.data(), 3, {4, 5, 6}, {2, 16, 80}};
  std::vector<float> copy;
  for_each(strided, -1, [&](int64_t, float x) { copy.push_back(x); });
  for (ObserverKind kind : {ObserverKind::kMinMax, ObserverKind::kMovingAverage,
                            ObserverKind::kHistogram, ObserverKind::kMse}) {
    Observer a(config_of(kind)), b(config_of(kind));
    a.observe(strided);
    b.observe(dense_view(copy, {4, 5, 6}));
    EXPECT_EQ(a, b) << static_cast<int>(kind);
  }
  for (int axis = 0; axis < 3; ++axis) {
    Observer a(config_of(ObserverKind::kMinMax, strided.sizes[axis], axis));
    Observer b(a);
    a.observe(strided);
    b.observe(dense_view(copy, {4, 5, 6}));
    EXPECT_EQ(a, b) << axis;
  }
}

TEST(MinMaxObserver, AccumulatesOverBatches) {
  Observer observer(config_of(ObserverKind::kMinMax));
  const std::vector<float> a = {2, 3, -1}, b = {5, 0};
  observer.observe(flat_view(a));
  EXPECT_EQ(observer.ranges()[0], (Range{-1, 3}));
  observer.observe(flat_view(b));
  EXPECT_EQ(observer.ranges()[0], (Range{-1, 5}));
  EXPECT_EQ(observer.tally(), (Tally{5, 0, 0}));
  observer.reset();
  EXPECT_EQ(observer, Observer(config_of(ObserverKind::kMinMax)));
  EXPECT_EQ(observer.qparams()[0], (QParams{1, 0}));
}

TEST(MovingAverageObserver, MovesByTheConstant) {
  ObserverConfig config = config_of(ObserverKind::kMovingAverage);
  config.averaging = 0.25f;
  Observer observer(config);
  const std::vector<float> a = {0, 8}, b = {-4, 4};
  observer.observe(flat_view(a));
  EXPECT_EQ(observer.ranges()[0], (Range{0, 8}));
  observer.observe(flat_view(b));
  EXPECT_EQ(observer.ranges()[0], (Range{-1, 7}));
}

TEST(Observers, IgnoreAndCountWhatIsNotFinite) {
  const float inf = HUGE_VALF;
  const std::vector<float> data = {NAN, 1, inf, -2, -inf, NAN}, none = {NAN, inf};
  for (int kind = 1; kind <= 7; ++kind) {
    ObserverConfig config = config_of(static_cast<ObserverKind>(kind));
    config.scale = 1;
    const Observer fresh(config);
    Observer observer(config);
    observer.observe(flat_view(none));
    EXPECT_EQ(observer.tally(), (Tally{0, 1, 1}));
    EXPECT_EQ(observer.qparams(), fresh.qparams()) << kind;
    observer.observe(flat_view(data));
    EXPECT_EQ(observer.tally(), (Tally{2, 3, 3})) << kind;
    const Range r = observer.ranges()[0];
    EXPECT_TRUE(std::isfinite(r.min) && std::isfinite(r.max)) << kind;
  }
}

TEST(PerChannelObservers, AChannelWithoutFiniteValuesSkipsTheBatch) {
  const std::vector<float> first = {1, 2, NAN, NAN}, second = {3, 4, 5, 6};
  Observer observer(config_of(ObserverKind::kMovingAverage, 2));
  observer.observe(dense_view(first, {2, 2}));
  EXPECT_EQ(observer.ranges()[0], (Range{1, 2}));
  EXPECT_TRUE(observer.ranges()[1].empty());
  EXPECT_EQ(observer.qparams()[1], (QParams{1, 0}));
  observer.observe(dense_view(second, {2, 2}));
  EXPECT_EQ(observer.ranges()[1], (Range{5, 6}));  // its first batch, copied
}

TEST(FixedObserver, GivesWhatItWasGiven) {
  ObserverConfig config = config_of(ObserverKind::kFixed);
  config.scale = 1.0f / 256;  // sigmoid
  Observer observer(config);
  const std::vector<float> data = {1, 2};
  observer.observe(flat_view(data));
  EXPECT_EQ(observer.qparams(), (std::vector<QParams>{{1.0f / 256, 0}}));
  EXPECT_EQ(observer.ranges()[0], (Range{0, 255.0f / 256}));
}

// Splits batches among shards and merges: extrema exactly, histograms' ranges exactly.
TEST(Merge, ExtremaOfShardsEqualOnePass) {
  Rng rng("shards");
  for (int axis : {-1, 0, 1, 2}) {
    const std::vector<int64_t> sizes = {4, 3, 5};
    const ObserverConfig config = config_of(
        ObserverKind::kMinMax, axis < 0 ? 0 : sizes[static_cast<size_t>(axis)], std::max(axis, 0));
    Observer one_pass(config);
    std::vector<Observer> shards(4, Observer(config));
    for (int i = 0; i < 20; ++i) {
      const auto data = normal_tensor(rng, 60, rng.real(0.1, 10));
      one_pass.observe(dense_view(data, sizes));
      shards[static_cast<size_t>(rng.between(0, 3))].observe(dense_view(data, sizes));
    }
    for (size_t i = 1; i < shards.size(); ++i) shards[0].merge(shards[i]);
    EXPECT_EQ(shards[0], one_pass) << axis;
  }
}

TEST(Merge, MovingAveragesFollowOneAnother) {
  Rng rng("moving");
  for (int split : {0, 1, 5, 29, 30}) {
    ObserverConfig config = config_of(ObserverKind::kMovingAverage, 3, 1);
    config.averaging = 0.1f;
    Observer one_pass(config), first(config), second(config);
    for (int i = 0; i < 30; ++i) {
      const auto data = normal_tensor(rng, 12, rng.real(0.1, 10));
      one_pass.observe(dense_view(data, {4, 3}));
      (i < split ? first : second).observe(dense_view(data, {4, 3}));
    }
    first.merge(second);
    EXPECT_EQ(first.tally(), one_pass.tally());
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(first.ranges()[c].min, one_pass.ranges()[c].min, 2e-6) << split;
      EXPECT_NEAR(first.ranges()[c].max, one_pass.ranges()[c].max, 2e-6) << split;
    }
  }
}

// What is found after merging differs from one pass by no more than bins' widths.
TEST(Merge, CalibratedRangesOfShardsAreWithinABin) {
  Rng rng("calibrated shards");
  for (ObserverKind kind : {ObserverKind::kPercentile, ObserverKind::kHistogram}) {
    const ObserverConfig config = config_of(kind);
    Observer one_pass(config);
    std::vector<Observer> shards(3, Observer(config));
    for (int i = 0; i < 12; ++i) {
      const auto data = normal_tensor(rng, 4000);
      one_pass.observe(flat_view(data));
      shards[static_cast<size_t>(i % 3)].observe(flat_view(data));
    }
    for (size_t i = 1; i < shards.size(); ++i) shards[0].merge(shards[i]);
    const Range all = one_pass.histogram()->range;
    EXPECT_EQ(shards[0].histogram()->range, all);
    const float bin = (all.max - all.min) / 2048 * 1.01f;
    EXPECT_NEAR(shards[0].ranges()[0].min, one_pass.ranges()[0].min, bin);
    EXPECT_NEAR(shards[0].ranges()[0].max, one_pass.ranges()[0].max, bin);
  }
}

TEST(ObserverConfig, RefusesWhatHasNoMeaning) {
  const auto refused = [](auto spoil) {
    ObserverConfig config;
    spoil(config);
    return !config_error(config).empty();
  };
  EXPECT_FALSE(refused([](ObserverConfig&) {}));
  EXPECT_TRUE(refused([](ObserverConfig& c) { c.kind = static_cast<ObserverKind>(0); }));
  EXPECT_TRUE(refused([](ObserverConfig& c) { c.kind = static_cast<ObserverKind>(8); }));
  EXPECT_TRUE(refused([](ObserverConfig& c) { c.scheme.type = DType::kF32; }));
  EXPECT_TRUE(refused([](ObserverConfig& c) { c.channels = -1; }));
  EXPECT_TRUE(refused([](ObserverConfig& c) { c.channel_axis = 8; }));
  for (ObserverKind kind : {ObserverKind::kHistogram, ObserverKind::kFixed})
    EXPECT_TRUE(refused([kind](ObserverConfig& c) {
      c.kind = kind;
      c.scale = 1;
      c.channels = 2;
    }));
  for (float averaging : {0.0f, -1.0f, 1.5f, NAN})
    EXPECT_TRUE(refused([averaging](ObserverConfig& c) {
      c.kind = ObserverKind::kMovingAverage;
      c.averaging = averaging;
    }));
  for (int bins : {0, 1, kMaxBins + 1})
    EXPECT_TRUE(refused([bins](ObserverConfig& c) {
      c.kind = ObserverKind::kHistogram;
      c.bins = bins;
    }));
  for (double percentile : {0.0, 100.5, std::nan("")})
    EXPECT_TRUE(refused([percentile](ObserverConfig& c) {
      c.kind = ObserverKind::kPercentile;
      c.percentile = percentile;
    }));
  for (auto [scale, zero_point] : {std::pair(0.0f, 0), {1e-40f, 0}, {1.0f, 256}, {1.0f, -1}})
    EXPECT_TRUE(refused([scale = scale, zero_point = zero_point](ObserverConfig& c) {
      c.kind = ObserverKind::kFixed;
      c.scale = scale;
      c.zero_point = zero_point;
    }));
}

}  // namespace
}  // namespace oct
