#include "kernels/gemm.h"

namespace oct {
namespace {

// Everything that shapes the code: the row and the spec, each field once.
std::string cache_key(const KernelRow& row, const GemmSpec& s) {
  const EpilogueSpec& e = s.epilogue;
  std::string key = row.name;
  for (int field : {s.n, s.k_tail, int{s.a_shift}, int{s.taps}, static_cast<int>(e.c_type),
                    int{e.bias_f32}, int{e.saturating}, int{e.clamp_lo}, int{e.clamp_hi},
                    int{e.zero_point}, static_cast<int>(e.add_type)})
    key += ' ' + std::to_string(field);
  return key;
}

std::shared_ptr<const Code> generate(const KernelRow& row, const GemmSpec& spec) {
  Assembler as;
  for (int m = 1; m <= row.mr; ++m) row.emit(as, row, spec, m);
  return as.finish(row.name);
}

}  // namespace

GemmCode gemm_code(CodeCache& cache, const KernelRow& row, const GemmSpec& spec) {
  GemmCode result;
  result.code = cache.get(cache_key(row, spec), [&] { return generate(row, spec); });
  for (int m = 1; m <= row.mr; ++m)
    result.entry[m] = reinterpret_cast<GemmFn>(result.code->entry(m - 1));
  return result;
}

}  // namespace oct
