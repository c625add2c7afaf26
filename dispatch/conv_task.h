// One thread's share of a convolution: output rows times panels of output channels.
//
// A tile of output pixels is the rows of one kernel call. At the sides of the image some taps see
// only a part of a tile; those list how many pixels they leave out (Tap::clip), so that tiles stay
// tall and padding costs nothing. Taps above and below the image are not listed at all.
#pragma once

#include <array>
#include <cstdint>

#include "dispatch/conv_plan.h"
#include "dispatch/conv_source.h"

namespace oct {

// One run: sizes per axis (depth, height, width) after simplification. One thread writes it and the
// others read it at once: few cache lines.
struct alignas(64) ConvJob {
  const oct_qconv& plan;
  int64_t batch;
  std::array<int64_t, 3> in, out;
  ConvTensor a, c;
  ConvTensor* x;     // with plan.has_tensors: of post-operations; null data where they have none
  int64_t rows;      // batch * out depth * out height
  int64_t segments;  // an output row is cut into so many
  int64_t row_tasks, panel_tasks;
  uint8_t* scratch;     // the caller's, for all tasks; null: on the stack
  size_t task_scratch;  // bytes of it for each task
};

// What a task needs for its lists and buffers, aligned to cache lines.
size_t conv_task_scratch_bytes();

// Units are segments of output rows.
struct ConvShare {
  IndexRange units, panels;
  Order order;  // of units and of the tiles in them
};

// `scratch` may be null: the stack.
void run_conv_task(const ConvJob& job, const ConvShare& share, void* scratch);

}  // namespace oct
