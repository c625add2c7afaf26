#include "kernels/row_terms.h"

#include <cstddef>

#include "jit/words.h"
#include "kernels/table.h"

namespace oct {

// Two instructions per vector: 8 % of an epilogue that requantises, nothing of K.
void emit_row_term(Assembler& as, const RowTerm& t, int row_bytes, const Xbyak::Xmm* acc, int nv) {
  const auto row_role = t.pool.take(), product_role = t.pool.take();
  const Xbyak::Xmm row = t.words.reg(row_role.index()), product = t.words.reg(product_role.index());
  as.vpbroadcastd(row, as.ptr[t.row_factors + row_bytes]);
  as.mov(t.row_factors,
         as.ptr[t.args + offsetof(GemmArgs, col_factor) + 8 * static_cast<size_t>(t.term)]);
  for (int j = 0; j < nv; ++j) {
    as.vpmulld(product, row, as.ptr[t.row_factors + j * t.words.bytes()]);
    as.vpaddd(acc[j], acc[j], product);
  }
}

}  // namespace oct
