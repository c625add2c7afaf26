#include "kernels/post_emit.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cstddef>

#include "kernels/post_math_emit.h"

namespace oct {

using Xbyak::Address;
using Xbyak::Xmm;

void spread_post(const PostOp& op, PostParams* to) {
  std::fill(std::begin(to->alpha), std::end(to->alpha), has_tensor(op.kind) ? op.scale : op.alpha);
  std::fill(std::begin(to->beta), std::end(to->beta), op.beta);
  std::fill(std::begin(to->zero_point), std::end(to->zero_point), op.zero_point);
}

namespace {

class Emitter {
 public:
  Emitter(Assembler& as, const PostEmit& e, const Xmm& y, int j)
      : as(as), e(e), w(e.words), y(y), j(j) {}

  void chain() {
    for (op = 0; op < kMaxPostOps && spec().kind != PostKind::kNone; ++op)
      is_transcendental(spec().kind) ? emit_post_math(as, w, e.pool, spec().kind, y) : simple();
  }

 private:
  const PostSpec& spec() const { return e.specs[static_cast<size_t>(op)]; }
  Address param(size_t offset) const {
    return as
        .ptr[e.params + e.params_offset + static_cast<size_t>(op) * sizeof(PostParams) + offset];
  }
  Address alpha() const { return param(offsetof(PostParams, alpha)); }
  Address beta() const { return param(offsetof(PostParams, beta)); }
  Address number(float x) const { return as.constant({std::bit_cast<uint32_t>(x)}); }

  void simple() {
    const auto role = e.pool.take();
    const Xmm t = w.reg(role.index());
    switch (spec().kind) {
      case PostKind::kRelu: as.vmaxps(y, y, number(0)); break;
      case PostKind::kClamp:
        as.vmaxps(y, y, alpha());
        as.vminps(y, y, beta());
        break;
      case PostKind::kLeakyRelu:
        as.vminps(t, y, number(0));
        as.vmaxps(y, y, number(0));
        as.vfmadd231ps(y, t, alpha());
        break;
      case PostKind::kHardSigmoid:
        hard_sigmoid(t);
        as.vmovaps(y, t);
        break;
      case PostKind::kHardSwish: hard_swish(t); break;
      case PostKind::kAdd:
        operand(t);
        as.vaddps(y, y, t);
        break;
      case PostKind::kMultiply:
        operand(t);
        as.vmulps(y, y, t);
        break;
      default: break;
    }
  }

  void hard_sigmoid(const Xmm& t) {
    as.vmovups(t, alpha());
    as.vfmadd213ps(t, y, beta());
    as.vmaxps(t, t, number(0));
    as.vminps(t, t, number(1));
  }

  // The lowest number replaces -inf, whose product with 0 is a NaN.
  void hard_swish(const Xmm& t) {
    as.vmovups(t, number(-FLT_MAX));
    as.vmaxps(y, t, y);
    hard_sigmoid(t);
    as.vmulps(y, y, t);
  }

  void operand(const Xmm& t) {
    e.operands->load(t, op, spec().type, j);
    if (spec().type != DType::kF32) {
      as.vpsubd(t, t, param(offsetof(PostParams, zero_point)));
      as.vcvtdq2ps(t, t);
    }
    as.vmulps(t, t, alpha());
  }

  Assembler& as;
  const PostEmit& e;
  Words& w;
  const Xmm& y;
  const int j;
  int op = 0;
};

}  // namespace

void emit_post_ops(Assembler& as, const PostEmit& emit, const Xmm& y, int j) {
  Emitter(as, emit, y, j).chain();
}

}  // namespace oct
