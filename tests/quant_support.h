// For tests of the quantisation layer: dense views, random tensors.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/view.h"
#include "tests/support.h"

namespace oct::test {

inline FloatView dense_view(const std::vector<float>& data, const std::vector<int64_t>& sizes) {
  FloatView v = {data.data(), static_cast<int>(sizes.size()), {}, {}};
  int64_t stride = 1;
  for (size_t d = sizes.size(); d-- > 0; stride *= sizes[d]) {
    v.sizes[d] = sizes[d];
    v.strides[d] = stride;
  }
  return v;
}

inline FloatView flat_view(const std::vector<float>& data) {
  return dense_view(data, {static_cast<int64_t>(data.size())});
}

// Roughly normal: the sum of four uniform numbers, scaled to the given standard deviation.
inline float draw_normal(Rng& rng, double deviation) {
  double sum = 0;
  for (int i = 0; i < 4; ++i) sum += rng.real(-1, 1);
  return static_cast<float>(sum * deviation * 0.8660254037844386);
}

inline std::vector<float> normal_tensor(Rng& rng, size_t size, double deviation = 1,
                                        double mean = 0) {
  std::vector<float> data(size);
  for (float& x : data) x = draw_normal(rng, deviation) + static_cast<float>(mean);
  return data;
}

}  // namespace oct::test
