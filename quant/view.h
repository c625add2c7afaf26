// A strided tensor of binary32 values, and the walk over its elements.
#pragma once

#include <cmath>
#include <cstdint>

namespace oct {

constexpr int kMaxRank = 8;  // equals OCT_MAX_RANK

// Element (i0, i1, ...) is data[i0 * strides[0] + i1 * strides[1] + ...]. Strides count elements
// and may be negative or 0. The rank is at least 1.
struct FloatView {
  const float* data;
  int rank;
  int64_t sizes[kMaxRank];
  int64_t strides[kMaxRank];
};

inline bool is_empty(const FloatView& v) {
  for (int d = 0; d < v.rank; ++d)
    if (v.sizes[d] == 0) return true;
  return false;
}

// visit(c, x) for every element x, where c is its index along `axis`; 0 if axis is -1.
template <class Visit>
void for_each(const FloatView& v, int axis, Visit visit) {
  if (is_empty(v)) return;
  const int last = v.rank - 1;
  const int64_t count = v.sizes[last], stride = v.strides[last];
  const int64_t channel_step = axis == last ? 1 : 0;
  int64_t index[kMaxRank] = {};
  int64_t offset = 0;
  for (;;) {
    const int64_t channel = axis < 0 || axis == last ? 0 : index[axis];
    for (int64_t i = 0; i < count; ++i)
      visit(channel + i * channel_step, v.data[offset + i * stride]);
    int d = last - 1;
    for (; d >= 0; --d) {
      offset += v.strides[d];
      if (++index[d] < v.sizes[d]) break;
      offset -= v.sizes[d] * v.strides[d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

// How many elements of each kind a batch had. Only the finite ones count for anything else.
struct Tally {
  uint64_t finite = 0, nans = 0, infinities = 0;
  Tally& operator+=(const Tally& other) {
    finite += other.finite;
    nans += other.nans;
    infinities += other.infinities;
    return *this;
  }
  friend bool operator==(const Tally&, const Tally&) = default;
};

// visit(c, x) for every finite element, as for_each; counts all of them.
template <class Visit>
Tally for_each_finite(const FloatView& v, int axis, Visit visit) {
  Tally tally;
  for_each(v, axis, [&](int64_t channel, float x) {
    if (std::isnan(x)) {
      ++tally.nans;
    } else if (std::isinf(x)) {
      ++tally.infinities;
    } else {
      ++tally.finite;
      visit(channel, x);
    }
  });
  return tally;
}

}  // namespace oct
