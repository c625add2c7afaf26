#include "quant/weights.h"

#include <cmath>
#include <limits>

namespace oct {

std::vector<QParams> weight_qparams(const float* weights, const ChannelLayout& layout,
                                    const QScheme& scheme) {
  std::vector<Range> ranges(static_cast<size_t>(layout.channels));
  for_each_channel_element(
      layout, [&](int64_t c, int64_t i) { ranges[static_cast<size_t>(c)].include(weights[i]); });
  std::vector<QParams> params;
  for (const Range& range : ranges) params.push_back(observer_qparams(scheme, range));
  return params;
}

QuantizedBias quantize_bias_value(float bias, float scale) {
  using Limits = std::numeric_limits<int32_t>;
  const double q = std::nearbyint(static_cast<double>(bias) / static_cast<double>(scale));
  if (q < Limits::min()) return {Limits::min(), false};
  if (q > Limits::max()) return {Limits::max(), false};
  return {static_cast<int32_t>(q), true};
}

}  // namespace oct
