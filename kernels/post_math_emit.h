// Emits the transcendental post-operations: kernels/post_math.h, vector by vector.
#pragma once

#include <span>

#include "jit/words.h"
#include "kernels/post_ops.h"

namespace oct {

// v = kind(v) for all vectors v of x. Temporaries are the pool's free registers and, where those do
// not suffice, others, which are saved on the stack meanwhile.
void emit_post_math(Assembler& as, Words& words, RegisterPool& pool, PostKind kind,
                    std::span<const Xbyak::Xmm> x);

}  // namespace oct
