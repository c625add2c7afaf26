#include "dispatch/conv_task.h"

#include <algorithm>
#include <new>

#include "dispatch/conv_calls.h"
#include "dispatch/conv_fold.h"

namespace oct {
namespace {

class ConvTask : private ConvCalls {
 public:
  ConvTask(const ConvJob& job, const ConvShare& share)
      : ConvCalls(job, share.order), share_(share) {}

  // As many panels at a time as half of L2 holds: each is then read from there for every row.
  void run() {
    const auto panel_bytes =
        plan_.panels.size() > 1 ? static_cast<int64_t>(plan_.panels[1].b_offset) : 1;
    const int64_t chunk =
        std::max<int64_t>(1, static_cast<int64_t>(cpu_facts().l2_bytes) / 2 / panel_bytes);
    for (int64_t first = share_.panels.begin; first < share_.panels.end; first += chunk) {
      chunk_ = {first, std::min(first + chunk, share_.panels.end)};
      plan_.row->isa == Isa::kAmx ? run_by_kernel() : run_units(share_.units);
    }
  }

 private:
  // Divisions are for the first unit only: a row of a small image takes as long as some dozens.
  void run_units(IndexRange units) {
    if (units.begin == units.end) return;
    if (order_ == Order::kForwards) return run_forwards(units);
    Place at = place_of(units.end - 1);
    for (int64_t u = units.end; u-- > units.begin; step_back(at)) {
      place(at);
      run_row(part(job_.out[2], job_.segments, at.segment));
    }
  }

  void run_forwards(IndexRange units) {
    const auto& out = job_.out;
    Place at = place_of(units.begin);
    for (int64_t u = units.begin, rows; u < units.end; u += rows) {
      const bool whole = job_.segments == 1;
      const IndexRange columns =
          whole ? IndexRange{0, out[2]} : part(out[2], job_.segments, at.segment);
      place(at);
      rows = 1;
      if (plan_.row_taps)
        rows = run_some_rows(columns, whole ? std::min(units.end - u, out[1] - at.row) : 1);
      else
        run_row(columns);
      step(at, rows);
    }
  }

  Place place_of(int64_t unit) const {
    const auto& out = job_.out;
    const int64_t row = unit / job_.segments;
    return {row / out[1] / out[0], row / out[1] % out[0], row % out[1], unit % job_.segments};
  }

  // To the next unit; by several rows, which do not go beyond the image, if they are whole.
  void step(Place& at, int64_t rows) const {
    if (++at.segment < job_.segments) return;
    at.segment = 0;
    at.row += rows;
    if (at.row < job_.out[1]) return;
    at.row = 0;
    if (++at.depth < job_.out[0]) return;
    at.depth = 0;
    ++at.batch;
  }

  void step_back(Place& at) const {
    if (at.segment-- > 0) return;
    at.segment = job_.segments - 1;
    if (at.row-- > 0) return;
    at.row = job_.out[1] - 1;
    if (at.depth-- > 0) return;
    at.depth = job_.out[0] - 1;
    --at.batch;
  }

  // Which tiles of a row are computed. Kernels with tiles of one height have no others.
  enum class Part { kAll, kTall, kRest };

  // AMX: another kernel or height of tiles means another configuration, so each takes as many rows
  // as L2 holds the input of before the next has its turn.
  void run_by_kernel() {
    const IndexRange chunk = chunk_;
    const ConvAxis& height = plan_.shape.axes[1];
    const int64_t new_rows = height.transposed ? 1 : height.stride;
    const int64_t unit_bytes = job_.in[2] * job_.a.stride[2] * new_rows / job_.segments;
    const int64_t block = std::max<int64_t>(
        1, static_cast<int64_t>(cpu_facts().l2_bytes) / 4 / std::max<int64_t>(1, unit_bytes));
    for_steps(share_.units, block, order_, [&](IndexRange units) {
      for (chunk_.begin = chunk.begin; chunk_.begin < chunk.end; chunk_.begin = chunk_.end) {
        chunk_.end = chunk_.begin + 1;
        while (chunk_.end < chunk.end && same_tiles(panel(chunk_.begin), panel(chunk_.end)))
          ++chunk_.end;
        for (Part of_rows : {Part::kTall, Part::kRest}) {
          part_ = of_rows;
          run_units(units);
        }
      }
    });
  }

  static bool same_tiles(const ConvPanel& a, const ConvPanel& b) {
    return a.row == b.row && (a.n - 1) / kTileLanes == (b.n - 1) / kTileLanes;
  }

  // All outputs [columns.begin, columns.end) of the output row.
  void run_row(IndexRange columns) {
    for (const AxisPhase& w : plan_.shape.axes[2].phases) {
      const int64_t step = w.out_step, outputs = w.outputs(job_.out[2]);
      const int64_t q = std::max<int64_t>(0, ceil_div(columns.begin - w.out_start, step));
      const int64_t end = std::min(outputs, w.outputs(columns.end));
      input_.w = &w;
      if (q >= end) continue;
      const IndexRange now = in_part({q, end});
      if (now.begin < now.end) run_columns(now);
    }
  }

  // ---- with plan.row_taps ----

  // Outputs q of up to `most` output rows: how many those were.
  int64_t run_some_rows(IndexRange q, int64_t most) {
    input_.w = &plan_.shape.axes[2].phases[0];
    const IndexRange inner = read_in_place(q);
    if (inner.begin == inner.end) return run_copied(q, most);
    const auto& taps = input_.h.phase->taps;
    const IndexRange whole{outputs_that_see(*input_.h.phase, taps.front(), job_.in[1]).begin,
                           outputs_that_see(*input_.h.phase, taps.back(), job_.in[1]).end};
    const int64_t first = input_.h.q;
    if (first < whole.begin) return run_copied(q, std::min(most, whole.begin - first));
    if (first >= whole.end) return run_copied(q, most);
    most = std::min(most, whole.end - first);
    run_ends({q.begin, inner.begin}, most);
    run_ends({inner.end, q.end}, most);
    source_.read_rows(input_);
    run_listed(inner, most);
    return most;
  }

  // Of outputs q those that need no copy, because all that they see and kernels read is in the
  // image and pixels lie side by side. None if that is not worth while: the others, at the ends of
  // the row, are computed column by column.
  IndexRange read_in_place(IndexRange q) const {
    constexpr int64_t kMostAtEnds = 8;
    const AxisPhase &d = *input_.d.phase, &w = *input_.w;
    const IndexRange none{q.begin, q.begin};
    const bool dense = job_.a.stride[2] == plan_.shape.in_channels && job_.segments == 1;
    const bool deep = input_.d.run.last - input_.d.run.first < static_cast<int>(d.taps.size());
    if (!plan_.tile_rows || !dense || deep || plan_.has_tensors || !plan_.row_sum_factor.empty())
      return none;
    const RowRuns runs = row_runs(plan_.shape);
    const int64_t beyond = runs.whole * kKr > runs.bytes;
    IndexRange inner{std::max(q.begin, outputs_that_see(w, w.taps.front(), job_.in[2]).begin),
                     std::min(q.end, outputs_that_see(w, w.taps.back(), job_.in[2] - beyond).end)};
    inner.begin += std::max<int64_t>(0, inner.end - inner.begin) % plan_.tile_rows;
    const int64_t at_ends = inner.begin - q.begin + q.end - inner.end;
    return at_ends <= kMostAtEnds && inner.begin < inner.end ? inner : none;
  }

  // Of up to `most` output rows, for which the source copies what they see.
  int64_t run_copied(IndexRange q, int64_t most) {
    const int64_t rows = source_.prepare_rows(input_, q, most);
    run_listed(q, rows);
    return rows;
  }

  // Outputs q of rows for which the source is ready; they share one list of taps.
  void run_listed(IndexRange q, int64_t rows) {
    g_.c_stride_bytes = job_.c.stride[2];
    g_.a_stride_bytes = source_.pixel_step();
    list_ = taps_.folded(source_);
    for (int64_t r = 0; r < rows; ++r) {
      for_bunches([&](const KernelRow& row) { call_split(q, row); });
      skip_rows(1);
    }
  }

  // Outputs q of so many rows, few of each: what kernels take for a row of outputs is a column.
  void run_ends(IndexRange q, int64_t rows) {
    if (q.begin == q.end) return;
    ConvInput input = input_;
    uint8_t* const c_row = c_row_;
    g_.c_stride_bytes = job_.c.stride[1];
    for (int64_t left = rows; left > 0;) {
      const int64_t now = source_.prepare_rows(input, q, left);
      g_.a_stride_bytes = source_.row_step();
      list_ = taps_.folded(source_);
      for_bunches([&](const KernelRow& row) { call_columns(q, now, row); });
      left -= now;
      input.h.q += now;
      input.row += now * input.h.phase->in_step * input.stride[1];
      c_row_ += now * job_.c.stride[1];
    }
    c_row_ = c_row;
  }

  void call_columns(IndexRange q, int64_t rows, const KernelRow& row) {
    const RowSplit split = split_outputs(rows, row);
    const int64_t tall = split.tall * split.height;
    for (int64_t column = q.begin; column < q.end; ++column) {
      if (tall) call_panels(column, split.tall, split.height);
      if (!split.rest) continue;
      skip_rows(tall);
      call_panels(column, split.rest, split.rest_height);
      skip_rows(-tall);
    }
  }

  // f(row) for panels of the chunk that go together, which are the bunch.
  template <class F>
  void for_bunches(F f) {
    for (int64_t i = chunk_.begin; i < chunk_.end; i = bunch_.end) {
      const KernelRow& row = *panel(i).row;
      bunch_ = {i, i + 1};
      while (bunch_.end < chunk_.end && panel(bunch_.end).row == &row) ++bunch_.end;
      f(row);
    }
  }

  // Of outputs q, those in tiles of the part at hand.
  IndexRange in_part(IndexRange q) {
    if (part_ == Part::kAll) return q;
    const RowSplit split = split_outputs(q.end - q.begin, *panel(chunk_.begin).row);
    const int64_t border = q.begin + split.tall * split.height;
    return part_ == Part::kTall ? IndexRange{q.begin, border} : IndexRange{border, q.end};
  }

  // Outputs q of the row: panels that can share lists of taps together.
  void run_columns(IndexRange q) {
    g_.c_stride_bytes = input_.w->out_step * job_.c.stride[2];
    const bool by_channel = plan_.packed_a && !plan_.folded;
    for (int64_t i = chunk_.begin; i < chunk_.end;) {
      const ConvPanel& first = panel(i);
      if (i == chunk_.begin || (by_channel && first.a_channel != panel(i - 1).a_channel))
        source_.prepare(input_, q, first.a_channel);
      bunch_.begin = i;
      for (; i < chunk_.end; ++i) {
        const ConvPanel& p = panel(i);
        if (p.row != first.row || (by_channel && p.a_channel != first.a_channel)) break;
      }
      bunch_.end = i;
      g_.a_stride_bytes = source_.pixel_step();
      run_tiles(q, *first.row);
    }
  }

  // ---- which taps a tile sees ----

  // Tiles that see all taps go together; others have lists of their own.
  void run_tiles(IndexRange q, const KernelRow& row) {
    const RowSplit split = split_outputs(q.end - q.begin, row);
    const IndexRange inside = sees_all();
    int64_t at = q.begin;
    const auto tiles = [&](int64_t count, int height) {
      while (count > 0) {
        int64_t together = at >= inside.begin ? (inside.end - at) / height : 0;
        together = std::clamp<int64_t>(together, 1, count);
        run_tile(at, together, height, row);
        at += together * height;
        count -= together;
      }
    };
    tiles(split.tall, split.height);
    tiles(split.rest, split.rest_height);
  }

  // Outputs of the phase that see every tap of its width.
  IndexRange sees_all() const {
    const auto& taps = input_.w->taps;
    if (plan_.folded || taps.empty()) return {0, job_.out[2]};
    return {outputs_that_see(*input_.w, taps.front(), job_.in[2]).begin,
            outputs_that_see(*input_.w, taps.back(), job_.in[2]).end};
  }

  // `count` tiles, of which there is only one if it does not see all taps.
  void run_tile(int64_t at, int64_t count, int height, const KernelRow& row) {
    const IndexRange q{at, at + count * height};
    list_ = list_of(q);
    list_->fits ? call_panels(at, count, height) : run_uniform(q, row);
  }

  // Runs of outputs that see the same taps.
  void run_uniform(IndexRange q, const KernelRow& row) {
    const AxisPhase& w = *input_.w;
    const AxisRuns runs(w, job_.in[2], w.outputs(job_.out[2]));
    while (q.begin < q.end) {
      const int64_t end = std::min(q.end, runs.at(q.begin).end);
      list_ = list_of({q.begin, end});
      call_split({q.begin, end}, row);
      q.begin = end;
    }
  }

  TapList* list_of(IndexRange q) {
    return plan_.folded ? taps_.folded(source_) : taps_.find(input_, source_, q);
  }

  const ConvShare share_;
  IndexRange chunk_{};
  Part part_ = Part::kAll;
};

// Not inlined, so that runs with scratch do not have it in their frame.
[[gnu::noinline]] void run_on_stack(const ConvJob& job, const ConvShare& share) {
  ConvTask(job, share).run();
}

}  // namespace

size_t conv_task_scratch_bytes() {
  static_assert(alignof(ConvTask) <= 64 && sizeof(ConvTask) % 64 == 0);
  return sizeof(ConvTask);
}

void run_conv_task(const ConvJob& job, const ConvShare& share, void* scratch) {
  if (!scratch) return run_on_stack(job, share);
  ConvTask* const task = new (scratch) ConvTask(job, share);
  task->run();
  task->~ConvTask();
}

}  // namespace oct
