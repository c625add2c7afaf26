// Block-diagonal B: a dword of A for each lane of columns.
//
//   group_out fills vectors   broadcasts, as dense B does, but of the vector's own group, of whole
//                             dwords
//   a panel of 64 channels    one vpermd of the row's 64 bytes; for 8-bit outputs see gemm_lanes.h
//   groups of one channel     bytes extended to dwords; nothing is read beyond the columns
//   otherwise                 a vector sees a window of A, up to 16 bytes wide; a byte shuffle
//                             hands every lane the next four bytes of its group
// On Zen 4 a dot with vpermd takes 1.33 cycles, one with broadcast window and shuffle 2, with a
// broadcast dword 1.

#include <algorithm>

#include "kernels/gemm_emitter.h"

namespace oct {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Xmm;

// The shuffles of each K group; in registers as far as there is room.
void GemmEmitter::list_selectors() {
  if (broadcasts() || permutes() || extends()) return;
  const int wanted = (spec.group_in + kKr - 1) / kKr;
  const int room = vector_registers_ - m * nv * budget.split - dot.a_words - dot.temporaries -
                   dot.b_words - (dot.constant != 0) - spec.a_shift;
  for (int s = 0; s < wanted && s < room; ++s)
    selector_regs.push_back(roles.emplace_back(pool.take()).index());
}

Address GemmEmitter::selector(int group) {
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

void GemmEmitter::load_selectors() {
  for (size_t s = 0; s < selector_regs.size(); ++s)
    load(w.reg(selector_regs[s]), selector(static_cast<int>(s)));
}

void GemmEmitter::diagonal_group(Rows rows, int u, int set) {
  std::vector<RegisterPool::Role> scope;
  const auto take = [&] { return w.reg(scope.emplace_back(pool.take()).index()); };
  std::vector<Xmm> a, t, b;
  for (int i = 0; i < dot.a_words; ++i) a.push_back(take());
  for (int i = 0; i < dot.temporaries; ++i) t.push_back(take());
  std::optional<Xmm> index;
  if (permutes()) index = take();
  // The words of B that find room, the last ones; those that are made in registers always do.
  const int made = dot.b_words - dot.b_loads;
  const int from_memory = made ? 0 : std::max(0, dot.b_words - pool.available());
  for (int i = from_memory; i < dot.b_words; ++i) b.push_back(take());
  for (int j = 0; j < nv; ++j) {
    const Address memory[2] = {b_at(dot, u, j, 0), b_at(dot, u, j, 1)};
    const Operand* operands_b[2];
    for (int word = 0; word < dot.b_words; ++word)
      operands_b[word] = word < from_memory ? static_cast<const Operand*>(&memory[word])
                                            : &b[static_cast<size_t>(word - from_memory)];
    for (int h = from_memory; h < dot.b_loads; ++h)
      load(b[static_cast<size_t>(h - from_memory)], memory[h]);
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
void GemmEmitter::load_diagonal(const Xmm& a, int i, int j, int u,
                                const std::optional<Xmm>& index) {
  if (broadcasts()) {
    as.vpbroadcastd(a,
                    as.ptr[a_row(i) + (j * w.lanes() / spec.group_out * spec.group_in + u * kKr)]);
  } else if (index) {
    as.vpermd(Xbyak::Zmm(a.getIdx()), Xbyak::Zmm(index->getIdx()), as.ptr[a_row(i)]);
  } else if (extends()) {
    const int count = std::min(w.lanes(), spec.n - j * w.lanes());
    w.load_bytes(a, as.ptr[a_row(i) + j * w.lanes()], count, false);
  } else {
    w.broadcast_bytes(a, as.ptr[a_row(i) + j * window()], window());
    const auto s = static_cast<size_t>(u);
    if (s < selector_regs.size())
      as.vpshufb(a, a, w.reg(selector_regs[s]));
    else
      as.vpshufb(a, a, selector(u));
  }
}

Address GemmEmitter::permutation(int j, int u) {
  std::vector<uint32_t> dwords;
  for (int l = 0; l < 16; ++l)
    dwords.push_back(
        static_cast<uint32_t>(((j * 16 + l) / spec.group_out * spec.group_in + u * kKr) / kKr));
  return as.constant(dwords);
}

}  // namespace oct
