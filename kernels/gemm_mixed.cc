// K groups of BForm::kMixed.
//
// Without VNNI, multiplications limit: vpmaddubsw, and vpmaddwd to widen its int16 sums. Where the
// sums of two groups fit into int16 together, one vpmaddwd serves both, three multiplications
// instead of four. Packing looks for such groups anywhere in K, for all columns of a panel, and so
// panels are narrow. Groups whose pairs of products do not fit by themselves may fit in another
// order of their bytes, which one vpshufb brings A into; by itself that would not pay. What is left
// goes one by one, or in the exact form. Shares of the K groups of Gaussian weights at full range
// (of one run of that K), and what a group costs, the saturating form of one being 1.0 (loops by
// themselves, 10x8, Zen 4, 2026-11-24):
//                              cost    K = 256   512    1024   9 x 128   9 x 256   7 bits
//   in pairs                   0.84      0.14    0.36    0.59    0.44      0.66     1.00
//   in pairs, one in order     1.00      0.28    0.39    0.36    0.29      0.27
//   by itself                  1.02      0.31    0.14    0.01    0.21      0.05
//   exact                      1.58      0.27    0.11    0.04    0.06      0.03
// In order by itself: 1.48. On zmm, where both pipes are busy anyway, packed A reaches 0.97, and
// there is no mixed row.

#include <algorithm>

#include "kernels/gemm_emitter.h"
#include "kernels/gemm_vector.h"

namespace oct {

using Xbyak::Xmm;

// What the panel lists, kind by kind; rA[0] is at the beginning of K. The constants share a
// register and are loaded anew.
void GemmEmitter::mixed_k_loop(Rows rows) {
  as.mov(rTmp, rA[0]);
  as.mov(rList, rB);
  as.movsxd(rA[0], as.dword[rList]);
  as.add(rB, rA[0]);
  as.add(rList, 4);
  const auto constant_role = pool.take();
  const Xmm constant = w.reg(constant_role.index());
  const auto singles = [&](const GroupForm& of) {
    listed(1, [&] {
      set_bases();
      group(rows, of, 0, 0, std::nullopt);
      as.add(rB, b_group_bytes(of.w));
    });
  };
  Xbyak::Label section;
  as.L(section);
  load(constant, as.constant({dot.constant}));
  listed(2, [&] { group_pair(rows, constant, std::nullopt); });
  listed(3, [&] {
    const auto order_role = pool.take();
    const Xmm order = w.reg(order_role.index());
    as.vpbroadcastd(order, as.ptr[rList + 8]);
    group_pair(rows, constant, order);
  });
  singles({w, constant, dot.b_words, 0});
  const DotShape& of = exact_words->shape;
  const GroupForm exact{*exact_words, constant, of.b_words, 0};
  load(constant, as.constant({of.constant}));
  singles(exact);
  as.mov(rK.cvt32(), as.dword[rList]);
  as.add(rList, 4);
  as.test(rK.cvt32(), rK.cvt32());
  as.jnz(section, as.T_NEAR);
  if (!spec.k_tail) return;
  as.mov(rA[0], arg(offsetof(GemmArgs, k_groups)));
  as.lea(rA[0], as.ptr[rTmp + rA[0] * kKr]);
  set_bases();
  group(rows, exact, 0, 0, spec.k_tail);
}

// Entries of so many numbers each, the first one or two of them offsets, which rA[0] and rA[1] are
// brought to. rList is at the entries' count, and left at the next kind's.
void GemmEmitter::listed(int numbers, const std::function<void()>& entry) {
  const int offsets = std::min(numbers, 2);
  as.mov(rK.cvt32(), as.dword[rList]);
  as.add(rList, 4);
  as.loop_if_any(rK, [&] {
    for (int i = 0; i < offsets; ++i) {
      as.movsxd(rA[i], as.dword[rList + 4 * i]);
      as.add(rA[i], rTmp);
    }
    entry();
    as.add(rList, 4 * numbers);
  });
}

// Two groups whose products are added up in int16. There are bases for four rows of each, which
// move on to the next four.
void GemmEmitter::group_pair(Rows rows, const Xmm& ones, const std::optional<Xmm>& second_order) {
  constexpr int count = 2;
  std::vector<RegisterPool::Role> scope;
  const auto take = [&] { return w.reg(scope.emplace_back(pool.take()).index()); };
  const Xmm a[count] = {take(), take()}, b[count] = {take(), take()};
  for (int g = 0; g < count; ++g) load(b[g], b_at(dot, g, 0, 0));
  for (int i = 0; i < rows.end; ++i) {
    if (i > 0 && i % kRowsPerBase == 0)
      for (int g = 0; g < count; ++g) as.lea(rA[g], as.ptr[rA[g] + rAStride * kRowsPerBase]);
    if (i < rows.begin) continue;
    for (int g = 0; g < count; ++g) {
      as.vpbroadcastd(a[g], as.ptr[strides_from(rA[g], i % kRowsPerBase)]);
      shift_a(a[g]);
      if (g && second_order) as.vpshufb(a[g], a[g], *second_order);
      as.vpmaddubsw(a[g], a[g], b[g]);
    }
    as.vpaddw(a[0], a[0], a[1]);
    as.vpmaddwd(a[0], a[0], ones);
    as.vpaddd(acc(i, 0), acc(i, 0), a[0]);
  }
  as.add(rB, count * b_group_bytes(w));
}

// Counted from the listing: in a row, 7 instructions for two groups, 8 with another order, 4 for
// one and 7 for one in the exact form; beside them those of the list, of B and of the loop.
TileOps gemm_mixed_ops(int m, const MixedShares& shares) {
  constexpr double kPerPair = 14, kPerSingle = 9;
  const double pairs = (shares.paired + shares.ordered) / 2, ordered = shares.ordered / 2;
  const double exact = shares.exact, single = 1 - 2 * pairs - exact;
  TileOps ops;
  ops.multiplies = m * (3 * pairs + 2 * single + 2 * exact);
  ops.adds = m * (2 * pairs + ordered + single + 4 * exact);
  const double broadcasts = m * (2 * pairs + single + exact);
  ops.loads = broadcasts + 4 * pairs + ordered + 2 * single + 3 * exact;
  ops.instructions =
      ops.multiplies + ops.adds + broadcasts + kPerPair * pairs + kPerSingle * (single + exact);
  ops.chain_cycles = 1;
  return ops;
}

}  // namespace oct
