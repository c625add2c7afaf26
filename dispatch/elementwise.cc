#include "dispatch/elementwise.h"

#include <emmintrin.h>

#include <algorithm>
#include <cassert>
#include <memory>

#include "kernels/index_range.h"
#include "quant/qparams.h"

namespace oct {

ElementwiseCodes::~ElementwiseCodes() {
  for (auto& slot : slots_) delete slot.load(std::memory_order_relaxed);
}

namespace {

// Every ISA that a context can have comes with AVX2.
const KernelRow& row_for(const UsableIsas& isas, const char* op) {
  const KernelRow* best = nullptr;
  for (const KernelRow& row : kernels_of(op))
    if (isas[row.isa] && (!best || row.isa > best->isa)) best = &row;
  assert(best);
  return *best;
}

}  // namespace

ElementwiseFn ElementwiseCodes::get(const UsableIsas& isas, const ElementwiseSpec& spec) const {
  const size_t types = static_cast<size_t>(spec.in) * kTypes + static_cast<size_t>(spec.out);
  auto& slot = slots_[types * 8 + spec.divide * 4u + spec.per_column * 2u + spec.streams];
  const ElementwiseCode* code = slot.load(std::memory_order_acquire);
  if (!code) {
    auto made = std::make_unique<const ElementwiseCode>(
        elementwise_code(global_code_cache(), row_for(isas, spec.op()), spec));
    // Another thread may have been faster; then `code` receives its result.
    if (slot.compare_exchange_strong(code, made.get(), std::memory_order_acq_rel))
      code = made.release();
  }
  return code->entry;
}

namespace {

constexpr int64_t kLine = 64;
constexpr int64_t kChunk = 1024;  // parameters prepared at a time, on the stack
constexpr int32_t kZeros[kChunk] = {};

// Cores move about this many bytes per cycle to or from memory: what sizes the thread count.
constexpr double kBytesPerCycle = 8;

// Outputs that take this share of the last level's cache, or more, go past it. Not swept: chosen so
// that input and output of a pass still fit that cache beside each other when they stay in it.
constexpr int64_t kStreamShare = 4;
constexpr int64_t kUnknownL3 = 8 << 20;

constexpr int64_t kMaxTasks = 1024;  // the most threads a context has

struct Job {
  const ElementwiseWork& work;
  ElementwiseArgs args;  // of all
  ElementwiseFn fn;
  int64_t row_tasks, col_tasks;
  bool per_column, per_row;
  Range* partial;  // of each task, for extrema of the whole tensor
};

int64_t in_bytes(const ElementwiseSpec& s) { return static_cast<int64_t>(dtype_bytes(s.in)); }
int64_t out_bytes(const ElementwiseSpec& s) { return static_cast<int64_t>(dtype_bytes(s.out)); }

// The arguments of a part of the matrix; parameters stay those of the first row and column.
ElementwiseArgs part_of(const Job& job, IndexRange rows, IndexRange cols) {
  const ElementwiseSpec& s = job.work.spec;
  ElementwiseArgs a = job.args;
  a.in = static_cast<const char*>(a.in) + rows.begin * a.in_stride_bytes + cols.begin * in_bytes(s);
  if (s.out != DType::kNone)
    a.out = static_cast<char*>(a.out) + rows.begin * a.out_stride_bytes + cols.begin * out_bytes(s);
  a.rows = rows.end - rows.begin;
  a.cols = cols.end - cols.begin;
  return a;
}

// to[i] = dividend / divisors[i], where the dividend is 1 or dividends[i]. Four at a time: the
// compiler takes one, which shows where there are few rows.
void divide(const float* dividends, const float* divisors, int64_t count, float* to) {
  const __m128 one = _mm_set1_ps(1.0f);
  int64_t i = 0;
  for (; i + 4 <= count; i += 4)
    _mm_storeu_ps(to + i, _mm_div_ps(dividends ? _mm_loadu_ps(dividends + i) : one,
                                     _mm_loadu_ps(divisors + i)));
  for (; i < count; ++i) to[i] = (dividends ? dividends[i] : 1.0f) / divisors[i];
}

// One call for at most kChunk parameters, from `first` on.
void run_chunk(const Job& job, ElementwiseArgs& a, int64_t first, int64_t count) {
  const ElementwiseWork& w = job.work;
  float quotients[kChunk];
  a.scale = quotients;
  if (w.inverts)
    divide(nullptr, w.scales + first, count, quotients);
  else if (w.divisors)
    divide(w.scales + first, w.divisors + first, count, quotients);
  else
    a.scale = w.scales + first;
  a.zero_point_in = a.zero_point_in ? a.zero_point_in + first : kZeros;
  a.zero_point_out = a.zero_point_out ? a.zero_point_out + first : kZeros;
  if (!job.partial && a.min) {
    a.min += first;
    a.max += first;
  }
  job.fn(&a);
}

void run_part(const Job& job, IndexRange rows, IndexRange cols, size_t task) {
  if (!job.per_row && !job.per_column) {
    ElementwiseArgs a = part_of(job, rows, cols);
    if (job.partial) {
      a.min = &job.partial[task].min;
      a.max = &job.partial[task].max;
    }
    return run_chunk(job, a, 0, 1);
  }
  const IndexRange params = job.per_row ? rows : cols;
  for (int64_t first = params.begin; first < params.end; first += kChunk) {
    const IndexRange chunk{first, std::min(first + kChunk, params.end)};
    ElementwiseArgs a = job.per_row ? part_of(job, chunk, cols) : part_of(job, rows, chunk);
    run_chunk(job, a, first, chunk.end - chunk.begin);
  }
}

void run_task(void* arg, size_t index) {
  const Job& job = *static_cast<const Job*>(arg);
  const ScopedFloatMode float_mode;
  const auto i = static_cast<int64_t>(index);
  const IndexRange rows = part(job.args.rows, job.row_tasks, i % job.row_tasks);
  // Columns are cut into whole lines of bytes, which keeps stores aligned as they are.
  const IndexRange lines =
      part((job.args.cols + kLine - 1) / kLine, job.col_tasks, i / job.row_tasks);
  run_part(job, rows, {lines.begin * kLine, std::min(lines.end * kLine, job.args.cols)}, index);
}

// Whether both matrices are gapless, so that parameters of the tensor see a single row.
bool is_dense(const ElementwiseSpec& s, const ElementwiseArgs& a) {
  return a.in_stride_bytes == a.cols * in_bytes(s) &&
         (s.out == DType::kNone || a.out_stride_bytes == a.cols * out_bytes(s));
}

// Whether the output is large enough to go past the caches.
bool is_large(const ElementwiseSpec& s, const ElementwiseArgs& a) {
  const auto l3 = static_cast<int64_t>(cpu_facts().l3_bytes);
  return a.rows * a.cols * out_bytes(s) >= (l3 ? l3 : kUnknownL3) / kStreamShare;
}

// Whether it should and lies on whole lines, too.
bool should_stream(const ElementwiseSpec& s, const ElementwiseArgs& a) {
  return is_large(s, a) && reinterpret_cast<uintptr_t>(a.out) % kLine == 0 &&
         (a.rows == 1 || a.out_stride_bytes % kLine == 0);
}

// Elements before the output's first whole line, where a single long row can be made to begin.
int64_t elements_before_line(const ElementwiseSpec& s, const ElementwiseArgs& a) {
  if (a.rows != 1) return 0;
  const auto past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(a.out) % kLine);
  return std::min(a.cols, (kLine - past) % kLine / out_bytes(s));
}

void split(Job& job, const Threads& threads) {
  if (threads.count() == 1) return;
  const ElementwiseSpec& s = job.work.spec;
  const double bytes = static_cast<double>(job.args.rows) * static_cast<double>(job.args.cols) *
                       static_cast<double>(in_bytes(s) + out_bytes(s));
  const int64_t tasks = std::min(threads.useful(bytes / kBytesPerCycle), kMaxTasks);
  const int64_t lines = (job.args.cols + kLine - 1) / kLine;
  const bool reduces = s.out == DType::kNone;
  // What a parameter's extrema are made of stays in one task.
  const bool rows_only = reduces && job.per_row, cols_only = reduces && job.per_column;
  if (cols_only || (!rows_only && job.args.rows < tasks))
    job.col_tasks = std::min(lines, tasks);
  else
    job.row_tasks = std::min(job.args.rows, tasks);
}

// Extrema of the whole tensor: each task finds its own.
void run_partial(Job& job, const Threads& threads) {
  Range partial[kMaxTasks];
  const int64_t tasks = job.row_tasks * job.col_tasks;
  job.partial = partial;
  threads.run(static_cast<size_t>(tasks), run_task, &job);
  Range all;
  for (int64_t i = 0; i < tasks; ++i) all.include(partial[i]);
  *job.args.min = all.min;
  *job.args.max = all.max;
}

void run_parts(Job& job, const Threads& threads) {
  split(job, threads);
  const int64_t tasks = job.row_tasks * job.col_tasks;
  if (tasks == 1) {
    const ScopedFloatMode float_mode;
    return run_part(job, {0, job.args.rows}, {0, job.args.cols}, 0);
  }
  if (job.work.spec.out == DType::kNone && tasks > 1 && !job.per_row && !job.per_column)
    return run_partial(job, threads);
  threads.run(static_cast<size_t>(tasks), run_task, &job);
}

}  // namespace

void set_empty(float* mins, float* maxs, int64_t count) {
  std::fill_n(mins, count, Range{}.min);
  std::fill_n(maxs, count, Range{}.max);
}

void run_elementwise(const UsableIsas& isas, const ElementwiseCodes& codes, const Threads& threads,
                     const ElementwiseWork& work) {
  const bool per_row = work.granularity == Granularity::kRow;
  ElementwiseSpec spec = work.spec;
  spec.per_column = work.granularity == Granularity::kColumn;
  Job job{work, work.args, nullptr, 1, 1, spec.per_column, per_row, nullptr};
  ElementwiseArgs& a = job.args;
  a.param_stride_bytes = per_row ? 4 : 0;
  if (work.granularity == Granularity::kTensor && is_dense(spec, a)) {
    a.cols *= a.rows;
    a.rows = 1;
  }
  const bool reduces = spec.out == DType::kNone;
  const int64_t head = is_large(spec, a) ? elements_before_line(spec, a) : 0;
  if (head && work.granularity == Granularity::kTensor) {
    Job rest = job;
    rest.args = part_of(job, {0, a.rows}, {head, a.cols});
    a.cols = head;
    job.fn = codes.get(isas, spec);
    spec.streams = should_stream(spec, rest.args);
    rest.fn = codes.get(isas, spec);  // all code before the first write: generation may fail
    run_parts(job, threads);
    return run_parts(rest, threads);
  }
  spec.streams = should_stream(spec, a);
  job.fn = codes.get(isas, spec);
  if (reduces) set_empty(a.min, a.max, per_row ? a.rows : spec.per_column ? a.cols : 1);
  run_parts(job, threads);
}

}  // namespace oct
