// The end of a tile: the last steps of K and the epilogue, some rows at a time. Dots of the next
// rows stand amid the epilogue of these, so that the core has both to do.

#include <algorithm>

#include "kernels/gemm_emitter.h"
#include "kernels/row_terms.h"

namespace oct {

using Xbyak::Xmm;

void GemmEmitter::finish_rows() {
  load_epilogue_args();
  const std::vector<HeldB> b = hold_last_steps();
  loops_rows() ? looped_rows(b) : listed_rows(b);
  if (spec.counts_rows()) as.add(as.qword[rsp_tiles() + 8], 4 * m);
  // The next tile of A, m strides on.
  as.imul(rTmp, rAStride, m);
  as.add(rTile, rTmp);
}

void GemmEmitter::listed_rows(const std::vector<HeldB>& b) {
  const int together = epilogue_rows_together(w, spec.epilogue, spec.n);
  const auto rows_from = [&](int i) { return Rows{i, std::min(i + together, m)}; };
  last_steps(rows_from(0), b);
  for (int i = 0; i < m; i += together) {
    const Rows rows = rows_from(i), next = rows_from(i + together);
    if (rows.end < m && weaves()) {
      woven_epilogue(rows, next, b);
    } else {
      if (rows.end < m) last_steps(next, b);
      epilogue(rows);
    }
    for (int r = i; r < rows.end; ++r) sum_roles[static_cast<size_t>(r)].clear();
  }
}

// The row being finished has the registers of row 0, the next one those of row 1. Zen 5,
// 2026-11-29, 128x768:768x3072: GELU of either form takes 15.5 and 17.9 % with all rows listed,
// 14.1 and 16.0 looped.
void GemmEmitter::looped_rows(const std::vector<HeldB>& b) {
  const auto parked = [&](const Xbyak::RegExp& from, int i, int j) {
    return as.ptr[from + (i * nv + j) * w.bytes()];
  };
  last_steps({0, 1}, b);
  for (int i = 1; i < m; ++i) {
    for (int j = 0; j < nv; ++j)
      as.vmovups(parked(parked_end() - parked_bytes(), i - 1, j), acc(i, j));
    if (i > 1) sum_roles[static_cast<size_t>(i)].clear();
  }
  Xbyak::Label next_row;
  as.mov(rParked, -parked_bytes());
  as.L(next_row);
  for (int j = 0; j < nv; ++j) load(acc(1, j), parked(parked_end() + rParked, 0, j));
  woven_epilogue({0, 1}, {1, 2}, b);
  for (int j = 0; j < nv; ++j) as.vmovaps(acc(0, j), acc(1, j));
  as.add(rParked, nv * w.bytes());
  as.jnz(next_row, as.T_NEAR);
  sum_roles[1].clear();
  epilogue({0, 1});
  sum_roles[0].clear();
}

void GemmEmitter::load_epilogue_args() {
  if (spec.epilogue.c_type == DType::kS32) return;
  as.mov(mult(), arg(offsetof(GemmArgs, mult)));
  as.mov(bias(), arg(offsetof(GemmArgs, bias)));
  as.mov(rParams, arg(offsetof(GemmArgs, epilogue)));
}

// B of every last step: in registers all the while as far as there is room beside what else is
// needed. From memory, a row's step loads more than its dots take.
std::vector<GemmEmitter::HeldB> GemmEmitter::hold_last_steps() {
  const GroupForm form = plain_form();
  const DotShape& of = form.w.shape;
  const int beside = std::max(of.a_words + of.temporaries, kEpilogueRegisters);
  const bool can_hold = !has_transcendental(spec.epilogue.post) && form.b_held == of.b_words;
  const int held = can_hold ? (pool.available() - beside) / (nv * of.b_words) : 0;
  std::vector<HeldB> all;
  for (int s = 0; s < spec.k_last; ++s)
    all.push_back(s < held ? hold_b(form, first_last_step() + s) : no_b());
  return all;
}

// spec.k_last steps; rA[0] is at the first of these rows, and left at the next.
void GemmEmitter::last_steps(Rows rows, const std::vector<HeldB>& b) {
  if (!spec.k_last) return;
  const GroupForm form = plain_form();
  const RowWords r = row_words(form);
  for (int i = rows.begin; i < rows.end; ++i)
    for (int s = 0; s < spec.k_last; ++s) last_step(form, r, b, i, s);
}

void GemmEmitter::last_step(const GroupForm& form, const RowWords& r, const std::vector<HeldB>& b,
                            int i, int s) {
  const bool whole = s < last_whole_steps();
  const int u = first_last_step() + s;
  load_a(form, r.a, rA[0], u, whole ? std::nullopt : std::optional(spec.k_tail));
  dots(form, r, b[static_cast<size_t>(s)], i, u, 0);
  if (s == spec.k_last - 1) as.add(rA[0], rAStride);
}

// With the last steps of the next rows.
void GemmEmitter::woven_epilogue(Rows rows, Rows next, const std::vector<HeldB>& b) {
  const GroupForm form = plain_form();
  const RowWords r = row_words(form);
  Amid amid{r.a, {}};
  if (spec.a_shift) amid.registers.push_back(shift());
  for (int i = next.begin; i < next.end; ++i)
    for (int j = 0; j < nv; ++j) amid.registers.push_back(acc(i, j));
  const int count = (next.end - next.begin) * spec.k_last;
  int done = 0;
  amid.continue_to = [&](int at, int of) {
    for (; done < count && done * of < at * count; ++done)
      last_step(form, r, b, next.begin + done / spec.k_last, done % spec.k_last);
  };
  epilogue(rows, &amid);
  amid.continue_to(1, 1);
}

void GemmEmitter::epilogue(Rows rows, const Amid* amid) {
  const Xmm* const held_mult = mult_words.empty() ? nullptr : mult_words.data();
  EpilogueRow row{w,      pool,    spec.epilogue, spec.n,    rC,    mult(),
                  bias(), rParams, held_mult,     &operands, &rTmp, &rCStride};
  const std::vector<uint32_t> bytes = spec.in_lanes ? lane_bytes() : std::vector<uint32_t>();
  if (spec.in_lanes) row.byte_order = &bytes;
  row.amid = amid;
  std::vector<Xmm> sums;
  for (int i = rows.begin; i < rows.end; ++i) {
    std::vector<Xmm> of_row;
    for (int j = 0; j < nv; ++j) of_row.push_back(acc(i, j));
    add_row_terms(i, of_row.data(), static_cast<int>(of_row.size()));
    sums.insert(sums.end(), of_row.begin(), of_row.end());
  }
  if (spec.epilogue.row_scale) {
    load_row_pointer(offsetof(GemmArgs, row_scale));
    as.add(rTmp, 4 * rows.begin);
  }
  const int count = rows.end - rows.begin;
  emit_epilogue_rows(as, row, sums.data(), static_cast<int>(sums.size()) / count, count);
  as.add(rC, rCStride);
  operands.next_row();
}

// rTmp = the tile's first of the rows' numbers to which that argument points.
void GemmEmitter::load_row_pointer(size_t argument) {
  as.mov(rTmp, as.ptr[rsp_tiles() + 8]);
  as.add(rTmp, arg(argument));
}

void GemmEmitter::add_row_terms(int i, const Xmm* sums, int count) {
  for (int t = 0; t < spec.row_terms; ++t) {
    load_row_pointer(offsetof(GemmArgs, row_factor) + 8 * static_cast<size_t>(t));
    emit_row_term(as, {w, pool, rArgs, rTmp, t}, 4 * i, sums, count);
  }
}

}  // namespace oct
