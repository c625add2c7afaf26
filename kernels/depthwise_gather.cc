#include "kernels/depthwise_gather.h"

#include <cstddef>

namespace oct {

using Xbyak::Reg64;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

namespace {

constexpr int kLaneBytes = 16;  // of the 128-bit lanes that shuffles work in

}  // namespace

DepthwiseGather::DepthwiseGather(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec)
    : as(as), spec(spec), width(depthwise_width(row, spec.n)),
      masked(row.isa >= Isa::kAvx512bw && spec.n < width) {}

Xmm DepthwiseGather::vec(int index) const {
  if (width == 64) return Zmm(index);
  return width == 32 ? static_cast<Xmm>(Ymm(index)) : Xmm(index);
}

void DepthwiseGather::emit(const Reg64& args, RegisterPool& pool) {
  std::vector<RegisterPool::Role> scope;
  for (int& i : vectors) i = scope.emplace_back(pool.take()).index();
  if (masked) {
    as.mov(rCount, (uint64_t{1} << spec.n) - 1);
    as.kmovq(as.k2, rCount);
  }
  if (spec.a_shift) as.vpbroadcastd(shift(), as.ptr[args + offsetof(DepthwiseArgs, a_shift)]);
  as.mov(rStream, as.ptr[args + offsetof(DepthwiseArgs, streams)]);
  as.mov(rEnd, as.ptr[args + offsetof(DepthwiseArgs, streams_end)]);
  Xbyak::Label top, end;
  as.L(top);
  as.cmp(rStream, rEnd);
  as.jae(end);
  stream();
  as.add(rStream, sizeof(DepthwiseStream));
  as.jmp(top);
  as.L(end);
}

void DepthwiseGather::stream() {
  const auto field = [&](size_t offset) { return as.ptr[rStream + offset]; };
  for (int i = 0; i < kSources; ++i) {
    as.mov(rSource[i], field(offsetof(DepthwiseStream, sources) + 8 * i));
    as.mov(rStep[i], field(offsetof(DepthwiseStream, step_bytes) + 8 * i));
  }
  as.mov(rTo, field(offsetof(DepthwiseStream, strip)));
  as.mov(rCount, field(offsetof(DepthwiseStream, positions)));
  as.loop(rCount, [&] {
    for (int i = 0; i < kSources; ++i) {
      load_channels(v(i), rSource[i]);
      if (spec.a_shift) as.vpaddb(v(i), v(i), shift());
      as.add(rSource[i], rStep[i]);
    }
    const Xmm sources[kSources] = {v(0), v(1), v(2), v(3)}, t[] = {temporary(0), temporary(1)};
    interleave_sources(as, sources, t, v(3));
    store(0, v(1));
    store(1, t[0]);
    store(2, v(3));
    store(3, v(0));
    as.add(rTo, width);
  });
}

void DepthwiseGather::load_channels(const Xmm& to, const Reg64& from) {
  if (masked)
    as.vmovdqu8(to | as.k2 | as.T_z, as.ptr[from]);
  else if (spec.n < width)
    load_pieces(to, from);
  else
    as.vmovups(to, as.ptr[from]);
}

void DepthwiseGather::load_pieces(const Xmm& to, const Reg64& from) {
  const Xmm x(to.getIdx());
  if (spec.n <= kLaneBytes) return load_exact(as, x, from, spec.n);
  const Xmm rest(temporary(0).getIdx());
  as.vmovdqu(x, as.ptr[from]);
  load_exact(as, rest, from, spec.n - kLaneBytes, kLaneBytes);
  as.vinserti128(Ymm(to.getIdx()), Ymm(to.getIdx()), rest, 1);
}

void DepthwiseGather::store(int q, const Xmm& from) {
  as.vmovups(as.ptr[rTo + static_cast<size_t>(q * spec.plane_bytes)], from);
}

// Pieces of 8, 4, 2 and 1.
void load_exact(Assembler& as, const Xmm& v, const Xbyak::RegExp& from, int n, int offset) {
  int done = 0;
  const auto left = [&](int piece) { return n - done >= piece; };
  const auto at = [&] { return as.ptr[from + (offset + done)]; };
  if (n == kLaneBytes) return as.vmovdqu(v, at());
  if (left(8))
    as.vmovq(v, at()), done += 8;
  else
    as.vpxor(v, v, v);
  if (left(4)) as.vpinsrd(v, v, at(), static_cast<uint8_t>(done / 4)), done += 4;
  if (left(2)) as.vpinsrw(v, v, at(), static_cast<uint8_t>(done / 2)), done += 2;
  if (left(1)) as.vpinsrb(v, v, at(), static_cast<uint8_t>(done));
}

void interleave_sources(Assembler& as, const Xmm* v, const Xmm* t, const Xmm& last) {
  const Xmm &low01 = t[0], &low23 = t[1], &high01 = v[0], &high23 = v[2];
  as.vpunpcklbw(low01, v[0], v[1]);
  as.vpunpckhbw(high01, v[0], v[1]);
  as.vpunpcklbw(low23, v[2], last);
  as.vpunpckhbw(high23, v[2], last);
  as.vpunpcklwd(v[1], low01, low23);
  as.vpunpckhwd(low01, low01, low23);
  as.vpunpcklwd(v[3], high01, high23);
  as.vpunpckhwd(high01, high01, high23);
}

}  // namespace oct
