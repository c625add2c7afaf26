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
  Xbyak::Label block, next;
  as.L(block);
  as.mov(rWeights, arg(offsetof(DepthwiseWindowArgs, weights)));
  begin_block();
  as.mov(rax, arg(offsetof(DepthwiseWindowArgs, steps)));
  as.L(next);
  begin_step();
  step();
  as.mov(rax, arg(offsetof(DepthwiseWindowArgs, step)));
  as.add(rax, static_cast<uint32_t>(sizeof(DepthwiseWindowStep)));
  as.cmp(rax, arg(offsetof(DepthwiseWindowArgs, steps_end)));
  as.jb(next);
  next_block();
  as.jnz(block);
  as.leave();
  emit_edges();
}

void WindowEmitter::emit_edges() {
  Xbyak::Label columns[kColumns];
  bool used[kColumns] = {};
  for (const auto& e : edges) {
    const int last = e->first + e->count - 1;
    if (e->leads_here) {
      as.L(e->begin);
      usual_edge(*e, last);
      as.jmp(e->end);
    }
    for (int place = e->first; place <= last; ++place) {
      as.L(e->any[place]);
      as.call(columns[place]);
      used[place] = true;
    }
    as.jmp(e->end);
  }
  for (int place = 0; place < kColumns; ++place) {
    if (!used[place]) continue;
    as.L(columns[place]);
    any_column(place);
  }
}

void WindowEmitter::load_args() {
  if (spec.n < width) {
    as.mov(rax, (uint64_t{1} << spec.n) - 1);
    as.kmovq(kChannels, rax);
  }
  store.load_args(rArgs, offsetof(DepthwiseWindowArgs, outputs));
  if (spec.a_shift) as.vpbroadcastd(shift, arg(offsetof(DepthwiseWindowArgs, a_shift)));
  as.mov(rRowBytes, arg(offsetof(DepthwiseWindowArgs, row_offset[1])));
  as.mov(rOutputStep, output(offsetof(DepthwiseOutputs, c_pixel_bytes)));
  if (groups > 1) return;
  as.lea(rRowBytes3, as.ptr[rRowBytes + rRowBytes * 2]);
  as.mov(rPixelStep, arg(offsetof(DepthwiseWindowArgs, pixel_bytes)));
}

// The step at rax.
void WindowEmitter::begin_step() {
  const auto of_step = [&](size_t offset) { return as.ptr[rax + offset]; };
  const auto copy = [&](size_t from, size_t to) {
    as.mov(rColumn, of_step(from));
    as.mov(arg(to), rColumn);
  };
  const auto sum = [&](size_t start, size_t offset, size_t to) {
    as.mov(rColumn, arg(start));
    as.add(rColumn, of_step(offset));
    as.mov(arg(to), rColumn);
  };
  as.mov(arg(offsetof(DepthwiseWindowArgs, step)), rax);
  copy(offsetof(DepthwiseWindowStep, in_image), offsetof(DepthwiseWindowArgs, in_image));
  copy(offsetof(DepthwiseWindowStep, inside_bytes), offsetof(DepthwiseWindowArgs, inside_bytes));
  if (groups > 1)
    copy(offsetof(DepthwiseWindowStep, output_rows), offsetof(DepthwiseWindowArgs, output_rows));
  if (axis.stride == 1) {
    sum(offsetof(DepthwiseWindowArgs, weights), offsetof(DepthwiseWindowStep, weights),
        offsetof(DepthwiseWindowArgs, row_weights));
    sum(offsetof(DepthwiseWindowArgs, weights), offsetof(DepthwiseWindowStep, weights_end),
        offsetof(DepthwiseWindowArgs, row_weights_end));
  }
  sum(offsetof(DepthwiseWindowArgs, a), offsetof(DepthwiseWindowStep, a_bytes),
      offsetof(DepthwiseWindowArgs, base));
  if (running) as.mov(rPixel, rColumn);
  as.mov(rC[0], output(offsetof(DepthwiseOutputs, c)));
  as.add(rC[0], of_step(offsetof(DepthwiseWindowStep, c_bytes)));
  as.mov(rColumn, arg(offsetof(DepthwiseWindowArgs, column)));
  as.mov(rPixels, arg(offsetof(DepthwiseWindowArgs, pixels)));
  if (running) as.add(rPixel, rColumn);
}

// Leaves the zero flag at the last one.
void WindowEmitter::next_block() {
  const auto advance = [&](size_t offset, const auto& by) { as.add(as.qword[rArgs + offset], by); };
  advance(offsetof(DepthwiseWindowArgs, a), spec.n);
  advance(offsetof(DepthwiseWindowArgs, outputs) + offsetof(DepthwiseOutputs, c),
          spec.n * static_cast<int>(dtype_bytes(spec.epilogue.c_type)));
  as.mov(rax, arg(offsetof(DepthwiseWindowArgs, block_bytes)));
  advance(offsetof(DepthwiseWindowArgs, weights), rax);
  store.next_block(rax);
  as.dec(as.qword[rArgs + offsetof(DepthwiseWindowArgs, blocks)]);
}

void WindowEmitter::list_weights(int count) {
  for (int i = 0; i < count; ++i) {
    memory.push_back(as.ptr[rWeights + (kQuarters + i) * w.bytes()]);
    weights.push_back(&memory.back());
  }
}

void WindowEmitter::hold_weights() {
  const int epilogue = is_int8(spec.epilogue.c_type) ? 2 : 4;
  int free = pool.available() - epilogue;
  for (auto v = weights.begin(); v != weights.end() && free > 0; ++v, --free) {
    held.push_back(take());
    as.vmovups(held.back(), **v);
    *v = &held.back();
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
  as.vmovups(v, as.ptr[rWeights + q * w.bytes()]);
}

void WindowEmitter::begin_rows() {
  if (groups == 1) return;
  as.mov(rRowsLeft, arg(offsetof(DepthwiseWindowArgs, output_rows)));
  if (spec.outputs > 1) as.inc(rRowsLeft);
}

void WindowEmitter::next_row() {
  if (groups > 1 && spec.outputs > 1) as.dec(rRowsLeft);
}

// Of the first of two output rows (rows + 1) / 2 groups exist, of the other one rows / 2.
void WindowEmitter::store_pixel(const Reg64& c, const DepthwiseStore::Quarters& sums) {
  if (groups > 1) {
    as.mov(rax, rRowsLeft);
    if (spec.outputs > 1) as.shr(rax, 1);
  }
  store.vector(sums, c, groups > 1 ? &rax : nullptr);
  as.add(c, rOutputStep);
}

// ---- columns ----
// What is usual goes without taken branches, but for the last columns of a row.
void WindowEmitter::load_columns(int first, int count) {
  Edge& edge = new_edge(first, count);
  edge.leads_here = true;
  as.cmp(rColumn, arg(offsetof(DepthwiseWindowArgs, inside_bytes)));
  as.jae(edge.begin);
  for (int place = first; place < first + count; ++place) load_inside(place);
  as.L(edge.end);
}

void WindowEmitter::load_first_columns(int count) {
  Edge& edge = new_edge(0, count);
  usual_edge(edge, 0);
  as.L(edge.end);
}

WindowEmitter::Edge& WindowEmitter::new_edge(int first, int count) {
  Edge& edge = *edges.emplace_back(std::make_unique<Edge>());
  edge.first = first;
  edge.count = count;
  return edge;
}

// A column of padding in that place, and in the other one, if there is one, a column of the image
// whose rows are none of them padding. What is not so is left to any_column.
void WindowEmitter::usual_edge(const Edge& edge, int padding) {
  if (edge.count > 1) {
    as.cmp(as.qword[rArgs + offsetof(DepthwiseWindowArgs, inside_bytes)], 0);
    as.je(edge.any[edge.first]);
  }
  for (int place = edge.first; place < edge.first + edge.count; ++place) {
    as.cmp(rColumn, arg(offsetof(DepthwiseWindowArgs, width_bytes)));
    if (place == padding) {
      as.jb(edge.any[place]);
      load_padding(place);
    } else {
      as.jae(edge.any[place]);
      load_inside(place);
    }
  }
}

// Of one group all rows are addressed from the first. Lines that the step before did not read are
// fetched ahead, of the next pixels or blocks: Zen 5, 2026-11-29, 5x5 stride 2 of 672 channels at
// 14x14, 6.3 -> 5.9 us.
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
    if (i >= axis.kernel - axis.stride) as.prefetcht0(as.ptr[at + kAhead]);
  }
  finish_column(place);
}

void WindowEmitter::load_padding(int place) {
  for (const Xmm& v : interleaved(place))
    as.vpbroadcastd(v, arg(offsetof(DepthwiseWindowArgs, padding)));
  next_column();
}

// A subroutine: a column of the image or of padding, any of whose rows may be padding.
void WindowEmitter::any_column(int place) {
  Xbyak::Label padding;
  as.cmp(rColumn, arg(offsetof(DepthwiseWindowArgs, width_bytes)));
  as.jae(padding);
  const int count = depthwise_window_inputs(row, spec, axis);
  for (int i = 0; i < count; ++i) {
    as.mov(rax, arg(offsetof(DepthwiseWindowArgs, base)));
    as.add(rax, rColumn);
    if (i > 0) as.add(rax, arg(offsetof(DepthwiseWindowArgs, row_offset) + sizeof(int64_t) * i));
    as.bt(as.dword[rArgs + offsetof(DepthwiseWindowArgs, in_image)], static_cast<uint8_t>(i));
    as.cmovnc(rax, arg(offsetof(DepthwiseWindowArgs, padding_row)));
    load_row(place, i, as.ptr[rax]);
  }
  finish_column(place);
  as.ret();
  as.L(padding);
  load_padding(place);
  as.ret();
}

void WindowEmitter::next_column() {
  if (groups > 1) return as.add(rColumn, arg(offsetof(DepthwiseWindowArgs, pixel_bytes)));
  as.add(rColumn, rPixelStep);
  if (running) as.add(rPixel, rPixelStep);
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
