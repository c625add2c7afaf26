#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/gemm_vector.h"
#include "kernels/pack.h"

namespace oct {
namespace {

// Everything that shapes the code: the row and the spec, each field once.
std::string cache_key(const KernelRow& row, const GemmSpec& s) {
  std::string key = row.name;
  for (int field : {s.n, s.k_step, s.k_tail, s.rows_per_step, int{s.a_once}, int{s.a_shift},
                    s.row_terms, int{s.taps}, s.k_fixed, s.k_last, s.run_tail, s.run_count, s.clip,
                    s.group_in, s.group_out, int{s.in_lanes}})
    key += ' ' + std::to_string(field);
  return key + s.epilogue.key();
}

std::shared_ptr<const Code> generate(const KernelRow& row, const GemmSpec& spec) {
  Assembler as;
  for (int m = row.entry_rows; m <= row.mr; m += row.entry_rows) row.emit(as, row, spec, m);
  return as.finish(row.name);
}

}  // namespace

void set_k(const KernelRow& row, int64_t k, int64_t runs, GemmSpec* spec) {
  const KSteps s = k_steps(row, k);
  spec->k_step = s.step;
  spec->k_tail = s.tail;
  if (row.isa != Isa::kAmx) {
    if (!spec->taps)
      spec->k_last = static_cast<int>(std::min<int64_t>(gemm_last_steps(row, *spec), s.count()));
    return;
  }
  spec->rows_per_step = amx_rows_per_step(row, runs * s.count());
  spec->a_once = runs == 1;
}

GemmCode gemm_code(CodeCache& cache, const KernelRow& row, const GemmSpec& spec) {
  GemmCode result;
  result.spec = spec;
  result.tiles = row.isa == Isa::kAmx;
  result.code = cache.get(cache_key(row, spec), [&] { return generate(row, spec); });
  for (int m = 1; m <= row.mr; ++m)
    result.entry[m] =
        reinterpret_cast<GemmFn>(result.code->entry(static_cast<size_t>((m - 1) / row.entry_rows)));
  return result;
}

void turn_rows(GemmArgs& args, int64_t rows) {
  const auto turn = [&](auto& first_row, int64_t& stride) {
    const auto* const bytes = static_cast<const uint8_t*>(first_row);
    first_row = const_cast<uint8_t*>(bytes) + (rows - 1) * stride;
    stride = -stride;
  };
  turn(args.a, args.a_stride_bytes);
  turn(args.c, args.c_stride_bytes);
  for (PostTensor& x : args.post)
    if (x.data) turn(x.data, x.stride_bytes);
}

void GemmCalls::prepare(const GemmCode& code, int m, GemmArgs& args) {
  args.m = m;
  args.scratch = scratch_;
  if (code_ == &code && m_ == m) return;
  const TileConfig config = amx_tile_config(code.spec, m);
  if (!code_ || config != config_) load_tile_config(config);
  config_ = config;
  code_ = &code;
  m_ = m;
}

}  // namespace oct
