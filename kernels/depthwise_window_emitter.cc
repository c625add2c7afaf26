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
      inputs(axis.kernel + (spec.outputs - 1) * axis.stride),
      running(groups == 1 && axis.stride == 2) {
  if (spec.a_shift) shift = take();
}

void WindowEmitter::emit() {
  as.enter(1u << Operand::RBP | 1u << Operand::R12 | DepthwiseStore::kUsed);
  load_args();
  Xbyak::Label block;
  as.L(block);
  begin_block();
  body();
  next_block();
  as.jnz(block);
  as.leave();
  Xbyak::Label columns[kColumns];
  bool used[kColumns] = {};
  for (const auto& e : edges) {
    as.L(e->begin);
    for (int place = e->first; place < e->first + e->count; ++place) {
      as.call(columns[place]);
      used[place] = true;
    }
    as.jmp(e->end);
  }
  for (int place = 0; place < kColumns; ++place) {
    if (!used[place]) continue;
    as.L(columns[place]);
    edge_column(place);
  }
}

void WindowEmitter::load_args() {
  if (spec.n < width) {
    as.mov(rax, (uint64_t{1} << spec.n) - 1);
    as.kmovq(kChannels, rax);
  }
  store.load_args(rArgs, offsetof(DepthwiseWindowArgs, outputs));
  if (spec.a_shift) as.vpbroadcastd(shift, arg(offsetof(DepthwiseWindowArgs, a_shift)));
  as.mov(rRowBytes, arg(offsetof(DepthwiseWindowArgs, row_bytes)));
  as.mov(rWeights, arg(offsetof(DepthwiseWindowArgs, weights)));
  if (groups == 1) {
    as.lea(rRowBytes3, as.ptr[rRowBytes + rRowBytes * 2]);
    as.mov(rPixelBytes, output(offsetof(DepthwiseOutputs, c_pixel_bytes)));
    if (running) as.mov(rStep, arg(offsetof(DepthwiseWindowArgs, pixel_bytes)));
    return;
  }
  as.mov(rCount[0], arg(offsetof(DepthwiseWindowArgs, output_rows)));
  if (spec.outputs == 1) return;
  as.mov(rCount[1], rCount[0]);
  as.inc(rCount[0]);
  for (const Reg64& r : rCount) as.shr(r, 1);
}

void WindowEmitter::begin_block() {
  as.mov(rC[0], output(offsetof(DepthwiseOutputs, c)));
  as.mov(rC[1], output(offsetof(DepthwiseOutputs, c_row_bytes)));
  as.add(rC[1], rC[0]);
  as.mov(rColumn, arg(offsetof(DepthwiseWindowArgs, column)));
  as.mov(rPixels, arg(offsetof(DepthwiseWindowArgs, pixels)));
  if (!running) return;
  as.mov(rPixel, rColumn);
  as.add(rPixel, arg(offsetof(DepthwiseWindowArgs, base)));
}

// Leaves the zero flag at the last one.
void WindowEmitter::next_block() {
  const auto advance = [&](size_t offset, int by) { as.add(as.qword[rArgs + offset], by); };
  advance(offsetof(DepthwiseWindowArgs, channel), spec.n);
  advance(offsetof(DepthwiseWindowArgs, base), spec.n);
  advance(offsetof(DepthwiseWindowArgs, outputs) + offsetof(DepthwiseOutputs, c),
          spec.n * static_cast<int>(dtype_bytes(spec.epilogue.c_type)));
  as.mov(rax, arg(offsetof(DepthwiseWindowArgs, block_bytes)));
  as.add(rWeights, rax);
  store.next_block(rax);
  as.dec(as.qword[rArgs + offsetof(DepthwiseWindowArgs, blocks)]);
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

void WindowEmitter::dots(const Xmm& acc0, const Xmm& a0, const Xmm& acc1, const Xmm& a1,
                         int weights_index) {
  const Operand* b = weights[static_cast<size_t>(weights_index)];
  const auto role = pool.take();
  const Xmm loaded = w.reg(role.index());
  if (b->isMEM()) {
    as.vmovups(loaded, *b);
    b = &loaded;
  }
  w.dot(acc0, &a0, &b, nullptr, Xmm(0), false);
  w.dot(acc1, &a1, &b, nullptr, Xmm(0), false);
}

void WindowEmitter::load_init(const Xmm& v, int q) {
  as.vmovups(v, as.ptr[store.multipliers() + (q - kQuarters) * w.bytes()]);
}

void WindowEmitter::store_row(int r, const DepthwiseStore::Quarters& sums) {
  store.vector(sums, rC[r], groups > 1 ? &rCount[r] : nullptr);
  groups > 1 ? as.add(rC[r], output(offsetof(DepthwiseOutputs, c_pixel_bytes)))
             : as.add(rC[r], rPixelBytes);
}

// ---- columns ----
// Columns in the image, of calls none of whose rows is padding, are loaded here; others out of
// line.
void WindowEmitter::load_columns(int first, int count) {
  Edge& edge = *edges.emplace_back(std::make_unique<Edge>());
  edge.first = first;
  edge.count = count;
  as.cmp(rColumn, arg(offsetof(DepthwiseWindowArgs, inside_bytes)));
  as.jae(edge.begin);
  for (int place = first; place < first + count; ++place) {
    load_inside(place);
    finish_column(place);
  }
  as.L(edge.end);
}

// Of one group all rows are addressed from the first. Lines are fetched ahead, of the next pixels
// or blocks: Zen 5, 2026-11-29, 5x5 stride 2 of 672 channels at 14x14, 6.3 -> 5.9 us.
void WindowEmitter::load_inside(int place) {
  constexpr int kAhead = 128;  // bytes
  const bool one = groups == 1;
  if (!running) {
    as.mov(rax, rColumn);
    as.add(rax, arg(offsetof(DepthwiseWindowArgs, base)));
  }
  const int count = depthwise_window_inputs(row, spec, axis);
  for (int i = 0; i < count; ++i) {
    if (!one && i > 0 && i % 2 == 0) as.lea(rax, as.ptr[rax + rRowBytes * 2]);
    const Reg64& first = running ? rPixel : rax;
    const int from = one ? i : i % 2;
    const Xbyak::RegExp at = from == 0   ? Xbyak::RegExp(first)
                             : from == 3 ? first + rRowBytes3
                                         : first + rRowBytes * from;
    load_row(place, i, as.ptr[at]);
    as.prefetcht0(as.ptr[at + kAhead]);
  }
}

// A subroutine: a column of the image or of padding, any of whose rows may be padding.
void WindowEmitter::edge_column(int place) {
  Xbyak::Label padding;
  as.cmp(rColumn, arg(offsetof(DepthwiseWindowArgs, width_bytes)));
  as.jae(padding);
  const int count = depthwise_window_inputs(row, spec, axis);
  for (int i = 0; i < count; ++i) {
    const size_t offset = static_cast<size_t>(i) * sizeof(int64_t);
    as.mov(rax, arg(offsetof(DepthwiseWindowArgs, channel)));
    as.add(rax, rColumn);
    as.and_(rax, arg(offsetof(DepthwiseWindowArgs, in_image) + offset));
    as.add(rax, arg(offsetof(DepthwiseWindowArgs, rows) + offset));
    load_row(place, i, as.ptr[rax]);
  }
  finish_column(place);
  as.ret();
  as.L(padding);
  for (const Xmm& v : interleaved(place))
    as.vpbroadcastd(v, arg(offsetof(DepthwiseWindowArgs, padding)));
  next_column();
  as.ret();
}

void WindowEmitter::next_column() {
  if (!running) return as.add(rColumn, arg(offsetof(DepthwiseWindowArgs, pixel_bytes)));
  as.add(rColumn, rStep);
  as.add(rPixel, rStep);
}

void WindowEmitter::finish_column(int place) {
  next_column();
  if (spec.a_shift)
    for (const Xmm& v : rows[place]) as.vpaddb(v, v, shift);
  interleave(place);
}

// Input row i of the call, into its place in the vectors of all groups that read it. Of four groups
// only the last one's rows are loaded if the next group had them already:
//
//   r - step    | group 0 | group 1 | group 2 | group 3 |     step: rows from group to group
//   r    from:            | group 1 | group 2 | group 3 | i |
//
// is one shuffle instead of three. Zen 4, 3x3 of 16 channels: 55 -> 52 cycles for eight pixels.
void WindowEmitter::load_row(int place, int i, const Address& from) {
  const int step = spec.outputs * axis.stride;
  for (int g = 0; g < groups; ++g) {
    const int r = i - g * step;
    if (r < 0 || r >= inputs) continue;
    const Xmm& v = rows[place][static_cast<size_t>(r)];
    if (groups < 4 || r < step)
      load_group(v, from, g);
    else if (g == groups - 1)
      append_group(v, from, rows[place][static_cast<size_t>(r - step)]);
  }
}

// Group 0 comes first and clears the others' lanes. Broadcasts under a mask instead of insertions
// were measured slower.
void WindowEmitter::load_group(const Xmm& v, const Address& from, int g) {
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

// v = `others` less the first group, and what lies at `from`.
void WindowEmitter::append_group(const Xmm& v, const Address& from, const Xmm& others) {
  load_group(v, from, 0);
  const Zmm to(v.getIdx());
  as.valignq(to, to, Zmm(others.getIdx()), static_cast<uint8_t>(width / 8));
}

Xmm WindowEmitter::part(const Xmm& v) const {
  if (width == 64) return Zmm(v.getIdx());
  return width == 32 ? static_cast<Xmm>(Ymm(v.getIdx())) : Xmm(v.getIdx());
}

}  // namespace oct
