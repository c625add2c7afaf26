// The half of the depthwise generator that fills the strip.
//
//     source 0  | a0 b0 c0 ..       bytes of the block's channels a, b, c, ..
//     source 1  | a1 b1 c1 ..       vpunpck[lh]bw, then vpunpck[lh]wd, interleave them in every
//     source 2  | a2 b2 c2 ..       128-bit lane:
//     source 3  | a3 b3 c3 ..
//                                   plane q, lane L: channels 16L + 4q .. 16L + 4q + 3
//                                     | a0 a1 a2 a3 | b0 b1 b2 b3 | c0 .. | d0 .. |
//
// A position takes 4 loads, 8 shuffles and 4 stores, for 16, 32 or 64 channels; on Zen 4 the
// shuffles and the stores limit it: 8 cycles with 512-bit vectors, 4 with smaller ones.
// Interleaving the next positions with the dots of the current ones was measured no faster,
// prefetching them likewise.
#pragma once

#include "jit/words.h"
#include "kernels/depthwise_vector.h"

namespace oct {

// v = the n <= 16 bytes at from + offset, and zeros; nothing beyond them is read, without masks.
void load_exact(Assembler& as, const Xbyak::Xmm& v, const Xbyak::RegExp& from, int n,
                int offset = 0);

// Interleaves the bytes of four sources: v[0] to v[2] and `last`, which is v[3] or another of them.
// Planes 0 to 3 end up in v[1], t[0], v[3] and v[0]; all of v and t are lost.
void interleave_sources(Assembler& as, const Xbyak::Xmm* v, const Xbyak::Xmm* t,
                        const Xbyak::Xmm& last);

class DepthwiseGather {
 public:
  DepthwiseGather(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec);

  // Gathers everything that `args` lists. Needs seven vector registers; of the general ones it
  // keeps `args`, r10 and r11. kUsed: those that the caller has to save.
  static constexpr uint32_t kUsed = 1u << Xbyak::Operand::RBX | 1u << Xbyak::Operand::RBP |
                                    1u << Xbyak::Operand::R12 | 1u << Xbyak::Operand::R13 |
                                    1u << Xbyak::Operand::R14 | 1u << Xbyak::Operand::R15;
  void emit(const Xbyak::Reg64& args, RegisterPool& pool);

 private:
  Xbyak::Xmm v(int i) const { return vec(vectors[i]); }
  Xbyak::Xmm temporary(int i) const { return v(kSources + i); }
  Xbyak::Xmm shift() const { return v(kSources + 2); }
  Xbyak::Xmm vec(int index) const;
  void stream();
  void load_channels(const Xbyak::Xmm& to, const Xbyak::Reg64& from);
  void load_pieces(const Xbyak::Xmm& to, const Xbyak::Reg64& from);
  void store(int q, const Xbyak::Xmm& from);

  const Xbyak::Reg64 rStream{Xbyak::Operand::RBP}, rEnd{Xbyak::Operand::RBX},
      rTo{Xbyak::Operand::RSI}, rCount{Xbyak::Operand::RAX};
  const Xbyak::Reg64 rSource[kSources]{
      Xbyak::Reg64(Xbyak::Operand::RCX), Xbyak::Reg64(Xbyak::Operand::RDX),
      Xbyak::Reg64(Xbyak::Operand::R8), Xbyak::Reg64(Xbyak::Operand::R9)};
  const Xbyak::Reg64 rStep[kSources]{
      Xbyak::Reg64(Xbyak::Operand::R12), Xbyak::Reg64(Xbyak::Operand::R13),
      Xbyak::Reg64(Xbyak::Operand::R14), Xbyak::Reg64(Xbyak::Operand::R15)};

  Assembler& as;
  const DepthwiseSpec& spec;
  const int width;
  const bool masked;
  int vectors[kSources + 3];
};

}  // namespace oct
