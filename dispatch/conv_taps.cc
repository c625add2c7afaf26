#include "dispatch/conv_taps.h"

#include <emmintrin.h>

#include <algorithm>
#include <bitset>
#include <cstring>

namespace oct {
namespace {

constexpr int64_t kLanes = 4;  // of SSE2, which the whole library may use

// sums += terms or -= terms, whole vectors of every kernel; wraps.
template <int kSign>
void add(int32_t* sums, const int32_t* terms, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    auto* const to = reinterpret_cast<__m128i*>(sums + i);
    const __m128i sum = _mm_load_si128(to);
    const __m128i term = _mm_loadu_si128(reinterpret_cast<const __m128i*>(terms + i));
    _mm_store_si128(to, kSign > 0 ? _mm_add_epi32(sum, term) : _mm_sub_epi32(sum, term));
  }
}

// Columns of a panel, in whole vectors.
int64_t whole_vectors(const ConvPanel& panel) {
  return ceil_div(panel.n, panel.row->lanes) * panel.row->lanes;
}

}  // namespace

// Room for `most` taps. All lists go where there is none.
TapList* ConvTaps::new_list(int64_t most) {
  if (lists_ == kMaxLists || taps_used_ + most > kMaxTaps) {
    lists_ = starts_ = 0;
    taps_used_ = sums_used_ = 0;
  }
  TapList& list = list_[lists_];
  list = {taps_ + taps_used_, index_ + taps_used_, 0, true, false, 0};
  return &list;
}

TapList* ConvTaps::find(const ConvInput& in, const ConvSource& source, IndexRange q) {
  const Key key{in.d.phase, in.h.phase, in.w, in.d.run, in.h.run, q, source.row_bytes()};
  for (int i = 0; i < lists_; ++i)
    if (keys_[i] == key) return &list_[i];
  TapList* const list = new_list(plan_.tap_count);
  list_seen(in, source, q, list);
  taps_used_ += list->count;
  keys_[lists_++] = key;
  return list;
}

// Nothing is kept: the same outputs of another row may have their taps elsewhere.
TapList* ConvTaps::folded(const ConvSource& source) {
  lists_ = kMaxLists;
  TapList* const list = new_list(kMaxTaps);
  const auto add = [&](int64_t offset) {
    list->taps[list->count] = {offset, 0, 0};
    list->index[list->count] = list->count;
    ++list->count;
  };
  const auto& axes = plan_.shape.axes;
  if (plan_.row_taps) {
    for (int i = 0; i < axes[0].kernel; ++i)
      for (int j = 0; j < axes[1].kernel; ++j) add(source.filter_row_offset(i, j));
  } else {
    add(0);
  }
  return list;
}

// Of one row of the filter, and then the same of all that are seen.
void ConvTaps::list_seen(const ConvInput& in, const ConvSource& source, IndexRange q,
                         TapList* list) const {
  list->fits = seen_widths(in, source, q, list);
  const int widths = list->fits ? list->count : 0;
  const TapRange &depths = in.d.run, &heights = in.h.run;
  list->count = (depths.last - depths.first) * (heights.last - heights.first) * widths;
  for (int i = depths.last, to = list->count; i-- > depths.first;)
    for (int j = heights.last; j-- > heights.first;) {
      const int64_t offset = source.filter_row_offset(i, j);
      const auto row = static_cast<int32_t>(
          (in.d.phase->taps[static_cast<size_t>(i)].index * plan_.shape.axes[1].kernel +
           in.h.phase->taps[static_cast<size_t>(j)].index) *
          plan_.shape.axes[2].kernel);
      to -= widths;
      for (int k = 0; k < widths; ++k) {
        list->taps[to + k] = {list->taps[k].a_offset + offset, 0, list->taps[k].clip};
        list->index[to + k] = list->index[k] + row;
      }
    }
}

bool ConvTaps::seen_widths(const ConvInput& in, const ConvSource& source, IndexRange q,
                           TapList* list) const {
  for (const AxisTap& tap : in.w->taps) {
    const IndexRange seen = outputs_that_see(*in.w, tap, in.size[2]);
    const int64_t left = std::max<int64_t>(0, seen.begin - q.begin);
    const int64_t right = std::max<int64_t>(0, q.end - seen.end);
    if (left + right >= q.end - q.begin) continue;
    if ((left && right) || left + right > plan_.clip) return false;
    list->clipped |= left + right > 0;
    list->taps[list->count] = {source.column_offset(tap), 0, left - right};
    list->index[list->count++] = static_cast<int32_t>(tap.index);
  }
  return true;
}

ConvTaps::Start ConvTaps::start(const TapList& list, const ConvPanel& panel, int height) {
  if (plan_.tap_term.empty() || plan_.folded || (list.count == plan_.tap_count && !list.clipped))
    return {(plan_.init.empty() ? plan_.bias : plan_.init).data() + panel.column, 0};
  for (int i = 0; i < starts_; ++i) {
    found_ = found_ + 1 < starts_ ? found_ + 1 : 0;
    const KeptStart& kept = kept_[found_];
    if (kept.list == &list && kept.panel == &panel && kept.height == height) return kept.start;
  }
  const int64_t width = whole_vectors(panel);
  const int64_t sums = list.clipped ? height * width : width;
  const auto room = static_cast<int64_t>(room_.size());
  if (starts_ == kMaxStarts || sums_used_ + sums > room) starts_ = 0, sums_used_ = 0;
  int32_t* const to = room_.data() + sums_used_;
  sum_start(list, panel, height, to);
  sums_used_ += sums;
  const Start start{to, list.clipped ? width * static_cast<int64_t>(sizeof *to) : 0};
  found_ = starts_++;
  kept_[found_] = {&list, &panel, height, start};
  return start;
}

// The bias less what the listed taps see of the zero point; or, where there are fewer of the
// others, what they would have seen added to that of all.
void ConvTaps::sum_seen(const TapList& list, const ConvPanel& panel, int32_t* sums) const {
  const int64_t width = whole_vectors(panel);
  const bool from_all = 2 * list.count > plan_.tap_count;
  const auto& start = from_all && !plan_.init.empty() ? plan_.init : plan_.bias;
  std::memcpy(sums, start.data() + panel.column, static_cast<size_t>(width) * sizeof *sums);
  if (list.count == plan_.tap_count) return;
  if (!from_all) {
    for (int t = 0; t < list.count; ++t) add<-1>(sums, term(panel, list.index[t]), width);
    return;
  }
  std::bitset<kMaxTaps> seen;
  for (int t = 0; t < list.count; ++t) seen.set(static_cast<size_t>(list.index[t]));
  for (int t = 0; t < plan_.tap_count; ++t)
    if (!seen[static_cast<size_t>(t)]) add<1>(sums, term(panel, t), width);
}

void ConvTaps::sum_start(const TapList& list, const ConvPanel& panel, int height,
                         int32_t* sums) const {
  sum_seen(list, panel, sums);
  if (!list.clipped) return;
  const int64_t width = whole_vectors(panel);
  for (int i = 1; i < height; ++i)
    std::memcpy(sums + i * width, sums, static_cast<size_t>(width) * sizeof *sums);
  for (int t = 0; t < list.count; ++t) {
    const auto clip = static_cast<int>(list.taps[t].clip);
    const int32_t* const hidden = term(panel, list.index[t]);
    for (int i = 0; i < clip; ++i) add<1>(sums + i * width, hidden, width);
    for (int i = height + clip; i < height; ++i) add<1>(sums + i * width, hidden, width);
  }
}

const int32_t* ConvTaps::term(const ConvPanel& panel, int tap) const {
  return plan_.tap_term.data() + static_cast<size_t>(tap) * plan_.columns + panel.column;
}

}  // namespace oct
