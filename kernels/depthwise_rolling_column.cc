// A column of the rolling generator: its input rows, their pairs, and the products of these; or
// padding. Drawn in kernels/depthwise_rolling.h.

#include <cassert>
#include <cstddef>

#include "kernels/depthwise_gather.h"
#include "kernels/depthwise_rolling_emitter.h"

namespace oct {

using Xbyak::Address;
using Xbyak::Label;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::Xmm;
using Xbyak::Ymm;

// A pair by vectors, and a temporary.
struct RollingEmitter::Scratch {
  explicit Scratch(RollingEmitter& e) : vectors(e.vectors), pool(e.pool) {
    for (int i = 0; i < e.vectors + 1; ++i) pair[i] = e.w.reg(take());
    temporary = pair[e.vectors];
  }
  // body(), which may use the temporary's register.
  void lend_temporary(const std::function<void()>& body) {
    scope.pop_back();
    body();
    const int index = take();  // registers are handed out in order
    assert(index == temporary.getIdx());
    (void)index;
  }
  // Where the first of two rows is loaded: the last that is made of them may replace it.
  const Xmm& first() const { return pair[vectors - 1]; }
  int take() { return scope.emplace_back(pool.take()).index(); }
  const int vectors;
  RegisterPool& pool;
  std::vector<RegisterPool::Role> scope;
  Xmm pair[kMaxRollingVectors + 1], temporary;
};

// Where the weights are, if there are any, and whether this is the pixel's first product, which
// is added to where sums start.
struct RollingEmitter::Product {
  int64_t at;
  bool first;
};

// The products of the next two columns of the row that has pairs of them; column() has the others.
void RollingEmitter::across(int left) {
  Scratch s(*this);
  load_across(s);
  add_across(left, s);
}

// The next column, tap `tap` of the oldest of `left` pixels. With `sides` it may be padding and,
// where a row has pairs of columns, is half of one. before_youngest() stands before the products of
// the last of them.
void RollingEmitter::column(int tap, int left, bool sides,
                            const std::function<void()>& before_youngest) {
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
    const bool split = i == 0 && before_youngest;
    if (split) {
      add_pair(i, tap, {0, left - 1}, s);
      s.lend_temporary(before_youngest);
    }
    add_pair(i, tap, {split ? left - 1 : 0, left}, s);
  }
  if (shared) as.add(rOffset, arg(offsetof(DepthwiseRollingArgs, shared_step_bytes)));
  for (int i = 0; i < inputs && !shared; ++i)
    if (sides || !layout.across || i != layout.across_row()) advance(i);
  if (sides) as.L(p->end);
}

// Zeros have no products, but a pixel that begins with them starts.
void RollingEmitter::emit_padding(Padding& p) {
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
      high_half(p.tap) ? as.vpslld(s.pair[v], s.pair[v], 16) : as.vpsrld(s.pair[v], s.pair[v], 16);
    add_half(p.tap, p.left, s);
  }
  for (int i = 0; i < layout.input_pairs; ++i) {
    Scratch s(*this);
    load(s);
    add_pair(i, p.tap, {0, p.left}, s);
  }
  as.jmp(p.end);
  as.L(zero);
  for (int f = 0; f < p.left; ++f)
    for (int r = 0; r < spec.outputs && p.tap == f * h.stride; ++r)
      for (int v = 0; v < vectors; ++v) as.vmovups(acc(f, r, v), as.ptr[rPacked + init(v)]);
  as.jmp(p.end);
}

// v = the block's bytes of an input row; as words if there are two vectors of them.
void RollingEmitter::load_row(const Xmm& v, int i) {
  shared ? load_from(v, rRow[i] + rOffset) : load_from(v, rRow[i]);
}
void RollingEmitter::load_from(const Xmm& v, const Xbyak::RegExp& from) {
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
void RollingEmitter::load_pair(int i, const Scratch& s) {
  const int row = layout.first_row(i);
  load_row(s.first(), row);
  if (row + 1 == inputs) return pair_up(s, s.first(), s.first());
  load_row(s.temporary, row + 1);
  pair_up(s, s.first(), s.temporary);
}

// Those two columns.
void RollingEmitter::load_across(const Scratch& s) {
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
void RollingEmitter::load_half(bool high, const Scratch& s) {
  load_row(s.first(), layout.across_row());
  as.vpxor(s.temporary, s.temporary, s.temporary);
  high ? pair_up(s, s.temporary, s.first()) : pair_up(s, s.first(), s.temporary);
}

void RollingEmitter::pair_up(const Scratch& s, const Xmm& even, const Xmm& odd) {
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
std::vector<uint32_t> RollingEmitter::indices_of_pairs() const {
  const auto word = [&](int b) {
    const auto byte = static_cast<uint32_t>(b);
    return spec.a_shift ? byte << 8 | 0x80 : 0x8000 | byte;
  };
  std::vector<uint32_t> indices;
  for (int c = 0; c < kRollingLanes; ++c)
    indices.push_back(word(c) | word(kRollingLanes + c) << 16);
  return indices;
}

// The products of pair i, for all of these pixels that have a tap in this column.
void RollingEmitter::add_pair(int i, int tap, Flight pixels, const Scratch& s) {
  add_products(tap, pixels, s, [&](int t, int r) {
    const int64_t at = layout.dot(t, r, i);
    return Product{at, t == 0 && at == layout.first_dot(r)};
  });
}
// Those of a pair of columns, the last two under the oldest pixel's kernel; and of half a pair.
void RollingEmitter::add_across(int left, const Scratch& s) {
  add_products(h.kernel - 1, {0, left}, s, [&](int t, int r) {
    return Product{layout.across_dot(t, r), t < 2};
  });
}
void RollingEmitter::add_half(int tap, int left, const Scratch& s) {
  const int to_high = high_half(tap) ? 0 : 1;
  add_products(tap, {0, left}, s, [&](int t, int r) {
    return Product{layout.across_dot(t + to_high, r), t == 0};
  });
}

void RollingEmitter::add_products(int tap, Flight pixels, const Scratch& s,
                                  const std::function<Product(int, int)>& product) {
  for (int f = pixels.begin; f < pixels.end; ++f) {
    const int t = tap - f * h.stride;
    if (t < 0) break;
    for (int r = 0; r < spec.outputs; ++r) {
      const auto [at, first] = product(t, r);
      if (at < 0) continue;
      for (int v = 0; v < vectors; ++v) {
        with_packed(at + v * w.bytes(),
                    [&](const Operand& weights) { as.vpmaddwd(s.temporary, s.pair[v], weights); });
        const Xmm& sum = acc(f, r, v);
        if (first)
          with_packed(init(v), [&](const Operand& o) { as.vpaddd(sum, s.temporary, o); });
        else
          as.vpaddd(sum, sum, s.temporary);
      }
    }
  }
}

}  // namespace oct
