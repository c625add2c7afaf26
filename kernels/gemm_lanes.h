// Block-diagonal B whose sums stay where the bytes of A lie. Of 64 channels in groups of 4 or 8, as
// many in as out, a row of A is one vector, and a dword of it belongs to one group:
//
//   A, groups of 8      | g0 k0..3 | g0 k4..7 | g1 k0..3 | g1 k4..7 | ..
//   sums(o), o = 0..7   a lane is output o of the dword's group, over those four k
//
// Nothing is permuted before a dot. Afterwards the lanes of a group are added up and the vectors
// packed; both leave the columns in an order of their own, which a byte shuffle undoes at last.
#pragma once

#include "kernels/table.h"

namespace oct {

inline constexpr int kLaneChannels = 64;  // a vector of A

// Whether such panels of the row can be had; `group` channels in and out.
bool keeps_lanes(const KernelRow& row, const EpilogueSpec& epilogue, int64_t group);

// Most rows of a tile of such panels.
int lane_rows(int group);

// The channel whose number in per-column arrays is `column`.
int lane_channel(int group, int column);

// Brings a packed tap of such a panel (BForm::kQuads8) into the order of A.
void pack_lanes(int group, void* tap);

}  // namespace oct
