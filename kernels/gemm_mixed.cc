// K groups of BForm::kMixed.
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

#include "kernels/gemm_emitter.h"

namespace oct {

using Xbyak::Xmm;

// The groups that the panel lists, kind by kind; rA[0] is at the beginning of K. The constants
// share registers and are loaded anew.
void GemmEmitter::mixed_k_loop(Rows rows) {
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
void GemmEmitter::listed_groups(Rows rows, const GroupForm& form) {
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

}  // namespace oct
