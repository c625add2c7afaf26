#include "kernels/depthwise_window_emitter.h"

#include <cstddef>

namespace oct {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Opmask;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

namespace {

const Opmask kChannels(2);  // the bytes of a block; beside k1 of partial stores

}  // namespace

WindowEmitter::WindowEmitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                             const Axis& axis)
    : as(as), spec(spec), row(row), axis(axis),
      words(make_words(as, row.isa, row.lanes, Dot::kVnni)), w(*words),
      pool(vector_registers(row.isa)), store(as, row, spec, w, pool),
      width(depthwise_width(row, spec.n)), groups(row.nr / width),
      inputs(axis.kernel + (spec.outputs - 1) * axis.stride) {
  if (spec.a_shift) shift = take();
}

void WindowEmitter::emit() {
  as.enter(1u << Operand::RBP | 1u << Operand::R12 | DepthwiseStore::kUsed);
  load_args();
  body();
  as.leave();
  for (const auto& p : padding_code) {
    as.L(p->begin);
    for (const Xmm& v : p->registers)
      as.vpbroadcastd(v, arg(offsetof(DepthwiseWindowArgs, padding)));
    as.jmp(p->end);
  }
}

void WindowEmitter::load_args() {
  if (spec.n < width) {
    as.mov(rax, (uint64_t{1} << spec.n) - 1);
    as.kmovq(kChannels, rax);
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
  if (groups == 1) return;
  as.mov(rCount[0], arg(offsetof(DepthwiseWindowArgs, output_rows)));
  if (spec.outputs == 1) return;
  as.mov(rCount[1], rCount[0]);
  as.inc(rCount[0]);
  for (const Reg64& r : rCount) as.shr(r, 1);
}

void WindowEmitter::hold_weights(int count) {
  int free = pool.available() - (is_int8(spec.epilogue.c_type) ? 2 : 4);  // the epilogue's
  for (int i = 0; i < count; ++i) {
    memory.push_back(as.ptr[rWeights + i * w.bytes()]);
    weights.push_back(&memory.back());
    if (free-- <= 0) continue;
    held.push_back(take());
    as.vmovups(held.back(), memory.back());
    weights.back() = &held.back();
  }
}

void WindowEmitter::dot(const Xmm& acc, const Xmm& a, int weights_index) {
  w.dot(acc, &a, &weights[static_cast<size_t>(weights_index)], nullptr, Xmm(0), false);
}

void WindowEmitter::load_init(const Xmm& v, int q) { as.vmovups(v, as.ptr[rax + q * w.bytes()]); }

void WindowEmitter::store_row(int r, const DepthwiseStore::Quarters& sums) {
  store.vector(sums, rC[r], groups > 1 ? &rCount[r] : nullptr);
  as.add(rC[r],
         arg(offsetof(DepthwiseWindowArgs, outputs) + offsetof(DepthwiseOutputs, c_pixel_bytes)));
}

// ---- columns ----
// The next column, of the image or of padding.
void WindowEmitter::load_column() {
  Padding& p = *padding_code.emplace_back(std::make_unique<Padding>());
  p.registers = interleaved();
  as.cmp(rColumn, rWidth);
  as.lea(rColumn, as.ptr[rColumn + 1]);
  as.jae(p.begin);
  const int count = depthwise_window_inputs(row, spec, axis);
  for (int i = 0; i < count; ++i) load_row(i);
  if (spec.a_shift)
    for (const Xmm& v : rows) as.vpaddb(v, v, shift);
  interleave();
  as.L(p.end);
}

// Input row i of the call, into its place in the vectors of all groups that read it. Of four groups
// only the last one's rows are loaded if the next group had them already:
//
//   r - step    | group 0 | group 1 | group 2 | group 3 |     step: rows from group to group
//   r    from:            | group 1 | group 2 | group 3 | i |
//
// is one shuffle instead of three. Zen 4, 3x3 of 16 channels: 55 -> 52 cycles for eight pixels.
void WindowEmitter::load_row(int i) {
  const size_t offset = static_cast<size_t>(i) * sizeof(int64_t);
  const Address pointer = arg(offsetof(DepthwiseWindowArgs, rows) + offset);
  as.mov(rax, pointer);
  const int step = spec.outputs * axis.stride;
  for (int g = 0; g < groups; ++g) {
    const int r = i - g * step;
    if (r < 0 || r >= inputs) continue;
    const Xmm& v = rows[static_cast<size_t>(r)];
    if (groups < 4 || r < step)
      load_group(v, g);
    else if (g == groups - 1)
      append_group(v, rows[static_cast<size_t>(r - step)]);
  }
  as.add(rax, arg(offsetof(DepthwiseWindowArgs, step_bytes) + offset));
  as.mov(pointer, rax);
}

// Group 0 comes first and clears the others' lanes. Broadcasts under a mask instead of insertions
// were measured slower.
void WindowEmitter::load_group(const Xmm& v, int g) {
  const Address from = as.ptr[rax];
  const bool masked = spec.n < width;
  if (g == 0) {
    const Xmm to = part(v);
    masked ? as.vmovdqu8(to | kChannels | as.T_z, from) : as.vmovups(to, from);
  } else if (masked) {
    const auto role = pool.take();
    const Xmm t = part(w.reg(role.index()));
    as.vmovdqu8(t | kChannels | as.T_z, from);
    insert(v, t, g);
  } else {
    insert(v, from, g);
  }
}

void WindowEmitter::insert(const Xmm& v, const Operand& from, int g) {
  const Zmm to(v.getIdx());
  const auto slot = static_cast<uint8_t>(g);
  width == 32 ? as.vinserti64x4(to, to, from, slot) : as.vinserti32x4(to, to, from, slot);
}

// v = `others` less the first group, and what rax points to.
void WindowEmitter::append_group(const Xmm& v, const Xmm& others) {
  load_group(v, 0);
  const Zmm to(v.getIdx());
  as.valignq(to, to, Zmm(others.getIdx()), static_cast<uint8_t>(width / 8));
}

Xmm WindowEmitter::part(const Xmm& v) const {
  if (width == 64) return Zmm(v.getIdx());
  return width == 32 ? static_cast<Xmm>(Ymm(v.getIdx())) : Xmm(v.getIdx());
}

}  // namespace oct
