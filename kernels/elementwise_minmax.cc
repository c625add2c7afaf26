// Extrema of the finite elements. fma(x, 0, x) is x if x is finite and NaN otherwise; min and max
// return their second operand, the extremum so far, when the first is NaN. On Zen 4 min and max, as
// additions do, take two of the four pipes and multiplications the other two: x + (x - x) in place
// of the fma takes 4.0 cycles for a zmm vector.
//
// Four pairs of vectors hide the latency of min and max. Per row they are merged at its end; per
// column they stay in registers for four vectors of columns over all rows.

#include <cstddef>
#include <vector>

#include "jit/array_words.h"
#include "jit/words.h"
#include "kernels/elementwise.h"

namespace oct {
namespace {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

constexpr int kGroup = 4;
constexpr uint32_t kInfinity = 0x7f800000;

class MinMaxEmitter {
 public:
  MinMaxEmitter(Assembler& as, const KernelRow& row, const ElementwiseSpec& spec)
      : as(as), spec(spec), words(make_words(as, row.isa, row.lanes, Dot::kSafePairs)), w(*words),
        pool(vector_registers(row.isa)),
        array(make_array_words(as, row.lanes, rCols, rTmp, take())) {
    for (int j = 0; j < kGroup; ++j) {
      least[j] = take();
      most[j] = take();
    }
    x = take();
    t = take();
    zero = take();
  }

  void emit() {
    as.enter(kUsedGprs);
    as.mov(rInRow, arg(offsetof(ElementwiseArgs, in)));
    as.mov(rMin, arg(offsetof(ElementwiseArgs, min)));
    as.mov(rMax, arg(offsetof(ElementwiseArgs, max)));
    w.zero(zero);
    spec.per_column ? columns() : rows();
    as.leave();
  }

 private:
  int in_bytes() const { return static_cast<int>(dtype_bytes(spec.in)); }
  Address arg(size_t offset) const { return as.ptr[rArgs + offset]; }

  // Vector j of rIn widens the extrema j.
  void include(int j, Extent extent) {
    array->load(x, rIn + j * w.lanes() * in_bytes(), Element{in_bytes()}, extent);
    if (spec.in == DType::kBf16) as.vpslld(x, x, 16);
    widen(j);
  }

  void widen(int j) {
    as.vfmadd213ps(x, zero, x);
    as.vminps(least[j], x, least[j]);
    as.vmaxps(most[j], x, most[j]);
  }

  // ---- parameters of rows ----
  void rows() {
    as.mov(rRows, arg(offsetof(ElementwiseArgs, rows)));
    Xbyak::Label next_row;
    as.L(next_row);
    as.mov(rIn, rInRow);
    as.mov(rCols, arg(offsetof(ElementwiseArgs, cols)));
    for (int j = 0; j < kGroup; ++j) {
      as.vmovups(least[j], as.constant({kInfinity}));
      as.vmovups(most[j], as.constant({kInfinity | 1u << 31}));
    }
    for (int nv : {kGroup, 1})
      array->for_blocks(nv * w.lanes(), [&] {
        for (int j = 0; j < nv; ++j) include(j, Extent::kWhole);
        as.add(rIn, nv * w.lanes() * in_bytes());
      });
    row_part();
    finish_row();
    as.mov(rTmp, arg(offsetof(ElementwiseArgs, param_stride_bytes)));
    as.add(rMin, rTmp);
    as.add(rMax, rTmp);
    as.add(rInRow, arg(offsetof(ElementwiseArgs, in_stride_bytes)));
    as.dec(rRows);
    as.jnz(next_row, as.T_NEAR);
  }

  // One by one, since the lanes beyond a part would count as zeros.
  void row_part() {
    Xbyak::Label next, done;
    as.test(rCols, rCols);
    as.jz(done, as.T_NEAR);
    as.L(next);
    if (spec.in == DType::kBf16) {
      as.movzx(rTmp.cvt32(), as.word[rIn + rCols * 2 - 2]);
      as.shl(rTmp.cvt32(), 16);
    } else {
      as.mov(rTmp.cvt32(), as.dword[rIn + rCols * 4 - 4]);
    }
    w.broadcast_gpr(x, rTmp.cvt32());
    widen(0);
    as.dec(rCols);
    as.jnz(next, as.T_NEAR);
    as.L(done);
  }

  void finish_row() {
    for (int step = kGroup / 2; step >= 1; step /= 2)
      for (int j = 0; j < step; ++j) {
        as.vminps(least[j], least[j], least[j + step]);
        as.vmaxps(most[j], most[j], most[j + step]);
      }
    const auto minimum = [&](const Xmm& a, const Operand& b) { as.vminps(a, a, b); };
    const auto maximum = [&](const Xmm& a, const Operand& b) { as.vmaxps(a, a, b); };
    fold(least[0], minimum);
    fold(most[0], maximum);
    write(rMin, least[0], minimum);
    write(rMax, most[0], maximum);
  }

  // Lane 0 of v becomes the extremum of all lanes.
  template <class Op>
  void fold(const Xmm& v, Op op) {
    const Xmm vx(v.getIdx()), tx(t.getIdx());
    if (w.lanes() == 16) {
      as.vextractf64x4(Ymm(t.getIdx()), Zmm(v.getIdx()), 1);
      op(Ymm(v.getIdx()), Ymm(t.getIdx()));
    }
    as.vextractf128(tx, Ymm(v.getIdx()), 1);
    op(vx, tx);
    as.vpermilps(tx, vx, 0x0e);
    op(vx, tx);
    as.vpermilps(tx, vx, 0x01);
    op(vx, tx);
  }

  template <class Op>
  void write(const Reg64& to, const Xmm& v, Op op) {
    const Xmm vx(v.getIdx()), tx(t.getIdx());
    as.vmovss(tx, as.ptr[to]);
    op(vx, tx);
    as.vaddss(vx, vx, Xmm(zero.getIdx()));
    as.vmovss(as.ptr[to], vx);
  }

  // ---- parameters of columns ----
  void columns() {
    as.mov(rCols, arg(offsetof(ElementwiseArgs, cols)));
    for (int nv : {kGroup, 1})
      array->for_blocks(nv * w.lanes(), [&] {
        column_block(nv, Extent::kWhole);
        as.add(rInRow, nv * w.lanes() * in_bytes());
        as.add(rMin, nv * w.bytes());
        as.add(rMax, nv * w.bytes());
      });
    array->for_part([&] { column_block(1, Extent::kPart); });
  }

  void column_block(int nv, Extent extent) {
    for (int j = 0; j < nv; ++j) {
      array->load(least[j], rMin + j * w.bytes(), Element{4}, extent);
      array->load(most[j], rMax + j * w.bytes(), Element{4}, extent);
    }
    as.mov(rIn, rInRow);
    as.mov(rRows, arg(offsetof(ElementwiseArgs, rows)));
    Xbyak::Label next;
    as.align(32);
    as.L(next);
    for (int j = 0; j < nv; ++j) include(j, extent);
    as.add(rIn, arg(offsetof(ElementwiseArgs, in_stride_bytes)));
    as.dec(rRows);
    as.jnz(next, as.T_NEAR);
    for (int j = 0; j < nv; ++j) {
      as.vaddps(least[j], least[j], zero);
      as.vaddps(most[j], most[j], zero);
      array->store(rMin + j * w.bytes(), least[j], 4, extent);
      array->store(rMax + j * w.bytes(), most[j], 4, extent);
    }
  }

  Xmm take() { return w.reg(roles.emplace_back(pool.take()).index()); }

  const Reg64 rArgs{Operand::RDI}, rInRow{Operand::RSI}, rMin{Operand::RDX}, rMax{Operand::RCX},
      rIn{Operand::R8}, rRows{Operand::R9}, rCols{Operand::R10}, rTmp{Operand::RAX};
  static constexpr uint32_t kUsedGprs = 0;

  Assembler& as;
  const ElementwiseSpec& spec;
  std::unique_ptr<Words> words;
  Words& w;
  RegisterPool pool;
  std::vector<RegisterPool::Role> roles;
  std::unique_ptr<ArrayWords> array;
  Xmm least[kGroup], most[kGroup], x, t, zero;
};

}  // namespace

void emit_minmax(Assembler& as, const KernelRow& row, const ElementwiseSpec& spec) {
  MinMaxEmitter(as, row, spec).emit();
}

}  // namespace oct
