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

#include "kernels/depthwise_rolling.h"

#include <algorithm>
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

class RollingEmitter {
 public:
  RollingEmitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                 const Axis& vertical, const Axis& horizontal)
      : as(as), spec(spec), h(horizontal), layout(row, vertical, horizontal, spec.outputs, spec.n),
        words(make_words(as, row.isa, row.lanes, Dot::kWide16)), w(*words),
        pool(vector_registers(row.isa)), vectors(layout.vectors),
        flight(depthwise_rolling_flight(h)),
        inputs(depthwise_rolling_inputs(vertical, spec.outputs)) {
    const int each = spec.outputs * vectors;
    sets = flight + (pool.available() >= (flight + 1) * each + vectors + 2 && h.stride == 2);
    for (int i = 0; i < sets * each; ++i) sums.push_back(take());
    if (vectors == 1) pair_bytes = take();
    while (pool.available() > kMaxRollingVectors + 1 && held_offset(held.size()) < layout.size())
      held.push_back(take());
  }

  void emit() {
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

 private:
  bool late() const { return sets > flight; }
  Xmm take() { return w.reg(roles.emplace_back(pool.take()).index()); }
  Address arg(size_t offset) const { return as.ptr[rArgs + offset]; }
  Address arg(size_t offset, int i) const { return arg(offset + 8 * static_cast<size_t>(i)); }
  int element() const { return static_cast<int>(dtype_bytes(spec.epilogue.c_type)); }

  void load_args() {
    if (const int bytes = epilogue_partial_bytes(spec.epilogue, spec.n, w.lanes()))
      w.announce_partial(bytes);
    as.mov(rCRow, arg(offsetof(DepthwiseRollingArgs, c_row_bytes)));
    as.mov(rPacked, arg(offsetof(DepthwiseRollingArgs, packed)));
    as.mov(rParams, arg(offsetof(DepthwiseRollingArgs, epilogue)));
    if (vectors == 1) as.vmovdqu(pair_bytes, as.constant(indices_of_pairs()));
  }

  int64_t init(int v) const { return layout.init + v * w.bytes(); }

  // Where sums start and weights, which follow, stay in what registers there are.
  int64_t held_offset(size_t i) const { return layout.init + static_cast<int64_t>(i) * w.bytes(); }
  template <class Emit>
  void with_packed(int64_t offset, Emit emit) const {
    const auto i = static_cast<size_t>((offset - layout.init) / w.bytes());
    i < held.size() ? emit(held[i]) : emit(as.ptr[rPacked + offset]);
  }

  // ---- blocks ----
  void begin_block() {
    for (int i = 0; i < inputs; ++i) as.mov(rRow[i], arg(offsetof(DepthwiseRollingArgs, rows), i));
    for (size_t i = 0; i < held.size(); ++i) as.vmovups(held[i], as.ptr[rPacked + held_offset(i)]);
    as.mov(rC, arg(offsetof(DepthwiseRollingArgs, c)));
    as.mov(rColumn, arg(offsetof(DepthwiseRollingArgs, column)));
  }

  // Sets the zero flag after the last block.
  void end_block() {
    for (int i = 0; i < inputs; ++i) {
      as.mov(rax, arg(offsetof(DepthwiseRollingArgs, block_bytes), i));
      as.add(arg(offsetof(DepthwiseRollingArgs, rows), i), rax);
    }
    as.add(as.qword[rArgs + offsetof(DepthwiseRollingArgs, c)], spec.n * element());
    as.add(rPacked, static_cast<uint32_t>(layout.size()));
    as.dec(as.qword[rArgs + offsetof(DepthwiseRollingArgs, blocks)]);
  }

  // ---- columns ----
  // Columns before the one that completes a pixel, and their part of the pixels in flight.
  void first_columns() {
    for (int c = 0; c < h.kernel - h.stride; ++c) column(c, flight, true);
  }

  // The last pixels of a row have fewer and fewer behind them; rows of fewer pixels than are in
  // flight make them all the same. Most pixels need no look at the sides of the image.
  void pixels() {
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
  void inner_pixels() {
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
  void turns_of_rows() {
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
  void turns() {
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
  void pixel(int left, bool sides) {
    columns(left, sides, nullptr);
    store_pixel(0);
    move_on(left);
  }

  // Set 0 is done with: the other pixels in flight move up.
  void move_on(int left) {
    for (int f = 0; f + 1 < left; ++f)
      for (int i = 0; i < spec.outputs * vectors; ++i) as.vmovaps(set(f)[i], set(f + 1)[i]);
  }
  const Xmm* set(int i) const { return &sums[static_cast<size_t>(i * spec.outputs * vectors)]; }

  // The new columns of the oldest of `left` pixels: its last `stride` taps.
  void columns(int left, bool sides, const std::function<void()>& after_first) {
    if (layout.across && !sides) {
      Scratch s(*this);
      load_across(s);
      add_across(left, s);
    }
    for (int c = h.stride; c-- > 0;) {
      column(h.kernel - 1 - c, left, sides);
      if (c == h.stride - 1 && after_first) after_first();
    }
  }

  void store_pixel(int i) {
    store({set(i), set(i) + spec.outputs * vectors});
    as.add(rC, arg(offsetof(DepthwiseRollingArgs, c_pixel_bytes)));
  }

  struct Padding {
    Label begin, end;
    int tap, left;
  };

  // The next column, tap `tap` of the oldest of `left` pixels. With `sides` it may be padding and,
  // where a row has pairs of columns, is half of one.
  void column(int tap, int left, bool sides) {
    Padding* p = nullptr;
    if (sides) {
      p = padding_code.emplace_back(std::make_unique<Padding>()).get();
      p->tap = tap;
      p->left = left;
      as.cmp(rColumn, arg(offsetof(DepthwiseRollingArgs, width)));
      as.lea(rColumn, as.ptr[rColumn + 1]);
      as.jae(p->begin);
      if (layout.across) {
        Scratch s(*this);
        load_half(high_half(tap), s);
        add_half(tap, left, s);
      }
    }
    for (int i = 0; i < layout.input_pairs; ++i) {
      Scratch s(*this);
      load_pair(i, s);
      add_pair(i, tap, left, s);
    }
    if (shared) as.add(rOffset, arg(offsetof(DepthwiseRollingArgs, shared_step_bytes)));
    for (int i = 0; i < inputs && !shared; ++i)
      if (sides || !layout.across || i != layout.across_row()) advance(i);
    if (sides) as.L(p->end);
  }

  void advance(int i) { as.add(rRow[i], arg(offsetof(DepthwiseRollingArgs, step_bytes), i)); }
  // Pairs of columns end with the last under a kernel.
  bool high_half(int tap) const { return (h.kernel - 1 - tap) % 2 == 0; }

  // Zeros have no products, but a pixel that begins with them starts.
  void emit_padding(Padding& p) {
    Label zero;
    as.L(p.begin);
    as.cmp(as.dword[rArgs + offsetof(DepthwiseRollingArgs, padding)], 0);
    as.je(zero);
    const auto load = [&](const Scratch& s) {
      for (int v = 0; v < vectors; ++v)
        as.vpbroadcastd(s.pair[v], arg(offsetof(DepthwiseRollingArgs, padding)));
    };
    if (layout.across) {
      Scratch s(*this);
      load(s);
      for (int v = 0; v < vectors; ++v)
        high_half(p.tap) ? as.vpslld(s.pair[v], s.pair[v], 16)
                         : as.vpsrld(s.pair[v], s.pair[v], 16);
      add_half(p.tap, p.left, s);
    }
    for (int i = 0; i < layout.input_pairs; ++i) {
      Scratch s(*this);
      load(s);
      add_pair(i, p.tap, p.left, s);
    }
    as.jmp(p.end);
    as.L(zero);
    for (int f = 0; f < p.left; ++f)
      for (int r = 0; r < spec.outputs && p.tap == f * h.stride; ++r)
        for (int v = 0; v < vectors; ++v) as.vmovups(acc(f, r, v), as.ptr[rPacked + init(v)]);
    as.jmp(p.end);
  }

  // A pair by vectors, and a temporary.
  struct Scratch {
    explicit Scratch(RollingEmitter& e) : vectors(e.vectors) {
      for (int i = 0; i < e.vectors + 1; ++i)
        pair[i] = e.w.reg(scope.emplace_back(e.pool.take()).index());
      temporary = pair[e.vectors];
    }
    // Where the first of two rows is loaded: the last that is made of them may replace it.
    const Xmm& first() const { return pair[vectors - 1]; }
    const int vectors;
    std::vector<RegisterPool::Role> scope;
    Xmm pair[kMaxRollingVectors + 1], temporary;
  };

  // v = the block's bytes of an input row; as words if there are two vectors of them.
  void load_row(const Xmm& v, int i) {
    shared ? load_from(v, rRow[i] + rOffset) : load_from(v, rRow[i]);
  }
  void load_from(const Xmm& v, const Xbyak::RegExp& from) {
    const Ymm y(v.getIdx());
    const Xmm x(v.getIdx());
    const Address row = as.ptr[from];
    const bool whole = spec.n == vectors * kRollingLanes;
    if (vectors == 1 && whole) return as.vpbroadcastq(y, row);
    if (!whole) load_exact(as, x, from, spec.n);
    if (vectors == 1) return as.vinserti128(y, y, x, 1);
    const Operand& bytes = whole ? static_cast<const Operand&>(row) : x;
    spec.a_shift ? as.vpmovsxbw(y, bytes) : as.vpmovzxbw(y, bytes);
  }

  // Two input rows of a column, or the last row alone: it is twice in pairs whose second weight is
  // zero.
  void load_pair(int i, const Scratch& s) {
    const int row = layout.first_row(i);
    load_row(s.first(), row);
    if (row + 1 == inputs) return pair_up(s, s.first(), s.first());
    load_row(s.temporary, row + 1);
    pair_up(s, s.first(), s.temporary);
  }

  // The next two columns of the row that has such pairs.
  void load_across(const Scratch& s) {
    const Reg64& row = rRow[layout.across_row()];
    if (shared) {
      as.lea(rax, as.ptr[row + rOffset]);
      load_from(s.first(), rax);
      as.add(rax, arg(offsetof(DepthwiseRollingArgs, shared_step_bytes)));
      load_from(s.temporary, rax);
    } else {
      for (const Xmm& v : {s.first(), s.temporary}) {
        load_from(v, row);
        advance(layout.across_row());
      }
    }
    pair_up(s, s.first(), s.temporary);
  }
  void load_half(bool high, const Scratch& s) {
    load_row(s.first(), layout.across_row());
    as.vpxor(s.temporary, s.temporary, s.temporary);
    high ? pair_up(s, s.temporary, s.first()) : pair_up(s, s.first(), s.temporary);
  }

  void pair_up(const Scratch& s, const Xmm& even, const Xmm& odd) {
    if (vectors == 1) {
      as.vpunpcklqdq(s.pair[0], even, odd);
      as.vpshufb(s.pair[0], s.pair[0], pair_bytes);
      if (spec.a_shift) as.vpsraw(s.pair[0], s.pair[0], 8);
      return;
    }
    as.vpunpcklwd(s.pair[0], even, odd);
    as.vpunpckhwd(s.pair[1], even, odd);
  }

  // Indices for vpshufb: eight bytes of each of two rows to the low or, to be shifted down with
  // their signs, the high half of words.
  std::vector<uint32_t> indices_of_pairs() const {
    const auto word = [&](int b) {
      const auto byte = static_cast<uint32_t>(b);
      return spec.a_shift ? byte << 8 | 0x80 : 0x8000 | byte;
    };
    std::vector<uint32_t> indices;
    for (int c = 0; c < kRollingLanes; ++c)
      indices.push_back(word(c) | word(kRollingLanes + c) << 16);
    return indices;
  }

  // The products of pair i, for all of `left` pixels that have a tap in this column.
  void add_pair(int i, int tap, int left, const Scratch& s) {
    add_products(tap, left, s, [&](int t, int r) {
      const int64_t at = layout.dot(t, r, i);
      return Product{at, t == 0 && at == layout.first_dot(r)};
    });
  }
  // Those of a pair of columns, the last two under the oldest pixel's kernel; and of half a pair.
  void add_across(int left, const Scratch& s) {
    add_products(h.kernel - 1, left, s, [&](int t, int r) {
      return Product{layout.across_dot(t, r), t < 2};
    });
  }
  void add_half(int tap, int left, const Scratch& s) {
    const int to_high = high_half(tap) ? 0 : 1;
    add_products(tap, left, s, [&](int t, int r) {
      return Product{layout.across_dot(t + to_high, r), t == 0};
    });
  }

  // Where the weights are, if there are any, and whether this is the pixel's first product, which
  // is added to where sums start.
  struct Product {
    int64_t at;
    bool first;
  };
  void add_products(int tap, int left, const Scratch& s,
                    const std::function<Product(int, int)>& product) {
    for (int f = 0; f < left; ++f) {
      const int t = tap - f * h.stride;
      if (t < 0) break;
      for (int r = 0; r < spec.outputs; ++r) {
        const auto [at, first] = product(t, r);
        if (at < 0) continue;
        for (int v = 0; v < vectors; ++v) {
          with_packed(at + v * w.bytes(), [&](const Operand& weights) {
            as.vpmaddwd(s.temporary, s.pair[v], weights);
          });
          const Xmm& sum = acc(f, r, v);
          if (first)
            with_packed(init(v), [&](const Operand& o) { as.vpaddd(sum, s.temporary, o); });
          else
            as.vpaddd(sum, sum, s.temporary);
        }
      }
    }
  }

  // ---- outputs ----
  const Xmm& acc(int f, int r, int v) const {
    return sums[static_cast<size_t>(((oldest + f) % sets * spec.outputs + r) * vectors + v)];
  }

  // The sums of one or two output rows, by rows, then vectors.
  void store(const std::vector<Xmm>& v) {
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
  void order_channels(const Xmm* v) {
    const auto role = pool.take();
    const Ymm high(role.index()), v0(v[0].getIdx()), v1(v[1].getIdx());
    as.vperm2i128(high, v0, v1, 0x31);
    as.vinserti128(v0, v0, Xmm(v[1].getIdx()), 1);
    as.vmovdqa(v1, high);
  }

  void store_bytes(const Xmm& v) {
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

  Address to(int r, int offset) const {
    return r == 0 ? as.ptr[rC + offset] : as.ptr[rC + rCRow + offset];
  }

  // ---- general registers ----
  const Reg64 rArgs{Operand::RDI}, rC{Operand::RSI}, rCRow{Operand::RBX}, rPixels{Operand::RBP},
      rOffset = rPixels,  // of the rows, in turns that share it
      rPacked{Operand::RDX}, rColumn{Operand::RCX}, rParams{Operand::R15}, rax{Operand::RAX};
  const Reg64 rRow[kMaxRollingRows]{Reg64(Operand::R8),  Reg64(Operand::R9),  Reg64(Operand::R10),
                                    Reg64(Operand::R11), Reg64(Operand::R12), Reg64(Operand::R13),
                                    Reg64(Operand::R14)};

  Assembler& as;
  const DepthwiseSpec& spec;
  const Axis& h;
  const RollingLayout layout;
  std::unique_ptr<Words> words;
  Words& w;
  RegisterPool pool;
  const int vectors, flight, inputs;
  // Registers for sums of so many pixels: those in flight and, where there is room, one that is
  // complete and stored amid the next one's columns. And which are the oldest's.
  int sets, oldest = 0;
  bool shared = false;
  std::vector<RegisterPool::Role> roles;
  std::vector<Xmm> sums;
  std::vector<Xmm> held;  // the first of with_packed's vectors
  Xmm pair_bytes;         // of one vector
  std::vector<std::unique_ptr<Padding>> padding_code;
};

}  // namespace

void emit_depthwise_rolling(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                            const Axis& vertical, const Axis& horizontal) {
  RollingEmitter(as, row, spec, vertical, horizontal).emit();
}

}  // namespace oct
