#include "quant/observer.h"
#include "quant/requant.h"
#include "quant/search.h"
#include "quant/text.h"

namespace oct {

namespace {

bool has_histogram(ObserverKind kind) {
  return kind >= ObserverKind::kHistogram && kind <= ObserverKind::kMse;
}

std::string fixed_error(const ObserverConfig& c) {
  if (!is_valid_scale(c.scale))
    return text("scale is %g; it must be finite, positive and normal",
                static_cast<double>(c.scale));
  const QRange q = quant_range(c.scheme);
  if (c.zero_point < q.lo || c.zero_point > q.hi)
    return text("zero_point is %d; the range is [%d, %d]", c.zero_point, q.lo, q.hi);
  return "";
}

std::string histogram_error(const ObserverConfig& c) {
  if (c.bins < 2 || c.bins > kMaxBins)
    return text("bins is %d; it must be in [2, %d]", c.bins, kMaxBins);
  const int levels = entropy_levels(c.scheme);
  if (c.kind == ObserverKind::kEntropy && c.bins <= levels)
    return text("bins is %d; with at most as many bins as levels, %d, there is one candidate",
                c.bins, levels);
  if (c.kind == ObserverKind::kPercentile && !(c.percentile > 0 && c.percentile <= 100))
    return text("percentile is %g; it must be above 0 and at most 100", c.percentile);
  return "";
}

}  // namespace

std::string config_error(const ObserverConfig& c) {
  if (c.kind < ObserverKind::kMinMax || c.kind > ObserverKind::kFixed)
    return text("kind is %u; no observer has that number", static_cast<unsigned>(c.kind));
  if (std::string why = scheme_error(c.scheme); !why.empty()) return why;
  if (c.channels < 0 || c.channels > INT32_MAX)
    return text("channels is %lld; it must be in [0, 2^31 - 1]",
                static_cast<long long>(c.channels));
  if (c.channels && c.kind > ObserverKind::kMovingAverage)
    return text("channels is %lld; only min-max and moving-average observers work per channel",
                static_cast<long long>(c.channels));
  if (c.channel_axis < 0 || c.channel_axis >= kMaxRank)
    return text("channel_axis is %d; it must be in [0, %d]", c.channel_axis, kMaxRank - 1);
  if (c.kind == ObserverKind::kMovingAverage && !(c.averaging > 0 && c.averaging <= 1))
    return text("averaging is %g; it must be above 0 and at most 1",
                static_cast<double>(c.averaging));
  if (c.kind == ObserverKind::kFixed) return fixed_error(c);
  return has_histogram(c.kind) ? histogram_error(c) : "";
}

std::string config_difference(const ObserverConfig& a, const ObserverConfig& b) {
  std::string found;
  const auto compare = [&](const char* field, auto x, auto y) {
    if (found.empty() && x != y)
      found = text("%s is %.9g and %.9g", field, static_cast<double>(x), static_cast<double>(y));
  };
  compare("kind", static_cast<uint32_t>(a.kind), static_cast<uint32_t>(b.kind));
  compare("type", static_cast<int>(a.scheme.type), static_cast<int>(b.scheme.type));
  compare("flags", a.scheme.flags, b.scheme.flags);
  compare("quant_min", a.scheme.quant_min, b.scheme.quant_min);
  compare("quant_max", a.scheme.quant_max, b.scheme.quant_max);
  compare("eps", a.scheme.eps, b.scheme.eps);
  compare("channels", a.channels, b.channels);
  compare("channel_axis", a.channel_axis, b.channel_axis);
  compare("averaging", a.averaging, b.averaging);
  compare("bins", a.bins, b.bins);
  compare("percentile", a.percentile, b.percentile);
  compare("scale", a.scale, b.scale);
  compare("zero_point", a.zero_point, b.zero_point);
  return found;
}

}  // namespace oct
