// Registers, of 32: 8 sums, and
//   stride 1   the columns x and x + 1, 4 each; what column x + 2 is loaded into, 6; multipliers, 4
//   stride 2   one column at a time, 9, the last of which is the next pixel's first
// As many weights as fit (stride 2: all twelve), and two temporaries of the epilogue.
//
// What limits it on Zen 4, for 64 channels of a pixel of two output rows with 512-bit vectors: the
// 24 vpdpbusd and 8 multiplications of the epilogue on two 256-bit pipes, 32 cycles; beside 14
// shuffles (34 with stride 2, two of whose three pipes the above leave to them: 44 cycles) and 16
// conversions on others.

#include "kernels/depthwise_window.h"

#include <algorithm>
#include <array>
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
using Xbyak::Ymm;
using Xbyak::Zmm;

constexpr int kKernel = 3;
constexpr int kQuarters = kDepthwiseQuarters;

int group_count(const KernelRow& row, const DepthwiseSpec& spec) {
  return row.nr / depthwise_width(row, spec.n);
}

// Input rows under the output rows of one group.
int group_inputs(int outputs, int stride) { return kKernel + (outputs - 1) * stride; }

class WindowEmitter {
 public:
  WindowEmitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec, int stride)
      : as(as), spec(spec), row(row), stride(stride),
        words(make_words(as, row.isa, row.lanes, Dot::kVnni)), w(*words),
        pool(vector_registers(row.isa)), store(as, row, spec, w, pool),
        width(depthwise_width(row, spec.n)), groups(group_count(row, spec)),
        inputs(group_inputs(spec.outputs, stride)), quads(inputs > kSources ? 2 : 1) {
    for (int i = 0; i < (stride == 1 ? kKernel - 1 : 0) * kQuarters; ++i) carried.push_back(take());
    for (int i = 0; i < (quads == 2 ? 9 : 6); ++i) column.push_back(take());
    for (int i = 0; i < spec.outputs * kQuarters; ++i) sums.push_back(take());
    if (spec.a_shift) shift = take();
  }

  void emit() {
    as.enter(1u << Operand::RBP | 1u << Operand::R12 | DepthwiseStore::kUsed);
    load_args();
    load_column();
    if (stride == 1) {
      carry(1);
      load_column();
      carry(1);
    }
    as.loop(rPixels, [&] { pixel(); });
    as.leave();
    for (const auto& p : padding_code) emit_padding(*p);
  }

 private:
  Xmm take() { return w.reg(roles.emplace_back(pool.take()).index()); }
  Address arg(size_t offset) const { return as.ptr[rArgs + offset]; }
  Xmm part(const Xmm& v) const {
    if (width == 64) return Zmm(v.getIdx());
    return width == 32 ? static_cast<Xmm>(Ymm(v.getIdx())) : Xmm(v.getIdx());
  }

  void load_args() {
    if (spec.n < width) {
      as.mov(rax, (uint64_t{1} << spec.n) - 1);
      as.kmovq(as.k2, rax);
    }
    store.load_args(rArgs, offsetof(DepthwiseWindowArgs, outputs));
    if (spec.a_shift) as.vpbroadcastd(shift, arg(offsetof(DepthwiseWindowArgs, a_shift)));
    const auto output = [&](size_t offset) {
      return arg(offsetof(DepthwiseWindowArgs, outputs) + offset);
    };
    as.mov(rC[0], output(offsetof(DepthwiseOutputs, c)));
    as.mov(rC[1], output(offsetof(DepthwiseOutputs, c_row_bytes)));
    as.add(rC[1], rC[0]);
    as.mov(rColumn, arg(offsetof(DepthwiseWindowArgs, column)));
    as.mov(rWidth, arg(offsetof(DepthwiseWindowArgs, width)));
    as.mov(rPixels, arg(offsetof(DepthwiseWindowArgs, pixels)));
    as.mov(rWeights, arg(offsetof(DepthwiseWindowArgs, weights)));
    if (groups > 1) {  // of the first rows of all groups there are as many as pairs begin
      as.mov(rCount[1], arg(offsetof(DepthwiseWindowArgs, output_rows)));
      as.lea(rCount[0], as.ptr[rCount[1] + 1]);
      for (const Reg64& r : rCount) as.shr(r, 1);
    }
    hold_weights();
  }

  // As many as there are registers for, in their order.
  void hold_weights() {
    if (stride == 1) store.begin_step();
    const int rows = quads == 2 ? 1 : spec.outputs;
    int free = pool.available() - (is_int8(spec.epilogue.c_type) ? 2 : 4);  // the epilogue's
    for (int i = 0; i < kKernel * kQuarters * rows; ++i) {
      memory.push_back(as.ptr[rWeights + i * w.bytes()]);
      weights.push_back(&memory.back());
      if (free-- <= 0) continue;
      held.push_back(take());
      as.vmovups(held.back(), memory.back());
      weights.back() = &held.back();
    }
  }

  // ---- columns ----
  // Where load_column leaves quarter q of a quad.
  const Xmm& loaded(int quad, int q) const {
    static constexpr int kOneQuad[kQuarters] = {1, 4, 3, 0};
    static constexpr int kTwoQuads[2][kQuarters] = {{6, 8, 3, 0}, {7, 1, 5, 2}};
    const int at = quads == 1 ? kOneQuad[q] : kTwoQuads[quad][q];
    return column[static_cast<size_t>(at)];
  }

  struct Padding {
    Label begin, end;
  };

  // The next column, of the image or of padding.
  void load_column() {
    Padding& p = *padding_code.emplace_back(std::make_unique<Padding>());
    as.cmp(rColumn, rWidth);
    as.lea(rColumn, as.ptr[rColumn + 1]);
    as.jae(p.begin);
    const int count = depthwise_window_inputs(row, spec, stride);
    for (int i = 0; i < count; ++i) load_row(i);
    if (spec.a_shift)
      for (int i = 0; i < std::min(inputs, 5); ++i) {
        const Xmm& v = column[static_cast<size_t>(i)];
        as.vpaddb(v, v, shift);
      }
    const Xmm* const v = column.data();
    if (quads == 2)
      interleave_two();
    else
      interleave_sources(as, v, v + kSources, v[std::min(inputs, kSources) - 1]);
    as.L(p.end);
  }

  void emit_padding(Padding& p) {
    as.L(p.begin);
    for (int quad = 0; quad < quads; ++quad)
      for (int q = 0; q < kQuarters; ++q)
        as.vpbroadcastd(loaded(quad, q), arg(offsetof(DepthwiseWindowArgs, padding)));
    as.jmp(p.end);
  }

  // Input row i of the call, into its place in the vectors of all groups that read it.
  void load_row(int i) {
    const size_t offset = static_cast<size_t>(i) * sizeof(int64_t);
    const Address pointer = arg(offsetof(DepthwiseWindowArgs, rows) + offset);
    as.mov(rax, pointer);
    for (int g = 0; g < groups; ++g) {
      const int in_group = i - g * kMaxOutputRows * stride;
      if (in_group >= 0 && in_group < inputs) load_group(column[static_cast<size_t>(in_group)], g);
    }
    as.add(rax, arg(offsetof(DepthwiseWindowArgs, step_bytes) + offset));
    as.mov(pointer, rax);
  }

  // Group 0 comes first and clears the others' lanes.
  void load_group(const Xmm& v, int g) {
    const Address from = as.ptr[rax];
    const bool masked = spec.n < width;
    if (g == 0) {
      const Xmm to = part(v);
      masked ? as.vmovdqu8(to | as.k2 | as.T_z, from) : as.vmovups(to, from);
    } else if (masked) {
      const auto role = pool.take();
      const Xmm t = part(w.reg(role.index()));
      as.vmovdqu8(t | as.k2 | as.T_z, from);
      insert(v, t, g);
    } else {
      insert(v, from, g);
    }
  }

  void insert(const Xmm& v, const Operand& from, int g) {
    const auto slot = static_cast<uint8_t>(g);
    if (!v.isZMM())
      as.vinserti32x4(Ymm(v.getIdx()), Ymm(v.getIdx()), from, slot);
    else if (width == 32)
      as.vinserti64x4(Zmm(v.getIdx()), Zmm(v.getIdx()), from, slot);
    else
      as.vinserti32x4(Zmm(v.getIdx()), Zmm(v.getIdx()), from, slot);
  }

  // Both quads share the interleaved bytes of their common rows.
  void interleave_two() {
    const auto& v = column;
    const Xmm &low01 = v[5], &high01 = v[0], &low23 = v[1], &high23 = v[2], &low44 = v[3],
              &high44 = v[4];
    as.vpunpcklbw(low01, v[0], v[1]);
    as.vpunpckhbw(high01, v[0], v[1]);
    as.vpunpcklbw(low23, v[2], v[3]);
    as.vpunpckhbw(high23, v[2], v[3]);
    as.vpunpcklbw(low44, v[4], v[4]);
    as.vpunpckhbw(high44, v[4], v[4]);
    as.vpunpcklwd(v[6], low01, low23);
    as.vpunpckhwd(v[8], low01, low23);
    as.vpunpcklwd(v[7], low23, low44);
    as.vpunpckhwd(v[1], low23, low44);
    as.vpunpcklwd(v[3], high01, high23);
    as.vpunpckhwd(v[0], high01, high23);
    as.vpunpcklwd(v[5], high23, high44);
    as.vpunpckhwd(v[2], high23, high44);
  }

  // The columns move on: what was loaded becomes column `to` of those that are kept.
  void carry(int to) {
    for (int q = 0; q < kQuarters; ++q) {
      for (int c = 0; c < to; ++c) as.vmovaps(kept(c, q), kept(c + 1, q));
      as.vmovaps(kept(to, q), loaded(0, q));
    }
  }
  const Xmm& kept(int c, int q) const { return carried[static_cast<size_t>(c * kQuarters + q)]; }

  // ---- pixels ----
  const Xmm& acc(int r, int q) const { return sums[static_cast<size_t>(r * kQuarters + q)]; }

  void pixel() {
    as.mov(rax, arg(offsetof(DepthwiseWindowArgs, init)));
    for (int q = 0; q < kQuarters; ++q) {
      as.vmovups(acc(0, q), as.ptr[rax + q * w.bytes()]);
      if (spec.outputs > 1) as.vmovaps(acc(1, q), acc(0, q));
    }
    if (stride == 1) {
      load_column();
      for (int q = 0; q < kQuarters; ++q)
        for (int t = 0; t < kKernel; ++t)
          for (int r = 0; r < spec.outputs; ++r)
            dot(r, t, q, t < kKernel - 1 ? kept(t, q) : loaded(0, q));
      carry(kKernel - 2);
    } else {
      for (int t = 0; t < kKernel; ++t) {
        if (t > 0) load_column();
        for (int q = 0; q < kQuarters; ++q)
          for (int r = 0; r < spec.outputs; ++r) dot(r, t, q, loaded(quads == 2 ? r : 0, q));
      }
    }
    for (int r = 0; r < spec.outputs; ++r) {
      const DepthwiseStore::Quarters quarters{acc(r, 0), acc(r, 1), acc(r, 2), acc(r, 3)};
      store.vector(quarters, rC[r], groups > 1 ? &rCount[r] : nullptr);
      as.add(rC[r], arg(offsetof(DepthwiseWindowArgs, outputs) +
                        offsetof(DepthwiseOutputs, c_pixel_bytes)));
    }
  }

  void dot(int r, int t, int q, const Xmm& a) {
    const int rows = quads == 2 ? 1 : spec.outputs;
    const int at = (q * kKernel + t) * rows + (rows == 1 ? 0 : r);
    w.dot(acc(r, q), &a, &weights[static_cast<size_t>(at)], nullptr, Xmm(0), false);
  }

  // ---- general registers, beside the store's ----
  const Reg64 rArgs{Operand::RDI}, rPixels{Operand::RBP}, rWeights{Operand::RDX},
      rColumn{Operand::RSI}, rWidth{Operand::R8}, rax{Operand::RAX};
  const Reg64 rC[kMaxOutputRows]{Reg64(Operand::R9), Reg64(Operand::R10)};
  // Groups in which output row r exists.
  const Reg64 rCount[kMaxOutputRows]{Reg64(Operand::RCX), Reg64(Operand::R12)};

  Assembler& as;
  const DepthwiseSpec& spec;
  const KernelRow& row;
  const int stride;
  std::unique_ptr<Words> words;
  Words& w;
  RegisterPool pool;
  DepthwiseStore store;
  const int width, groups, inputs, quads;
  std::deque<RegisterPool::Role> roles;
  std::vector<Xmm> carried, column, sums;
  Xmm shift;
  std::deque<Address> memory;  // deques: weights points into them
  std::deque<Xmm> held;
  std::vector<const Operand*> weights;
  std::vector<std::unique_ptr<Padding>> padding_code;
};

}  // namespace

bool depthwise_window_fits(const KernelRow& row, const Axis& vertical, const Axis& horizontal) {
  return vector_registers(row.isa) == 32 && has_vnni(row.isa) && vertical == horizontal &&
         vertical.kernel == kKernel && vertical.stride <= 2 && vertical.dilation == 1;
}

DepthwiseTaps depthwise_window_taps(int outputs, int stride) {
  DepthwiseTaps taps;
  taps.outputs = stride == 1 ? outputs : 1;
  for (int column = 0; column < kKernel; ++column) {
    TapDot dot{0, column, {}, {}};
    for (int r = 0; r < taps.outputs; ++r) {
      dot.used[r] = true;
      dot.taps[r].fill(-1);
      for (int i = 0; i < kKernel; ++i)
        dot.taps[r][static_cast<size_t>(r + i)] = i * kKernel + column;
    }
    taps.dots.push_back(dot);
  }
  return taps;
}

int depthwise_window_rows(const KernelRow& row, const DepthwiseSpec& spec) {
  return spec.outputs * group_count(row, spec);
}

int depthwise_window_inputs(const KernelRow& row, const DepthwiseSpec& spec, int stride) {
  return group_inputs(depthwise_window_rows(row, spec), stride);
}

void emit_depthwise_window(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                           int stride) {
  WindowEmitter(as, row, spec, stride).emit();
}

}  // namespace oct
