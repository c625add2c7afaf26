// Running a convolution plan: tensors are checked and simplified, output rows are shared out, and
// every kernel call gets the taps that its pixels see.

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <limits>

#include "dispatch/conv_plan.h"
#include "dispatch/plan.h"
#include "dispatch/status.h"
#include "kernels/index_range.h"
#include "kernels/pack.h"

namespace oct {
namespace {

struct Tensor {
  uint8_t* data;
  int64_t batch, stride[3];  // bytes
};

// One run: sizes per axis (depth, height, width) after simplification.
struct ConvJob {
  const oct_qconv& plan;
  int64_t batch;
  std::array<int64_t, 3> in, out;
  Tensor a, c;
  std::array<Tensor, kMaxPostOps> x;  // of post-operations; null data where they have none
  int64_t rows;                       // batch * out depth * out height
  int64_t segments;                   // an output row is cut into so many
  int64_t row_tasks, panel_tasks;
};

// The taps of one kernel call, and their places in the filter for the corrections.
struct TapList {
  Tap taps[kMaxTaps];
  int32_t index[kMaxTaps];
  int count = 0;
};

// ---- one task -------------------------------------------------------------------------------

class ConvTask {
 public:
  ConvTask(const ConvJob& job, IndexRange units, IndexRange panels)
      : job_(job), plan_(job.plan), units_(units), panels_(panels) {
    g_.epilogue = &plan_.params;
    g_.k_groups = k_steps(*plan_.row, plan_.tap_k).whole;
    g_.a_shift = plan_.a_shift * 0x01010101u;
    g_.row_init = nullptr;
  }

  // As many panels at a time as half of L2 holds: each is then read from there for every row.
  void run() {
    const int64_t panel_bytes = plan_.panels[0].tap_bytes * plan_.tap_count;
    const int64_t chunk =
        std::max<int64_t>(1, static_cast<int64_t>(cpu_facts().l2_bytes) / 2 / panel_bytes);
    for (int64_t first = panels_.begin; first < panels_.end; first += chunk) {
      chunk_ = {first, std::min(first + chunk, panels_.end)};
      for (int64_t u = units_.begin; u < units_.end; ++u)
        run_row(u / job_.segments, part(job_.out[2], job_.segments, u % job_.segments));
    }
  }

 private:
  struct Point {
    const AxisPhase* phase;
    int64_t q;    // within the phase
    AxisRun run;  // the taps it sees
  };
  Point point_at(size_t axis, int64_t o) const {
    const ConvAxis& a = plan_.shape.axes[axis];
    const auto phases = static_cast<int64_t>(a.phases.size());
    const AxisPhase& phase = a.phases[static_cast<size_t>(o % phases)];
    const int64_t q = o / phases;
    return {&phase, q, AxisRuns(phase, job_.in[axis], phase.outputs(job_.out[axis])).at(q)};
  }

  // All outputs [columns.begin, columns.end) of one output row.
  void run_row(int64_t row, IndexRange columns) {
    const int64_t oh = row % job_.out[1], od = row / job_.out[1] % job_.out[0];
    const int64_t b = row / (job_.out[1] * job_.out[0]);
    const Point d = point_at(0, od), h = point_at(1, oh);
    a_row_ = job_.a.data + b * job_.a.batch + d.q * d.phase->in_step * job_.a.stride[0] +
             h.q * h.phase->in_step * job_.a.stride[1];
    c_row_ = job_.c.data + b * job_.c.batch + od * job_.c.stride[0] + oh * job_.c.stride[1];
    for (size_t i = 0; i < x_row_.size(); ++i)
      if (const Tensor& x = job_.x[i]; x.data)
        x_row_[i] = x.data + b * x.batch + od * x.stride[0] + oh * x.stride[1];
    for (const AxisPhase& w : plan_.shape.axes[2].phases) {
      const int64_t step = w.out_step, outputs = w.outputs(job_.out[2]);
      int64_t q = std::max<int64_t>(0, (columns.begin - w.out_start + step - 1) / step);
      const int64_t end = std::min(outputs, w.outputs(columns.end));
      while (q < end) {
        AxisRun run = AxisRuns(w, job_.in[2], outputs).at(q);
        run.end = std::min(run.end, end);
        run_pixels(d, h, w, run);
        q = run.end;
      }
    }
  }

  // Pixels [run.begin, run.end) of a row, all of which see the same taps.
  void run_pixels(const Point& d, const Point& h, const AxisPhase& w, const AxisRun& run) {
    const bool clipped = run.last - run.first < static_cast<int>(w.taps.size());
    if (plan_.folded && (clipped || job_.a.stride[2] != plan_.shape.in_channels))
      return run_gathered(d, h, w, run);
    list_taps(d, h, w, plan_.folded ? AxisRun{0, 0, 0, 1} : run);
    g_.a_stride_bytes = w.in_step * job_.a.stride[2];
    call_panels(a_row_ + run.begin * g_.a_stride_bytes, w, run.begin, run.end - run.begin);
  }

  // Fills taps_ for the taps that a depth, a height and a run of widths see.
  void list_taps(const Point& d, const Point& h, const AxisPhase& w, const AxisRun& run) {
    const ConvAxis& height = plan_.shape.axes[1];
    const int64_t widths = plan_.folded ? 1 : plan_.shape.axes[2].kernel;
    taps_.count = 0;
    for (int i = d.run.first; i < d.run.last; ++i)
      for (int j = h.run.first; j < h.run.last; ++j)
        for (int k = run.first; k < run.last; ++k) {
          const AxisTap &td = d.phase->taps[static_cast<size_t>(i)],
                        &th = h.phase->taps[static_cast<size_t>(j)],
                        &tw = w.taps[static_cast<size_t>(k)];
          taps_.taps[taps_.count].a_offset = td.offset * job_.a.stride[0] +
                                             th.offset * job_.a.stride[1] +
                                             tw.offset * job_.a.stride[2];
          taps_.index[taps_.count++] = static_cast<int32_t>(
              (td.index * height.kernel + th.index) * widths + (plan_.folded ? 0 : tw.index));
        }
  }

  // Folded taps at the sides of the image, or of pixels that are not dense: their bytes are copied,
  // with zero points outside the image.
  void run_gathered(const Point& d, const Point& h, const AxisPhase& w, const AxisRun& run) {
    list_taps(d, h, w, {0, 0, 0, 1});
    const int64_t pixel_bytes = std::max<int64_t>(1, taps_.count * plan_.tap_k);
    const int64_t most = std::max<int64_t>(1, kGatherBytes / pixel_bytes);
    int64_t source[kMaxTaps];
    for (int t = 0; t < taps_.count; ++t) {
      source[t] = taps_.taps[t].a_offset - w.taps[0].offset * job_.a.stride[2];
      taps_.taps[t].a_offset = t * plan_.tap_k;
    }
    g_.a_stride_bytes = pixel_bytes;
    for (int64_t q = run.begin; q < run.end; q += most) {
      const int64_t count = std::min(most, run.end - q);
      for (int64_t p = 0; p < count; ++p)
        for (int t = 0; t < taps_.count; ++t)
          gather(w, q + p, a_row_ + source[t], gathered_ + p * pixel_bytes + t * plan_.tap_k);
      call_panels(gathered_, w, q, count);
    }
  }

  void gather(const AxisPhase& w, int64_t q, const uint8_t* row, uint8_t* to) const {
    const int64_t channels = plan_.shape.in_channels;
    for (const AxisTap& tap : w.taps) {
      const int64_t x = q * w.in_step + tap.offset;
      if (x >= 0 && x < job_.in[2])
        std::memcpy(to, row + x * job_.a.stride[2], static_cast<size_t>(channels));
      else
        std::memset(to, plan_.layer.a_zero_point, static_cast<size_t>(channels));
      to += channels;
    }
  }

  // `count` pixels from output q of phase w on, against the panels at hand. `a` is the first, in
  // group 0.
  void call_panels(const uint8_t* a, const AxisPhase& w, int64_t q, int64_t count) {
    const int64_t most = plan_.row_sum_factor.empty() ? count : kMaxRowFactors;
    for (int64_t i = 0; i < count; i += most)
      call_piece(a + i * g_.a_stride_bytes, w, q + i, std::min(most, count - i));
  }

  void call_piece(const uint8_t* a, const AxisPhase& w, int64_t q, int64_t count) {
    const int64_t column = w.out_start + q * w.out_step;
    const auto size = static_cast<int64_t>(dtype_bytes(plan_.layer.c_type));
    g_.c_stride_bytes = w.out_step * job_.c.stride[2];
    g_.taps = taps_.taps;
    g_.taps_end = taps_.taps + taps_.count;
    int64_t summed_group = -1;
    for (int64_t i = chunk_.begin; i < chunk_.end; ++i) {
      const ConvPanel& panel = plan_.panels[static_cast<size_t>(i)];
      if (!plan_.row_sum_factor.empty()) {
        if (panel.group != summed_group) sum_rows(a + panel.group * plan_.shape.group_in(), count);
        summed_group = panel.group;
        g_.row_factor[0] = row_sums_;
        g_.col_factor[0] = plan_.row_sum_factor.data() + panel.column;
      }
      for (int t = 0; t < taps_.count; ++t)
        taps_.taps[t].b_offset = taps_.index[t] * panel.tap_bytes;
      g_.b = plan_.packed_b.data() + panel.b_offset;
      g_.init = start_of(panel);
      g_.mult = plan_.mult.data() + panel.column;
      g_.bias = plan_.bias_f32.data() + panel.column;
      set_tensors(panel.channel, column, w.out_step);
      call(panel, a + panel.group * plan_.shape.group_in(),
           c_row_ + column * job_.c.stride[2] + panel.channel * size, count);
    }
  }

  // The sums of the listed taps of `count` pixels of a group.
  void sum_rows(const uint8_t* a, int64_t count) {
    const bool is_signed = plan_.row->flags & kRowSignedA;
    sum_a_rows({a, g_.a_stride_bytes, g_.taps, g_.taps_end, plan_.tap_k, plan_.a_shift, is_signed},
               count, row_sums_);
  }

  void set_tensors(int64_t channel, int64_t column, int64_t step) {
    if (!plan_.has_tensors) return;
    for (size_t i = 0; i < x_row_.size(); ++i) {
      const int64_t stride = job_.x[i].stride[2];
      const auto size = static_cast<int64_t>(dtype_bytes(plan_.layer.epilogue.post[i].type));
      if (x_row_[i]) g_.post[i] = {x_row_[i] + column * stride + channel * size, step * stride};
    }
  }

  void call(const ConvPanel& panel, const uint8_t* a, uint8_t* c, int64_t count) {
    const RowSplit split = split_rows(count, *panel.row);
    g_.a = a;
    g_.c = c;
    g_.tiles = split.tall;
    calls_.call(*panel.code, split.height, g_);
    if (split.rest == 0) return;
    const int64_t done = split.tall * split.height;
    g_.a = a + done * g_.a_stride_bytes;
    if (!plan_.row_sum_factor.empty()) g_.row_factor[0] += done;
    g_.c = c + done * g_.c_stride_bytes;
    if (plan_.has_tensors)
      for (PostTensor& x : g_.post)
        x.data = static_cast<const uint8_t*>(x.data) + done * x.stride_bytes;
    g_.tiles = split.rest;
    calls_.call(*panel.code, split.rest_height, g_);
  }

  // Where a panel's accumulators start for the listed taps.
  const int32_t* start_of(const ConvPanel& panel) {
    if (plan_.tap_term.empty() || taps_.count == plan_.tap_count)
      return plan_.init.data() + panel.column;
    const int32_t* bias = plan_.bias.data() + panel.column;
    uint32_t sums[kMaxNr];
    for (int i = 0; i < panel.n; ++i) sums[i] = static_cast<uint32_t>(bias[i]);
    for (int t = 0; t < taps_.count; ++t) {
      const int32_t* term = plan_.tap_term.data() +
                            static_cast<size_t>(taps_.index[t]) * plan_.columns + panel.column;
      for (int i = 0; i < panel.n; ++i) sums[i] -= static_cast<uint32_t>(term[i]);
    }
    std::memcpy(start_, sums, static_cast<size_t>(panel.n) * sizeof sums[0]);
    return start_;
  }

  const ConvJob& job_;
  const oct_qconv& plan_;
  const IndexRange units_, panels_;
  IndexRange chunk_{};
  const uint8_t* a_row_ = nullptr;
  uint8_t* c_row_ = nullptr;
  std::array<const uint8_t*, kMaxPostOps> x_row_{};
  GemmArgs g_{};
  GemmCalls calls_;
  TapList taps_;
  alignas(64) int32_t start_[kMaxNr] = {};
  int32_t row_sums_[kMaxRowFactors];  // where the weights have zero points
  alignas(64) uint8_t gathered_[kGatherBytes];
};

// Neither of the next two is inlined: their buffers would add up in one frame.

[[gnu::noinline]] void run_taps(const ConvJob& job, int64_t i) {
  ConvTask(job, part(job.rows * job.segments, job.row_tasks, i % job.row_tasks),
           part(static_cast<int64_t>(job.plan.panels.size()), job.panel_tasks, i / job.row_tasks))
      .run();
}

// Output rows go to tasks in pairs, which the kernels compute together.
[[gnu::noinline]] void run_depthwise(const ConvJob& job, int64_t i) {
  alignas(64) uint8_t scratch[kMaxDepthwiseScratch];
  const auto& axes = job.plan.shape.axes;
  const IndexRange pairs = part((job.out[1] + 1) / 2, job.row_tasks, i % job.row_tasks);
  const IndexRange rows{2 * pairs.begin, std::min(2 * pairs.end, job.out[1])};
  const IndexRange blocks = part(job.plan.depthwise->blocks(), job.panel_tasks, i / job.row_tasks);
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
    job.plan.depthwise->run(image, rows, blocks, scratch);
  }
}

void run_task(void* arg, size_t index) {
  const ConvJob& job = *static_cast<const ConvJob*>(arg);
  const ScopedFloatMode float_mode;
  const auto i = static_cast<int64_t>(index);
  job.plan.depthwise ? run_depthwise(job, i) : run_taps(job, i);
}

// ---- one run --------------------------------------------------------------------------------

// Checks a tensor and fills its dense strides. [first, last) is what it covers.
struct Extent {
  uintptr_t first, last;
};
oct_status check_tensor(const char* name, const oct_tensor& t, int rank, int64_t batch,
                        const std::array<int64_t, 3>& size, int64_t pixel_bytes, int64_t align,
                        Tensor* to, Extent* extent) {
  if (!t.data) return fail(OCT_INVALID_ARGUMENT, "%s.data is null", name);
  to->data = static_cast<uint8_t*>(t.data);
  int64_t dense = pixel_bytes, bytes = pixel_bytes;
  for (int i = 3; i-- > -1;) {
    const int64_t given = i < 0          ? t.batch_stride_bytes
                          : i < 3 - rank ? 0
                                         : t.stride_bytes[i - (3 - rank)];
    const int64_t stride = given == 0 ? dense : given;
    const int64_t count = i < 0 ? batch : size[static_cast<size_t>(i)];
    if (stride < dense || stride % align)
      return fail(OCT_INVALID_ARGUMENT,
                  "%s: stride %" PRId64 " bytes of axis %d; it must be at least %" PRId64
                  " and a multiple of %" PRId64,
                  name, stride, i, dense, align);
    int64_t reach;
    if (__builtin_mul_overflow(stride, count, &dense) ||
        __builtin_mul_overflow(stride, count - 1, &reach) ||
        __builtin_add_overflow(bytes, reach, &bytes))
      return fail(OCT_INVALID_ARGUMENT, "%s overflows: stride %" PRId64 " times %" PRId64, name,
                  stride, count);
    (i < 0 ? to->batch : to->stride[i]) = stride;
  }
  extent->first = reinterpret_cast<uintptr_t>(t.data);
  if (extent->first % static_cast<uintptr_t>(align))
    return fail(OCT_INVALID_ARGUMENT, "%s.data (%p) must be aligned to %" PRId64 " bytes", name,
                t.data, align);
  if (__builtin_add_overflow(extent->first, static_cast<uintptr_t>(bytes), &extent->last))
    return fail(OCT_INVALID_ARGUMENT, "%s overflows the address space: %" PRId64 " bytes", name,
                bytes);
  return OCT_OK;
}

oct_status check_overlap(const char* what, Extent c, Extent other) {
  if (c.last <= other.first || other.last <= c.first) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT,
              "C [%#" PRIxPTR ", %#" PRIxPTR ") overlaps %s [%#" PRIxPTR ", %#" PRIxPTR ")",
              c.first, c.last, what, other.first, other.last);
}

bool pointwise(const ConvAxis& a) {
  return a.kernel == 1 && a.stride == 1 && a.pad_begin == 0 && a.pad_end == 0 && !a.transposed;
}

bool continues(const Tensor& t, int axis, int64_t inner_count) {
  return !t.data || t.stride[axis] == inner_count * t.stride[axis + 1];
}

// Applies f to C and every tensor of its shape.
template <class F>
void for_outputs(ConvJob* j, F f) {
  f(j->c);
  for (Tensor& x : j->x) f(x);
}

// Rows that follow each other without a gap, in a convolution that sees one pixel at a time, are
// one long row: a plain GEMM.
void join_rows(ConvJob* j) {
  const auto& axes = j->plan.shape.axes;
  if (!pointwise(axes[0]) || !pointwise(axes[1]) || !pointwise(axes[2])) return;
  const int64_t w = j->in[2], h = j->in[1];
  bool whole = continues(j->a, 1, w);
  for_outputs(j, [&](const Tensor& t) { whole &= continues(t, 1, w); });
  if (!whole) return;
  j->in[2] = j->out[2] = w * h;
  j->in[1] = j->out[1] = 1;
  const auto join = [&](Tensor& t) { t.stride[1] = t.stride[2] * w * h; };
  join(j->a);
  for_outputs(j, join);
}

// Long rows are cut so that a segment's input stays in half of L2; threads share rows and segments,
// or panels where there are fewer of those than threads.
void schedule(ConvJob* j) {
  j->rows = j->batch * j->out[0] * j->out[1];
  const int64_t pixel = std::max<int64_t>(1, j->a.stride[2]) * j->plan.shape.axes[2].stride;
  const int64_t fit = std::max<int64_t>(64, static_cast<int64_t>(cpu_facts().l2_bytes) / 2 / pixel);
  j->segments = (j->out[2] + fit - 1) / fit;
  j->row_tasks = j->panel_tasks = 1;
  const int threads = j->plan.context->threads.count();
  if (threads == 1) return;
  const double cycles = static_cast<double>(j->rows * j->out[2]) * j->plan.cycles_per_pixel;
  const int64_t t = useful_threads(cycles, threads);
  if (t == 1) return;
  if (j->plan.depthwise) {
    j->row_tasks = std::min((j->out[1] + 1) / 2, t);
    j->panel_tasks = std::min(j->plan.depthwise->blocks(), t / j->row_tasks);
    return;
  }
  if (j->rows * j->segments < t) j->segments = std::min(j->out[2], (t + j->rows - 1) / j->rows);
  j->row_tasks = std::min(j->rows * j->segments, t);
  j->panel_tasks = std::min(static_cast<int64_t>(j->plan.panels.size()), t / j->row_tasks);
}

// The tensor of post-operation i beside C.
oct_status check_post_tensor(const char* name, const oct_tensor& t, size_t i, int64_t c_size,
                             Extent c, ConvJob* job) {
  const ConvShape& shape = job->plan.shape;
  const auto size = static_cast<int64_t>(dtype_bytes(job->plan.layer.epilogue.post[i].type));
  Tensor& x = job->x[i];
  Extent extent;
  if (oct_status s = check_tensor(name, t, shape.rank, job->batch, job->out,
                                  shape.out_channels * size, size, &x, &extent))
    return s;
  const bool is_c = x.data == job->c.data && size == c_size && x.batch == job->c.batch &&
                    std::equal(x.stride, x.stride + 3, job->c.stride);
  return is_c ? OCT_OK : check_overlap(name, c, extent);
}

oct_status check_post_tensors(const oct_qconv_args& args, int64_t c_size, Extent c, ConvJob* job) {
  const oct_qconv& plan = job->plan;
  const PostSpecs& post = plan.layer.epilogue.post;
  for (size_t i = 0; i < post.size(); ++i) {
    if (!has_tensor(post[i].kind)) continue;
    if (plan.adds && i == 0) {
      if (oct_status s = check_post_tensor("add", args.add, i, c_size, c, job)) return s;
      continue;
    }
    if (!args.post)
      return fail(OCT_INVALID_ARGUMENT, "post is null; a post-operation has a tensor");
    const size_t at = i - plan.adds;
    char name[16];
    snprintf(name, sizeof name, "post[%zu]", at);
    if (oct_status s = check_post_tensor(name, args.post[at], i, c_size, c, job)) return s;
  }
  return OCT_OK;
}

}  // namespace

oct_status run_conv(const oct_qconv& plan, const oct_qconv_args& args) {
  if (args.batch < 0) return fail(OCT_INVALID_ARGUMENT, "batch is %" PRId64, args.batch);
  ConvJob job{plan, args.batch, full_rank(plan, args.in_size), {}, {}, {}, {}, 0, 1, 1, 1};
  if (oct_status s = output_size(plan.shape, job.in, &job.out)) return s;
  if (args.batch == 0) return OCT_OK;
  const auto size = static_cast<int64_t>(dtype_bytes(plan.layer.c_type));
  const int rank = plan.shape.rank;
  const ConvShape& shape = plan.shape;
  Extent a, c;
  if (oct_status s =
          check_tensor("a", args.a, rank, args.batch, job.in, shape.in_channels, 1, &job.a, &a))
    return s;
  if (oct_status s = check_tensor("c", args.c, rank, args.batch, job.out, shape.out_channels * size,
                                  size, &job.c, &c))
    return s;
  if (oct_status s = check_overlap("A", c, a)) return s;
  if (oct_status s = check_post_tensors(args, size, c, &job)) return s;
  const ScopedFloatMode float_mode;
  join_rows(&job);
  schedule(&job);
  plan.context->threads.run(static_cast<size_t>(job.row_tasks * job.panel_tasks), run_task, &job);
  return OCT_OK;
}

}  // namespace oct
