#include "dispatch/select.h"

#include <algorithm>
#include <cinttypes>
#include <limits>
#include <optional>

#include "dispatch/plan.h"
#include "dispatch/status.h"
#include "kernels/pack.h"

namespace oct {
namespace {

// Looked up once: it takes a comparison of strings for each row of the table.
std::span<const KernelRow> gemm_rows() {
  static const std::span<const KernelRow> rows = kernels_of("gemm");
  return rows;
}

bool same_family(const KernelRow& a, const KernelRow& b) {
  return a.isa == b.isa && a.a_form == b.a_form && a.b_form == b.b_form && a.flags == b.flags &&
         a.lanes == b.lanes;
}

// The row of main's family for a panel of n columns: the narrowest that holds them, since its tile
// is the tallest. A forced kernel serves every panel itself.
const KernelRow* row_for(const KernelRow& main, int n, bool forced) {
  const KernelRow* best = &main;
  if (!forced)
    for (const KernelRow& row : gemm_rows())
      if (same_family(row, main) && row.nr >= n && row.nr < best->nr) best = &row;
  return best;
}

Layout one_tail(const KernelRow& main, int64_t n, bool forced) {
  Layout layout{&main, n / main.nr, 0, {}};
  if (const int rest = static_cast<int>(n % main.nr))
    layout.tail[layout.tails++] = {row_for(main, rest, forced), rest};
  return layout;
}

// The last full panel and the rest, halved at a vector boundary.
Layout two_tails(const KernelRow& main, int64_t n, bool forced) {
  const int both = main.nr + static_cast<int>(n % main.nr);
  const int vectors = (both + main.lanes - 1) / main.lanes;
  const int first = (vectors + 1) / 2 * main.lanes;
  const PanelShape one{row_for(main, first, forced), first};
  const PanelShape other{row_for(main, both - first, forced), both - first};
  return {&main, n / main.nr - 1, 2, {one, other}};
}

int64_t columns(const Layout& l) {
  int64_t n = l.full * l.main->nr;
  for (int i = 0; i < l.tails; ++i) n += l.tail[i].n;
  return n;
}

int64_t packed_bytes(const Layout& l, int64_t k) {
  auto bytes = l.full * static_cast<int64_t>(packed_b_bytes(*l.main, k, l.main->nr));
  for (int i = 0; i < l.tails; ++i)
    bytes += static_cast<int64_t>(packed_b_bytes(*l.tail[i].row, k, l.tail[i].n));
  return bytes;
}

// To turn to panels of another kernel, for each row of outputs that see several taps. Seen on Zen
// 5, 2026-11-29, in `octavo bench --conv g32ic1024ih7oc1024kh3ph1 --isa avxvnni`, where every group
// of 32 channels was a panel of 4x24 and one of 12x8: 67.6 us, 60.9 with 4x24 alone.
constexpr double kOtherKernelCycles = 200;

double tapped_tiles(const Layout& l, int64_t m) {
  const auto tiles = [m](const KernelRow& row) {
    const RowSplit split = split_rows(m, row);
    return static_cast<double>(split.tall + split.rest);
  };
  double sum = static_cast<double>(l.full) * tiles(*l.main);
  for (int i = 0; i < l.tails; ++i) sum += tiles(*l.tail[i].row);
  return sum;
}

double work_cycles(const CpuFacts& facts, const Layout& l, const Work& work) {
  const double tile = core_ports(facts, *l.main).tapped_tile;
  const auto others =
      std::count_if(l.tail, l.tail + l.tails, [&](const PanelShape& p) { return p.row != l.main; });
  const double tapped =
      tile * tapped_tiles(l, work.m) + kOtherKernelCycles * static_cast<double>(others);
  return layout_cycles(facts, l, work.size()) + (work.taps > 1 ? tapped : 0);
}

struct CostedLayout {
  Layout layout;
  double cycles;
};

CostedLayout best_layout(const CpuFacts& facts, const KernelRow& main, const Work& work,
                         const MixedShares& shares) {
  const bool forced = work.layer.forced != nullptr;
  Layout one = one_tail(main, work.n, forced);
  one.row_sums = work.layer.has_zero_points(work.layer.w_shift(main));
  one.shares = shares;
  const double cycles = work_cycles(facts, one, work);
  if (one.full == 0 || one.tails == 0) return {one, cycles};
  Layout two = two_tails(main, work.n, forced);
  two.row_sums = one.row_sums;
  two.shares = shares;
  const double cycles_of_two = work_cycles(facts, two, work);
  return cycles_of_two < cycles ? CostedLayout{two, cycles_of_two} : CostedLayout{one, cycles};
}

// Whether some panel of the layout is the main row's own.
bool uses_main(const Layout& l) {
  bool uses = l.full > 0;
  for (int i = 0; i < l.tails; ++i) uses |= l.tail[i].row == l.main;
  return uses;
}

// Answers of Work's functions, which read the weights.
struct WeightFacts {
  std::optional<bool> pairs_safe;
  std::optional<MixedShares> mixed;
};

Reason reason_against_mixed(const KernelRow& row, const Work& work, const UsableIsas& isas,
                            WeightFacts& weights) {
  if (work.k > std::numeric_limits<int32_t>::max())
    return {"K = # exceeds its 32-bit offsets", {work.k}};
  const bool narrow = row.flags & kRowNeedsSafePairs;
  if (narrow && work.layer.a_span() > 127) return {"A spans # values", {work.layer.a_span() + 1}};
  if (narrow && shift_of_a(work.layer, row)) return {"A has to be shifted to 0..127"};
  if (work.layer.forced) return {};
  if (!narrow && work.layer.a_span() <= 127) return {"every pair of weights is safe with such A"};
  if (const char* vnni = isas.vnni())
    return {"safe pairs of weights were not sought beside @", {}, vnni};
  if (!weights.mixed) weights.mixed = work.mixed_shares(mixed_a_max(row));
  return {};
}

// Whether `row` promises exact results on this work, and if not, why.
Reason reason_against(const KernelRow& row, const Work& work, const UsableIsas& isas,
                      WeightFacts& weights) {
  const Layer& layer = work.layer;
  if (!isas[row.isa]) return {isas.reason[static_cast<int>(row.isa)].c_str()};
  if (layer.forced && layer.forced != &row) return {"another kernel is forced"};
  if (row.flags & kRowSignedA && layer.a_type != DType::kS8) return {"A is u8"};
  if (row.flags & kRowUnsignedA && layer.a_type != DType::kU8) return {"A is s8"};
  if (row.flags & kRowUnsignedB && !layer.w_unsigned) return {"the weights are s8"};
  if (work.no_row_sums && layer.has_zero_points(layer.w_shift(row)))
    return {"its weights have zero points, and @", {}, work.no_row_sums};
  if (work.diagonal &&
      (row.isa == Isa::kAmx || row.a_form != AForm::kBytes || row.b_form == BForm::kMixed))
    return {"the weights are block-diagonal, one block for each group"};
  if (work.diagonal > row.lanes)  // panels begin at any vector
    return {"groups of # columns exceed its vectors", {work.diagonal}};
  if (row.b_form == BForm::kMixed) return reason_against_mixed(row, work, isas, weights);
  if (row.flags & kRowNeedsSafePairs && layer.a_span() > 127) {
    const int values = layer.a_span() + 1;
    if (const char* vnni = isas.vnni(); vnni && !layer.forced)
      return {"A spans # values; the proof that pairs of weights are safe was not tried beside @",
              {values},
              vnni};
    if (!weights.pairs_safe) weights.pairs_safe = work.pairs_safe();
    if (!*weights.pairs_safe)
      return {"A spans # values, and pairs of weights exceed 128: its int16 sums could saturate",
              {values}};
  }
  if (row.a_form == AForm::kPairs16 && work.packed_rows < row.mr)
    return {"# packed rows of A for K = # exceed the buffer on the stack", {row.mr, work.k}};
  return {};
}

}  // namespace

int64_t max_packed_rows(int64_t k) {
  return kPackedABytes / static_cast<int64_t>(packed_a_row_bytes(k));
}

int shift_of_a(const Layer& layer, const KernelRow& row) {
  if (row.flags & kRowSignedA) return 0;
  const bool by_range = row.flags & kRowNeedsSafePairs && layer.a_span() <= 127;
  if (by_range) return layer.a_min >= 0 && layer.a_max <= 128 ? 0 : -layer.a_min;
  return layer.a_type == DType::kS8 ? 128 : 0;
}

double layout_cycles(const CpuFacts& facts, const Layout& l, WorkSize size) {
  if (size.m == 0) return 0;
  size.shares = l.shares;
  const CorePorts ports = core_ports(facts, *l.main);
  const int64_t b_bytes = size.runs * packed_bytes(l, size.k);
  double cycles = entry_cycles(*l.main, size);
  if (l.full)
    cycles += static_cast<double>(l.full) * panel_cycles(ports, *l.main, size, l.main->nr, b_bytes);
  for (int i = 0; i < l.tails; ++i)
    cycles += panel_cycles(ports, *l.tail[i].row, size, l.tail[i].n, b_bytes);
  cycles += pack_cycles(ports, *l.main, size);
  if (l.row_sums) cycles += row_sum_cycles(ports, *l.main, size, columns(l));
  return cycles;
}

namespace {

// The table lists preferred rows first: a later one must be predicted cheaper by more than the
// model can tell apart, unless it does the same without sums of A's rows.
constexpr double kClearlyCheaper = 0.99;

oct_status refuse(const Work& work, const Selection& selection) {
  for (const Candidate& c : selection.candidates)
    if (c.row == work.layer.forced)
      return fail(OCT_UNSUPPORTED, "kernel %s cannot be used: %s", c.row->name,
                  c.rejected.in_words().c_str());
  if (work.layer.forced)
    return fail(OCT_UNSUPPORTED, "kernel %s is for operation %s", work.layer.forced->name,
                work.layer.forced->op);
  const Candidate& last = selection.candidates.back();
  return fail(OCT_UNSUPPORTED, "no kernel for %" PRId64 " columns, K = %" PRId64 ": %s: %s", work.n,
              work.k, last.row->name, last.rejected.in_words().c_str());
}

}  // namespace

oct_status select_kernels(const Work& work, const CpuFacts& facts, const UsableIsas& isas,
                          Selection* selection) {
  WeightFacts weights;
  double best = 0;
  bool found = false;
  selection->candidates.reserve(gemm_rows().size());
  for (const KernelRow& row : gemm_rows()) {
    Candidate& c = selection->candidates.emplace_back(
        Candidate{&row, reason_against(row, work, isas, weights)});
    if (c.rejected) continue;
    const auto [layout, cycles] =
        best_layout(facts, row, work, weights.mixed.value_or(kTypicalShares));
    if (!uses_main(layout)) {
      c.rejected = {"narrower kernels of its family serve all # columns", {work.n}};
      continue;
    }
    const bool saves_sums = found && selection->best().row_sums && !layout.row_sums;
    if (!found || cycles < (saves_sums ? 1 : kClearlyCheaper) * best) {
      best = cycles;
      selection->chosen = selection->layouts.size();
      found = true;
    }
    selection->layouts.push_back(layout);
  }
  return found ? OCT_OK : refuse(work, *selection);
}

}  // namespace oct
