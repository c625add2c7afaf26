// C[m x n] = epilogue(A[m x K] . B[K x n]) for one panel of B, n <= nr, in `tiles` steps of m rows.
//
//            | b(0) b(1) .. b(nv-1) |     one K group (four k) of the panel, nv vectors
//   a(row 0) | acc(0,0)  ..  acc(0,nv-1) |
//   ...      |                           |   the register tile; a row's group of A is broadcast
//   a(row m) | acc(m,0)  ..              |
//
// Registers: m*nv*split sums + B words held + A words + temporaries + constants <= 16 or 32.
// B words stay in registers as far as there is room and are memory operands otherwise. Small tiles
// split K over `split` sets of sums, since a sum is a dependence chain of four or five cycles.
//
// What limits it, per K group of a 6x64 tile on AVX-512 VNNI: 24 vpdpbusd (24 cycles where 512-bit
// words are cracked, 12 with two full ports) beside 6 broadcasts and 4 loads. On AVX2, 3x24 in
// Winograd's form: 36 vector operations on 3 or 4 ports beside 18 loads (measured on Zen 4: loads
// and instructions bind, 203 GOPS of 234; 4x16 with all of B in registers gave 184, the plain form
// 183); with safe pairs, 6x16: 24 multiplications on two ports.
//
// Without VNNI, the pairs that vpmaddubsw adds up in int16 are what limits. Of Gaussian weights at
// full range (K = 1024) 1.7 % of all pairs could saturate, and 41 % of the K groups of a panel of
// 16 columns hold one; but the four k of a group can be paired in three ways, and only 12 % have no
// safe one (Laplacian: 10 %, 1.4 %; K = 3072: 24 %, 4.4 % and 4 %, 0.4 %). BForm::kMixed sorts
// groups by their safe pairing, shuffles A's broadcast bytes into it, and leaves the exact form to
// the rest. Speed as a share of the saturating form, which declared 7-bit activations get (1.0, 228
// GOPS); Zen 4, 2026-11-24, 1024^3, one thread, interleaved (`octavo bench --isa avx2 --peer
// saturating`):
//                         Gaussian  K = 3072  Laplacian  uniform
//   6x16, mixed               0.88      0.92       0.96     0.69
//   3x24, packed A            0.85      0.85       0.83     0.85
//   5x16, exact in place      0.73                 0.72     0.73
// On zmm, where both pipes are busy anyway, packed A reaches 0.97 and there is no mixed row.
//
// Accumulators start at the column's init (bias and corrections), so the epilogue adds nothing.

#include "kernels/gemm_vector.h"

#include <bit>
#include <cassert>
#include <cstddef>
#include <optional>
#include <vector>

#include "jit/words.h"
#include "kernels/post_operands.h"
#include "kernels/row_terms.h"

namespace oct {
namespace {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::RegExp;
using Xbyak::Xmm;

constexpr int kMaxUnroll = 4;     // K groups per iteration of the main loop
constexpr int kManyDots = 12;     // in a group: then two groups hide the loop's own instructions
constexpr int kDotsPerCycle = 2;  // at most: what splitting K must hide the latency of
constexpr int kRowsPerBase = 4;   // rows reached from one base: 0, 1, 2 and 3 strides away
constexpr int kMaxBases = (kMaxVectorMr + kRowsPerBase - 1) / kRowsPerBase;

Dot dot_of(const KernelRow& row) {
  if (row.b_form == BForm::kPairs16)
    return row.a_form == AForm::kPairs16 ? Dot::kPairs16 : Dot::kWide16;
  if (row.flags & kRowNeedsSafePairs || row.b_form == BForm::kMixed) return Dot::kSafePairs;
  if (row.flags & kRowSignedA) return Dot::kVnniS8;
  return has_vnni(row.isa) ? Dot::kVnni : Dot::kSplit16;
}

// A's words, the constant, a temporary, and the order of A's bytes or one word more.
constexpr int kMixedRegisters = 4;

struct Budget {
  int split = 1;      // sets of sums
  int b_held = 0;     // B words per column vector kept in registers
  int b_columns = 0;  // so many column vectors are kept whole although there is no room for all
  bool fits = false;
};

Budget plan_registers(const KernelRow& row, int m, int nv, bool a_shift) {
  const DotShape dot = dot_shape(dot_of(row));
  const int registers = vector_registers(row.isa);
  if (row.b_form == BForm::kMixed) return {1, 0, 0, m * nv + kMixedRegisters <= registers};
  const int fixed = dot.a_words + dot.temporaries + (dot.constant != 0) + a_shift;
  const auto used = [&](int split, int held) { return m * nv * split + held * nv + fixed; };
  Budget b;
  const bool made_in_registers = dot.b_loads < dot.b_words;
  b.b_held = dot.b_words;
  b.fits = used(1, made_in_registers ? b.b_held : 0) <= registers;
  while (b.b_held > 0 && used(1, b.b_held) > registers) --b.b_held;
  const int chains = kDotsPerCycle * dot.latency;
  while (dot.latency > 1 && b.split < kMaxUnroll && m * nv * b.split < chains &&
         used(2 * b.split, b.b_held) <= registers)
    b.split *= 2;
  if (b.b_held == 0 && dot.b_words == 1) b.b_columns = std::max(0, registers - used(1, 0));
  return b;
}

class GemmEmitter {
 public:
  GemmEmitter(Assembler& as, const KernelRow& row, const GemmSpec& spec, int m)
      : as(as), spec(spec), m(m), nv((spec.n + row.lanes - 1) / row.lanes),
        packed_a(row.a_form == AForm::kPairs16), mixed(row.b_form == BForm::kMixed),
        words(make_words(as, row.isa, row.lanes, dot_of(row))), w(*words),
        vector_registers_(vector_registers(row.isa)), pool(vector_registers_),
        budget(plan_registers(row, m, nv, spec.a_shift)),
        operands(as, w, spec.epilogue.post, spec.n,
                 {rArgs, offsetof(GemmArgs, post), spec.counts_rows() ? 16 : 8}, rOperand) {
    assert(budget.fits && m <= row.mr && spec.n <= row.nr);
    const auto take = [&](std::vector<int>& to, int count) {
      for (int i = 0; i < count; ++i) to.push_back(roles.emplace_back(pool.take()).index());
    };
    take(acc_regs, m * nv * budget.split);
    if (mixed) {
      exact_words = make_words(as, row.isa, row.lanes, Dot::kWide16);
      return;
    }
    if (dot.constant) take(constant_reg, 1);
    if (spec.a_shift) take(shift_reg, 1);
    if (spec.group_in) list_selectors();
  }

  void emit() {
    as.enter(kUsedGprs);
    load_args();
    Xbyak::Label next_tile;
    as.L(next_tile);
    init_sums();
    spec.taps ? tap_loop() : whole_k();
    merge_sets();
    epilogue();
    as.dec(as.qword[rsp_tiles()]);
    as.jnz(next_tile, as.T_NEAR);
    as.add(as.rsp, spec.counts_rows() ? 16 : 8);
    operands.pop();
    as.leave();
  }

 private:
  // How a K group is computed.
  struct GroupForm {
    Words& w;
    Xmm constant;
    int b_held;                // as in Budget
    int a_step;                // bytes of A from a group to the next; 0 if rA[0] is set for each
    std::optional<Xmm> order;  // the bytes of A are brought into it first
  };

  // ---- positional accessors ----
  Xmm acc(int i, int j, int set = 0) const { return w.reg(acc_regs[(set * m + i) * nv + j]); }
  Address arg(size_t offset) const { return as.ptr[rArgs + offset]; }
  // The byte `offset` of row i of the current tile.
  Address a_at(int i, int offset) const {
    const Reg64& base = rA[i / kRowsPerBase];
    switch (i % kRowsPerBase) {
      case 0: return as.ptr[base + offset];
      case 1: return as.ptr[base + rAStride + offset];
      case 2: return as.ptr[base + rAStride * 2 + offset];
      default: return as.ptr[base + rAStride3 + offset];
    }
  }
  int bases() const { return (m + kRowsPerBase - 1) / kRowsPerBase; }
  int b_group_bytes(const Words& of) const { return nv * of.shape.b_loads * w.bytes(); }
  int a_group_bytes() const { return 4 * dot.a_loads; }

  // ---- steps ----
  void load_args() {
    as.mov(rTile, arg(offsetof(GemmArgs, a)));
    as.mov(rAStride, arg(offsetof(GemmArgs, a_stride_bytes)));
    as.lea(rAStride3, as.ptr[rAStride + rAStride * 2]);
    as.mov(rC, arg(offsetof(GemmArgs, c)));
    as.mov(rCStride, arg(offsetof(GemmArgs, c_stride_bytes)));
    operands.push();
    if (spec.counts_rows()) as.push(0);             // where the tile's row numbers begin, in bytes
    as.push(arg_qword(offsetof(GemmArgs, tiles)));  // counted down on the stack
    if (packed_a) as.mov(rRowInit, arg(offsetof(GemmArgs, row_init)));
    if (const int bytes = epilogue_partial_bytes(spec.epilogue, spec.n, w.lanes()))
      w.announce_partial(bytes);
    if (mixed) return;
    if (dot.constant) load(constant(), as.constant({dot.constant}));
    if (spec.a_shift) as.vpbroadcastd(shift(), arg(offsetof(GemmArgs, a_shift)));
    load_selectors();
  }

  // rA[0] is set: the other bases follow four strides apart.
  void set_bases() {
    for (int b = 1; b < bases(); ++b) as.lea(rA[b], as.ptr[rA[b - 1] + rAStride * 4]);
  }

  void init_sums() {
    as.mov(rTmp, arg(offsetof(GemmArgs, init)));
    for (int i = 0; i < m; ++i) {
      init_row(i);
      if (spec.clip && i < m - 1) as.add(rTmp, arg(offsetof(GemmArgs, init_stride_bytes)));
    }
    for (int set = 1; set < budget.split; ++set)
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < nv; ++j) w.zero(acc(i, j, set));
    if (packed_a) as.add(rRowInit, 4 * m);
  }

  void init_row(int i) {
    for (int j = 0; j < nv; ++j) {
      const Address from = as.ptr[rTmp + j * w.bytes()];
      if (packed_a) {
        as.vpbroadcastd(acc(i, j), as.ptr[rRowInit + 4 * i]);
        as.vpaddd(acc(i, j), acc(i, j), from);
      } else if (i == 0 || spec.clip) {
        load(acc(i, j), from);
      } else {
        move(acc(i, j), acc(0, j));
      }
    }
  }

  void whole_k() {
    as.mov(rA[0], rTile);
    as.mov(rB, arg(offsetof(GemmArgs, b)));
    set_bases();
    k_loop({0, m});
  }

  void tap_loop() {
    Xbyak::Label next, done;
    as.mov(rTap, arg(offsetof(GemmArgs, taps)));
    as.cmp(rTap, arg(offsetof(GemmArgs, taps_end)));
    as.je(done, as.T_NEAR);
    as.L(next);
    as.mov(rA[0], rTile);
    as.mov(rB, arg(offsetof(GemmArgs, b)));
    as.add(rA[0], as.ptr[rTap + offsetof(Tap, a_offset)]);
    as.add(rB, as.ptr[rTap + offsetof(Tap, b_offset)]);
    set_bases();
    clipped_k_loops();
    as.add(rTap, sizeof(Tap));
    as.cmp(rTap, arg(offsetof(GemmArgs, taps_end)));
    as.jb(next, as.T_NEAR);
    as.L(done);
  }

  // The rows of the tile that a tap contributes to.
  struct Rows {
    int begin, end;
  };

  // One K loop for each value of Tap::clip. Which one runs follows a fixed pattern within a
  // convolution, so the branches are predicted.
  void clipped_k_loops() {
    if (spec.clip == 0) return k_loop({0, m});
    Xbyak::Label done, whole;
    as.mov(rK, as.ptr[rTap + offsetof(Tap, clip)]);
    as.test(rK, rK);
    as.jz(whole, as.T_NEAR);
    for (int clip = 1; clip <= spec.clip && clip < m; ++clip)
      for (const Rows rows : {Rows{clip, m}, Rows{0, m - clip}}) {
        Xbyak::Label next;
        as.cmp(rK, rows.begin > 0 ? clip : -clip);
        as.jne(next, as.T_NEAR);
        k_loop(rows);
        as.jmp(done, as.T_NEAR);
        as.L(next);
      }
    as.L(whole);
    k_loop({0, m});
    as.L(done);
  }

  void k_loop(Rows rows) { mixed ? mixed_k_loop(rows) : plain_k_loop(rows); }

  void plain_k_loop(Rows rows) {
    const GroupForm plain{w, constant(), budget.b_held, a_group_bytes(), std::nullopt};
    if (spec.k_fixed) {
      for (int g = 0; g < spec.k_fixed; ++g) group(rows, plain, g, g % budget.split, std::nullopt);
      if (spec.k_tail) group(rows, plain, spec.k_fixed, 0, spec.k_tail);
      return;
    }
    as.mov(rK, arg(offsetof(GemmArgs, k_groups)));
    as.shr(rK, std::countr_zero(static_cast<unsigned>(unroll)));
    as.loop_if_any(rK, [&] {
      for (int u = 0; u < unroll; ++u) group(rows, plain, u, u % budget.split, std::nullopt);
      advance(unroll);
    });
    as.mov(rK, arg(offsetof(GemmArgs, k_groups)));
    as.and_(rK, unroll - 1);
    as.loop_if_any(rK, [&] {
      group(rows, plain, 0, 0, std::nullopt);
      advance(1);
    });
    if (spec.k_tail) group(rows, plain, 0, 0, spec.k_tail);
  }

  // The groups that the panel lists, kind by kind; rA[0] is at the beginning of K. The constants
  // share registers and are loaded anew.
  void mixed_k_loop(Rows rows) {
    constexpr uint32_t kOrders[] = {0x03010200, 0x02010300};  // A's bytes 0 2 1 3, and 0 3 1 2
    as.mov(rTmp, rA[0]);
    as.mov(rList, rB);
    as.movsxd(rA[0], as.dword[rList]);
    as.add(rB, rA[0]);
    as.add(rList, 4);
    const auto constant_role = pool.take();
    GroupForm form{w, w.reg(constant_role.index()), 0, 0, std::nullopt};
    load(form.constant, as.constant({w.shape.constant}));
    listed_groups(rows, form);
    {
      const auto order_role = pool.take();
      form.order = w.reg(order_role.index());
      for (uint32_t order : kOrders) {
        load(*form.order, as.constant({order}));
        listed_groups(rows, form);
      }
    }
    const GroupForm exact{*exact_words, form.constant, 0, 0, std::nullopt};
    load(exact.constant, as.constant({exact_words->shape.constant}));
    listed_groups(rows, exact);
    if (!spec.k_tail) return;
    as.mov(rA[0], arg(offsetof(GemmArgs, k_groups)));
    as.lea(rA[0], as.ptr[rTmp + rA[0] * kKr]);
    set_bases();
    group(rows, exact, 0, 0, spec.k_tail);
  }

  // rList is at their count, then at that of the next kind.
  void listed_groups(Rows rows, const GroupForm& form) {
    Xbyak::Label even;
    const auto groups = [&](int count) {
      for (int u = 0; u < count; ++u) {
        as.movsxd(rA[0], as.dword[rList + 4 * u]);
        as.add(rA[0], rTmp);
        set_bases();
        group(rows, form, u, 0, std::nullopt);
      }
      as.add(rList, 4 * count);
      as.add(rB, count * b_group_bytes(form.w));
    };
    as.mov(rK.cvt32(), as.dword[rList]);
    as.add(rList, 4);
    as.shr(rK, 1);
    as.jnc(even, as.T_NEAR);
    groups(1);
    as.L(even);
    as.loop_if_any(rK, [&] { groups(2); });
  }

  void advance(int groups) {
    for (int b = 0; b < bases(); ++b) as.add(rA[b], groups * a_group_bytes());
    as.add(rB, groups * b_group_bytes(w));
  }

  // One K group, u groups ahead of the pointers; `tail`: only that many bytes of A exist.
  void group(Rows rows, const GroupForm& form, int u, int set, std::optional<int> tail) {
    if (spec.group_in) return diagonal_group(rows, u, set);
    const DotShape& of = form.w.shape;
    std::vector<RegisterPool::Role> scope;
    const auto take = [&] { return w.reg(scope.emplace_back(pool.take()).index()); };
    std::vector<Xmm> a, t, b_regs;
    for (int i = 0; i < of.a_words; ++i) a.push_back(take());
    for (int i = 0; i < of.temporaries; ++i) t.push_back(take());
    // The words of B that find room are loaded once, the last ones of each vector first.
    const auto held = [&](int j) { return j < budget.b_columns ? of.b_words : form.b_held; };
    std::vector<int> first_held;               // into b_regs, per vector
    const int made = of.b_words - of.b_loads;  // in registers, from those that are loaded
    for (int j = 0; j < nv; ++j) {
      first_held.push_back(static_cast<int>(b_regs.size()));
      for (int h = 0; h < held(j); ++h) b_regs.push_back(take());
      Xmm* regs = b_regs.data() + first_held.back();
      for (int h = 0; h < held(j) - made; ++h)
        load(regs[h], b_at(of, u, j, of.b_words - held(j) + h));
      if (made) form.w.prepare_b(regs);
    }

    for (int i = rows.begin; i < rows.end; ++i) {
      load_a(form, a, i, u, tail);
      for (int j = 0; j < nv; ++j) {
        const Address memory[2] = {b_at(of, u, j, 0), b_at(of, u, j, 1)};
        const int from_memory = of.b_words - held(j);
        const Operand* b[2];
        for (int word = 0; word < of.b_words; ++word)
          b[word] = word < from_memory
                        ? static_cast<const Operand*>(&memory[word])
                        : &b_regs[static_cast<size_t>(first_held[j] + word - from_memory)];
        form.w.dot(acc(i, j, set), a.data(), b, t.data(), form.constant, j == nv - 1);
      }
    }
  }

  Address b_at(const DotShape& of, int u, int j, int word) const {
    return as.ptr[rB + (u * nv * of.b_loads + j * of.b_loads + word) * w.bytes()];
  }

  // ---- block-diagonal B: a dword of A for each lane of columns ----
  //   group_out fills vectors   broadcasts, as dense B does, but of the vector's own group
  //   a panel of 64 channels    one vpermd of the row's 64 bytes
  //   otherwise                 a vector sees a window of A, 4, 8 or 16 bytes wide; a byte shuffle
  //                             hands every lane the next four bytes of its group
  // On Zen 4 a dot with vpermd takes 1.33 cycles, one with broadcast window and shuffle 2, with a
  // broadcast dword 1.

  bool broadcasts() const { return spec.group_out % w.lanes() == 0; }
  bool permutes() const {
    return w.lanes() == 16 && spec.n == 64 && spec.group_in == spec.group_out &&
           spec.group_in % kKr == 0;
  }
  int window() const { return w.lanes() / spec.group_out * spec.group_in; }

  // The shuffles of each K group; in registers as far as there is room.
  void list_selectors() {
    if (broadcasts() || permutes()) return;
    const int wanted = (spec.group_in + kKr - 1) / kKr;
    const int room = vector_registers_ - m * nv * budget.split - dot.a_words - dot.temporaries -
                     dot.b_words - (dot.constant != 0) - spec.a_shift;
    for (int s = 0; s < wanted && s < room; ++s)
      selector_regs.push_back(roles.emplace_back(pool.take()).index());
  }

  Address selector(int group) {
    std::vector<uint32_t> lanes;
    for (int l = 0; l < 16; ++l) {
      const int first = l % w.lanes() / spec.group_out * spec.group_in + group * kKr;
      uint32_t bytes = 0;
      for (int b = 0; b < kKr; ++b)
        bytes |= (group * kKr + b < spec.group_in ? static_cast<uint32_t>(first + b) : 0x80u)
                 << (8 * b);
      lanes.push_back(bytes);
    }
    return as.constant(lanes);
  }

  void load_selectors() {
    for (size_t s = 0; s < selector_regs.size(); ++s)
      load(w.reg(selector_regs[s]), selector(static_cast<int>(s)));
  }

  void diagonal_group(Rows rows, int u, int set) {
    std::vector<RegisterPool::Role> scope;
    const auto take = [&] { return w.reg(scope.emplace_back(pool.take()).index()); };
    std::vector<Xmm> a, t, b;
    for (int i = 0; i < dot.a_words; ++i) a.push_back(take());
    for (int i = 0; i < dot.temporaries; ++i) t.push_back(take());
    for (int i = 0; i < dot.b_words; ++i) b.push_back(take());
    std::optional<Xmm> index;
    if (permutes()) index = take();
    const int made = dot.b_words - dot.b_loads;
    const Operand* operands_b[2] = {&b[0], &b.back()};
    for (int j = 0; j < nv; ++j) {
      for (int h = 0; h < dot.b_loads; ++h) load(b[static_cast<size_t>(h)], b_at(dot, u, j, h));
      if (made) w.prepare_b(b.data());
      if (index) load(*index, permutation(j, u));
      for (int i = rows.begin; i < rows.end; ++i) {
        load_diagonal(a[0], i, j, u, index);
        if (spec.a_shift) as.vpaddb(a[0], a[0], shift());
        w.prepare_a(a.data(), constant());
        w.dot(acc(i, j, set), a.data(), operands_b, t.data(), constant(), true);
      }
    }
  }

  // The dwords of row i that vector j's columns multiply in K group u.
  void load_diagonal(const Xmm& a, int i, int j, int u, const std::optional<Xmm>& index) {
    if (broadcasts()) {
      as.vpbroadcastd(a, a_at(i, j * w.lanes() / spec.group_out * spec.group_in + u * kKr));
    } else if (index) {
      as.vpermd(Xbyak::Zmm(a.getIdx()), Xbyak::Zmm(index->getIdx()), a_at(i, 0));
    } else {
      w.broadcast_bytes(a, a_at(i, j * window()), window());
      const auto s = static_cast<size_t>(u);
      if (s < selector_regs.size())
        as.vpshufb(a, a, w.reg(selector_regs[s]));
      else
        as.vpshufb(a, a, selector(u));
    }
  }

  Address permutation(int j, int u) {
    std::vector<uint32_t> dwords;
    for (int l = 0; l < 16; ++l)
      dwords.push_back(
          static_cast<uint32_t>(((j * 16 + l) / spec.group_out * spec.group_in + u * kKr) / kKr));
    return as.constant(dwords);
  }

  void load_a(const GroupForm& form, const std::vector<Xmm>& a, int i, int u,
              std::optional<int> tail) {
    if (tail) {
      load_tail_bytes(a_at(i, u * a_group_bytes()), *tail);
      w.broadcast_gpr(a[0], rTmp.cvt32());
    } else {
      for (int word = 0; word < form.w.shape.a_loads; ++word)
        as.vpbroadcastd(a[word], a_at(i, u * form.a_step + 4 * word));
    }
    if (spec.a_shift && mixed)  // no register to spare; it only ever makes u8 of s8
      as.vpaddb(a[0], a[0], as.constant({0x80808080}));
    else if (spec.a_shift)
      as.vpaddb(a[0], a[0], shift());
    if (form.order) as.vpshufb(a[0], a[0], *form.order);
    form.w.prepare_a(a.data(), form.constant);
  }

  // rTmp = the 1..3 bytes at `from`, zero extended. Nothing beyond them is touched.
  void load_tail_bytes(const Address& from, int count) {
    const auto at = [&](int offset) { return from.getRegExp() + offset; };
    if (count == 1) {
      as.movzx(rTmp.cvt32(), as.byte[at(0)]);
      return;
    }
    as.movzx(rTmp.cvt32(), as.word[at(0)]);
    if (count == 2) return;
    as.movzx(rK.cvt32(), as.byte[at(2)]);
    as.shl(rK.cvt32(), 16);
    as.or_(rTmp.cvt32(), rK.cvt32());
  }

  void merge_sets() {
    for (int step = budget.split / 2; step >= 1; step /= 2)
      for (int set = 0; set < step; ++set)
        for (int i = 0; i < m; ++i)
          for (int j = 0; j < nv; ++j)
            as.vpaddd(acc(i, j, set), acc(i, j, set), acc(i, j, set + step));
  }

  void epilogue() {
    if (spec.epilogue.c_type != DType::kS32) {
      as.mov(rMult, arg(offsetof(GemmArgs, mult)));
      as.mov(rBias, arg(offsetof(GemmArgs, bias)));
      as.mov(rParams, arg(offsetof(GemmArgs, epilogue)));
    }
    const EpilogueRow row{w,     pool,    spec.epilogue, spec.n,    rC,   rMult,
                          rBias, rParams, nullptr,       &operands, &rTmp};
    for (int i = 0; i < m; ++i) {
      std::vector<Xmm> sums;
      for (int j = 0; j < nv; ++j) sums.push_back(acc(i, j));
      add_row_terms(i, sums);
      if (spec.epilogue.row_scale) {
        load_row_pointer(offsetof(GemmArgs, row_scale));
        as.add(rTmp, 4 * i);
      }
      emit_epilogue_row(as, row, sums.data(), nv);
      as.add(rC, rCStride);
      operands.next_row();
    }
    if (spec.counts_rows()) as.add(as.qword[rsp_tiles() + 8], 4 * m);
    // The next tile of A, m strides on.
    as.imul(rTmp, rAStride, m);
    as.add(rTile, rTmp);
  }

  // rTmp = the tile's first of the rows' numbers to which that argument points.
  void load_row_pointer(size_t argument) {
    as.mov(rTmp, as.ptr[rsp_tiles() + 8]);
    as.add(rTmp, arg(argument));
  }

  void add_row_terms(int i, const std::vector<Xmm>& sums) {
    for (int t = 0; t < spec.row_terms; ++t) {
      load_row_pointer(offsetof(GemmArgs, row_factor) + 8 * static_cast<size_t>(t));
      emit_row_term(as, {w, pool, rArgs, rTmp, t}, 4 * i, sums.data(), nv);
    }
  }

  void load(const Xmm& v, const Address& from) { as.vmovups(v, from); }
  void move(const Xmm& to, const Xmm& from) { as.vmovaps(to, from); }
  Xmm constant() const { return constant_reg.empty() ? Xmm(0) : w.reg(constant_reg[0]); }
  Xmm shift() const { return w.reg(shift_reg[0]); }

  static Xbyak::RegExp rsp_tiles() { return Reg64(Operand::RSP); }
  Address arg_qword(size_t offset) const { return as.qword[rArgs + offset]; }

  // ---- general registers, one role each; the epilogue's follow once K is done ----
  const Reg64 rArgs{Operand::RDI}, rTile{Operand::RSI}, rK{Operand::RCX}, rB{Operand::RDX},
      rTmp{Operand::RAX}, rAStride{Operand::R8}, rAStride3{Operand::R9}, rOperand{Operand::R12},
      rC{Operand::R13}, rCStride{Operand::R14}, rTap{Operand::R15};
  const Reg64 rA[kMaxBases]{Reg64(Operand::R10), Reg64(Operand::R11), Reg64(Operand::RBX),
                            Reg64(Operand::RBP)};
  // Of these tiles, which are at most 12 rows high.
  const Reg64 &rRowInit = rA[kMaxBases - 1], &rList = rA[kMaxBases - 1];
  const Reg64 &rMult = rK, &rBias = rB, &rParams = rA[0];
  static constexpr uint32_t kUsedGprs = 1u << Operand::RBX | 1u << Operand::RBP |
                                        1u << Operand::R12 | 1u << Operand::R13 |
                                        1u << Operand::R14 | 1u << Operand::R15;

  Assembler& as;
  const GemmSpec& spec;
  const int m, nv;
  const bool packed_a, mixed;
  std::unique_ptr<Words> words, exact_words;
  Words& w;
  const DotShape& dot = w.shape;
  const int vector_registers_;
  RegisterPool pool;
  const Budget budget;
  RowOperands operands;
  const int unroll = m * nv >= kManyDots ? 2 : kMaxUnroll;
  std::vector<RegisterPool::Role> roles;  // held for the whole function
  std::vector<int> acc_regs, constant_reg, shift_reg, selector_regs;
};

}  // namespace

TileOps gemm_tile_ops(const KernelRow& row, int m, int nv) {
  const DotShape dot = dot_shape(dot_of(row));
  const Budget b = plan_registers(row, m, nv, false);
  const int made = dot.b_words - dot.b_loads;
  const int dots = m * nv, a_loads = m * dot.a_loads, b_loads = nv * (b.b_held - made);
  TileOps ops;
  ops.multiplies = dots * dot.multiplies;
  ops.adds = dots * dot.adds + m * 2 * (dot.a_words - dot.a_loads) + nv * 3 * made;
  ops.loads = a_loads + b_loads + dots * (dot.b_words - b.b_held) - (m - 1) * b.b_columns;
  ops.instructions = ops.multiplies + ops.adds + a_loads + b_loads;
  ops.chain_cycles = static_cast<double>(dot.latency) / b.split;
  return ops;
}

void emit_gemm_vector(Assembler& as, const KernelRow& row, const GemmSpec& spec, int m) {
  GemmEmitter(as, row, spec, m).emit();
}

}  // namespace oct
