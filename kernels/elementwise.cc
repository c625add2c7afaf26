#include "kernels/elementwise.h"

#include <cassert>

namespace oct {

ElementwiseCode elementwise_code(CodeCache& cache, const KernelRow& row,
                                 const ElementwiseSpec& spec) {
  std::string key = row.name;
  for (int field : {static_cast<int>(spec.in), static_cast<int>(spec.out), int{spec.divide},
                    int{spec.per_column}, int{spec.streams}})
    key += ' ' + std::to_string(field);
  ElementwiseCode result;
  result.code = cache.get(key, [&] {
    Assembler as;
    spec.out == DType::kNone ? emit_minmax(as, row, spec) : emit_pipeline(as, row, spec);
    return as.finish(row.name);
  });
  result.entry = reinterpret_cast<ElementwiseFn>(result.code->entry(0));
  return result;
}

// Counted from the emitters, for parameters of rows. Pointers and the counter of the loop take
// kLoop.
ElementwiseBound elementwise_bound(const KernelRow& row, const ElementwiseSpec& spec) {
  assert(!spec.per_column);
  constexpr int kVectors = 4, kLoop = 4;
  const bool reduces = spec.out == DType::kNone, bytes = is_int8(spec.out);
  const int in = is_int8(spec.in) ? 3 : spec.in == DType::kBf16 ? 2 : 0;
  const int out = reduces ? 3 : bytes ? 3 : spec.out == DType::kBf16 ? 7 : 1;
  ElementwiseBound b;
  b.elements = kVectors * row.lanes;
  b.vectors = kVectors * (in + out) + (bytes ? 8 : 0);
  b.multiplies = kVectors;
  b.additions = kVectors * ((is_int8(spec.in) ? 1 : 0) + (reduces || bytes ? 2 : 0));
  b.loads = kVectors;
  b.stores = reduces ? 0 : bytes ? 1 : kVectors;
  b.instructions = b.vectors + (in == 0 ? b.loads : 0) + b.stores + kLoop;
  return b;
}

}  // namespace oct
