#include "kernels/gemm_lanes.h"

#include <cstring>

#include "kernels/gemm_emitter.h"

namespace oct {

using Xbyak::Operand;
using Xbyak::Xmm;

namespace {

constexpr int kLanes = 16, kBlock = 4;  // lanes of a vector, and of 128 bits

int dwords_of(int group) { return group / kKr; }

}  // namespace

bool keeps_lanes(const KernelRow& row, const EpilogueSpec& epilogue, int64_t group) {
  const bool one_word = row.b_form == BForm::kQuads8 && row.a_form == AForm::kBytes &&
                        (has_vnni(row.isa) || row.flags & kRowNeedsSafePairs);
  return (group == 4 || group == 8) && one_word && row.lanes == kLanes && row.nr == kLaneChannels &&
         row.isa != Isa::kAmx && is_int8(epilogue.c_type) && !epilogue.row_scale &&
         !has_tensor(epilogue.post);
}

// `group` sums and a word of A each, beside a word of B and what dots and epilogue need.
int lane_rows(int group) { return group == 8 ? 3 : 5; }

// Groups of 8: adding pairs of lanes joins sums(2k) and sums(2k + 1) in vector k, whose 128-bit
// blocks then hold two groups' output 2k and two groups' 2k + 1.
int lane_channel(int group, int column) {
  const int vector = column / kLanes, lane = column % kLanes;
  if (group == 4) return lane * group + vector;
  const int block = lane / kBlock, at = lane % kBlock;
  return (2 * block + at % 2) * group + 2 * vector + at / 2;
}

void pack_lanes(int group, void* tap) {
  uint32_t from[kLaneChannels * 2], *const to = static_cast<uint32_t*>(tap);
  const int words = dwords_of(group);
  std::memcpy(from, tap, static_cast<size_t>(words) * kLaneChannels * sizeof from[0]);
  for (int u = 0; u < words; ++u)
    for (int c = 0; c < kLaneChannels; ++c)
      to[c % group * kLanes + c / group * words + u] = from[u * kLaneChannels + c];
}

// One tap: every word of B is loaded once for all rows, every vector of A once for all words.
void GemmEmitter::lane_dots(Rows rows) {
  std::vector<RegisterPool::Role> scope;
  const auto take = [&] { return w.reg(scope.emplace_back(pool.take()).index()); };
  std::vector<Xmm> a, t;
  for (int i = rows.begin; i < rows.end; ++i) {
    a.push_back(take());
    load(a.back(), as.ptr[a_row(i)]);
    if (spec.a_shift) as.vpaddb(a.back(), a.back(), shift());
  }
  for (int i = 0; i < dot.temporaries; ++i) t.push_back(take());
  const Xmm b = take();
  const Operand* const words_b[] = {&b};
  for (int o = 0; o < nv; ++o) {
    load(b, as.ptr[rB + o * w.bytes()]);
    for (int i = rows.begin; i < rows.end; ++i)
      w.dot(acc(i, o), &a[static_cast<size_t>(i - rows.begin)], words_b, t.data(), constant(),
            false);
  }
}

// The sums of row i in the order of columns, with what they start from; rK points there.
std::vector<Xmm> GemmEmitter::gather_lanes(int i) {
  constexpr uint8_t even = 0x88, odd = 0xdd;
  const auto role = pool.take();
  const Xmm t = w.reg(role.index());
  std::vector<Xmm> sums;
  for (int o = 0; o < nv; o += dwords_of(spec.group_in)) {
    const Xmm x = acc(i, o);
    if (nv == 8) {
      as.vshufps(t, x, acc(i, o + 1), even);
      as.vshufps(x, x, acc(i, o + 1), odd);
      as.vpaddd(x, x, t);
    }
    as.vpaddd(x, x, as.ptr[rK + static_cast<int>(sums.size()) * w.bytes()]);
    sums.push_back(x);
  }
  if (spec.clip) as.add(rK, arg(offsetof(GemmArgs, init_stride_bytes)));
  return sums;
}

// For every byte of a 128-bit block, as packing leaves it, where it comes from.
std::vector<uint32_t> GemmEmitter::lane_bytes() const {
  uint8_t from[kLanes];
  for (int byte = 0; byte < kLanes; ++byte) {
    const int column = byte / kBlock * kLanes + byte % kBlock;
    from[lane_channel(spec.group_in, column)] = static_cast<uint8_t>(byte);
  }
  std::vector<uint32_t> mask(kBlock);
  std::memcpy(mask.data(), from, sizeof from);
  std::vector<uint32_t> all;
  for (int block = 0; block < kBlock; ++block) all.insert(all.end(), mask.begin(), mask.end());
  return all;
}

}  // namespace oct
