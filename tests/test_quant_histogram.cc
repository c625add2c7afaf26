// Growing histograms and the searches on them, with the constants of PyTorch's own unit tests
// (test/quantization/core/test_workflow_module.py) as numerics.md B2.5 quotes them.
#include "quant/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quant/affine.h"
#include "quant/observer.h"
#include "quant/search.h"
#include "tests/quant_support.h"

namespace oct {
namespace {

using test::flat_view;
using test::normal_tensor;
using test::Rng;

Histogram histogram_of(int bins, const std::vector<std::vector<float>>& batches) {
  Histogram h(bins);
  for (const auto& batch : batches) h.add(flat_view(batch), Counted::kValues);
  return h;
}

Observer histogram_observer(int bins, const QScheme& scheme,
                            const std::vector<std::vector<float>>& batches) {
  ObserverConfig config;
  config.kind = ObserverKind::kHistogram;
  config.bins = bins;
  config.scheme = scheme;
  Observer observer(config);
  for (const auto& batch : batches) observer.observe(flat_view(batch));
  return observer;
}

TEST(Histogram, GrowsAsPyTorchs) {
  const Histogram h = histogram_of(3, {{2, 3, 4, 5}, {5, 6, 7, 8}});
  EXPECT_EQ(h.range, (Range{2, 8}));
  EXPECT_EQ(h.counts, (std::vector<float>{2, 3, 3}));
}

TEST(Histogram, OneSided) {
  const Histogram h = histogram_of(8, {{0, 0.3f, 1.2f, 1.7f}, {0.1f, 1.3f, 2, 2.7f}});
  EXPECT_EQ(h.range, (Range{0, 2.7f}));
  EXPECT_EQ(h.counts, (std::vector<float>{2.5625f, 0.4375f, 0, 2, 0.9375f, 1.0625f, 0, 1}));
  EXPECT_NEAR(histogram_search(h).max, 2.3625f, 1e-6);
  EXPECT_EQ(histogram_search(h).min, 0);
}

TEST(Histogram, SameInputs) {
  const std::vector<float> ones(4, 1.0f), zeros(4, 0.0f);
  const Histogram h = histogram_of(3, {ones, zeros, zeros, {2, 3, 4, 5}, {5, 6, 7, 8}});
  EXPECT_EQ(h.range, (Range{0, 8}));
  EXPECT_EQ(h.counts, (std::vector<float>{13.25f, 3.75f, 3}));
}

TEST(Histogram, PyTorchsQParams) {
  const std::vector<std::vector<float>> batches = {{2, 3, 4, 5}, {5, 6, 7, 8}};
  const auto qparams = [&](DType type, uint32_t flags) {
    return histogram_observer(3, {type, flags}, batches).qparams()[0];
  };
  EXPECT_NEAR(qparams(DType::kU8, 0).scale, 0.0235294, 1e-6);
  EXPECT_EQ(qparams(DType::kU8, 0).zero_point, 0);
  EXPECT_EQ(qparams(DType::kS8, 0).zero_point, -128);
  EXPECT_NEAR(qparams(DType::kU8, kReduced).scale, 0.0235294 * 255 / 127, 1e-6);
  EXPECT_NEAR(qparams(DType::kS8, kSymmetric).scale, 0.0470588, 1e-6);
}

TEST(Histogram, ConstantsKeepTheirPlace) {
  const Histogram one = histogram_of(8, {{3, 3}});
  EXPECT_EQ(one.counts[4], 2);
  EXPECT_EQ(histogram_search(one), (Range{3, 3}));
  const Histogram grown = histogram_of(8, {{3, 3}, {0, 8}});
  EXPECT_EQ(grown.counts, (std::vector<float>{1, 0, 0, 2, 0, 0, 0, 1}));
}

TEST(Histogram, IgnoresWhatIsNotFinite) {
  Histogram h(4);
  const float inf = HUGE_VALF;
  const std::vector<float> none = {NAN, inf, -inf};
  EXPECT_EQ(h.add(flat_view(none), Counted::kValues), (Tally{0, 1, 2}));
  EXPECT_TRUE(h.range.empty());
  const std::vector<float> some = {NAN, 1, inf, 5};
  EXPECT_EQ(h.add(flat_view(some), Counted::kValues), (Tally{2, 1, 1}));
  EXPECT_EQ(h.range, (Range{1, 5}));
}

TEST(Histogram, CountsBeyondTwoToThe24) {
  // 2^24 + 3 equal values through a stride of 0: adding 1 to a binary32 would stop at 2^24.
  const std::vector<float> value = {1};
  FloatView view = flat_view(value);
  view.sizes[0] = (1 << 24) + 4;
  view.strides[0] = 0;
  Histogram h(2);
  h.add(view, Counted::kValues);
  EXPECT_EQ(h.counts[1], static_cast<float>((1 << 24) + 4));
}

// The mass up to and including bin i, for all i.
std::vector<double> cumulative(const Histogram& h) {
  std::vector<double> sums;
  double sum = 0;
  for (float c : h.counts) sums.push_back(sum += c);
  return sums;
}

// But for 2e-5 of the mass: a bin that is split again and again spreads a little farther.
TEST(Histogram, MergedShardsEqualOnePassToOneBin) {
  Rng rng("merge");
  for (int round = 0; round < test::by_effort(2, 20, 200); ++round) {
    Histogram one_pass(2048);
    std::vector<Histogram> shards(3, Histogram(2048));
    for (int batch = 0; batch < 9; ++batch) {
      const auto data = normal_tensor(rng, 2000, rng.real(0.5, 2), rng.real(-1, 1));
      one_pass.add(flat_view(data), Counted::kValues);
      shards[static_cast<size_t>(batch % 3)].add(flat_view(data), Counted::kValues);
    }
    for (size_t i = 1; i < shards.size(); ++i) shards[0].merge(shards[i]);
    EXPECT_EQ(shards[0].range, one_pass.range);
    const auto expected = cumulative(one_pass), got = cumulative(shards[0]);
    const double little = 2e-5 * expected.back();
    EXPECT_NEAR(got.back(), expected.back(), little);
    for (size_t i = 1; i + 1 < expected.size(); ++i) {
      EXPECT_GE(got[i], expected[i - 1] - little) << "round " << round << " bin " << i;
      EXPECT_LE(got[i], expected[i + 1] + little) << "round " << round << " bin " << i;
    }
  }
}

TEST(Histogram, MergeIsExactOnOneRange) {
  const std::vector<float> a = {0, 1, 2, 8}, b = {0, 5, 8};
  Histogram merged = histogram_of(4, {a});
  merged.merge(histogram_of(4, {b}));
  EXPECT_EQ(merged, histogram_of(4, {a, b}));
  merged.merge(Histogram(4));
  EXPECT_EQ(merged, histogram_of(4, {a, b}));
  Histogram empty(4);
  empty.merge(merged);
  EXPECT_EQ(empty, merged);
}

// ------------------------------------------------------------------ searches --

Range calibrate(ObserverKind kind, const QScheme& scheme, const std::vector<float>& data,
                double percentile = 99.99) {
  ObserverConfig config;
  config.kind = kind;
  config.scheme = scheme;
  config.percentile = percentile;
  Observer observer(config);
  observer.observe(flat_view(data));
  return observer.ranges()[0];
}

const QScheme kAffine = {DType::kU8}, kSymmetricS8 = {DType::kS8, kSymmetric};

TEST(PercentileSearch, CutsTheGivenShare) {
  std::vector<float> data(10001);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i) - 5000;
  const float bin = 10000.0f / 2048;
  const Range all = calibrate(ObserverKind::kPercentile, kAffine, data, 100);
  EXPECT_EQ(all, (Range{-5000, 5000}));
  const Range most = calibrate(ObserverKind::kPercentile, kAffine, data, 98);
  EXPECT_NEAR(most.min, -4900, bin);
  EXPECT_NEAR(most.max, 4900, bin);
  const Range symmetric = calibrate(ObserverKind::kPercentile, kSymmetricS8, data, 98);
  EXPECT_NEAR(symmetric.max, 4900, bin / 2);
  EXPECT_EQ(symmetric.min, -symmetric.max);
}

TEST(PercentileSearch, KeepsZero) {
  const std::vector<float> data = {4, 5, 6, 7};
  EXPECT_EQ(calibrate(ObserverKind::kPercentile, kAffine, data, 1).min, 0);
}

double mean_squared_error(const std::vector<float>& data, const QScheme& scheme, const Range& r) {
  const QParams p = observer_qparams(scheme, r);
  const QRange q = quant_range(scheme);
  double sum = 0;
  for (float x : data) {
    const double e =
        dequantize_value(quantize_divide(x, p.scale, p.zero_point, q), p.scale, p.zero_point) - x;
    sum += e * e;
  }
  return sum / static_cast<double>(data.size());
}

// With a few far outliers, the searches must clip, and MSE must find the least error.
TEST(Searches, ClipOutliers) {
  Rng rng("outliers");
  std::vector<float> data = normal_tensor(rng, 20000);
  for (int i = 0; i < 4; ++i) data.push_back(60);
  for (const QScheme& scheme : {kAffine, kSymmetricS8}) {
    const Range minmax = calibrate(ObserverKind::kMinMax, scheme, data);
    const Range mse = calibrate(ObserverKind::kMse, scheme, data);
    const Range entropy = calibrate(ObserverKind::kEntropy, scheme, data);
    EXPECT_EQ(minmax.max, 60);
    EXPECT_LT(entropy.max, 20);
    EXPECT_LE(entropy.min, -2);
    EXPECT_LT(mean_squared_error(data, scheme, mse), mean_squared_error(data, scheme, minmax));
    // No other upper end on the bins' edges is noticeably better.
    for (float t = 1; t < 60; t += 0.5f) {
      const Range other = {scheme.symmetric() ? -t : mse.min, t};
      EXPECT_GE(mean_squared_error(data, scheme, other) * 1.02,
                mean_squared_error(data, scheme, mse))
          << t;
    }
  }
}

TEST(Searches, ReluDataStartsAtZero) {
  Rng rng("relu");
  std::vector<float> data = normal_tensor(rng, 20000);
  for (float& x : data) x = std::max(x, 0.0f);
  for (ObserverKind kind :
       {ObserverKind::kPercentile, ObserverKind::kEntropy, ObserverKind::kMse}) {
    const Range r = calibrate(kind, kAffine, data);
    EXPECT_EQ(r.min, 0) << static_cast<int>(kind);
    EXPECT_GT(r.max, 2) << static_cast<int>(kind);
  }
}

// TensorRT's loop over candidates, written plainly: the one-sided divergence bin by bin, with ONNX
// Runtime's 1e-4 where Q would be zero and P is not.
int entropy_by_definition(const std::vector<float>& counts, int levels) {
  std::vector<double> bins(counts.begin(), counts.end());
  bins[0] = bins[1];
  int best = 0;
  double best_divergence = HUGE_VAL;
  for (int n = levels; n <= static_cast<int>(bins.size()); ++n) {
    std::vector<double> p(bins.begin(), bins.begin() + n), q(p.size());
    for (size_t i = static_cast<size_t>(n); i < bins.size(); ++i) p.back() += bins[i];
    std::vector<double> mass(static_cast<size_t>(levels)), used(static_cast<size_t>(levels));
    const auto level = [&](int i) { return static_cast<size_t>(i * levels / n); };
    for (int i = 0; i < n; ++i) {
      mass[level(i)] += bins[static_cast<size_t>(i)];
      used[level(i)] += bins[static_cast<size_t>(i)] > 0;
    }
    double p_sum = 0, q_sum = 0, divergence = 0;
    for (int i = 0; i < n; ++i) {
      const size_t j = static_cast<size_t>(i);
      q[j] = bins[j] > 0 ? mass[level(i)] / used[level(i)] : 0;
      p_sum += p[j];
      q_sum += q[j];
    }
    for (size_t i = 0; i < p.size(); ++i)
      if (p[i] > 0)
        divergence += p[i] / p_sum * std::log(p[i] / p_sum / ((q[i] > 0 ? q[i] : 1e-4) / q_sum));
    if (divergence <= best_divergence) {
      best_divergence = divergence;
      best = n;
    }
  }
  return best;
}

TEST(EntropySearch, EqualsTensorRtsLoop) {
  Rng rng("entropy");
  for (int round = 0; round < test::by_effort(1, 5, 50); ++round) {
    Histogram h(512);
    auto data = normal_tensor(rng, 5000);
    for (int i = 0; i < 20; ++i) data.push_back(static_cast<float>(rng.log_real(3, 12)));
    h.add(flat_view(data), Counted::kMagnitudes);
    const int expected = entropy_by_definition(h.counts, 128);
    const float t = entropy_search(h, true, kSymmetricS8).max;
    EXPECT_NEAR(t, expected == 512 ? h.range.max : h.edge(expected), 1e-6) << "round " << round;
  }
}

}  // namespace
}  // namespace oct
