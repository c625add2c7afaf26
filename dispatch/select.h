// Selection: which rows of the table may serve a problem, ranked by predicted cost.
//
// A candidate is named by its main row. N is cut into panels of that row's width; what remains goes
// to the narrower rows of the same family (same ISA and operand forms), as one panel or, together
// with the last full one, as two of nearly equal width, whichever is cheaper.
#pragma once

#include <functional>
#include <vector>

#include "dispatch/cost.h"
#include "dispatch/cpu.h"
#include "dispatch/layer.h"
#include "dispatch/reason.h"
#include "kernels/pack.h"

namespace oct {

struct PanelShape {
  const KernelRow* row;
  int n;
};

// `full` panels of main's width, then `tails` others.
struct Layout {
  const KernelRow* main = nullptr;
  int64_t full = 0;
  int tails = 0;
  PanelShape tail[2] = {};
  bool row_sums = false;  // weights as packed have zero points, which A's rows are summed for
  MixedShares shares = kTypicalShares;  // of the weights, if they were looked at
};

struct Candidate {
  const KernelRow* row;
  Reason rejected;
};

struct Selection {
  std::vector<Candidate> candidates;  // in table order
  std::vector<Layout> layouts;        // of those that are not rejected, in the same order
  size_t chosen = 0;                  // of these
  const Layout& best() const { return layouts[chosen]; }
};

// What is to be computed, as far as selection cares.
struct Work {
  const Layer& layer;
  int64_t m, n, k;      // typical rows; columns; products in one sum
  int64_t packed_rows;  // packed rows of A that a run has room for
  // Of the weights, each asked at most once.
  std::function<bool()> pairs_safe;  // weight_pairs_safe
  std::function<MixedShares(int a_max)> mixed_shares;
  int64_t diagonal = 0;               // columns of a group, where B is block-diagonal
  const char* no_row_sums = nullptr;  // why sums of A's rows cannot be taken, if so
  int64_t taps = 1;                   // that K is a list of
  int64_t times = 1;                  // that the rows are computed
  bool convolution = false;

  WorkSize size() const { return {m, k / taps, taps, times}; }
};

// Rows that predictions assume when the caller gives no m_hint.
inline constexpr int64_t kDefaultRows = 256;

// Rows of packed A must fit the stack buffer of a run (dispatch/plan.h).
int64_t max_packed_rows(int64_t k);

// What is added to every value of A so that it becomes the unsigned byte that `row` multiplies.
int shift_of_a(const Layer& layer, const KernelRow& row);

// Cycles of one core with this layout.
double layout_cycles(const CpuFacts& facts, const Layout& layout, WorkSize size);

// OCT_UNSUPPORTED, with the reason, when the forced kernel (or every kernel) is rejected.
oct_status select_kernels(const Work& work, const CpuFacts& facts, const UsableIsas& isas,
                          Selection* selection);

}  // namespace oct
