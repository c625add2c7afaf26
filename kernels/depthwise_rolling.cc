// Registers, of 16: sums of the pixels in flight (ceil(kernel / stride)) by output rows by vectors;
// a pair by vectors; a temporary; and as far as they go, where sums start and weights. 3x3 stride 1
// on two vectors: 12 + 2 + 1 + 1. The other weights are memory operands.
//
// What limits it on Zen 4: loads, two a cycle, vectors and pointers alike. 3x3 stride 2, 16
// channels of two outputs: 20 weights, 10 rows, 8 of the epilogue and starts and about 4 of
// addresses, 21 cycles; beside 78 vector instructions (20 vpmaddwd, 20 vpaddd, 20 shuffles for
// columns, 18 of the epilogue), at four a cycle 19.5. Measured 25 in long rows (2026-11-24), 31 at
// first: six vpmaddwd for nine taps, vpshufb with indices in memory, a step of its own for every
// row, no held starts. The schedulers' 64 entries do not hold a pixel: its epilogue waits for the
// last sums and keeps the next columns out. Where there are registers for one pixel more, it is
// stored amid the next one's columns. Prefetching the next columns or rows gained nothing.
//
// With stride 1 it is stored there, too, before the youngest pixel's first products need its
// registers. On Zen 5, 3x3, 16 channels of two outputs are 76 vector instructions, four a cycle, of
// which 34 read memory and take two of six places in a cycle's dispatch: 19 cycles either way.
// Measured with operands in L1 (2026-11-29) 21.5, stored at once 22.2, without the epilogue 16.7.

#include <algorithm>
#include <cstddef>

#include "kernels/depthwise_rolling_emitter.h"

namespace oct {

using Xbyak::Address;
using Xbyak::Label;
using Xbyak::Operand;
using Xbyak::Xmm;
using Xbyak::Ymm;

RollingEmitter::RollingEmitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                               const Axis& vertical, const Axis& horizontal)
    : as(as), spec(spec), h(horizontal), layout(row, vertical, horizontal, spec.outputs, spec.n),
      words(make_words(as, row.isa, row.lanes, Dot::kWide16)), w(*words),
      pool(vector_registers(row.isa)), vectors(layout.vectors), flight(depthwise_rolling_flight(h)),
      inputs(depthwise_rolling_inputs(vertical, spec.outputs)) {
  const int each = spec.outputs * vectors;
  sets = flight + (pool.available() >= (flight + 1) * each + vectors + 2 && h.stride == 2);
  for (int i = 0; i < sets * each; ++i) sums.push_back(take());
  if (vectors == 1) pair_bytes = take();
  // A pair and a temporary, which the epilogue borrows; it may need another one.
  const int free = vectors + 1 + (late_in_place() || vectors == 1);
  while (pool.available() > free && held_offset(held.size()) < layout.size())
    held.push_back(take());
}

void RollingEmitter::emit() {
  as.enter(1u << Operand::RBX | 1u << Operand::RBP | 1u << Operand::R12 | 1u << Operand::R13 |
           1u << Operand::R14 | 1u << Operand::R15);
  load_args();
  Label block;
  as.L(block);
  begin_block();
  first_columns();
  pixels();
  end_block();
  as.jnz(block);
  as.leave();
  for (const auto& p : padding_code) emit_padding(*p);
}

void RollingEmitter::load_args() {
  if (const int bytes = epilogue_partial_bytes(spec.epilogue, spec.n, w.lanes()))
    w.announce_partial(bytes);
  as.mov(rCRow, arg(offsetof(DepthwiseRollingArgs, c_row_bytes)));
  as.mov(rPacked, arg(offsetof(DepthwiseRollingArgs, packed)));
  as.mov(rParams, arg(offsetof(DepthwiseRollingArgs, epilogue)));
  if (vectors == 1) as.vmovdqu(pair_bytes, as.constant(indices_of_pairs()));
}

// ---- blocks ----

void RollingEmitter::begin_block() {
  for (int i = 0; i < inputs; ++i) as.mov(rRow[i], arg(offsetof(DepthwiseRollingArgs, rows), i));
  for (size_t i = 0; i < held.size(); ++i) as.vmovups(held[i], as.ptr[rPacked + held_offset(i)]);
  as.mov(rC, arg(offsetof(DepthwiseRollingArgs, c)));
  as.mov(rColumn, arg(offsetof(DepthwiseRollingArgs, column)));
}

// Sets the zero flag after the last block.
void RollingEmitter::end_block() {
  for (int i = 0; i < inputs; ++i) {
    as.mov(rax, arg(offsetof(DepthwiseRollingArgs, block_bytes), i));
    as.add(arg(offsetof(DepthwiseRollingArgs, rows), i), rax);
  }
  as.add(as.qword[rArgs + offsetof(DepthwiseRollingArgs, c)], spec.n * element());
  as.add(rPacked, static_cast<uint32_t>(layout.size()));
  as.dec(as.qword[rArgs + offsetof(DepthwiseRollingArgs, blocks)]);
}

// ---- pixels ----

// Columns before the one that completes a pixel, and their part of the pixels in flight.
void RollingEmitter::first_columns() {
  for (int c = 0; c < h.kernel - h.stride; ++c) column(c, flight, true, nullptr);
}

// The last pixels of a row have fewer and fewer behind them; rows of fewer pixels than are in
// flight make them all the same. Most pixels need no look at the sides of the image.
void RollingEmitter::pixels() {
  Label all, end;
  const auto is_short = [&](const Label& to) {
    as.cmp(as.qword[rArgs + offsetof(DepthwiseRollingArgs, pixels)], flight);
    as.jl(to);
  };
  as.mov(rPixels, arg(offsetof(DepthwiseRollingArgs, pixels)));
  is_short(all);
  if (flight > 1) as.sub(rPixels, flight - 1);
  inner_pixels();
  as.L(all);
  as.loop_if_any(rPixels, [&] { pixel(flight, true); });
  is_short(end);
  for (int left = flight - 1; left > 0; --left) pixel(left, true);
  as.L(end);
}

// As many of rPixels as have all their new columns in the image, in turns in which the registers
// of the pixels go round.
void RollingEmitter::inner_pixels() {
  Label none;
  const Address next_column = arg(offsetof(DepthwiseRollingArgs, next_column));
  as.test(rColumn, rColumn);
  as.js(none, as.T_NEAR);
  as.mov(rax, arg(offsetof(DepthwiseRollingArgs, width)));
  as.sub(rax, rColumn);
  as.jle(none, as.T_NEAR);
  if (h.stride == 2) as.shr(rax, 1);
  as.cmp(rax, rPixels);
  as.cmovg(rax, rPixels);
  as.cmp(rax, sets + late());
  as.jl(none, as.T_NEAR);
  as.sub(rPixels, rax);
  as.lea(rColumn, as.ptr[rColumn + rax * h.stride]);
  as.mov(next_column, rColumn);
  as.mov(rColumn, rax);
  turns_of_rows();
  // What is left of them is for the other loop.
  as.add(rPixels, rColumn);
  as.mov(rax, rColumn);
  as.mov(rColumn, next_column);
  if (h.stride == 2) as.add(rax, rax);
  as.sub(rColumn, rax);
  as.L(none);
}

// Rows that are all in the image share one offset: a step is one addition, not one for each.
void RollingEmitter::turns_of_rows() {
  Label apart, done;
  as.cmp(as.qword[rArgs + offsetof(DepthwiseRollingArgs, shared_step_bytes)], 0);
  as.je(apart, as.T_NEAR);
  as.mov(arg(offsetof(DepthwiseRollingArgs, pixels_left)), rPixels);
  as.xor_(rOffset, rOffset);
  shared = true;
  turns();
  shared = false;
  for (int i = 0; i < inputs; ++i) as.add(rRow[i], rOffset);
  as.mov(rPixels, arg(offsetof(DepthwiseRollingArgs, pixels_left)));
  as.jmp(done, as.T_NEAR);
  as.L(apart);
  turns();
  as.L(done);
}

// Of rColumn pixels, those of whole turns.
void RollingEmitter::turns() {
  Label top;
  if (late()) {
    columns(flight, false, nullptr);
    oldest = 1;
  }
  as.align(32);
  as.L(top);
  for (int i = 0; i < sets; ++i) {
    if (late()) {
      columns(flight, false, [&] { store_pixel((oldest + sets - 1) % sets); });
    } else {
      columns(flight, false, nullptr);
      store_pixel(oldest);
    }
    oldest = (oldest + 1) % sets;
  }
  as.sub(rColumn, sets);
  as.cmp(rColumn, sets + late());
  as.jge(top, as.T_NEAR);
  oldest = 0;
  if (!late()) return;
  store_pixel(0);
  move_on(flight);
  as.dec(rColumn);
}

// The oldest of `left` pixels needs `stride` new columns, the last of which is the last under its
// kernel.
void RollingEmitter::pixel(int left, bool sides) {
  columns(left, sides, nullptr);
  store_pixel(0);
  move_on(left);
}

// Set 0 is done with: the other pixels in flight move up.
void RollingEmitter::move_on(int left) {
  for (int f = 0; f + 1 < left; ++f)
    for (int i = 0; i < spec.outputs * vectors; ++i) as.vmovaps(set(f)[i], set(f + 1)[i]);
}

// The new columns of the oldest of `left` pixels: its last `stride` taps; amid() where it may use
// the registers of the pixel that is complete.
void RollingEmitter::columns(int left, bool sides, const std::function<void()>& amid) {
  if (layout.across && !sides) across(left);
  for (int c = h.stride; c-- > 0;) {
    column(h.kernel - 1 - c, left, sides, late_in_place() ? amid : nullptr);
    if (c == h.stride - 1 && amid && !late_in_place()) amid();
  }
}

// ---- outputs ----

void RollingEmitter::store_pixel(int i) {
  store({set(i), set(i) + spec.outputs * vectors});
  as.add(rC, arg(offsetof(DepthwiseRollingArgs, c_pixel_bytes)));
}

// The sums of one or two output rows, by rows, then vectors.
void RollingEmitter::store(const std::vector<Xmm>& v) {
  const bool bytes = is_int8(spec.epilogue.c_type);
  if (!bytes && vectors > 1)
    for (int r = 0; r < spec.outputs; ++r) order_channels(&v[static_cast<size_t>(r * vectors)]);
  if (spec.epilogue.bias_f32) as.lea(rax, as.ptr[rPacked + layout.bias]);
  const EpilogueRow epilogue{w, pool, spec.epilogue, spec.n, rC, rPacked, rax, rParams};
  emit_epilogue_values(as, epilogue, v.data(), static_cast<int>(v.size()));
  if (bytes) return store_bytes(v[0]);
  for (int r = 0; r < spec.outputs; ++r)
    for (int j = 0; j < vectors; ++j)
      w.store_part(to(r, j * kRollingLanes * element()), v[static_cast<size_t>(r * vectors + j)],
                   std::min(kRollingLanes, spec.n - j * kRollingLanes) * element());
}

// Two vectors of sums in the channels' order.
void RollingEmitter::order_channels(const Xmm* v) {
  const auto role = pool.take();
  const Ymm high(role.index()), v0(v[0].getIdx()), v1(v[1].getIdx());
  as.vperm2i128(high, v0, v1, 0x31);
  as.vinserti128(v0, v0, Xmm(v[1].getIdx()), 1);
  as.vmovdqa(v1, high);
}

void RollingEmitter::store_bytes(const Xmm& v) {
  const auto role = pool.take();
  const Xmm t = w.reg(role.index());
  if (vectors == 1) {
    w.load_unzip_index(t);
    w.unzip_lanes(v, t);
  } else {
    constexpr uint8_t kEvenThenOdd = 0xd8;
    as.vpermq(Ymm(v.getIdx()), Ymm(v.getIdx()), kEvenThenOdd);
  }
  if (spec.outputs > 1 && spec.n == 2 * kRollingLanes) {
    as.vextracti128(to(1, 0), Ymm(v.getIdx()), 1);
  } else if (spec.outputs > 1) {
    const Xmm second(t.getIdx());
    if (vectors == 1)
      as.vpsrldq(second, Xmm(v.getIdx()), kRollingLanes);
    else
      as.vextracti128(second, Ymm(v.getIdx()), 1);
    w.store_part(to(1, 0), t, spec.n);
  }
  w.store_part(to(0, 0), v, spec.n);
}

void emit_depthwise_rolling(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                            const Axis& vertical, const Axis& horizontal) {
  RollingEmitter(as, row, spec, vertical, horizontal).emit();
}

}  // namespace oct
