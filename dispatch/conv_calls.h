// The kernel calls of a task: tiles of outputs of the row at hand against some panels.
#pragma once

#include <array>
#include <cstdint>

#include "dispatch/conv_taps.h"
#include "dispatch/conv_task.h"

namespace oct {

class ConvCalls {
 protected:
  ConvCalls(const ConvJob& job, Order order);

  // An output row, and a segment of it.
  struct Place {
    int64_t batch, depth, row, segment;
  };

  // Makes it the row at hand.
  void place(const Place& at);
  // Moves it by so many rows, and the source's.
  void skip_rows(int64_t count);

  const ConvPanel& panel(int64_t i) const { return plan_.panels[static_cast<size_t>(i)]; }

  // `count` outputs in tiles. Most rows are as long as the last one.
  RowSplit split_outputs(int64_t count, const KernelRow& row);

  // These call with list_ against the bunch: outputs q of the row, and `tiles` tiles of `height`
  // outputs from q on.
  void call_split(IndexRange q, const KernelRow& row);
  void call_panels(int64_t q, int64_t tiles, int height);

  const ConvJob& job_;
  const oct_qconv& plan_;
  const Order order_;
  IndexRange bunch_{};        // panels of one kernel
  TapList* list_ = nullptr;   // of what the outputs see
  ConvInput input_;           // of the row at hand
  uint8_t* c_row_ = nullptr;  // and its outputs
  std::array<const uint8_t*, kMaxPostOps> x_row_{};
  ConvSource source_;
  ConvTaps taps_;
  GemmArgs g_;  // strides are the task's to set

 private:
  ConvPoint point_at(size_t axis, int64_t o) const;
  void call_tiles(int64_t q, int64_t tiles, int height);
  void call(const GemmCode& code, int height);
  void sum_rows(int64_t count);
  void point_taps(int64_t tap_bytes);
  void set_tensors(int64_t channel, int64_t column, int64_t step);

  const bool turns_;  // rows of several tiles: the last first
  GemmCalls calls_;
  RowSplit split_{};  // of the last call of split_outputs
  const KernelRow* split_row_ = nullptr;
  int64_t split_count_ = 0;
};

}  // namespace oct
