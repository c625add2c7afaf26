// Emits the transcendental post-operations: kernels/post_math.h, vector by vector.
#pragma once

#include "jit/words.h"
#include "kernels/post_ops.h"

namespace oct {

// x = kind(x). Temporaries are the pool's free registers and, where those do not suffice, others,
// which are saved on the stack meanwhile.
void emit_post_math(Assembler& as, Words& words, RegisterPool& pool, PostKind kind,
                    const Xbyak::Xmm& x);

}  // namespace oct
