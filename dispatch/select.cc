#include "dispatch/select.h"

#include <algorithm>
#include <cinttypes>
#include <optional>

#include "dispatch/plan.h"
#include "dispatch/status.h"
#include "kernels/pack.h"

namespace oct {
namespace {

bool same_family(const KernelRow& a, const KernelRow& b) {
  return a.isa == b.isa && a.a_form == b.a_form && a.b_form == b.b_form && a.flags == b.flags;
}

// The row of main's family for a panel of n columns: the narrowest that holds them, since its tile
// is the tallest. A forced kernel serves every panel itself.
const KernelRow* row_for(const KernelRow& main, int n, bool forced) {
  const KernelRow* best = &main;
  if (!forced)
    for (const KernelRow& row : kernel_table())
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
  return {&main, n / main.nr - 1, 2,
          {{row_for(main, first, forced), first},
           {row_for(main, both - first, forced), both - first}}};
}

int64_t packed_bytes(const Layout& l, int64_t k) {
  auto bytes = l.full * static_cast<int64_t>(packed_b_bytes(*l.main, k, l.main->nr));
  for (int i = 0; i < l.tails; ++i)
    bytes += static_cast<int64_t>(packed_b_bytes(*l.tail[i].row, k, l.tail[i].n));
  return bytes;
}

Layout best_layout(const CpuFacts& facts, const KernelRow& main, const Problem& p, int64_t m) {
  const bool forced = p.forced != nullptr;
  const Layout one = one_tail(main, p.n(), forced);
  if (one.full == 0 || one.tails == 0) return one;
  const Layout two = two_tails(main, p.n(), forced);
  return layout_cycles(facts, two, m, p.k()) < layout_cycles(facts, one, m, p.k()) ? two : one;
}

// Whether some panel of the layout is the main row's own.
bool uses_main(const Layout& l) {
  bool uses = l.full > 0;
  for (int i = 0; i < l.tails; ++i) uses |= l.tail[i].row == l.main;
  return uses;
}

// weight_pairs_safe, asked at most once: it reads all of B.
class PairProof {
 public:
  bool safe(const BView& b) {
    if (!known_) known_ = weight_pairs_safe(b);
    return *known_;
  }

 private:
  std::optional<bool> known_;
};

// Whether `row` promises exact results on this problem, and if not, why.
std::string reason_against(const KernelRow& row, const Problem& p, const UsableIsas& isas,
                           PairProof& proof) {
  if (!isas[row.isa]) return isas.reason[static_cast<int>(row.isa)];
  if (p.forced && p.forced != &row) return "another kernel is forced";
  if (row.flags & kRowNeedsSafePairs && p.a_max - p.a_min > 127) {
    if (!p.forced && isas[Isa::kAvx512Vnni])
      return "A spans " + std::to_string(p.a_max - p.a_min + 1) +
             " values; the proof that pairs of weights are safe was not tried beside avx512vnni";
    if (!proof.safe(p.b))
      return "A spans " + std::to_string(p.a_max - p.a_min + 1) +
             " values, and pairs of weights exceed 128: its int16 sums could saturate";
  }
  if (row.a_form == AForm::kPairs16 && max_packed_rows(p.k()) < row.mr)
    return std::to_string(row.mr) + " packed rows of A of K = " + std::to_string(p.k()) +
           " exceed the stack buffer of " + std::to_string(kPackedABytes) + " bytes";
  return "";
}

}  // namespace

int64_t max_packed_rows(int64_t k) {
  return kPackedABytes / static_cast<int64_t>(packed_a_row_bytes(k));
}

double layout_cycles(const CpuFacts& facts, const Layout& l, int64_t m, int64_t k) {
  if (m == 0) return 0;
  const CorePorts ports = core_ports(facts, l.main->isa);
  const int64_t b_bytes = packed_bytes(l, k);
  double cycles = 0;
  if (l.full)
    cycles += static_cast<double>(l.full) *
              panel_cycles(ports, *l.main, m, l.main->nr, k, b_bytes);
  for (int i = 0; i < l.tails; ++i)
    cycles += panel_cycles(ports, *l.tail[i].row, m, l.tail[i].n, k, b_bytes);
  return cycles;
}

// The table lists preferred rows first: a later one must be predicted cheaper by more than the
// model can tell apart.
constexpr double kClearlyCheaper = 0.99;

oct_status select_kernels(const Problem& p, const CpuFacts& facts, const UsableIsas& isas,
                          Selection* selection) {
  const int64_t m = p.m_hint ? p.m_hint : kDefaultRows;
  PairProof proof;
  double best = 0;
  bool found = false;
  for (const KernelRow& row : kernel_table()) {
    Candidate c{&row, reason_against(row, p, isas, proof), {}};
    if (c.rejected.empty()) {
      c.layout = best_layout(facts, row, p, m);
      if (!uses_main(c.layout))
        c.rejected = "narrower kernels of its family serve all " + std::to_string(p.n()) + " columns";
    }
    if (c.rejected.empty()) {
      const double cycles = layout_cycles(facts, c.layout, m, p.k());
      if (!found || cycles < kClearlyCheaper * best) {
        best = cycles;
        selection->chosen = selection->candidates.size();
        found = true;
      }
    }
    selection->candidates.push_back(std::move(c));
  }
  if (found) return OCT_OK;
  if (p.forced)
    for (const Candidate& c : selection->candidates)
      if (c.row == p.forced)
        return fail(OCT_UNSUPPORTED, "kernel %s cannot be used: %s", c.row->name,
                    c.rejected.c_str());
  return fail(OCT_UNSUPPORTED, "no kernel for n = %" PRId64 ", k = %" PRId64 ": %s: %s", p.n(),
              p.k(), selection->candidates.back().row->name,
              selection->candidates.back().rejected.c_str());
}

}  // namespace oct
