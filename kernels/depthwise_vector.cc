// One block of n channels by one or two output rows; kernels/depthwise.h has the picture around it.
//
// First all streams are gathered (kernels/depthwise_gather.h). Then a step makes a tile of x vectors of
// pixels by 1 or 2 output rows by 4 quarters q of the channels, until the pixels are used up:
//
//               | q=0  1  2  3 | q=0 .. 3 | ...       a vector: nr / width neighbouring pixels
//     row 0     | acc(0,0,q)   | acc(1,0,q)
//     row 1     | acc(0,1,q)   | acc(1,1,q)
//
//     for each run of dots at neighbouring shifts and q: load the weights of all of them, then load
//     each vector of the strip once and add it to every sum that needs it.
//
// Packing four sums of quarters into bytes restores the channels' order for nothing; wider outputs
// transpose their 128-bit lanes first.
//
// Registers: 4 * rows * x sums + weights of a run + a vector of the strip + temporaries of a dot:
// 24 + 6 + 1 of 32 with vpdpbusd. With 16 registers x is 1 for two rows and weights are memory
// operands: 8 + 2 + 2.
//
// What limits it, 3x3 stride 1 on Zen 4 and 512-bit vectors, for 64 channels of two outputs: 24
// vpdpbusd and 8 multiplications on two 256-bit pipes, 32 cycles, which 6 packs and zero points share
// in part; beside about 20 loads, one per cycle. Measured: 36, and 8 for gathering.

#include "kernels/depthwise_vector.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <functional>

#include "jit/words.h"
#include "kernels/depthwise_gather.h"

namespace oct {
namespace {

using Xbyak::Address;
using Xbyak::Label;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

constexpr int kQuarters = kDepthwiseQuarters;

constexpr int kMaxRun = 3;  // dots in a run: the weights of more leave room for fewer pixels

Dot dot_of(const KernelRow& row) {
  if (row.b_form == BForm::kPairs16) return Dot::kWide16;
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
      : as(as), spec(spec), row(row), taps(taps), words(make_words(as, row.isa, dot_of(row))),
        w(*words), pool(vector_registers(row.isa)), width(depthwise_width(row, spec.n)),
        pixels(vector_pixels(row, spec)), bytes_out(is_int8(spec.epilogue.c_type)),
        runs(tap_runs(row, spec, taps)) {
    assert(spec.outputs >= 1 && spec.outputs <= row.mr && spec.n <= row.nr);
    if (w.shape.constant) constant = fixed.emplace_back(pool.take()).index();
  }

  void emit() {
    as.enter(kUsedGprs);
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
    if (const int bytes = epilogue_partial_bytes(spec.epilogue, spec.n, w.lanes()))
      w.announce_partial(bytes);
    if (w.shape.constant) as.vmovups(w.reg(constant), as.constant({w.shape.constant}));
    as.mov(rStrip, arg(offsetof(DepthwiseArgs, strip)));
    as.mov(rC[0], arg(offsetof(DepthwiseArgs, c)));
    if (spec.outputs > 1) {
      as.mov(rC[1], arg(offsetof(DepthwiseArgs, c_row_bytes)));
      as.add(rC[1], rC[0]);
    }
    as.mov(rPixel, arg(offsetof(DepthwiseArgs, c_pixel_bytes)));
    as.lea(rPixel3, as.ptr[rPixel + rPixel * 2]);
    as.mov(rPixels, arg(offsetof(DepthwiseArgs, pixels)));
    as.mov(rWeights, arg(offsetof(DepthwiseArgs, weights)));
    as.mov(rInit, arg(offsetof(DepthwiseArgs, init)));
    as.mov(rMult, arg(offsetof(DepthwiseArgs, mult)));
    as.mov(rBias, arg(offsetof(DepthwiseArgs, bias)));
    as.mov(rParams, arg(offsetof(DepthwiseArgs, epilogue)));
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
    load_mult();
    for (int i = 0; i < x; ++i) {
      for (int r = 0; r < spec.outputs; ++r) store_vector(i, r, nullptr);
      for (int r = 0; r < spec.outputs; ++r) as.lea(rC[r], as.ptr[rC[r] + rPixel * pixels]);
    }
    end_step();
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
    load_mult();
    for (int r = 0; r < spec.outputs; ++r) {
      Label end;
      store_vector(0, r, &end);
      as.L(end);
    }
    end_step();
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
    const bool held = many_registers(row) && x > 1;
    const TapDot* const dots = &taps.dots[static_cast<size_t>(run.first)];
    // Weights of each dot and output row: registers, or memory.
    std::vector<Xmm> in_register;
    std::vector<Address> in_memory;
    std::vector<const Operand*> operands;
    for (int t = 0; t < run.count; ++t)
      for (int r = 0; r < spec.outputs; ++r)
        for (int word = 0; word < w.shape.b_words; ++word) {
          in_memory.push_back(as.ptr[rWeights + weights]);
          if (!dots[t].used[r]) continue;
          weights += w.bytes();
          if (held) as.vmovups(in_register.emplace_back(take()), in_memory.back());
        }
    const Xmm* next = in_register.data();
    for (int t = 0, i = 0; t < run.count; ++t)
      for (int r = 0; r < spec.outputs; ++r)
        for (int word = 0; word < w.shape.b_words; ++word, ++i)
          operands.push_back(held && dots[t].used[r] ? static_cast<const Operand*>(next++)
                                                     : &in_memory[static_cast<size_t>(i)]);

    std::vector<Xmm> a, temporaries;
    for (int i = 0; i < w.shape.a_words; ++i) a.push_back(take());
    for (int i = 0; i < w.shape.temporaries; ++i) temporaries.push_back(take());
    const int64_t plane = (dots[0].stream * kQuarters + q) * spec.plane_bytes;
    for (int c = 0; c < x + run.count - 1; ++c) {
      as.vmovups(a[0], as.ptr[rStrip + static_cast<size_t>(plane + dots[0].shift * width +
                                                           c * w.bytes())]);
      w.prepare_a(a.data(), w.reg(constant));
      for (int t = std::max(0, c - x + 1); t <= std::min(c, run.count - 1); ++t)
        for (int r = 0; r < spec.outputs; ++r)
          if (dots[t].used[r])
            w.dot(acc(c - t, r, q), a.data(),
                  &operands[static_cast<size_t>((t * spec.outputs + r) * w.shape.b_words)],
                  temporaries.data(), w.reg(constant), false);
    }
    return weights;
  }

  void load_mult() {
    if (!many_registers(row) || spec.epilogue.c_type == DType::kS32) return;
    for (int j = 0; j < kQuarters; ++j) {
      mult.push_back(w.reg(mult_roles.emplace_back(pool.take()).index()));
      as.vmovups(mult.back(), as.ptr[rMult + j * w.bytes()]);
    }
  }

  void end_step() {
    sums.clear();
    mult.clear();
    mult_roles.clear();
  }

  // ---- outputs ----
  // The epilogue and stores of one vector of pixels; with `end`, only the first rPixels of them.
  void store_vector(int x, int r, Label* end) {
    const std::array<Xmm, kQuarters> v{acc(x, r, 0), acc(x, r, 1), acc(x, r, 2), acc(x, r, 3)};
    if (!bytes_out) memory_order(v);
    const EpilogueRow epilogue{w, pool, spec.epilogue, spec.n, rC[r], rMult, rBias, rParams,
                               mult.empty() ? nullptr : mult.data()};
    emit_epilogue_values(as, epilogue, v.data(), kQuarters);
    for (int p = 0; p < pixels; ++p) {
      if (end && p > 0) {
        as.cmp(rPixels, p);
        as.jle(*end);
      }
      bytes_out ? store_bytes(v[0], p, r) : store_wide(v.data(), p, r);
    }
  }

  // Pixel p of the vector that rC[r] points at.
  Address pixel(int r, int p, int offset) const {
    switch (p) {
      case 0: return as.ptr[rC[r] + offset];
      case 1: return as.ptr[rC[r] + rPixel + offset];
      case 2: return as.ptr[rC[r] + rPixel * 2 + offset];
      default: return as.ptr[rC[r] + rPixel3 + offset];
    }
  }

  void store_bytes(const Xmm& v, int p, int r) {
    if (pixels == 1) return w.store_part(pixel(r, p, 0), v, spec.n);
    const auto role = pool.take();
    const Xmm t = w.reg(role.index());
    extract_pixel(t, v, p);
    w.store_part(pixel(r, p, 0), t, spec.n);
  }

  void extract_pixel(const Xmm& t, const Xmm& v, int p) {
    const int i = t.getIdx();
    if (p == 0)
      as.vmovaps(t, v);
    else if (row.isa < Isa::kAvx512bw)
      as.vextracti128(Xmm(i), Ymm(v.getIdx()), 1);
    else if (width == 32)
      as.vextracti64x4(Ymm(i), Zmm(v.getIdx()), static_cast<uint8_t>(p));
    else
      as.vextracti32x4(Xmm(i), Zmm(v.getIdx()), static_cast<uint8_t>(p));
  }

  // The vectors that hold pixel p's channels.
  void store_wide(const Xmm* v, int p, int r) {
    const int size = static_cast<int>(dtype_bytes(spec.epilogue.c_type));
    for (int channel = 0; channel < spec.n; channel += w.lanes()) {
      const int j = (p * width + channel) / w.lanes();
      const int count = std::min(w.lanes(), spec.n - channel);
      w.store_part(pixel(r, p, channel * size), v[j], count * size);
    }
  }

  // From quarters to channels in order: 128-bit lane L of quarter q becomes the q-th of vector L.
  void memory_order(const std::array<Xmm, kQuarters>& v) {
    std::vector<RegisterPool::Role> scope;
    const auto take = [&] { return scope.emplace_back(pool.take()).index(); };
    if (row.isa >= Isa::kAvx512bw) {
      const auto z = [&](int i) { return Zmm(v[static_cast<size_t>(i)].getIdx()); };
      const Zmm low01(take()), low23(take()), high01(take()), high23(take());
      as.vshufi32x4(low01, z(0), z(1), 0x44);
      as.vshufi32x4(low23, z(2), z(3), 0x44);
      as.vshufi32x4(high01, z(0), z(1), 0xee);
      as.vshufi32x4(high23, z(2), z(3), 0xee);
      as.vshufi32x4(z(0), low01, low23, 0x88);
      as.vshufi32x4(z(1), low01, low23, 0xdd);
      as.vshufi32x4(z(2), high01, high23, 0x88);
      as.vshufi32x4(z(3), high01, high23, 0xdd);
    } else {
      const auto y = [&](int i) { return Ymm(v[static_cast<size_t>(i)].getIdx()); };
      const Ymm low01(take()), high01(take());
      as.vperm2i128(low01, y(0), y(1), 0x20);
      as.vperm2i128(high01, y(0), y(1), 0x31);
      as.vperm2i128(y(1), y(2), y(3), 0x20);
      as.vperm2i128(y(3), y(2), y(3), 0x31);
      as.vmovaps(y(0), low01);
      as.vmovaps(y(2), high01);
    }
  }

  // ---- general registers, once all streams are gathered ----
  const Reg64 rArgs{Operand::RDI}, rStrip{Operand::RSI}, rPixel{Operand::R11},
      rPixel3{Operand::RBX}, rPixels{Operand::RBP}, rWeights{Operand::RDX}, rInit{Operand::RCX},
      rMult{Operand::R13}, rBias{Operand::R14}, rParams{Operand::R15};
  const Reg64 rC[kMaxOutputRows]{Reg64(Operand::R9), Reg64(Operand::R10)};
  static constexpr uint32_t kUsedGprs = 1u << Operand::RBX | 1u << Operand::RBP |
                                        1u << Operand::R12 | 1u << Operand::R13 |
                                        1u << Operand::R14 | 1u << Operand::R15;

  Assembler& as;
  const DepthwiseSpec& spec;
  const KernelRow& row;
  const DepthwiseTaps& taps;
  std::unique_ptr<Words> words;
  Words& w;
  RegisterPool pool;
  const int width, pixels;  // of a position; in a vector
  const bool bytes_out;
  const std::vector<TapRun> runs;
  std::vector<RegisterPool::Role> fixed, sums, mult_roles;
  std::vector<Xmm> mult;
  int constant = 0;
};

}  // namespace

int depthwise_width(const KernelRow& row, int n) {
  return std::min(row.nr, static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(n, 16)))));
}

int depthwise_dot_cost(const KernelRow& row) {
  const DotShape dot = dot_shape(dot_of(row));
  return dot.multiplies + dot.adds;
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
