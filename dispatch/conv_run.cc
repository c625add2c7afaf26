// Running a convolution plan: tensors are checked and simplified, output rows are shared out, and
// every kernel call gets the taps that its pixels see.

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <limits>

#include "dispatch/conv_depthwise_run.h"
#include "dispatch/conv_task.h"
#include "dispatch/status.h"

namespace oct {
namespace {

constexpr size_t kScratchAlignment = 64;

size_t task_scratch_bytes(const oct_qconv& plan) {
  const size_t bytes = plan.depthwise ? plan.depthwise->scratch_bytes() : conv_task_scratch_bytes();
  return (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
}

void run_taps(const ConvJob& job, int64_t i, uint8_t* scratch) {
  const int64_t row_task = i % job.row_tasks;
  const auto panels = static_cast<int64_t>(job.plan.panels.size());
  run_conv_task(
      job,
      {part(job.rows * job.segments, job.row_tasks, row_task),
       part(panels, job.panel_tasks, i / job.row_tasks), share_order(row_task, job.row_tasks)},
      scratch);
}

void do_task(const ConvJob& job, int64_t i) {
  const ScopedFloatMode float_mode;
  uint8_t* const scratch =
      job.scratch ? job.scratch + static_cast<size_t>(i) * job.task_scratch : nullptr;
  job.plan.depthwise ? run_depthwise_task(job, i, scratch) : run_taps(job, i, scratch);
}

void run_task(void* arg, size_t index) {
  const ConvJob& job = *static_cast<const ConvJob*>(arg);
  if (index == 0) return do_task(job, 0);
  // Another thread has just written it: its lines come at once this way, not one by one.
  const ConvJob copy = job;
  do_task(copy, static_cast<int64_t>(index));
}

// ---- one run --------------------------------------------------------------------------------

// Checks a tensor and fills its dense strides; `align` is a power of two. [first, last) is what it
// covers.
struct Extent {
  uintptr_t first, last;
};
oct_status check_tensor(const char* name, const oct_tensor& t, int rank, int64_t batch,
                        const std::array<int64_t, 3>& size, int64_t pixel_bytes, int64_t align,
                        ConvTensor* to, Extent* extent) {
  if (!t.data) return fail(OCT_INVALID_ARGUMENT, "%s.data is null", name);
  to->data = static_cast<uint8_t*>(t.data);
  int64_t dense = pixel_bytes, bytes = pixel_bytes;
  for (int i = 3; i-- > -1;) {
    const int64_t given = i < 0          ? t.batch_stride_bytes
                          : i < 3 - rank ? 0
                                         : t.stride_bytes[i - (3 - rank)];
    const int64_t stride = given == 0 ? dense : given;
    const int64_t count = i < 0 ? batch : size[static_cast<size_t>(i)];
    if (stride < dense || stride & (align - 1))
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
  if (extent->first & static_cast<uintptr_t>(align - 1))
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

bool continues(const ConvTensor& t, int axis, int64_t inner_count) {
  return !t.data || t.stride[axis] == inner_count * t.stride[axis + 1];
}

// Applies f to C and every tensor of its shape.
template <class F>
void for_outputs(ConvJob* j, F f) {
  f(j->c);
  if (j->plan.has_tensors) std::for_each_n(j->x, kMaxPostOps, f);
}

// Rows that follow each other without a gap, in a convolution that sees one pixel at a time, are
// one long row: a plain GEMM.
void join_rows(ConvJob* j) {
  const auto& axes = j->plan.shape.axes;
  if (!is_pointwise(axes[0]) || !is_pointwise(axes[1]) || !is_pointwise(axes[2])) return;
  const int64_t w = j->in[2], h = j->in[1];
  bool whole = continues(j->a, 1, w);
  for_outputs(j, [&](const ConvTensor& t) { whole &= continues(t, 1, w); });
  if (!whole) return;
  j->in[2] = j->out[2] = w * h;
  j->in[1] = j->out[1] = 1;
  const auto join = [&](ConvTensor& t) { t.stride[1] = t.stride[2] * w * h; };
  join(j->a);
  for_outputs(j, join);
}

// What threads share: rows of tiles, of which they cut a row into `segments` at least, by panels of
// `width` columns but for the last ones.
struct Shared {
  int64_t rows, tiles, segments, panels, width, columns;
};
struct Shares {
  int64_t segments, row_tasks, panel_tasks;
};

// What leaves the busiest thread the least. Shares of panels, which all read the same input, must
// save more than that costs. The search ends where no other can: divisions of small layers take a
// hundredth of their time.
Shares best_shares(const Shared& all, int64_t threads) {
  constexpr double kClearlyLess = 0.95;
  const double even = static_cast<double>(all.rows * all.tiles) * static_cast<double>(all.columns) /
                      static_cast<double>(threads);
  Shares best{all.segments, 1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (int64_t p = 1; p <= std::min(all.panels, threads) && kClearlyLess * least > even; ++p) {
    const int64_t most = std::max(all.segments, all.tiles);
    const int64_t s = std::clamp(ceil_div(threads / p, all.rows), all.segments, most);
    const int64_t r = std::min(threads / p, all.rows * s);
    const int64_t columns = std::min(ceil_div(all.panels, p) * all.width, all.columns);
    const auto load = static_cast<double>(ceil_div(all.rows * s, r) * ceil_div(all.tiles, s)) *
                      static_cast<double>(columns);
    if (load >= kClearlyLess * least) continue;
    least = load;
    best = {s, r, p};
  }
  return best;
}

// Long rows are cut so that a segment's input stays in half of L2; threads share rows and segments,
// or panels where those are fewer or divide badly.
void schedule(ConvJob* j) {
  j->rows = j->batch * j->out[0] * j->out[1];
  const int64_t pixel = std::max<int64_t>(1, j->a.stride[2]) * j->plan.shape.axes[2].stride;
  int64_t fit = std::max<int64_t>(64, static_cast<int64_t>(cpu_facts().l2_bytes) / 2 / pixel);
  const oct_qconv& plan = j->plan;
  if (!plan.depthwise) fit = std::min(fit, source_pixels(plan.shape, plan.folded, plan.packed_a));
  j->segments = ceil_div(j->out[2], fit);
  j->row_tasks = j->panel_tasks = 1;
  const Threads& threads = plan.context->threads;
  if (threads.count() == 1) return;
  const double cycles = static_cast<double>(j->rows * j->out[2]) * plan.cycles_per_pixel;
  const int64_t t = threads.useful(cycles);
  if (t == 1) return;
  if (plan.depthwise) {
    j->row_tasks = std::min(DepthwiseUnits(*j).count(), t);
    return;
  }
  const Shares shares =
      best_shares({j->rows, ceil_div(j->out[2], plan.row->mr), j->segments,
                   static_cast<int64_t>(plan.panels.size()), plan.row->nr, plan.shape.out_channels},
                  t);
  j->segments = shares.segments;
  j->row_tasks = shares.row_tasks;
  j->panel_tasks = shares.panel_tasks;
}

// The caller's scratch; none of the tensors may lie in it.
oct_status check_scratch(const oct_qconv_args& args, ConvJob* job) {
  if (!args.scratch) return OCT_OK;
  const size_t needed = conv_scratch_bytes(job->plan);
  if (args.scratch_bytes < needed)
    return fail(OCT_INVALID_ARGUMENT, "scratch_bytes is %zu; the plan needs %zu",
                args.scratch_bytes, needed);
  const auto first = reinterpret_cast<uintptr_t>(args.scratch);
  if (first > UINTPTR_MAX - needed)
    return fail(OCT_INVALID_ARGUMENT, "scratch overflows the address space: %zu bytes", needed);
  job->scratch = reinterpret_cast<uint8_t*>((first + kScratchAlignment - 1) / kScratchAlignment *
                                            kScratchAlignment);
  job->task_scratch = task_scratch_bytes(job->plan);
  return OCT_OK;
}

oct_status check_outside_scratch(const char* name, const ConvJob& job, Extent tensor) {
  if (!job.scratch) return OCT_OK;
  const auto first = reinterpret_cast<uintptr_t>(job.scratch);
  const uintptr_t last =
      first + job.task_scratch * static_cast<size_t>(job.plan.context->threads.count());
  if (tensor.last <= first || last <= tensor.first) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT,
              "%s [%#" PRIxPTR ", %#" PRIxPTR ") overlaps scratch [%#" PRIxPTR ", %#" PRIxPTR ")",
              name, tensor.first, tensor.last, first, last);
}

// The tensor of post-operation i beside C.
oct_status check_post_tensor(const char* name, const oct_tensor& t, size_t i, int64_t c_size,
                             Extent c, ConvJob* job) {
  const ConvShape& shape = job->plan.shape;
  const auto size = static_cast<int64_t>(dtype_bytes(job->plan.layer.epilogue.post[i].type));
  ConvTensor& x = job->x[i];
  Extent extent;
  if (oct_status s = check_tensor(name, t, shape.rank, job->batch, job->out,
                                  shape.out_channels * size, size, &x, &extent))
    return s;
  if (oct_status s = check_outside_scratch(name, *job, extent)) return s;
  const bool is_c = x.data == job->c.data && size == c_size && x.batch == job->c.batch &&
                    std::equal(x.stride, x.stride + 3, job->c.stride);
  return is_c ? OCT_OK : check_overlap(name, c, extent);
}

oct_status check_post_tensors(const oct_qconv_args& args, int64_t c_size, Extent c, ConvJob* job) {
  const oct_qconv& plan = job->plan;
  if (!plan.has_tensors) return OCT_OK;
  std::fill_n(job->x, kMaxPostOps, ConvTensor{});
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

// A task for each thread, and room to align.
size_t conv_scratch_bytes(const oct_qconv& plan) {
  return static_cast<size_t>(plan.context->threads.count()) * task_scratch_bytes(plan) +
         kScratchAlignment - 1;
}

oct_status run_conv(const oct_qconv& plan, const oct_qconv_args& args) {
  if (args.batch < 0) return fail(OCT_INVALID_ARGUMENT, "batch is %" PRId64, args.batch);
  ConvTensor x[kMaxPostOps];
  ConvJob job{plan,    args.batch, full_rank(plan, args.in_size), {}, {}, {}, x, 0, 1, 1, 1,
              nullptr, 0};
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
  if (oct_status s = check_scratch(args, &job)) return s;
  if (oct_status s = check_outside_scratch("A", job, a)) return s;
  if (oct_status s = check_outside_scratch("C", job, c)) return s;
  if (oct_status s = check_post_tensors(args, size, c, &job)) return s;
  const ScopedFloatMode float_mode;
  join_rows(&job);
  schedule(&job);
  plan.context->threads.run(static_cast<size_t>(job.row_tasks * job.panel_tasks), run_task, &job);
  return OCT_OK;
}

}  // namespace oct
