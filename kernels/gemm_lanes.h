// Block-diagonal B whose sums stay where the bytes of A lie. Of 64 channels in groups of 4, 8 or
// 16, as many in as out, a row of A is one vector, and a dword of it belongs to one group:
//
//   A, groups of 8      | g0 k0..3 | g0 k4..7 | g1 k0..3 | g1 k4..7 | ..  four dwords a block
//   shuffled for k0..3  | g0 k0..3 | g0 k0..3 | g1 k0..3 | g1 k0..3 | ..  of 128 bits
//   sums(0)             | g0 out 0 | g0 out 1 | g1 out 0 | g1 out 1 | ..
//   sums(1)             | g0 out 2 | g0 out 3 | g1 out 2 | g1 out 3 | ..  and so on to sums(3)
//
// One shuffle within blocks, none with groups of 4, serves four dots. The vectors, once packed,
// leave the columns of each block in an order of their own, which a byte shuffle undoes.
#pragma once

#include "kernels/table.h"

namespace oct {

inline constexpr int kLaneChannels = 64;  // a vector of A

// Whether such panels of the row can be had; `group` channels in and out.
bool keeps_lanes(const KernelRow& row, const EpilogueSpec& epilogue, int64_t group);

// The channel whose number in per-column arrays is `column`.
int lane_channel(int group, int column);

// Brings a packed tap of such a panel (BForm::kQuads8) into the order of A.
void pack_lanes(int group, void* tap);

}  // namespace oct
