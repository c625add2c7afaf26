#include "kernels/post_emit.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cstddef>

#include "kernels/post_math_emit.h"

namespace oct {

using Xbyak::Address;
using Xbyak::RegExp;
using Xbyak::Xmm;

void spread_post(const PostOp& op, PostParams* to) {
  std::fill(std::begin(to->alpha), std::end(to->alpha), has_tensor(op.kind) ? op.scale : op.alpha);
  std::fill(std::begin(to->beta), std::end(to->beta), op.beta);
  std::fill(std::begin(to->zero_point), std::end(to->zero_point), op.zero_point);
}

namespace {

class Emitter {
 public:
  Emitter(Assembler& as, const PostEmit& e) : as(as), e(e), w(e.words) {}

  void chain(std::span<const Xmm> y) {
    for (op = 0; op < kMaxPostOps && spec().kind != PostKind::kNone; ++op) {
      if (is_transcendental(spec().kind))
        emit_post_math(as, w, e.pool, spec().kind, y, e.amid);
      else
        for (size_t j = 0; j < y.size(); ++j) simple(y[j], static_cast<int>(j));
    }
  }

 private:
  const PostSpec& spec() const { return e.specs[static_cast<size_t>(op)]; }
  RegExp param(size_t offset) const {
    return e.params + e.params_offset + static_cast<size_t>(op) * sizeof(PostParams) + offset;
  }
  Address alpha() const { return w.repeated(param(offsetof(PostParams, alpha))); }
  Address beta() const { return w.repeated(param(offsetof(PostParams, beta))); }
  Address number(float x) const { return w.constant(std::bit_cast<uint32_t>(x)); }

  void simple(const Xmm& y, int j) {
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
        hard_sigmoid(t, y);
        as.vmovaps(y, t);
        break;
      case PostKind::kHardSwish: hard_swish(t, y); break;
      case PostKind::kAdd:
        operand(t, j);
        as.vfmadd231ps(y, t, alpha());
        break;
      case PostKind::kMultiply:
        operand(t, j);
        as.vmulps(t, t, alpha());
        as.vmulps(y, y, t);
        break;
      default: break;
    }
  }

  void hard_sigmoid(const Xmm& t, const Xmm& y) {
    as.vmovups(t, as.ptr[param(offsetof(PostParams, alpha))]);
    as.vfmadd213ps(t, y, beta());
    as.vmaxps(t, t, number(0));
    as.vminps(t, t, number(1));
  }

  // The lowest number replaces -inf, whose product with 0 is a NaN.
  void hard_swish(const Xmm& t, const Xmm& y) {
    as.vmovups(t, as.constant({std::bit_cast<uint32_t>(-FLT_MAX)}));
    as.vmaxps(y, t, y);
    hard_sigmoid(t, y);
    as.vmulps(y, y, t);
  }

  // t = X less its zero point.
  void operand(const Xmm& t, int j) {
    e.operands->load(t, op, spec().type, j);
    if (spec().type == DType::kF32) return;
    if (spec().zero_point) as.vpsubd(t, t, w.repeated(param(offsetof(PostParams, zero_point))));
    as.vcvtdq2ps(t, t);
  }

  Assembler& as;
  const PostEmit& e;
  Words& w;
  int op = 0;
};

}  // namespace

void emit_post_ops(Assembler& as, const PostEmit& emit, std::span<const Xmm> y) {
  Emitter(as, emit).chain(y);
}

}  // namespace oct
