// Quantise, dequantise, requantise: one row after another, in groups of four vectors, then single
// vectors, then a part of one.
//
// Four vectors of dwords become one of bytes by saturating packs, which clamp: only the conversion
// has to be kept from overflowing upwards, where it gives INT_MIN as it does for everything too
// low and for NaN. min(kBound, x) in that order lets NaN pass. The zero point is added between the
// packs, in saturating 16-bit arithmetic, which changes nothing: what leaves int16 lies beyond
// [lo, hi] on either side of it.

#include <cstddef>
#include <vector>

#include "jit/array_words.h"
#include "jit/words.h"
#include "kernels/elementwise.h"
#include "kernels/epilogue.h"

namespace oct {
namespace {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::Xmm;
using Xbyak::Ymm;

constexpr int kGroup = 4;
constexpr uint32_t kBound = 0x4e800000;  // 2^30 as a float

class PipelineEmitter {
 public:
  PipelineEmitter(Assembler& as, const KernelRow& row, const ElementwiseSpec& spec)
      : as(as), spec(spec), words(make_words(as, row.isa, row.lanes, Dot::kSafePairs)), w(*words),
        pool(vector_registers(row.isa)),
        array(make_array_words(as, row.lanes, rCols, rTmp, take())) {
    for (Xmm& v : x) v = take();
    for (Xmm* v : {&temp, &scale, &zero_in, &zero_out, &bound, &lo, &hi, &index}) *v = take();
  }

  void emit() {
    as.enter(kUsedGprs);
    load_constants();
    Xbyak::Label next_row;
    as.L(next_row);
    begin_row();
    for (int nv : {kGroup, 1})
      array->for_blocks(nv * w.lanes(), [&] {
        step(nv, Extent::kWhole);
        advance(nv * w.lanes());
      });
    array->for_part([&] { step(1, Extent::kPart); });
    end_row(next_row);
    if (spec.streams) as.sfence();
    as.leave();
  }

 private:
  bool bytes_in() const { return is_int8(spec.in); }
  bool bytes_out() const { return is_int8(spec.out); }
  int in_bytes() const { return static_cast<int>(dtype_bytes(spec.in)); }
  int out_bytes() const { return static_cast<int>(dtype_bytes(spec.out)); }
  Address arg(size_t offset) const { return as.ptr[rArgs + offset]; }

  void load_constants() {
    as.mov(rInRow, arg(offsetof(ElementwiseArgs, in)));
    as.mov(rOutRow, arg(offsetof(ElementwiseArgs, out)));
    as.mov(rRows, arg(offsetof(ElementwiseArgs, rows)));
    load_params();
    if (!bytes_out()) return;
    as.vpbroadcastb(lo, arg(offsetof(ElementwiseArgs, lo)));
    as.vpbroadcastb(hi, arg(offsetof(ElementwiseArgs, hi)));
    as.vmovups(bound, as.constant({kBound}));
    w.load_unzip_index(index);
  }

  void load_params() {
    as.mov(rScale, arg(offsetof(ElementwiseArgs, scale)));
    if (bytes_in()) as.mov(rZeroIn, arg(offsetof(ElementwiseArgs, zero_point_in)));
    if (bytes_out()) as.mov(rZeroOut, arg(offsetof(ElementwiseArgs, zero_point_out)));
  }

  void add_to_params(const Operand& bytes) {
    as.add(rScale, bytes);
    if (bytes_in()) as.add(rZeroIn, bytes);
    if (bytes_out()) as.add(rZeroOut, bytes);
  }

  void begin_row() {
    as.mov(rIn, rInRow);
    as.mov(rOut, rOutRow);
    as.mov(rCols, arg(offsetof(ElementwiseArgs, cols)));
    if (spec.per_column) return load_params();
    as.vbroadcastss(scale, as.ptr[rScale]);
    if (bytes_in()) as.vpbroadcastd(zero_in, as.ptr[rZeroIn]);
    if (bytes_out()) as.vpbroadcastw(zero_out, as.ptr[rZeroOut]);
  }

  void end_row(Xbyak::Label& next_row) {
    if (!spec.per_column) {
      as.mov(rTmp, arg(offsetof(ElementwiseArgs, param_stride_bytes)));
      add_to_params(rTmp);
    }
    as.add(rInRow, arg(offsetof(ElementwiseArgs, in_stride_bytes)));
    as.add(rOutRow, arg(offsetof(ElementwiseArgs, out_stride_bytes)));
    as.dec(rRows);
    as.jnz(next_row, as.T_NEAR);
  }

  void advance(int elements) {
    as.add(rIn, elements * in_bytes());
    as.add(rOut, elements * out_bytes());
    if (!spec.per_column) return;
    as.mov(rTmp, elements * 4);
    add_to_params(rTmp);
  }

  void step(int nv, Extent extent) {
    for (int j = 0; j < nv; ++j) {
      load_in(j, extent);
      apply_scale(j, extent);
    }
    if (bytes_out()) return bytes_from(nv, extent);
    for (int j = 0; j < nv; ++j) store_float(j, nv, extent);
  }

  void load_in(int j, Extent extent) {
    const Element e{in_bytes(), spec.in == DType::kS8};
    array->load(x[j], rIn + j * w.lanes() * in_bytes(), e, extent);
    if (spec.in == DType::kBf16) as.vpslld(x[j], x[j], 16);
    if (!bytes_in()) return;
    as.vpsubd(x[j], x[j], column_param(rZeroIn, zero_in, j, extent));
    as.vcvtdq2ps(x[j], x[j]);
  }

  void apply_scale(int j, Extent extent) {
    const Xmm& s = column_param(rScale, scale, j, extent);
    spec.divide ? as.vdivps(x[j], x[j], s) : as.vmulps(x[j], x[j], s);
  }

  // The parameters of vector j: the row's, or those of its columns, loaded into `temp`.
  const Xmm& column_param(const Reg64& from, const Xmm& of_row, int j, Extent extent) {
    if (!spec.per_column) return of_row;
    array->load(temp, from + j * w.bytes(), Element{4}, extent);
    return temp;
  }

  void bytes_from(int nv, Extent extent) {
    for (int j = 0; j < nv; ++j) {
      as.vminps(x[j], bound, x[j]);
      as.vcvtps2dq(x[j], x[j]);
    }
    for (int j = 0; j < nv; j += 2) {
      const int second = nv == 1 ? j : j + 1;
      as.vpackssdw(x[j], x[j], x[second]);
      if (spec.per_column) load_zero_words(j, second, extent);
      as.vpaddsw(x[j], x[j], zero_out);
    }
    const Xmm& v = x[0];
    const Xmm& high = x[nv == 1 ? 0 : 2];
    if (spec.out == DType::kU8) {
      as.vpackuswb(v, v, high);
      as.vpmaxub(v, v, lo);
      as.vpminub(v, v, hi);
    } else {
      as.vpacksswb(v, v, high);
      as.vpmaxsb(v, v, lo);
      as.vpminsb(v, v, hi);
    }
    w.unzip_lanes(v, index);
    if (nv == 1) return array->store(rOut, v, 1, extent);
    spec.streams ? as.vmovntdq(as.ptr[rOut], v) : as.vmovups(as.ptr[rOut], v);
  }

  // zero_out = the columns' zero points in the lane order of the words they are added to.
  void load_zero_words(int first, int second, Extent extent) {
    array->load(zero_out, rZeroOut + first * w.bytes(), Element{4}, extent);
    if (second != first) as.vmovups(temp, as.ptr[rZeroOut + second * w.bytes()]);
    as.vpackssdw(zero_out, zero_out, second == first ? zero_out : temp);
  }

  void store_float(int j, int nv, Extent extent) {
    const Xbyak::RegExp to = rOut + j * w.lanes() * out_bytes();
    const bool streams = spec.streams && nv == kGroup;
    if (spec.out == DType::kBf16) {
      emit_bf16_rounding(as, x[j], temp);
      w.narrow16(x[j]);
      if (streams) {
        const int i = x[j].getIdx();
        return as.vmovntdq(as.ptr[to], w.lanes() == 16 ? Ymm(i) : Xmm(i));
      }
    } else if (streams) {
      return as.vmovntps(as.ptr[to], x[j]);
    }
    array->store(to, x[j], out_bytes(), extent);
  }

  Xmm take() { return w.reg(roles.emplace_back(pool.take()).index()); }

  const Reg64 rArgs{Operand::RDI}, rInRow{Operand::RSI}, rOutRow{Operand::RDX}, rRows{Operand::RCX},
      rIn{Operand::R8}, rOut{Operand::R9}, rCols{Operand::R10}, rScale{Operand::R11},
      rZeroIn{Operand::RBX}, rZeroOut{Operand::RBP}, rTmp{Operand::RAX};
  static constexpr uint32_t kUsedGprs = 1u << Operand::RBX | 1u << Operand::RBP;

  Assembler& as;
  const ElementwiseSpec& spec;
  std::unique_ptr<Words> words;
  Words& w;
  RegisterPool pool;
  std::vector<RegisterPool::Role> roles;
  std::unique_ptr<ArrayWords> array;
  Xmm x[kGroup], temp, scale, zero_in, zero_out, bound, lo, hi, index;
};

}  // namespace

void emit_pipeline(Assembler& as, const KernelRow& row, const ElementwiseSpec& spec) {
  PipelineEmitter(as, row, spec).emit();
}

}  // namespace oct
