#include "kernels/post_operands.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "kernels/table.h"

namespace oct {

using Xbyak::Address;
using Xbyak::Reg64;
using Xbyak::Xmm;

namespace {

constexpr int kLine = 64;
constexpr unsigned kPartColumns = 8;  // half a line of f32: few wait for memory at a time

// Of a row, a power of two.
unsigned row_parts(int n) {
  return std::bit_ceil((static_cast<unsigned>(n) + kPartColumns - 1) / kPartColumns);
}

}  // namespace

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

int RowOperands::prefetch_parts(int rows) const { return rows * static_cast<int>(row_parts(n)); }

// Of each tensor the line in which the part's last column ends: where lines lie across the columns
// of two panels, the panel before has seen the other one.
void RowOperands::prefetch_part(int rows, const Reg64& left) {
  const unsigned in_row = row_parts(n);
  for (int i = 0; i < count; ++i) {
    const unsigned bytes = kPartColumns * static_cast<unsigned>(dtype_bytes(types[i]));
    as.mov(temp, prefetch_parts(rows));
    as.sub(temp, left);
    as.mov(as.eax, temp.cvt32());
    as.shr(temp, std::countr_zero(in_row));
    as.imul(temp, source(ops[i], offsetof(PostTensor, stride_bytes)));
    as.add(temp, slot(ops[i]));
    as.and_(as.eax, in_row - 1);
    as.shl(as.eax, std::countr_zero(bytes));
    as.prefetcht0(as.ptr[temp + as.rax + (bytes - 1)]);
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
