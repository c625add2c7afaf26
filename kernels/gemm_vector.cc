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
// 183); with safe pairs, 6x16: 24 multiplications on two ports, which gemm_mixed.cc has fewer of.
//
// Accumulators start at the column's init (bias and corrections), so the epilogue adds nothing.

#include "kernels/gemm_vector.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "kernels/gemm_emitter.h"

namespace oct {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::Xmm;

namespace {

constexpr int kDotsPerCycle = 2;  // at most: what splitting K must hide the latency of
// What the exact form takes: both words of A and of B, the constant, a temporary.
constexpr int kMixedRegisters = 6;

Dot dot_of(const KernelRow& row) {
  if (row.b_form == BForm::kPairs16)
    return row.a_form == AForm::kPairs16 ? Dot::kPairs16 : Dot::kWide16;
  if (row.flags & kRowNeedsSafePairs || row.b_form == BForm::kMixed) return Dot::kSafePairs;
  if (row.flags & kRowUnsignedB) return row.flags & kRowSignedA ? Dot::kVnniSU : Dot::kVnniUU;
  if (row.flags & kRowSignedA) return Dot::kVnniSS;
  return has_vnni(row.isa) ? Dot::kVnni : Dot::kSplit16;
}

Budget plan_registers(const KernelRow& row, int m, int nv, bool a_shift) {
  const DotShape dot = dot_shape(dot_of(row));
  const int registers = vector_registers(row.isa);
  if (row.b_form == BForm::kMixed) return {1, 0, 0, m * nv + kMixedRegisters <= registers};
  const int fixed = dot.a_words + dot.temporaries + (dot.constant != 0) + a_shift;
  const auto used = [&](int split, int held) { return m * nv * split + held * nv + fixed; };
  Budget b;
  b.b_held = dot.b_words;
  b.fits = used(1, made_in_registers(dot) ? b.b_held : 0) <= registers;
  while (b.b_held > 0 && used(1, b.b_held) > registers) --b.b_held;
  const int chains = kDotsPerCycle * dot.latency;
  while (dot.latency > 1 && b.split < kMaxUnroll && m * nv * b.split < chains &&
         used(2 * b.split, b.b_held) <= registers)
    b.split *= 2;
  if (b.b_held == 0 && dot.b_words == 1) b.b_columns = std::max(0, registers - used(1, 0));
  return b;
}

}  // namespace

GemmEmitter::GemmEmitter(Assembler& as, const KernelRow& row, const GemmSpec& spec, int m)
    : as(as), spec(spec), m(m), nv((spec.n + row.lanes - 1) / row.lanes),
      packed_a(row.a_form == AForm::kPairs16), mixed(row.b_form == BForm::kMixed),
      words(make_words(as, row.isa, row.lanes, dot_of(row))), w(*words),
      vector_registers_(vector_registers(row.isa)), pool(vector_registers_),
      holds_panel(gemm_holds_panel(row, spec)), sum_rows(holds_panel ? kRowsPerBase : m),
      budget(spec.in_lanes ? Budget{1, 0, 0, true}
             : holds_panel ? Budget{1, 1, 0, true}
                           : plan_registers(row, m, nv, spec.a_shift)),
      operands(as, w, spec.epilogue.post, spec.n,
               {rArgs, offsetof(GemmArgs, post), spec.counts_rows() ? 16 : 8}, rOperand) {
  assert(budget.fits && m <= row.mr && spec.n <= row.nr);
  const auto take = [&](std::vector<int>& to, int count) {
    for (int i = 0; i < count; ++i) to.push_back(roles.emplace_back(pool.take()).index());
  };
  sum_roles.resize(static_cast<size_t>(sum_rows));
  for (int i = 0; i < sum_rows * nv * budget.split; ++i)
    acc_regs.push_back(
        sum_roles[static_cast<size_t>(i / nv % sum_rows)].emplace_back(pool.take()).index());
  if (mixed) {
    exact_words = make_words(as, row.isa, row.lanes, Dot::kWide16);
    return;
  }
  if (dot.constant) take(constant_reg, 1);
  if (spec.a_shift) take(shift_reg, 1);
  if (spec.group_in && !spec.in_lanes) list_selectors();
}

void GemmEmitter::emit() {
  as.enter(kUsedGprs);
  load_args();
  if (holds_panel) hold_panel();
  Xbyak::Label next_tile;
  as.L(next_tile);
  holds_panel ? held_tile() : tile();
  as.dec(as.qword[rsp_tiles()]);
  as.jnz(next_tile, as.T_NEAR);
  as.add(as.rsp, spec.counts_rows() ? 16 : 8);
  operands.pop();
  if (parked_bytes()) as.add(as.rsp, parked_bytes());
  as.leave();
}

// ---- steps ----
void GemmEmitter::tile() {
  init_sums();
  if (!paces_prefetch()) operands.prefetch(m);
  if (spec.run_count)
    run_loop();
  else if (spec.taps)
    tap_loop();
  else
    whole_k();
  merge_sets();
  finish_rows();
}

void GemmEmitter::load_args() {
  as.mov(rTile, arg(offsetof(GemmArgs, a)));
  as.mov(rAStride, arg(offsetof(GemmArgs, a_stride_bytes)));
  as.lea(rAStride3, as.ptr[rAStride + rAStride * 2]);
  as.mov(rC, arg(offsetof(GemmArgs, c)));
  as.mov(rCStride, arg(offsetof(GemmArgs, c_stride_bytes)));
  if (parked_bytes()) as.sub(as.rsp, parked_bytes());
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
void GemmEmitter::set_bases() {
  for (int b = 1; b < bases(); ++b) as.lea(rA[b], as.ptr[rA[b - 1] + rAStride * 4]);
}

void GemmEmitter::init_sums() {
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

void GemmEmitter::init_row(int i) {
  for (int j = 0; j < nv; ++j) {
    const Address from = as.ptr[rTmp + j * w.bytes()];
    if (packed_a) {
      as.vpbroadcastd(acc(i, j), as.ptr[rRowInit + 4 * i]);
      as.vpaddd(acc(i, j), acc(i, j), from);
    } else if (i == 0 || spec.clip) {
      load(acc(i, j), from);
    } else {
      as.vmovaps(acc(i, j), acc(0, j));
    }
  }
}

void GemmEmitter::whole_k() {
  as.mov(rA[0], rTile);
  as.mov(rB, arg(offsetof(GemmArgs, b)));
  set_bases();
  k_loop({0, m});
}

void GemmEmitter::tap_loop() {
  Xbyak::Label next, done;
  as.mov(rTap, arg(offsetof(GemmArgs, taps)));
  as.cmp(rTap, arg(offsetof(GemmArgs, taps_end)));
  as.je(done, as.T_NEAR);
  as.L(next);
  enter_tap();
  clipped_k_loops();
  as.add(rTap, sizeof(Tap));
  as.cmp(rTap, arg(offsetof(GemmArgs, taps_end)));
  as.jb(next, as.T_NEAR);
  as.L(done);
}

void GemmEmitter::enter_tap() {
  as.mov(rA[0], rTile);
  as.mov(rB, arg(offsetof(GemmArgs, b)));
  as.add(rA[0], as.ptr[rTap + offsetof(Tap, a_offset)]);
  as.add(rB, as.ptr[rTap + offsetof(Tap, b_offset)]);
  set_bases();
}

// One K loop for each value of Tap::clip. Which one runs follows a fixed pattern within a
// convolution, so the branches are predicted.
void GemmEmitter::clipped_k_loops() {
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

// All but the steps that finish_rows has.
void GemmEmitter::plain_k_loop(Rows rows) {
  const GroupForm plain = plain_form();
  const auto steps = [&](int count) {
    for (int u = 0; u < count; ++u) group(rows, plain, u, u % budget.split, std::nullopt);
  };
  const bool tail = spec.k_tail && !spec.k_last;
  if (spec.k_fixed) {
    steps(spec.k_fixed - last_whole_steps());
    if (tail) group(rows, plain, spec.k_fixed, 0, spec.k_tail);
    return;
  }
  const auto iteration = [&] {
    steps(unroll);
    advance(unroll);
  };
  load_iterations();
  if (paces_prefetch()) paced_iterations(iteration);
  as.loop_if_any(rK, iteration);
  load_steps();
  as.and_(rK, unroll - 1);
  as.loop_if_any(rK, [&] {
    steps(1);
    advance(1);
  });
  if (tail) group(rows, plain, 0, 0, spec.k_tail);
}

void GemmEmitter::load_steps() {
  as.mov(rK, arg(offsetof(GemmArgs, k_groups)));
  if (last_whole_steps()) as.sub(rK, last_whole_steps());
}

void GemmEmitter::load_iterations() {
  load_steps();
  as.shr(rK, std::countr_zero(static_cast<unsigned>(unroll)));
}

// The first iterations fetch what the epilogue will read, a line each: all lines at once would keep
// the core's miss buffers from B, and the last iterations come too late for a memory that answers
// after 150 ns. 128x768:768x3072, more than without an operation. Zen 4, 2026-11-24, f32 added: at
// once 9.4 %, by the last iterations 3.1. Zen 5, 2026-11-29, all out of the caches: not at all
// 36 %, by the last ones 15 to 17, by the first ones 4 to 5.
// rK holds how many iterations there are, and then how many remain.
template <class Iteration>
void GemmEmitter::paced_iterations(Iteration iteration) {
  Xbyak::Label too_few, paced_all;
  const int paced = operands.prefetch_parts(m);
  as.cmp(rK, paced);
  as.jb(too_few, as.T_NEAR);
  as.mov(rK, paced);
  as.loop(rK, [&] {
    operands.prefetch_part(m, rK);
    iteration();
  });
  load_iterations();
  as.sub(rK, paced);
  as.jmp(paced_all, as.T_NEAR);
  as.L(too_few);
  operands.prefetch(m);
  as.L(paced_all);
}

void GemmEmitter::advance(int groups) {
  for (int b = 0; b < bases(); ++b) as.add(rA[b], groups * a_group_bytes());
  as.add(rB, groups * b_group_bytes(w));
}

// One K group, u groups ahead of the pointers; `tail`: only that many bytes of A exist.
void GemmEmitter::group(Rows rows, const GroupForm& form, int u, int set, std::optional<int> tail) {
  if (spec.in_lanes) return lane_dots(rows);
  if (spec.group_in) return diagonal_group(rows, u, set);
  const RowWords r = row_words(form);
  const HeldB b = hold_b(form, u);
  for (int i = rows.begin; i < rows.end; ++i) {
    load_a(form, r.a, a_row(i), u, tail);
    dots(form, r, b, i, u, set);
  }
}

GemmEmitter::RowWords GemmEmitter::row_words(const GroupForm& form) {
  RowWords r;
  r.roles.reserve(static_cast<size_t>(form.w.shape.a_words + form.w.shape.temporaries));
  const auto take = [&] { return w.reg(r.roles.emplace_back(pool.take()).index()); };
  for (int i = 0; i < form.w.shape.a_words; ++i) r.a.push_back(take());
  for (int i = 0; i < form.w.shape.temporaries; ++i) r.t.push_back(take());
  return r;
}

// Loads those words of a group that find room, of each vector the last ones, of which the very last
// may have to be made from the others.
GemmEmitter::HeldB GemmEmitter::hold_b(const GroupForm& form, int u) {
  const DotShape& of = form.w.shape;
  const int made = of.b_words - of.b_loads;
  HeldB b;
  b.roles.reserve(static_cast<size_t>(nv * of.b_words));
  b.words.reserve(b.roles.capacity());
  b.held.reserve(static_cast<size_t>(nv));
  for (int j = 0; j < nv; ++j) {
    const int held = j < budget.b_columns ? of.b_words : form.b_held;
    const size_t first = b.words.size();
    for (int h = 0; h < held; ++h)
      b.words.push_back(w.reg(b.roles.emplace_back(pool.take()).index()));
    for (int h = 0; h < held - made; ++h)
      load(b.words[first + static_cast<size_t>(h)], b_at(of, u, j, of.b_words - held + h));
    if (made) form.w.prepare_b(&b.words[first]);
    b.held.push_back(held);
  }
  return b;
}

// A row's dots in that group, for which r.a is ready.
void GemmEmitter::dots(const GroupForm& form, const RowWords& r, const HeldB& held_b, int i, int u,
                       int set) {
  const DotShape& of = form.w.shape;
  const Xmm* regs = held_b.words.data();
  for (int j = 0; j < nv; ++j) {
    const int held = held_b.held[static_cast<size_t>(j)], from_memory = of.b_words - held;
    std::optional<Address> memory[2];
    const Operand* b[2];
    for (int word = 0; word < of.b_words; ++word)
      b[word] = word < from_memory
                    ? static_cast<const Operand*>(&memory[word].emplace(b_at(of, u, j, word)))
                    : &regs[word - from_memory];
    form.w.dot(acc(i, j, set), r.a.data(), b, r.t.data(), form.constant, j == nv - 1);
    regs += held;
  }
}

Address GemmEmitter::b_at(const DotShape& of, int u, int j, int word) const {
  return as.ptr[rB + (u * nv * of.b_loads + j * of.b_loads + word) * w.bytes()];
}

void GemmEmitter::load_a(const GroupForm& form, const std::vector<Xmm>& a, const Xbyak::RegExp& row,
                         int u, std::optional<int> tail) {
  if (tail) {
    load_tail_bytes(row + u * a_group_bytes(), *tail);
    w.broadcast_gpr(a[0], rTmp.cvt32());
  } else {
    for (int word = 0; word < form.w.shape.a_loads; ++word)
      as.vpbroadcastd(a[static_cast<size_t>(word)], as.ptr[row + u * form.a_step + 4 * word]);
  }
  ready_a(form, a);
}

// Makes of a row's dwords what the dots take.
void GemmEmitter::ready_a(const GroupForm& form, const std::vector<Xmm>& a) {
  shift_a(a[0]);
  form.w.prepare_a(a.data(), form.constant);
}

void GemmEmitter::shift_a(const Xmm& a) {
  if (!spec.a_shift) return;
  if (mixed)  // no register to spare; it only ever makes u8 of s8
    as.vpaddb(a, a, as.constant({0x80808080}));
  else
    as.vpaddb(a, a, shift());
}

// rTmp = the 1..3 bytes at `from`, zero extended. Nothing beyond them is touched.
void GemmEmitter::load_tail_bytes(const Xbyak::RegExp& from, int count) {
  if (count == 1) {
    as.movzx(rTmp.cvt32(), as.byte[from]);
    return;
  }
  as.movzx(rTmp.cvt32(), as.word[from]);
  if (count == 2) return;
  as.movzx(rK.cvt32(), as.byte[from + 2]);
  as.shl(rK.cvt32(), 16);
  as.or_(rTmp.cvt32(), rK.cvt32());
}

void GemmEmitter::merge_sets() {
  for (int step = budget.split / 2; step >= 1; step /= 2)
    for (int set = 0; set < step; ++set)
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < nv; ++j)
          as.vpaddd(acc(i, j, set), acc(i, j, set), acc(i, j, set + step));
}

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

// Two steps of four dots each take about as long as a row's epilogue. Zen 4, 2026-11-24, u8 out,
// share of the peak without and with them: 784x32:32x192 78 and 83 %, 3136x64:64x256 88 and 90 %.
// Row by row, B's words come from memory, which pays where a row has several vectors to overlap;
// runs of few groups are too short to have the next tile's dots overlap. Post-operations take
// longer: 128x768:768x3072, a sum with u8: with two steps 3.3 % more than without an operation,
// with four 2.1, with eight 3.0. Woven into a GELU of either form: with four 13.1 and 14.1 %, with
// six 12.7 and 13.3, with eight 13.1 and 13.6; not woven 13.5 and 14.2.
int gemm_last_steps(const KernelRow& row, const GemmSpec& spec) {
  const bool several = spec.run_count > 0 || spec.n > 2 * row.lanes;
  const DotShape dot = dot_shape(dot_of(row));
  if (row.b_form == BForm::kMixed || made_in_registers(dot) || !several) return 0;
  return has_transcendental(spec.epilogue.post) ? 6 : spec.epilogue.has_post() ? 4 : 2;
}

bool gemm_holds_panel(const KernelRow& row, const GemmSpec& spec) {
  const DotShape dot = dot_shape(dot_of(row));
  if (!spec.run_count || spec.run_count > kMaxBases || spec.counts_rows() || dot.temporaries ||
      vector_registers(row.isa) < 32)
    return false;
  const int nv = (spec.n + row.lanes - 1) / row.lanes;
  return (spec.run_groups() + kRowsPerBase) * nv + dot.a_words + spec.a_shift +
             kEpilogueRegisters <=
         vector_registers(row.isa);
}

void emit_gemm_vector(Assembler& as, const KernelRow& row, const GemmSpec& spec, int m) {
  GemmEmitter(as, row, spec, m).emit();
}

}  // namespace oct
