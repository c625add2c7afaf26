// Which taps the outputs of a kernel call see, and where their sums start.
//
// Rows of outputs that see the same rows of the filter have the same lists, tile by tile, so lists
// and starts are kept as long as there is room: to make them for every row took a tenth of the time
// of small layers, and twice as much where the zero point is not 0.
#pragma once

#include <cstdint>
#include <span>

#include "dispatch/conv_plan.h"
#include "dispatch/conv_source.h"

namespace oct {

struct TapList {
  Tap* taps;
  int32_t* index;  // their places in the filter
  int count;
  bool fits;          // a kernel can take them: else there are none
  bool clipped;       // some tap leaves out some pixel
  int64_t tap_bytes;  // of the panels that the taps' b_offset were computed for
};

class ConvTaps {
 public:
  // `spare`: room for starts, unless the plan packs A.
  ConvTaps(const oct_qconv& plan, std::span<int32_t> spare)
      : plan_(plan), room_(plan.packed_a ? std::span<int32_t>(sums_) : spare) {}

  // What outputs q of the row that `source` has made ready see. No list fits if a tap would leave
  // out pixels at both ends, or more than kernels were made for. Lists live until the next one.
  TapList* find(const ConvInput& in, const ConvSource& source, IndexRange q);
  // A folded filter: one run, or its rows.
  TapList* folded(const ConvSource& source);

  // Where a panel's accumulators start for a list, and from row to row of a tile of `height`; 0
  // if all start alike.
  struct Start {
    const int32_t* sums;
    int64_t stride_bytes;
  };
  Start start(const TapList& list, const ConvPanel& panel, int height);

 private:
  struct Key {
    const AxisPhase *d, *h, *w;
    TapRange depths, heights;
    IndexRange q;
    int64_t row_bytes;

    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeptStart {
    const TapList* list;
    const ConvPanel* panel;
    int height;
    Start start;
  };

  TapList* new_list(int64_t most);
  void list_seen(const ConvInput& in, const ConvSource& source, IndexRange q, TapList* list) const;
  bool seen_widths(const ConvInput& in, const ConvSource& source, IndexRange q,
                   TapList* list) const;
  void sum_seen(const TapList& list, const ConvPanel& panel, int32_t* sums) const;
  const int32_t* term(const ConvPanel& panel, int tap) const;  // what a tap sees of the zero point
  void sum_start(const TapList& list, const ConvPanel& panel, int height, int32_t* sums) const;

  static constexpr int kMaxLists = 16, kMaxStarts = 32;
  static constexpr int64_t kStartSums = 4 * 7 * kMaxNr;  // four tiles of 7x64, and any other

  static_assert(kStartSums >= kMaxSums);

  const oct_qconv& plan_;
  const std::span<int32_t> room_;
  int lists_ = 0, starts_ = 0;
  int found_ = 0;  // the start found last: row after row they are asked for in the same order
  int64_t taps_used_ = 0, sums_used_ = 0;
  Key keys_[kMaxLists];
  TapList list_[kMaxLists];
  KeptStart kept_[kMaxStarts];
  Tap taps_[kMaxTaps];
  int32_t index_[kMaxTaps];
  alignas(64) int32_t sums_[kStartSums];
};

}  // namespace oct
