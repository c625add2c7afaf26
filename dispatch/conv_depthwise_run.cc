#include "dispatch/conv_depthwise_run.h"

#include <algorithm>

namespace oct {
namespace {

void run(const ConvJob& job, int64_t i, uint8_t* scratch) {
  const auto& axes = job.plan.shape.axes;
  const DepthwiseUnits units(job);
  const IndexRange share = units.share(i, job.row_tasks);
  const Order order = share_order(i, job.row_tasks);
  for (int64_t b = 0; b < job.batch; ++b) {
    const DepthwiseImage image{job.a.data + b * job.a.batch,
                               job.in[1],
                               job.in[2],
                               job.a.stride[1],
                               job.a.stride[2],
                               axes[1].pad_begin,
                               axes[2].pad_begin,
                               job.c.data + b * job.c.batch,
                               job.out[1],
                               job.out[2],
                               job.c.stride[1],
                               job.c.stride[2]};
    units.for_rectangles(share, order, [&](IndexRange rows, IndexRange blocks) {
      job.plan.depthwise->run(image, rows, blocks, order, scratch);
    });
  }
}

// Not inlined, so that runs with scratch do not have it in their frame.
[[gnu::noinline]] void run_on_stack(const ConvJob& job, int64_t i) {
  alignas(64) uint8_t scratch[kMaxDepthwiseScratch];
  run(job, i, scratch);
}

}  // namespace

// Whether threads should share blocks: all rows of a block read the same weights, but blocks of a
// pixel lie side by side, and only where pixels are whole cache lines do threads not write to the
// same ones. Zen 5, 2026-11-30, 3x3 of 1152 channels at 7x7 on two threads: 1.9 -> 1.6 us; of 576
// at 14x14, where an image is five times its weights, 2.85 -> 3.3.
bool shares_blocks(const ConvJob& job) {
  constexpr int64_t kCacheLine = 64;
  const auto bytes = [](const ConvTensor& t, const std::array<int64_t, 3>& size) {
    return size[1] * size[2] * t.stride[2];
  };
  return (job.a.stride[2] | job.c.stride[2]) % kCacheLine == 0 &&
         bytes(job.a, job.in) + bytes(job.c, job.out) <=
             2 * static_cast<int64_t>(job.plan.depthwise->packed_bytes());
}

DepthwiseUnits::DepthwiseUnits(const ConvJob& job)
    : DepthwiseUnits(job.out[1], job.plan.depthwise->blocks(), shares_blocks(job)) {}

// A row by itself takes two thirds of the time of a pair: 0.61 and 0.65 with filters of 3x3, 0.74
// with 5x5 (Zen 5, 2026-11-29, images of 7x7).
int64_t DepthwiseUnits::begin(int64_t i, int64_t parts) const {
  constexpr int64_t kPair = 3, kSingle = 2;
  const int64_t rows = rows_ / 2 * kPair + rows_ % 2 * kSingle;
  const int64_t at = rows * blocks_ * i / parts;
  if (by_blocks_) return at / rows * pairs() + at % rows / kPair;
  const int64_t pair = at / (kPair * blocks_);
  const int64_t unit = rows_ - 2 * pair >= 2 ? kPair : kSingle;
  return pair * blocks_ + (at - pair * kPair * blocks_) / unit;
}

void run_depthwise_task(const ConvJob& job, int64_t i, uint8_t* scratch) {
  scratch ? run(job, i, scratch) : run_on_stack(job, i);
}

}  // namespace oct
