#include "quant/observer.h"

#include <cassert>

#include "quant/search.h"

namespace oct {

Observer::Observer(const ObserverConfig& config) : config_(config), state_(initial_state(config)) {
  assert(config_error(config).empty());
}

Observer::State Observer::initial_state(const ObserverConfig& config) {
  const size_t channels = config.channels ? static_cast<size_t>(config.channels) : 1;
  switch (config.kind) {
    case ObserverKind::kMinMax: return Extrema(channels);
    case ObserverKind::kMovingAverage: return MovingExtrema(channels);
    case ObserverKind::kHistogram:
    case ObserverKind::kPercentile:
    case ObserverKind::kEntropy:
    case ObserverKind::kMse: return Histogram(config.bins);
    case ObserverKind::kFixed: break;
  }
  return {};
}

// HistogramObserver keeps signs for symmetric schemes too.
bool Observer::counts_magnitudes() const {
  return config_.scheme.symmetric() && config_.kind != ObserverKind::kHistogram;
}

void Observer::observe(const FloatView& batch) {
  const int axis = config_.channels ? config_.channel_axis : -1;
  if (auto* extrema = std::get_if<Extrema>(&state_)) {
    tally_ += extrema->add(batch, axis);
  } else if (auto* moving = std::get_if<MovingExtrema>(&state_)) {
    tally_ += moving->add(batch, axis, config_.averaging);
  } else if (auto* histogram = std::get_if<Histogram>(&state_)) {
    const Counted counted = counts_magnitudes()                        ? Counted::kMagnitudes
                            : config_.kind == ObserverKind::kHistogram ? Counted::kValues
                                                                       : Counted::kValuesAndZero;
    tally_ += histogram->add(batch, counted);
  } else {
    Extrema only_counted(1);
    tally_ += only_counted.add(batch, -1);
  }
}

void Observer::merge(const Observer& other) {
  assert(config_ == other.config_);
  if (auto* extrema = std::get_if<Extrema>(&state_))
    extrema->merge(std::get<Extrema>(other.state_));
  else if (auto* moving = std::get_if<MovingExtrema>(&state_))
    moving->merge(std::get<MovingExtrema>(other.state_), config_.averaging);
  else if (auto* histogram = std::get_if<Histogram>(&state_))
    histogram->merge(std::get<Histogram>(other.state_));
  tally_ += other.tally_;
}

void Observer::reset() {
  tally_ = {};
  state_ = initial_state(config_);
}

std::vector<Range> Observer::ranges() const {
  if (const auto* extrema = std::get_if<Extrema>(&state_)) return extrema->ranges;
  std::vector<Range> ranges;
  if (const auto* moving = std::get_if<MovingExtrema>(&state_)) {
    for (const MovingExtrema::Channel& c : moving->channels) ranges.push_back(c.average);
    return ranges;
  }
  const Histogram* h = histogram();
  const bool magnitudes = counts_magnitudes();
  switch (config_.kind) {
    case ObserverKind::kPercentile: return {percentile_search(*h, magnitudes, config_.percentile)};
    case ObserverKind::kEntropy: return {entropy_search(*h, magnitudes, config_.scheme)};
    case ObserverKind::kMse: return {mse_search(*h, magnitudes, config_.scheme)};
    case ObserverKind::kHistogram: return {histogram_search(*h)};
    default: break;
  }
  const QRange q = quant_range(config_.scheme);
  return {{config_.scale * static_cast<float>(q.lo - config_.zero_point),
           config_.scale * static_cast<float>(q.hi - config_.zero_point)}};
}

std::vector<QParams> Observer::qparams() const {
  if (config_.kind == ObserverKind::kFixed) return {{config_.scale, config_.zero_point}};
  std::vector<QParams> result;
  for (const Range& range : ranges()) result.push_back(observer_qparams(config_.scheme, range));
  return result;
}

}  // namespace oct
