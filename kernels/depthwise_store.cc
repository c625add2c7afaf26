#include "kernels/depthwise_store.h"

#include <algorithm>
#include <cstddef>

namespace oct {

using Xbyak::Address;
using Xbyak::Label;
using Xbyak::Reg64;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

DepthwiseStore::DepthwiseStore(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                               Words& words, RegisterPool& pool)
    : as(as), row(row), spec(spec), w(words), pool(pool), width(depthwise_width(row, spec.n)),
      pixels(row.nr / width), bytes_out(is_int8(spec.epilogue.c_type)) {}

void DepthwiseStore::load_args(const Reg64& args, size_t offset) {
  const auto arg = [&](size_t field) { return as.ptr[args + (offset + field)]; };
  if (const int bytes = epilogue_partial_bytes(spec.epilogue, spec.n, w.lanes()))
    w.announce_partial(bytes);
  as.mov(rPlace, arg(offsetof(DepthwiseOutputs, place_bytes)));
  as.lea(rPlace3, as.ptr[rPlace + rPlace * 2]);
  as.mov(rMult, arg(offsetof(DepthwiseOutputs, mult)));
  as.mov(rBias, arg(offsetof(DepthwiseOutputs, bias)));
  as.mov(rParams, arg(offsetof(DepthwiseOutputs, epilogue)));
}

void DepthwiseStore::next_block(const Reg64& bytes) {
  as.add(rMult, bytes);
  as.add(rBias, bytes);
}

void DepthwiseStore::begin_step() {
  if (vector_registers(row.isa) < 32 || spec.epilogue.c_type == DType::kS32) return;
  for (int j = 0; j < kDepthwiseQuarters; ++j) {
    mult.push_back(w.reg(mult_roles.emplace_back(pool.take()).index()));
    as.vmovups(mult.back(), as.ptr[rMult + j * w.bytes()]);
  }
}

void DepthwiseStore::end_step() {
  mult.clear();
  mult_roles.clear();
}

void DepthwiseStore::vector(const Quarters& sums, const Reg64& c, const Reg64* count) {
  Label end;
  if (!bytes_out) memory_order(sums);
  const EpilogueRow epilogue{w,      pool,    spec.epilogue,
                             spec.n, c,       rMult,
                             rBias,  rParams, mult.empty() ? nullptr : mult.data()};
  emit_epilogue_values(as, epilogue, sums.data(), kDepthwiseQuarters);
  for (int p = 0; p < pixels; ++p) {
    if (count) {
      as.cmp(*count, p);
      as.jle(end);
    }
    bytes_out ? store_bytes(sums[0], c, p) : store_wide(sums, c, p);
  }
  as.L(end);
}

void DepthwiseStore::next_vector(const Reg64& c) { as.lea(c, as.ptr[c + rPlace * pixels]); }

Address DepthwiseStore::pixel(const Reg64& c, int p, int offset) const {
  switch (p) {
    case 0: return as.ptr[c + offset];
    case 1: return as.ptr[c + rPlace + offset];
    case 2: return as.ptr[c + rPlace * 2 + offset];
    default: return as.ptr[c + rPlace3 + offset];
  }
}

void DepthwiseStore::store_bytes(const Xmm& v, const Reg64& c, int p) {
  if (pixels == 1) return w.store_part(pixel(c, p, 0), v, spec.n);
  const auto role = pool.take();
  const Xmm t = w.reg(role.index());
  extract_pixel(t, v, p);
  w.store_part(pixel(c, p, 0), t, spec.n);
}

void DepthwiseStore::extract_pixel(const Xmm& t, const Xmm& v, int p) {
  const int i = t.getIdx();
  if (p == 0)
    as.vmovaps(t, v);
  else if (row.isa < Isa::kAvx512bw)
    as.vextracti128(Xmm(i), Ymm(v.getIdx()), 1);
  else if (width == 32)
    as.vextracti64x4(Ymm(i), Zmm(v.getIdx()), static_cast<uint8_t>(p));
  else
    as.vextracti32x4(Xmm(i), Zmm(v.getIdx()), static_cast<uint8_t>(p));
}

// The vectors that hold pixel p's channels.
void DepthwiseStore::store_wide(const Quarters& v, const Reg64& c, int p) {
  const int size = static_cast<int>(dtype_bytes(spec.epilogue.c_type));
  for (int channel = 0; channel < spec.n; channel += w.lanes()) {
    const auto j = static_cast<size_t>((p * width + channel) / w.lanes());
    const int count = std::min(w.lanes(), spec.n - channel);
    w.store_part(pixel(c, p, channel * size), v[j], count * size);
  }
}

// From quarters to channels in order: 128-bit lane L of quarter q becomes the q-th of vector L.
void DepthwiseStore::memory_order(const Quarters& v) {
  std::vector<RegisterPool::Role> scope;
  const auto take = [&] { return scope.emplace_back(pool.take()).index(); };
  if (row.isa >= Isa::kAvx512bw) {
    const auto z = [&](int i) { return Zmm(v[static_cast<size_t>(i)].getIdx()); };
    const Zmm low01(take()), low23(take()), high01(take()), high23(take());
    as.vshufi32x4(low01, z(0), z(1), 0x44);
    as.vshufi32x4(low23, z(2), z(3), 0x44);
    as.vshufi32x4(high01, z(0), z(1), 0xee);
    as.vshufi32x4(high23, z(2), z(3), 0xee);
    as.vshufi32x4(z(0), low01, low23, 0x88);
    as.vshufi32x4(z(1), low01, low23, 0xdd);
    as.vshufi32x4(z(2), high01, high23, 0x88);
    as.vshufi32x4(z(3), high01, high23, 0xdd);
  } else {
    const auto y = [&](int i) { return Ymm(v[static_cast<size_t>(i)].getIdx()); };
    const Ymm low01(take()), high01(take());
    as.vperm2i128(low01, y(0), y(1), 0x20);
    as.vperm2i128(high01, y(0), y(1), 0x31);
    as.vperm2i128(y(1), y(2), y(3), 0x20);
    as.vperm2i128(y(3), y(2), y(3), 0x31);
    as.vmovaps(y(0), low01);
    as.vmovaps(y(2), high01);
  }
}

}  // namespace oct
