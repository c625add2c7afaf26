// Emits chains of post-operations (kernels/post_ops.h) over vectors of reals, for the epilogue.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "jit/words.h"
#include "kernels/post_ops.h"

namespace oct {

// A chain's constants as the emitted code reads them: each over a whole vector, as in
// EpilogueParams.
struct PostParams {
  float alpha[16], beta[16];  // of operations with a tensor: alpha is the scale
  int32_t zero_point[16];
};
void spread_post(const PostOp& op, PostParams* to);

// Where the tensors of a chain come from: a generator knows how its columns lie in memory.
class PostOperands {
 public:
  virtual ~PostOperands() = default;
  // v = the elements of operation `op`'s tensor for vector j of the row: reals of an f32 tensor,
  // the integers of others. May clobber rax.
  virtual void load(const Xbyak::Xmm& v, int op, DType type, int j) = 0;
};

// Instructions that do not depend on a chain's and are woven into it: long chains of dependent
// instructions leave the core room for them.
struct Amid {
  std::vector<Xbyak::Xmm> registers;          // those they use, beside free ones
  std::function<void(int, int)> continue_to;  // (done, of): emits what is missing of that share
};

struct PostEmit {
  Words& words;
  RegisterPool& pool;  // one register must be available
  const PostSpecs& specs;
  Xbyak::Reg64 params;         // points to
  int params_offset;           // PostParams[kMaxPostOps] this far on
  PostOperands* operands;      // null if no operation has a tensor
  const Amid* amid = nullptr;  // woven into transcendental operations, if there are any
};

// y[j] = the chain's result for vector j of the row, for all of them.
void emit_post_ops(Assembler& as, const PostEmit& emit, std::span<const Xbyak::Xmm> y);

}  // namespace oct
