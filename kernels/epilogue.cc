#include "kernels/epilogue.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "jit/words.h"
#include "quant/requant.h"

namespace oct {

using Xbyak::Xmm;

namespace {
constexpr int kPackedVectors = 4;  // of dwords, in one of bytes
}  // namespace

EpilogueParams spread(const EpilogueScalars& s) {
  EpilogueParams p;
  std::fill(std::begin(p.lo), std::end(p.lo), s.lo);
  std::fill(std::begin(p.hi), std::end(p.hi), s.hi);
  std::fill(std::begin(p.t_lo), std::end(p.t_lo), static_cast<float>(s.q_lo - s.zero_point));
  std::fill(std::begin(p.t_hi), std::end(p.t_hi), static_cast<float>(s.q_hi - s.zero_point));
  std::fill(std::begin(p.inv_scale), std::end(p.inv_scale), s.inv_scale);
  std::fill(std::begin(p.zero_point), std::end(p.zero_point), static_cast<int16_t>(s.zero_point));
  std::fill(std::begin(p.q_lo), std::end(p.q_lo), static_cast<uint8_t>(s.q_lo));
  std::fill(std::begin(p.q_hi), std::end(p.q_hi), static_cast<uint8_t>(s.q_hi));
  for (size_t i = 0; i < s.post.size(); ++i) spread_post(s.post[i], &p.post[i]);
  return p;
}

bool reals_saturate(const EpilogueScalars& s, const float* mult, const float* bias_f32, size_t n) {
  constexpr double kSum = 0x1p31;   // no sum is larger
  constexpr double kMost = 0x1p30;  // leaves room for what roundings add
  double reach = 0;
  for (size_t i = 0; i < n; ++i)
    reach = std::max(reach, kSum * mult[i] + (bias_f32 ? std::fabs(bias_f32[i]) : 0.0));
  return post_reach(s.post, reach) * s.inv_scale < kMost;
}

void narrow_by_reals(const EpilogueSpec& spec, EpilogueScalars* s) {
  const int lo = dtype_min(spec.c_type), hi = dtype_max(spec.c_type);
  const auto quantized = [&](float real) {
    return round_and_clamp(real * s->inv_scale, lo, hi, s->zero_point);
  };
  s->q_lo = spec.clamp_lo ? quantized(s->lo) : lo;
  s->q_hi = spec.clamp_hi ? quantized(s->hi) : hi;
}

std::string EpilogueSpec::key() const {
  std::string key;
  for (int field : {static_cast<int>(c_type), int{bias_f32}, int{row_scale}, int{saturating},
                    int{clamp_lo}, int{clamp_hi}, int{zero_point}})
    key += ' ' + std::to_string(field);
  for (const PostSpec& p : post)
    key += ' ' + std::to_string(static_cast<int>(p.kind)) + ':' +
           std::to_string(static_cast<int>(p.type)) + ':' + std::to_string(int{p.zero_point});
  return key;
}

int epilogue_partial_bytes(const EpilogueSpec& spec, int n, int lanes) {
  const int size = static_cast<int>(dtype_bytes(spec.c_type));
  return is_int8(spec.c_type) ? n : (n - 1) % lanes * size + size;
}

int epilogue_rows_together(const Words& w, const EpilogueSpec& spec, int n) {
  const int nv = (n + w.lanes() - 1) / w.lanes();
  if (!is_int8(spec.c_type) || spec.row_scale || has_tensor(spec.post) || !w.keeps_stored(n))
    return 1;
  return kPackedVectors / nv;
}

// Round to nearest even on the bits: x + 0x7fff + (bit 16 of x), upper half. VCVTNEPS2BF16 is not
// used: it flushes denormals.
void emit_bf16_rounding(Assembler& as, const Xmm& v, const Xmm& t) {
  as.vpslld(t, v, 15);
  as.vpsrld(t, t, 31);
  as.vpaddd(v, v, t);
  as.vpaddd(v, v, as.constant({0x7fff}));
  as.vpsrld(v, v, 16);
}

namespace {

class RowEmitter {
 public:
  RowEmitter(Assembler& as, const EpilogueRow& r, const Xmm* acc, int row_nv, int rows)
      : as(as), r(r), w(r.words), spec(r.spec), acc(acc), row_nv(row_nv), rows(rows),
        nv(row_nv * rows) {}

  void values() {
    if (spec.c_type == DType::kS32) return;
    scale();
    if (is_int8(spec.c_type)) {
      to_ints();
      return pack_bytes();
    }
    clamp_reals();
    if (spec.c_type == DType::kBf16) round_bf16();
  }

  void store() {
    if (is_int8(spec.c_type)) return store_bytes();
    const int size = static_cast<int>(dtype_bytes(spec.c_type));
    for (int j = 0; j < nv; ++j)
      w.store_part(as.ptr[r.to + j * w.lanes() * size], acc[j], size * lanes_of(j));
  }

 private:
  Xbyak::Address param(size_t offset) const { return as.ptr[r.params + offset]; }
  // Of dwords.
  Xbyak::Address real(size_t offset) const { return w.repeated(r.params + offset); }

  // y = float(T) * mult (+ bias), post-operations
  void scale() {
    for (int j = 0; j < nv; ++j) as.vcvtdq2ps(acc[j], acc[j]);
    spec.row_scale ? multiply_by_row() : multiply();
    if (spec.bias_f32)
      for (int j = 0; j < nv; ++j)
        as.vaddps(acc[j], acc[j], as.ptr[r.bias + j % row_nv * w.bytes()]);
    if (!spec.has_post()) return;
    const PostEmit post{
        w,          r.pool, spec.post, r.params, static_cast<int>(offsetof(EpilogueParams, post)),
        r.operands, r.amid};
    emit_post_ops(as, post, {acc, static_cast<size_t>(nv)});
  }

  void multiply() {
    for (int j = 0; j < nv; ++j) {
      const Xbyak::Address memory = as.ptr[r.mult + j % row_nv * w.bytes()];
      const Xbyak::Operand& mult =
          r.held_mult ? static_cast<const Xbyak::Operand&>(r.held_mult[j % row_nv]) : memory;
      as.vmulps(acc[j], acc[j], mult);
    }
  }

  // By the product of the row's and the column's scale, which is rounded first.
  void multiply_by_row() {
    const auto row_role = r.pool.take(), mult_role = r.pool.take();
    const Xmm row = w.reg(row_role.index()), mult = w.reg(mult_role.index());
    as.vbroadcastss(row, as.ptr[*r.row_scale]);
    for (int j = 0; j < nv; ++j) {
      as.vmulps(mult, row, as.ptr[r.mult + j * w.bytes()]);
      as.vmulps(acc[j], acc[j], mult);
    }
  }

  void clamp_reals() {
    for (int j = 0; j < nv; ++j) {
      if (spec.clamp_lo) as.vmaxps(acc[j], acc[j], real(offsetof(EpilogueParams, lo)));
      if (spec.clamp_hi) as.vminps(acc[j], acc[j], real(offsetof(EpilogueParams, hi)));
    }
  }

  // Rounds to int32, in the range of the output minus its zero point unless packs will clamp.
  void to_ints() {
    if (spec.in_reals()) {
      if (!spec.saturating) clamp_reals();
      for (int j = 0; j < nv; ++j)
        as.vmulps(acc[j], acc[j], real(offsetof(EpilogueParams, inv_scale)));
    }
    if (!spec.saturating) clamp_to_range();
    for (int j = 0; j < nv; ++j) as.vcvtps2dq(acc[j], acc[j]);
  }

  // What is too low for an int32, or a NaN, becomes the lowest one, which packs clamp as they do
  // the rest: only a range that is narrower than the type's has a lower bound here.
  void clamp_to_range() {
    const auto role = r.pool.take();
    const Xmm hi = w.reg(role.index());
    as.vmovups(hi, param(offsetof(EpilogueParams, t_hi)));
    for (int j = 0; j < nv; ++j) {
      if (!spec.in_reals()) as.vmaxps(acc[j], acc[j], real(offsetof(EpilogueParams, t_lo)));
      as.vminps(acc[j], hi, acc[j]);
    }
  }

  // Four vectors of dwords become one of bytes. Saturating to int16 before the zero point is added
  // changes nothing: what leaves int16 lies beyond the 8-bit range on either side of it.
  void pack_bytes() {
    const auto second = [&](int j) { return acc[std::min(j + 1, nv - 1)]; };
    for (int j = 0; j < nv; j += 2) {
      as.vpackssdw(acc[j], acc[j], second(j));
      if (spec.zero_point) as.vpaddsw(acc[j], acc[j], param(offsetof(EpilogueParams, zero_point)));
    }
    const Xmm& v = acc[0];
    const Xmm& high = acc[nv > 2 ? 2 : 0];
    const bool u8 = spec.c_type == DType::kU8;
    if (u8)
      as.vpackuswb(v, v, high);
    else
      as.vpacksswb(v, v, high);
    if (spec.saturating) narrow_bytes(v, u8);
  }

  void store_bytes() {
    unzip();
    const int all = rows * r.n;
    if (rows == 1 || (all & (all - 1)) || r.n != row_nv * w.lanes()) return store_row_by_row();
    // Rows without a gap between them are one store.
    Xbyak::Label apart, done;
    as.cmp(*r.to_stride, r.n);
    as.jne(apart, as.T_NEAR);
    w.store_part(as.ptr[r.to], acc[0], all);
    as.add(r.to, all - r.n);
    as.jmp(done, as.T_NEAR);
    as.L(apart);
    store_row_by_row();
    as.L(done);
  }

  void store_row_by_row() {
    for (int i = 0; i < rows; ++i) {
      if (i > 0) {
        w.rotate_lanes(acc[0], row_nv * w.lanes() / 4);
        as.add(r.to, *r.to_stride);
      }
      w.store_part(as.ptr[r.to], acc[0], r.n);
    }
  }

  void unzip() {
    if (r.byte_order) {
      if (!r.byte_order->empty()) as.vpshufb(acc[0], acc[0], as.constant(*r.byte_order));
      return;
    }
    const auto index_role = r.pool.take();
    const Xmm index = w.reg(index_role.index());
    w.load_unzip_index(index);
    w.unzip_lanes(acc[0], index);
  }

  void narrow_bytes(const Xmm& v, bool u8) {
    const auto lo = param(offsetof(EpilogueParams, q_lo));
    const auto hi = param(offsetof(EpilogueParams, q_hi));
    if (spec.clamp_lo) u8 ? as.vpmaxub(v, v, lo) : as.vpmaxsb(v, v, lo);
    if (spec.clamp_hi) u8 ? as.vpminub(v, v, hi) : as.vpminsb(v, v, hi);
  }

  int lanes_of(int j) const { return std::min(w.lanes(), r.n - j * w.lanes()); }

  void round_bf16() {
    const auto role = r.pool.take();
    const Xmm t = w.reg(role.index());
    for (int j = 0; j < nv; ++j) {
      emit_bf16_rounding(as, acc[j], t);
      w.narrow16(acc[j]);
    }
  }

  Assembler& as;
  const EpilogueRow& r;
  Words& w;
  const EpilogueSpec& spec;
  const Xmm* acc;
  const int row_nv, rows, nv;  // vectors of a row, rows, and vectors of all
};

}  // namespace

void emit_epilogue_values(Assembler& as, const EpilogueRow& row, const Xmm* acc, int nv) {
  RowEmitter(as, row, acc, nv, 1).values();
}

void emit_epilogue_rows(Assembler& as, const EpilogueRow& row, const Xmm* acc, int nv, int rows) {
  RowEmitter emitter(as, row, acc, nv, rows);
  emitter.values();
  emitter.store();
}

}  // namespace oct
