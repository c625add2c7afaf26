#include "kernels/gemm_lanes.h"

#include <cstring>

#include "kernels/gemm_emitter.h"

namespace oct {

using Xbyak::Operand;
using Xbyak::Xmm;

namespace {

constexpr int kLanes = 16, kBlock = 4;  // lanes of a vector, and of 128 bits

int dwords_of(int group) { return group / kKr; }

// Of vpshufd: dword u of each group, for all lanes of the group in a block.
uint8_t dword_of_group(int u, int dwords) {
  int order = 0;
  for (int l = 0; l < kBlock; ++l) order |= (l / dwords * dwords + u) << (2 * l);
  return static_cast<uint8_t>(order);
}

}  // namespace

bool keeps_lanes(const KernelRow& row, const EpilogueSpec& epilogue, int64_t group) {
  const bool one_word = row.b_form == BForm::kQuads8 && row.a_form == AForm::kBytes &&
                        (has_vnni(row.isa) || row.flags & kRowNeedsSafePairs);
  return (group == 4 || group == 8 || group == 16) && one_word && row.lanes == kLanes &&
         row.nr == kLaneChannels && row.isa != Isa::kAmx && is_int8(epilogue.c_type) &&
         !epilogue.row_scale && !has_tensor(epilogue.post);
}

int lane_channel(int group, int column) {
  const int outputs = dwords_of(group);  // of a group in a block of one vector
  const int vector = column / kLanes, lane = column % kLanes;
  return lane / outputs * group + vector * outputs + lane % outputs;
}

void pack_lanes(int group, void* tap) {
  uint32_t from[kLaneChannels * kBlock], *to = static_cast<uint32_t*>(tap);
  const int words = dwords_of(group);
  std::memcpy(from, tap, static_cast<size_t>(words) * kLaneChannels * sizeof from[0]);
  for (int u = 0; u < words; ++u)
    for (int c = 0; c < kLaneChannels; ++c)
      *to++ = from[u * kLaneChannels + lane_channel(group, c)];
}

// One tap. The words of B are loaded once for all rows as far as there is room.
void GemmEmitter::lane_dots(Rows rows) {
  std::vector<RegisterPool::Role> scope;
  const auto take = [&] { return w.reg(scope.emplace_back(pool.take()).index()); };
  const Xmm a = take();
  std::vector<Xmm> t, b;
  for (int i = 0; i < dot.temporaries; ++i) t.push_back(take());
  while (pool.available() > 0 && static_cast<int>(b.size()) < nv) b.push_back(take());
  const int words = dwords_of(spec.group_in);
  for (int u = 0; u < words; ++u) {
    const auto word = [&](int o) { return as.ptr[rB + (u * nv + o) * w.bytes()]; };
    for (size_t o = 0; o < b.size(); ++o) load(b[o], word(static_cast<int>(o)));
    for (int i = rows.begin; i < rows.end; ++i) {
      const Address from = as.ptr[a_row(i)];
      words == 1 ? load(a, from) : as.vpshufd(a, from, dword_of_group(u, words));
      if (spec.a_shift) as.vpaddb(a, a, shift());
      for (int o = 0; o < nv; ++o) {
        const Address memory = word(o);
        const auto held = static_cast<size_t>(o);
        const Operand* const word_b[] = {held < b.size() ? static_cast<const Operand*>(&b[held])
                                                         : &memory};
        w.dot(acc(i, o), &a, word_b, t.data(), constant(), false);
      }
    }
  }
}

// For every byte of a 128-bit block, as packing leaves it, where it comes from; empty if all are in
// order.
std::vector<uint32_t> GemmEmitter::lane_bytes() const {
  if (spec.group_in == kLanes) return {};
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
