#include "dispatch/conv_calls.h"

#include <algorithm>

#include "kernels/pack.h"

namespace oct {
namespace {

// Tiles of one height and what they leave.
RowSplit split_evenly(int64_t count, int height) {
  const auto left = static_cast<int>(count % height);
  return {count / height, left != 0, height, left};
}

}  // namespace

// Every thread waits for this at the beginning of a task: only what is read before it is written
// begins as zeros. Rows that the source lists together go forwards (Zen 5, 2026-11-29: 3 channels
// to 16 at 112x112 take a tenth more time backwards).
ConvCalls::ConvCalls(const ConvJob& job, Order order)
    : job_(job), plan_(job.plan), order_(plan_.row_taps ? Order::kForwards : order),
      source_(job.plan), taps_(job.plan, source_.spare_sums()),
      turns_(order_ == Order::kBackwards && !plan_.packed_a && plan_.row_sum_factor.empty()) {
  std::fill(std::begin(g_.post), std::end(g_.post), PostTensor{});
  g_.epilogue = &plan_.params;
  g_.k_groups = k_steps(*plan_.row, plan_.tap_k).whole;
  g_.a_shift = plan_.a_shift * 0x01010101u;
  std::copy_n(job.a.stride, 3, input_.stride.begin());
  input_.size = job.in;
}

ConvPoint ConvCalls::point_at(size_t axis, int64_t o) const {
  const ConvAxis& a = plan_.shape.axes[axis];
  const auto phases = static_cast<int64_t>(a.phases.size());
  const int64_t q = floor_div(o, phases);
  const AxisPhase& phase = a.phases[static_cast<size_t>(o - q * phases)];
  return {&phase, q, taps_seen(phase, job_.in[axis], q)};
}

void ConvCalls::place(const Place& at) {
  const int64_t oh = at.row, od = at.depth, b = at.batch;
  const ConvPoint d = input_.d = point_at(0, od), h = input_.h = point_at(1, oh);
  input_.row = job_.a.data + b * job_.a.batch + d.q * d.phase->in_step * job_.a.stride[0] +
               h.q * h.phase->in_step * job_.a.stride[1];
  c_row_ = job_.c.data + b * job_.c.batch + od * job_.c.stride[0] + oh * job_.c.stride[1];
  if (!plan_.has_tensors) return;
  for (size_t i = 0; i < x_row_.size(); ++i)
    if (const ConvTensor& x = job_.x[i]; x.data)
      x_row_[i] = x.data + b * x.batch + od * x.stride[0] + oh * x.stride[1];
}

void ConvCalls::skip_rows(int64_t count) {
  source_.skip_rows(count);
  c_row_ += count * job_.c.stride[1];
  if (!plan_.has_tensors) return;
  for (size_t i = 0; i < x_row_.size(); ++i)
    if (x_row_[i]) x_row_[i] += count * job_.x[i].stride[1];
}

RowSplit ConvCalls::split_outputs(int64_t count, const KernelRow& row) {
  if (split_row_ != &row || split_count_ != count) {
    split_row_ = &row;
    split_count_ = count;
    split_ = plan_.tile_rows ? split_evenly(count, plan_.tile_rows) : split_rows(count, row);
  }
  return split_;
}

void ConvCalls::call_split(IndexRange q, const KernelRow& row) {
  const RowSplit split = split_outputs(q.end - q.begin, row);
  const auto rest = [&] {
    if (split.rest) call_panels(q.begin + split.tall * split.height, split.rest, split.rest_height);
  };
  if (order_ == Order::kBackwards) rest();
  call_panels(q.begin, split.tall, split.height);
  if (order_ == Order::kForwards) rest();
}

// Weights with zero points need the sum of what each output sees: for some outputs at a time.
void ConvCalls::call_panels(int64_t q, int64_t tiles, int height) {
  const int64_t most = plan_.row_sum_factor.empty() ? tiles : kMaxSourcePixels / height;
  for (int64_t t = 0; t < tiles; t += most)
    call_tiles(q + t * height, std::min(most, tiles - t), height);
}

void ConvCalls::call_tiles(int64_t q, int64_t tiles, int height) {
  const AxisPhase& w = *input_.w;
  const int64_t column = w.out_start + q * w.out_step;
  const auto size = static_cast<int64_t>(dtype_bytes(plan_.layer.c_type));
  const bool in_place = !plan_.packed_a && !plan_.folded;
  const uint8_t* const a = source_.pixel(q);
  g_.taps = list_->taps;
  g_.taps_end = list_->taps + list_->count;
  g_.row_init = source_.row_init(q);
  g_.tiles = tiles;
  int64_t summed_channel = -1;
  for (int64_t i = bunch_.begin; i < bunch_.end; ++i) {
    const ConvPanel& panel = this->panel(i);
    if (list_->tap_bytes != panel.tap_bytes) point_taps(panel.tap_bytes);
    g_.a = in_place ? a + panel.a_channel : a;
    if (!plan_.row_sum_factor.empty()) {
      if (panel.a_channel != summed_channel) sum_rows(tiles * height);
      summed_channel = panel.a_channel;
      g_.col_factor[0] = plan_.row_sum_factor.data() + panel.column;
    }
    g_.b = plan_.packed_b.data() + panel.b_offset;
    g_.c = c_row_ + column * job_.c.stride[2] + panel.channel * size;
    const ConvTaps::Start start = taps_.start(*list_, panel, height);
    g_.init = start.sums;
    g_.init_stride_bytes = start.stride_bytes;
    g_.mult = plan_.mult.data() + panel.column;
    g_.bias = plan_.bias_f32.empty() ? nullptr : plan_.bias_f32.data() + panel.column;
    set_tensors(panel.channel, column, w.out_step);
    call(*panel.code, height);
  }
}

// The rows of a single tile are done all at once, and may be clipped. Every call has pointers of
// its own, so that only the strides are turned back.
void ConvCalls::call(const GemmCode& code, int height) {
  if (!turns_ || g_.tiles == 1) return calls_.call(code, height, g_);
  turn_rows(g_, g_.tiles * height);
  calls_.call(code, height, g_);
  g_.a_stride_bytes = -g_.a_stride_bytes;
  g_.c_stride_bytes = -g_.c_stride_bytes;
}

// The sums of the listed taps of `count` outputs from g_.a on.
void ConvCalls::sum_rows(int64_t count) {
  const bool is_signed = plan_.row->flags & kRowSignedA;
  const ARows rows{static_cast<const uint8_t*>(g_.a),
                   g_.a_stride_bytes,
                   g_.taps,
                   g_.taps_end,
                   plan_.row_taps ? plan_.real_tap_k() / list_->count : plan_.real_tap_k(),
                   plan_.a_shift,
                   is_signed};
  sum_a_rows(rows, count, source_.spare_terms());
  g_.row_factor[0] = source_.spare_terms();
}

void ConvCalls::point_taps(int64_t tap_bytes) {
  list_->tap_bytes = tap_bytes;
  for (int t = 0; t < list_->count; ++t) list_->taps[t].b_offset = list_->index[t] * tap_bytes;
}

void ConvCalls::set_tensors(int64_t channel, int64_t column, int64_t step) {
  if (!plan_.has_tensors) return;
  for (size_t i = 0; i < x_row_.size(); ++i) {
    const int64_t stride = job_.x[i].stride[2];
    const auto size = static_cast<int64_t>(dtype_bytes(plan_.layer.epilogue.post[i].type));
    if (x_row_[i]) g_.post[i] = {x_row_[i] + column * stride + channel * size, step * stride};
  }
}

}  // namespace oct
