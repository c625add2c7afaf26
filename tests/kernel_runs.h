// How the K of one kernel case is made: of one run, or of taps, some of which some rows of a tile
// do not see; with block-diagonal B, of a run's bytes a column sees those of its group.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.h"
#include "tests/kernel_case.h"

namespace oct::test {

class KernelRuns {
 public:
  // Draws which rows see which taps.
  KernelRuns(const KernelCase& c, Rng& rng);

  int count() const { return c_.taps ? c_.taps : 1; }
  // Of one run in a row of A, and of all.
  int64_t bytes() const { return c_.group_out ? c_.n / c_.group_out * c_.k : c_.k; }
  int64_t all_bytes() const { return count() * bytes(); }
  // Where a column's part of a run begins.
  int64_t first_byte(int n) const { return c_.group_out ? n / c_.group_out * c_.k : 0; }

  // Whether some row may not see some run: with taps in a single tile.
  bool clips() const { return c_.taps && c_.tiles == 1 && c_.clip; }
  bool sees(int row, int run) const;
  int64_t seen_bytes(int row) const;

  // Whose parts of A and B lie so far apart: in any order, unless the case wants one.
  std::vector<Tap> taps(int64_t a_bytes, int64_t b_bytes, Rng& rng) const;

 private:
  const KernelCase& c_;
  std::vector<int64_t> clips_;  // Tap::clip of each
};

}  // namespace oct::test
