// Observers: what calibration data is shown to, to get scales and zero points back.
//
// An observer keeps one of three kinds of state: extrema, moving averages of extrema, or a
// histogram, from which one of four searches takes a range. observer_qparams turns ranges into
// parameters. Observers of one description can be merged, so that calibration may be split over
// processes, and travel between them as a blob.
//
// Data that is not finite is counted and has no other effect.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "quant/blob.h"
#include "quant/extrema.h"
#include "quant/histogram.h"
#include "quant/qparams.h"

namespace oct {

// The values equal OCT_OBSERVER_*, and are stored in blobs.
enum class ObserverKind : uint32_t {
  kMinMax = 1,
  kMovingAverage,
  kHistogram,
  kPercentile,
  kEntropy,
  kMse,
  kFixed
};

constexpr int kMaxBins = 1 << 20;

struct ObserverConfig {
  ObserverKind kind = ObserverKind::kMinMax;
  QScheme scheme;
  int64_t channels = 0;  // 0: per tensor
  int32_t channel_axis = 0;
  float averaging = 0.01f;    // kMovingAverage
  int32_t bins = 2048;        // the histograms
  double percentile = 99.99;  // kPercentile
  float scale = 0;            // kFixed
  int32_t zero_point = 0;     // kFixed
  friend bool operator==(const ObserverConfig&, const ObserverConfig&) = default;
};

// Why an observer cannot be made, or "".
std::string config_error(const ObserverConfig& config);

// The first field in which two descriptions differ, with both values, or "".
std::string config_difference(const ObserverConfig& a, const ObserverConfig& b);

class Observer {
 public:
  explicit Observer(const ObserverConfig& config);  // one without config_error

  // One batch. Per channel, sizes[channel_axis] equals the number of channels.
  void observe(const FloatView& batch);

  // As if the batches of `other` had followed: exact for extrema, up to rounding for moving
  // averages, to one bin for histograms. The descriptions are equal.
  void merge(const Observer& other);

  // Back to what it was when made.
  void reset();

  // One range, or one per channel; empty where nothing was seen. kFixed: what its parameters reach.
  std::vector<Range> ranges() const;
  std::vector<QParams> qparams() const;

  const ObserverConfig& config() const { return config_; }
  const Tally& tally() const { return tally_; }
  const Histogram* histogram() const { return std::get_if<Histogram>(&state_); }
  size_t count() const { return config_.channels ? static_cast<size_t>(config_.channels) : 1; }

  std::vector<uint8_t> save() const;
  // Nothing, and *error says why, unless the blob is whole and was written by save(). *version is
  // the blob's.
  static std::optional<Observer> load(std::span<const uint8_t> blob, BlobError* error,
                                      uint32_t* version);

  friend bool operator==(const Observer&, const Observer&) = default;

 private:
  using State = std::variant<std::monostate, Extrema, MovingExtrema, Histogram>;

  static State initial_state(const ObserverConfig& config);
  bool counts_magnitudes() const;

  ObserverConfig config_;
  Tally tally_;
  State state_;
};

constexpr uint32_t kObserverBlobVersion = 1;

}  // namespace oct
