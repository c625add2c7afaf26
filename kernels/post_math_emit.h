// Emits the transcendental post-operations: kernels/post_math.h, vector by vector.
#pragma once

#include <span>

#include "kernels/post_emit.h"

namespace oct {

// v = kind(v) for all vectors v of x. Temporaries are the pool's free registers and, where those do
// not suffice, others, which are saved on the stack meanwhile. `amid` may be null.
void emit_post_math(Assembler& as, Words& words, RegisterPool& pool, PostKind kind,
                    std::span<const Xbyak::Xmm> x, const Amid* amid);

}  // namespace oct
