// What happens to an accumulator on its way to memory: one specification, one emitter, shared
// by every generator.
//
// The generator leaves T + bias_s32 in int32 vectors. From there (numerics: header octavo.h):
//   s32          store
//   f32, bf16    y = float(T) * mult[n] (+ bias_f32[n]); post-operations (kernels/post_ops.h);
//                clamp to [lo, hi]; store or round
//   u8, s8       t = float(T) * mult[n]       without f32 bias and post-operations; otherwise
//                t = y * inv_scale            with y as above
//                q = rne(clamp(t, t_lo, t_hi)) + zero_point
// Where |t| stays below 2^31 the conversion cannot overflow and the saturating packs clamp exactly:
// `saturating` leaves the float clamps out and narrows to [q_lo, q_hi] in bytes, at about half the
// instructions per output. In the first form of t every multiplier below one is enough; in the
// second bounds follow from those of the sums, and q_lo and q_hi are what lo and hi would become,
// since all that comes after them is monotonic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "jit/assembler.h"
#include "kernels/post_emit.h"
#include "quant/types.h"

namespace oct {

// What code is generated for: part of the code cache's key.
struct EpilogueSpec {
  DType c_type = DType::kS32;
  bool bias_f32 = false;
  bool row_scale = false;   // mult[n] is multiplied by a scale of the row first; not s32
  bool saturating = false;  // u8/s8 only: see above
  bool clamp_lo = false;    // f32 domain: lo applies. saturating: q_lo applies
  bool clamp_hi = false;
  bool zero_point = false;  // u8/s8: there is one to add
  PostSpecs post{};

  // Whether the result is formed in reals before it is quantised, rather than by one multiply.
  bool in_reals() const { return !is_int8(c_type) || bias_f32 || row_scale || has_post(); }
  bool has_post() const { return post[0].kind != PostKind::kNone; }

  // Every field, for the keys of code caches.
  std::string key() const;

  friend bool operator==(const EpilogueSpec&, const EpilogueSpec&) = default;
};

// A plan's constants as the emitted code reads them: every one repeated over a whole vector, so
// that it can be a memory operand on every ISA and costs no register.
struct alignas(64) EpilogueParams {
  float lo[16], hi[16];      // f32 clamp, real units
  float t_lo[16], t_hi[16];  // output range minus zero point
  float inv_scale[16];
  int16_t zero_point[32];
  uint8_t q_lo[64], q_hi[64];  // the narrowed output range, in the output type's bytes
  PostParams post[kMaxPostOps];
};

// The same constants, each once.
struct EpilogueScalars {
  float lo = 0, hi = 0;
  int q_lo = 0, q_hi = 0;  // the output range, narrowed unless in_reals() without `saturating`
  int zero_point = 0;
  float inv_scale = 1;
  PostChain post{};
};
EpilogueParams spread(const EpilogueScalars& s);

// Whether `saturating` may be set for an 8-bit epilogue in reals without scales of rows: mult and
// bias_f32 (null: none) have n entries.
bool reals_saturate(const EpilogueScalars& s, const float* mult, const float* bias_f32, size_t n);
// q_lo and q_hi of such an epilogue.
void narrow_by_reals(const EpilogueSpec& spec, EpilogueScalars* s);

// Emits the epilogue of `rows` rows: `acc[0..nv)` hold the first one's int32 sums of columns [0,
// n), the next nv the second one's, and so on; they are lost. `to` is the first row in memory, and
// the last one afterwards; mult, bias and params are registers that hold GemmArgs' pointers.
struct EpilogueRow {
  Words& words;
  RegisterPool& pool;  // two registers must be available
  const EpilogueSpec& spec;
  int n;
  Xbyak::Reg64 to, mult, bias, params;
  const Xbyak::Xmm* held_mult = nullptr;    // mult's vectors, if they are kept in registers
  PostOperands* operands = nullptr;         // of the row, if a post-operation has a tensor
  const Xbyak::Reg64* row_scale = nullptr;  // where the row's scale is, with spec.row_scale
  const Xbyak::Reg64* to_stride = nullptr;  // from a row to the next
  // 8-bit outputs whose columns lie otherwise: where the bytes of 128-bit blocks come from; empty
  // if packing leaves them in order.
  const std::vector<uint32_t>* byte_order = nullptr;
  const Amid* amid = nullptr;  // woven into the chain of post-operations
};
void emit_epilogue_rows(Assembler& as, const EpilogueRow& row, const Xbyak::Xmm* acc, int nv,
                        int rows);

// How many rows of n columns fill the packs, at most: those can share them.
int epilogue_rows_together(const Words& w, const EpilogueSpec& spec, int n);

// All but the stores, for generators whose columns lie elsewhere. 8-bit outputs end up in acc[0],
// every 128-bit lane holding four elements of acc[0], four of acc[1], and so on; others stay in
// their vector, bf16 in its low half.
void emit_epilogue_values(Assembler& as, const EpilogueRow& row, const Xbyak::Xmm* acc, int nv);

// v's floats, none of them NaN, become bf16 in the low halves of their lanes; t is lost.
void emit_bf16_rounding(Assembler& as, const Xbyak::Xmm& v, const Xbyak::Xmm& t);

// The one byte count of a partial store in such a row, or 0 (Words::announce_partial).
int epilogue_partial_bytes(const EpilogueSpec& spec, int n, int lanes);

}  // namespace oct
