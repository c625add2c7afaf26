// Rank-one corrections of integer sums: what zero points that belong to rows of A, or weights with
// zero points, leave over.
//
// With kernels' operands a and w, their zero points za and zw, and their sums over K, R[m] of a and
// C[n] of w:
//
//   sum (a - za[m]) (w - zw[n]) = sum a w - zw[n] R[m] - za[m] (C[n] - K zw[n])
//
// A za that is one for all rows goes to the columns' init; otherwise each of the last two terms is
// a product of a row's and a column's number. All of it is exact modulo 2^32.
#pragma once

#include <cstdint>

#include "jit/assembler.h"

namespace oct {

class Words;

// Where the numbers of term `term` are: `row_factors` holds the address of the rows' and is lost,
// `args` that of GemmArgs.
struct RowTerm {
  Words& words;
  RegisterPool& pool;  // two registers must be available
  Xbyak::Reg64 args, row_factors;
  int term;
};

// Adds the term of the row whose factor lies `row_bytes` on to acc[0..nv).
void emit_row_term(Assembler& as, const RowTerm& t, int row_bytes, const Xbyak::Xmm* acc, int nv);

}  // namespace oct
