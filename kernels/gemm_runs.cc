// K as runs of bytes that leave tails, which share groups (GemmSpec::run_count): the first layers
// of networks, whose filters see a few rows of an image.
//
// Where the whole panel has room in registers beside the sums of four rows of the tile, it stays
// there for all tiles of the call, and the rows go by fours from their first dot to their last
// byte. Nothing but A is loaded then, and as no tile is longer than what the core looks ahead, the
// epilogue of four rows runs beside the dots of the next. Zen 4, 2026-11-24, 3x3x3 filters, cycles
// for each output pixel: 16 columns 8.7 (7 dots and a multiplication share two ports), 32 columns
// 17.3.

#include <algorithm>

#include "kernels/gemm_emitter.h"

namespace oct {

using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::RegExp;
using Xbyak::Xmm;

// Whole steps of every tap, and what they share; the last steps of the last tap remain.
void GemmEmitter::run_loop() {
  const GroupForm form = plain_form();
  const auto steps = [&](int count) {
    for (int u = 0; u < count; ++u) group({0, m}, form, u, u % budget.split, std::nullopt);
  };
  as.mov(rTap, arg(offsetof(GemmArgs, taps)));
  if (spec.run_count > 1) {
    Xbyak::Label next;
    as.L(next);
    enter_tap();
    steps(spec.k_fixed);
    as.add(rTap, sizeof(Tap));
    as.mov(rK, arg(offsetof(GemmArgs, taps_end)));
    as.sub(rK, sizeof(Tap));
    as.cmp(rTap, rK);
    as.jb(next, as.T_NEAR);
  }
  if (spec.run_tail) shared_groups();
  enter_tap();
  steps(spec.k_fixed - spec.k_last);
}

// The groups that several taps' tails share; a base each, for the row that rK is at.
void GemmEmitter::shared_groups() {
  const GroupForm form = plain_form();
  const RowWords r = row_words(form);
  const int sharers = kKr / spec.run_tail;
  as.mov(rB, arg(offsetof(GemmArgs, b)));
  int u = spec.run_count * spec.k_fixed;
  for (int first = 0; first < spec.run_count; first += sharers, ++u) {
    const int count = std::min(sharers, spec.run_count - first);
    const HeldB b = made_in_registers(dot) ? hold_b(form, u) : no_b();
    for (int p = 0; p < count; ++p) {
      as.mov(rA[p], rTile);
      const int from_last = first + p + 1 - spec.run_count;  // where rTap is
      as.add(rA[p], as.ptr[rTap + (from_last * static_cast<int>(sizeof(Tap)) +
                                   static_cast<int>(offsetof(Tap, a_offset)))]);
    }
    as.xor_(rK.cvt32(), rK.cvt32());
    for (int i = 0; i < m; ++i) {
      std::vector<RegExp> tails;
      for (int p = 0; p < count; ++p) tails.push_back(rA[p] + rK + spec.k_fixed * kKr);
      load_shared(r.a[0], tails);
      ready_a(form, r.a);
      dots(form, r, b, i, u, 0);
      if (i < m - 1) as.add(rK, rAStride);
    }
  }
}

// v = the tails, one behind the other, in every dword. They meet in a general register: vector
// loads, two a cycle, are what limits these loops.
void GemmEmitter::load_shared(const Xmm& v, const std::vector<RegExp>& tails) {
  const bool bytes = spec.run_tail == 1;
  const auto memory = [&](const RegExp& from) { return bytes ? as.byte[from] : as.word[from]; };
  as.movzx(rTmp.cvt32(), memory(tails.back()));
  for (size_t t = tails.size() - 1; t-- > 0;) {
    as.shl(rTmp.cvt32(), 8 * spec.run_tail);
    bytes ? as.mov(rTmp.cvt8(), memory(tails[t])) : as.mov(rTmp.cvt16(), memory(tails[t]));
  }
  w.broadcast_gpr(v, rTmp.cvt32());
}

// ---- with holds_panel ----

std::vector<Xmm> GemmEmitter::take_words(int count) {
  std::vector<Xmm> words;
  for (int i = 0; i < count; ++i) words.push_back(w.reg(roles.emplace_back(pool.take()).index()));
  return words;
}

// Sets a base for each run, and loads all that is the same for every tile.
void GemmEmitter::hold_panel() {
  as.mov(rTap, arg(offsetof(GemmArgs, taps)));
  for (int r = 0; r < spec.run_count; ++r) {
    as.mov(rA[r], rTile);
    as.add(rA[r], as.ptr[rTap + (r * static_cast<int>(sizeof(Tap)) +
                                 static_cast<int>(offsetof(Tap, a_offset)))]);
  }
  const auto load_words = [&](std::vector<Xmm>* words, int count, const Reg64& from) {
    *words = take_words(count);
    for (int i = 0; i < count; ++i)
      load((*words)[static_cast<size_t>(i)], as.ptr[from + i * w.bytes()]);
  };
  const auto fits = [&] { return nv + dot.a_words + kEpilogueRegisters <= pool.available(); };
  as.mov(rB, arg(offsetof(GemmArgs, b)));
  load_words(&panel_words, spec.run_groups() * nv, rB);
  as.mov(rK, arg(offsetof(GemmArgs, init)));
  if (fits()) load_words(&init_words, nv, rK);
  load_epilogue_args();
  if (spec.epilogue.c_type != DType::kS32 && fits()) load_words(&mult_words, nv, mult());
}

void GemmEmitter::held_tile() {
  const int together = epilogue_rows_together(w, spec.epilogue, spec.n);
  operands.prefetch(m);
  for (int i = 0; i < m; i += kRowsPerBase) {
    const Rows rows{i, std::min(i + kRowsPerBase, m)};
    held_dots(rows);
    for (int r = rows.begin; r < rows.end; r += together)
      epilogue({r, std::min(r + together, rows.end)});
  }
}

// All of K. The bases are left at the next rows.
void GemmEmitter::held_dots(Rows rows) {
  const GroupForm form = plain_form();
  const RowWords r = row_words(form);
  const int count = rows.end - rows.begin, sharers = spec.run_tail ? kKr / spec.run_tail : 1;
  for (int i = 0; i < count; ++i)
    for (int j = 0; j < nv; ++j)
      init_words.empty() ? load(acc(i, j), as.ptr[rK + j * w.bytes()])
                         : as.vmovaps(acc(i, j), init_words[static_cast<size_t>(j)]);
  const auto dots = [&](int i, int u) {
    ready_a(form, r.a);
    for (int j = 0; j < nv; ++j) {
      const Operand* const b[] = {&panel_words[static_cast<size_t>(u * nv + j)]};
      w.dot(acc(i, j), r.a.data(), b, r.t.data(), form.constant, j == nv - 1);
    }
  };
  const int own = spec.run_count * spec.k_fixed;
  for (int u = 0; u < own; ++u)
    for (int i = 0; i < count; ++i) {
      const RegExp from = strides_from(rA[u / spec.k_fixed], i) + u % spec.k_fixed * kKr;
      as.vpbroadcastd(r.a[0], as.ptr[from]);
      dots(i, u);
    }
  for (int u = own; u < spec.run_groups(); ++u)
    for (int i = 0; i < count; ++i) {
      const int first = (u - own) * sharers;
      std::vector<RegExp> tails;
      for (int t = first; t < std::min(first + sharers, spec.run_count); ++t)
        tails.push_back(strides_from(rA[t], i) + spec.k_fixed * kKr);
      load_shared(r.a[0], tails);
      dots(i, u);
    }
  for (int t = 0; t < spec.run_count; ++t) {
    if (count == kRowsPerBase)
      as.lea(rA[t], as.ptr[rA[t] + rAStride * kRowsPerBase]);
    else
      as.lea(rA[t], as.ptr[strides_from(rA[t], count)]);
  }
}

}  // namespace oct
