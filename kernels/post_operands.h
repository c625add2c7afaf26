// The tensors of a chain for generators whose rows of C are contiguous: one running pointer each.
// There may be eight of them, so the pointers live on the stack.
#pragma once

#include "kernels/post_emit.h"

namespace oct {

class RowOperands : public PostOperands {
 public:
  // Where the PostTensor[kMaxPostOps] of the call lie.
  struct Source {
    Xbyak::Reg64 args;
    size_t offset;
    int below;  // bytes that lie on the stack below the pointers while they are used
  };

  // For rows of n columns. `temp` is clobbered by loads, rax by next_row, both
  // by prefetch and prefetch_part.
  RowOperands(Assembler& as, Words& words, const PostSpecs& specs, int n, const Source& source,
              const Xbyak::Reg64& temp);

  // Around the code that uses them.
  void push();
  void pop();
  int pushed_bytes() const { return 8 * count; }

  // Asks for the next `rows` rows, long before they are read: a panel sees so few bytes of a row
  // that no hardware prefetcher follows.
  void prefetch(int rows);
  // The same in that many parts, of which `left`, at least one, are to come.
  int prefetch_parts(int rows) const;
  void prefetch_part(int rows, const Xbyak::Reg64& left);
  bool any() const { return count > 0; }
  void next_row();
  void load(const Xbyak::Xmm& v, int op, DType type, int j) override;

 private:
  Xbyak::Address slot(int op) const;
  Xbyak::Address source(int op, size_t field) const;

  Assembler& as;
  Words& w;
  const int n;
  const Source from;
  const Xbyak::Reg64 temp;
  int count = 0;
  int slots[kMaxPostOps];    // of operations with a tensor, counted from the first pushed
  int ops[kMaxPostOps];      // the reverse
  DType types[kMaxPostOps];  // of their elements, as ops
};

}  // namespace oct
