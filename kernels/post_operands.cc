#include "kernels/post_operands.h"

#include <algorithm>
#include <cstddef>

#include "kernels/table.h"

namespace oct {

using Xbyak::Address;
using Xbyak::Reg64;
using Xbyak::Xmm;

RowOperands::RowOperands(Assembler& as, Words& words, const PostSpecs& specs, int n,
                         const Source& source, const Reg64& temp)
    : as(as), w(words), n(n), from(source), temp(temp) {
  for (int op = 0; op < kMaxPostOps; ++op)
    if (has_tensor(specs[static_cast<size_t>(op)].kind)) {
      slots[op] = count;
      types[count] = specs[static_cast<size_t>(op)].type;
      ops[count++] = op;
    }
}

Address RowOperands::source(int op, size_t field) const {
  return as.qword[from.args + from.offset + static_cast<size_t>(op) * sizeof(PostTensor) + field];
}

// The last one pushed has the lowest address.
Address RowOperands::slot(int op) const {
  return as.qword[as.rsp + (from.below + 8 * (count - 1 - slots[op]))];
}

void RowOperands::push() {
  for (int i = 0; i < count; ++i) as.push(source(ops[i], offsetof(PostTensor, data)));
}

void RowOperands::pop() {
  if (count) as.add(as.rsp, 8 * count);
}

void RowOperands::prefetch(int rows) {
  constexpr int kLine = 64;
  for (int i = 0; i < count; ++i) {
    const int bytes = n * static_cast<int>(dtype_bytes(types[i]));
    as.mov(temp, slot(ops[i]));
    as.mov(as.rax, source(ops[i], offsetof(PostTensor, stride_bytes)));
    for (int row = 0; row < rows; ++row) {
      for (int at = 0; at < bytes; at += kLine) as.prefetcht0(as.ptr[temp + at]);
      if (row < rows - 1) as.add(temp, as.rax);
    }
  }
}

void RowOperands::next_row() {
  for (int i = 0; i < count; ++i) {
    as.mov(as.rax, source(ops[i], offsetof(PostTensor, stride_bytes)));
    as.add(slot(ops[i]), as.rax);
  }
}

void RowOperands::load(const Xmm& v, int op, DType type, int j) {
  const int lanes = std::min(w.lanes(), n - j * w.lanes());
  as.mov(temp, slot(op));
  const Address at = as.ptr[temp + j * w.lanes() * static_cast<int>(dtype_bytes(type))];
  if (type == DType::kF32)
    w.load_dwords(v, at, lanes);
  else
    w.load_bytes(v, at, lanes, type == DType::kS8);
}

}  // namespace oct
