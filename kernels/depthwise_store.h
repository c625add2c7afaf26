// The end of the depthwise generator: from sums to memory.
//
// A vector of sums comes as four quarters of the channels. Packing them into bytes restores the
// channels' order for nothing; wider outputs transpose their 128-bit lanes first. A vector may hold
// several pixels, which lie anywhere in memory.
#pragma once

#include <array>

#include "jit/words.h"
#include "kernels/depthwise_vector.h"

namespace oct {

class DepthwiseStore {
 public:
  using Quarters = std::array<Xbyak::Xmm, kDepthwiseQuarters>;

  DepthwiseStore(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec, Words& words,
                 RegisterPool& pool);

  // Once per function: general registers from the DepthwiseOutputs at args + offset, the mask of a
  // partial store (clobbers rax), and which registers this class uses throughout.
  void load_args(const Xbyak::Reg64& args, size_t offset);
  static constexpr uint32_t kUsed = 1u << Xbyak::Operand::RBX | 1u << Xbyak::Operand::R13 |
                                    1u << Xbyak::Operand::R14 | 1u << Xbyak::Operand::R15;

  const Xbyak::Reg64& multipliers() const { return rMult; }
  // They and the bias move on by `bytes`.
  void next_block(const Xbyak::Reg64& bytes);

  // Around the vectors of a step: multipliers stay in registers where there are 32.
  void begin_step();
  void end_step();

  // The epilogue of one vector of pixels, stored at c. With `count`, only so many of them (which
  // may be none).
  void vector(const Quarters& sums, const Xbyak::Reg64& c, const Xbyak::Reg64* count);
  // c moves on by a vector of pixels.
  void next_vector(const Xbyak::Reg64& c);

 private:
  Xbyak::Address pixel(const Xbyak::Reg64& c, int p, int offset) const;
  void store_bytes(const Xbyak::Xmm& v, const Xbyak::Reg64& c, int p);
  void store_wide(const Quarters& v, const Xbyak::Reg64& c, int p);
  void extract_pixel(const Xbyak::Xmm& t, const Xbyak::Xmm& v, int p);
  void memory_order(const Quarters& v);

  // The first two are used with several pixels and by next_vector() only.
  const Xbyak::Reg64 rPlace{Xbyak::Operand::R11}, rPlace3{Xbyak::Operand::RBX},
      rMult{Xbyak::Operand::R13}, rBias{Xbyak::Operand::R14}, rParams{Xbyak::Operand::R15};

  Assembler& as;
  const KernelRow& row;
  const DepthwiseSpec& spec;
  Words& w;
  RegisterPool& pool;
  const int width, pixels;  // channels of a position; pixels of a vector
  const bool bytes_out;
  std::vector<RegisterPool::Role> mult_roles;
  std::vector<Xbyak::Xmm> mult;
};

}  // namespace oct
