// One block of n channels by one or two output rows; kernels/depthwise.h has the picture around it.
//
// First all streams are gathered (kernels/depthwise_gather.h). Then a step makes a tile of x
// vectors of pixels by 1 or 2 output rows by 4 quarters q of the channels, until the pixels are
// used up:
//
//               | q=0  1  2  3 | q=0 .. 3 | ...       a vector: nr / width neighbouring pixels
//     row 0     | acc(0,0,q)   | acc(1,0,q)
//     row 1     | acc(0,1,q)   | acc(1,1,q)
//
//     for each run of dots at neighbouring shifts and q: load the weights of all of them, then load
//     each vector of the strip once and add it to every sum that needs it.
//
// Registers: 4 * rows * x sums + weights of a run + a vector of the strip + temporaries of a dot:
// 24 + 6 + 1 of 32 with vpdpbusd. With 16 registers x is 1 for two rows and weights are memory
// operands: 8 + 2 + 2.
//
// What limits it, 3x3 stride 1 on Zen 4 and 512-bit vectors, for 64 channels of two outputs: 24
// vpdpbusd and 8 multiplications on two 256-bit pipes, 32 cycles, which 6 packs and zero points
// share in part; beside about 20 loads, one per cycle. Measured: 36, and 8 for gathering.

#include "kernels/depthwise_vector.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <deque>

#include "jit/words.h"
#include "kernels/depthwise_gather.h"
#include "kernels/depthwise_store.h"

namespace oct {
namespace {

using Xbyak::Address;
using Xbyak::Label;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::Xmm;

constexpr int kQuarters = kDepthwiseQuarters;
constexpr int kMaxRun = 3;  // dots in a run: the weights of more leave room for fewer pixels

Dot dot_of(const KernelRow& row) {
  if (row.b_form == BForm::kPairs16) return Dot::kWide16;
  if (row.flags & kRowSignedA) return Dot::kVnniSS;
  return row.flags & kRowNeedsSafePairs ? Dot::kSafePairs : Dot::kVnni;
}

// With 32 registers, weights and multipliers are kept in some of them.
bool many_registers(const KernelRow& row) { return vector_registers(row.isa) == 32; }

int vector_pixels(const KernelRow& row, const DepthwiseSpec& spec) {
  return row.nr / depthwise_width(row, spec.n);
}

// Vectors of a step: as many as leave room for what a run of dots takes, and the epilogue.
int vectors_per_step(const KernelRow& row, int outputs, int longest_run) {
  const DotShape dot = dot_shape(dot_of(row));
  const int weights = many_registers(row) ? longest_run * outputs * dot.b_words : 0;
  const int epilogue = many_registers(row) ? 2 * kQuarters : 2;
  const int others =
      std::max(weights + dot.a_words + dot.temporaries, epilogue) + (dot.constant != 0);
  return std::max(1, (vector_registers(row.isa) - others) / (kQuarters * outputs));
}

class DepthwiseEmitter {
 public:
  DepthwiseEmitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                   const DepthwiseTaps& taps)
      : as(as), spec(spec), row(row), taps(taps),
        words(make_words(as, row.isa, row.lanes, dot_of(row))), w(*words),
        pool(vector_registers(row.isa)), store(as, row, spec, w, pool),
        width(depthwise_width(row, spec.n)), pixels(vector_pixels(row, spec)),
        runs(tap_runs(row, spec, taps)) {
    assert(spec.outputs >= 1 && spec.outputs <= row.mr && spec.n <= row.nr);
    if (w.shape.constant) constant = fixed.emplace_back(pool.take()).index();
  }

  void emit() {
    as.enter(1u << Operand::RBP | DepthwiseStore::kUsed | DepthwiseGather::kUsed);
    DepthwiseGather(as, row, spec).emit(rArgs, pool);
    load_args();
    int longest = 1;
    for (const TapRun& run : runs) longest = std::max(longest, run.count);
    for (int x = vectors_per_step(row, spec.outputs, longest); x > 1; x = (x + 1) / 2) steps(x);
    steps(1);
    if (pixels > 1) partial_step();
    as.leave();
  }

 private:
  Xmm acc(int x, int r, int q) const {
    return w.reg(sums[static_cast<size_t>((x * spec.outputs + r) * kQuarters + q)].index());
  }
  Address arg(size_t offset) const { return as.ptr[rArgs + offset]; }

  void load_args() {
    store.load_args(rArgs, offsetof(DepthwiseArgs, outputs));
    if (w.shape.constant) as.vmovups(w.reg(constant), as.constant({w.shape.constant}));
    as.mov(rStrip, arg(offsetof(DepthwiseArgs, strip)));
    as.mov(rC[0], arg(offsetof(DepthwiseArgs, outputs) + offsetof(DepthwiseOutputs, c)));
    if (spec.outputs > 1) {
      as.mov(rC[1],
             arg(offsetof(DepthwiseArgs, outputs) + offsetof(DepthwiseOutputs, c_row_bytes)));
      as.add(rC[1], rC[0]);
    }
    as.mov(rPixels, arg(offsetof(DepthwiseArgs, pixels)));
    as.mov(rWeights, arg(offsetof(DepthwiseArgs, weights)));
    as.mov(rInit, arg(offsetof(DepthwiseArgs, init)));
  }

  // ---- steps ----
  // Steps of x whole vectors of pixels, while there are as many.
  void steps(int x) {
    Label top, done;
    as.cmp(rPixels, x * pixels);
    as.jl(done);
    as.align(32);
    as.L(top);
    make_sums(x);
    store_sums(x, nullptr);
    as.add(rStrip, x * w.bytes());
    as.sub(rPixels, x * pixels);
    as.cmp(rPixels, x * pixels);
    as.jge(top);
    as.L(done);
  }

  // The last vector, of which only rPixels pixels exist.
  void partial_step() {
    Label none;
    as.test(rPixels, rPixels);
    as.jz(none);
    make_sums(1);
    store_sums(1, &rPixels);
    as.L(none);
  }

  void make_sums(int x) {
    for (int i = 0; i < x * spec.outputs * kQuarters; ++i) sums.push_back(pool.take());
    for (int q = 0; q < kQuarters; ++q) {
      as.vmovups(acc(0, 0, q), as.ptr[rInit + q * w.bytes()]);
      for (int i = 0; i < x; ++i)
        for (int r = 0; r < spec.outputs; ++r)
          if (i + r > 0) as.vmovaps(acc(i, r, q), acc(0, 0, q));
    }
    int weights = 0;
    for (const TapRun& run : runs)
      for (int q = 0; q < kQuarters; ++q) weights = run_quarter(x, run, q, weights);
  }

  // One run of dots for quarter q, whose weights begin at offset `weights`; returns where they end.
  int run_quarter(int x, const TapRun& run, int q, int weights) {
    std::vector<RegisterPool::Role> scope;
    const auto take = [&] { return w.reg(scope.emplace_back(pool.take()).index()); };
    const TapDot* const dots = &taps.dots[static_cast<size_t>(run.first)];
    // Of each dot and output row: in registers if they serve several vectors, or in memory.
    std::deque<Address> memory;  // deques: b points into them
    std::deque<Xmm> registers;
    std::vector<const Operand*> b;
    for (int t = 0; t < run.count; ++t)
      for (int r = 0; r < spec.outputs; ++r)
        for (int word = 0; word < w.shape.b_words; ++word) {
          memory.push_back(as.ptr[rWeights + weights]);
          b.push_back(&memory.back());
          if (!dots[t].used[r]) continue;
          weights += w.bytes();
          if (!many_registers(row) || x == 1) continue;
          registers.push_back(take());
          as.vmovups(registers.back(), memory.back());
          b.back() = &registers.back();
        }

    std::vector<Xmm> a, temporaries;
    for (int i = 0; i < w.shape.a_words; ++i) a.push_back(take());
    for (int i = 0; i < w.shape.temporaries; ++i) temporaries.push_back(take());
    const int64_t strip =
        (dots[0].stream * kQuarters + q) * spec.plane_bytes + dots[0].shift * width;
    for (int c = 0; c < x + run.count - 1; ++c) {
      as.vmovups(a[0], as.ptr[rStrip + static_cast<size_t>(strip + c * w.bytes())]);
      w.prepare_a(a.data(), w.reg(constant));
      for (int t = std::max(0, c - x + 1); t <= std::min(c, run.count - 1); ++t)
        for (int r = 0; r < spec.outputs; ++r)
          if (dots[t].used[r])
            w.dot(acc(c - t, r, q), a.data(),
                  &b[static_cast<size_t>((t * spec.outputs + r) * w.shape.b_words)],
                  temporaries.data(), w.reg(constant), false);
    }
    return weights;
  }

  // All vectors of a step; with `count`, only so many pixels of its one vector.
  void store_sums(int x, const Reg64* count) {
    store.begin_step();
    for (int i = 0; i < x; ++i)
      for (int r = 0; r < spec.outputs; ++r) {
        store.vector({acc(i, r, 0), acc(i, r, 1), acc(i, r, 2), acc(i, r, 3)}, rC[r], count);
        store.next_vector(rC[r]);
      }
    store.end_step();
    sums.clear();
  }

  // ---- general registers, once all streams are gathered, beside the store's ----
  const Reg64 rArgs{Operand::RDI}, rStrip{Operand::RSI}, rPixels{Operand::RBP},
      rWeights{Operand::RDX}, rInit{Operand::RCX};
  const Reg64 rC[kMaxOutputRows]{Reg64(Operand::R9), Reg64(Operand::R10)};

  Assembler& as;
  const DepthwiseSpec& spec;
  const KernelRow& row;
  const DepthwiseTaps& taps;
  std::unique_ptr<Words> words;
  Words& w;
  RegisterPool pool;
  DepthwiseStore store;
  const int width, pixels;  // channels of a position; pixels of a vector
  const std::vector<TapRun> runs;
  std::vector<RegisterPool::Role> fixed, sums;
  int constant = 0;
};

}  // namespace

int depthwise_width(const KernelRow& row, int n) {
  return std::min(row.nr, static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(n, 16)))));
}

DotCost depthwise_dot_cost(const KernelRow& row) {
  const DotShape dot = dot_shape(dot_of(row));
  const int split = dot.a_words > dot.a_loads ? dot.a_words : 0;  // of bytes into s16
  return {dot.multiplies + dot.adds, dot.a_loads + split};
}

int depthwise_weight_vectors(const KernelRow& row) { return dot_shape(dot_of(row)).b_words; }

// Only vectors of one pixel find their neighbour in the next vector.
std::vector<TapRun> tap_runs(const KernelRow& row, const DepthwiseSpec& spec,
                             const DepthwiseTaps& taps) {
  const int most = many_registers(row) && vector_pixels(row, spec) == 1 ? kMaxRun : 1;
  std::vector<TapRun> runs;
  for (int i = 0; i < static_cast<int>(taps.dots.size()); ++i) {
    const TapDot& dot = taps.dots[static_cast<size_t>(i)];
    if (!runs.empty() && runs.back().count < most) {
      const TapDot& last = taps.dots[static_cast<size_t>(i - 1)];
      if (last.stream == dot.stream && last.shift + 1 == dot.shift) {
        ++runs.back().count;
        continue;
      }
    }
    runs.push_back({i, 1});
  }
  return runs;
}

void emit_depthwise(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                    const DepthwiseTaps& taps) {
  DepthwiseEmitter(as, row, spec, taps).emit();
}

}  // namespace oct
