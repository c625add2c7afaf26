#include "perf/totals.h"

#include <algorithm>
#include <cmath>

namespace oct::perf {
namespace {

constexpr const char* kWhole = "all";

// The sum goes on only while every row has a time.
void add_time(std::optional<double>& sum, const std::optional<BenchRow::Other>& time,
              double count) {
  if (sum && time)
    *sum += count * time->median_us;
  else
    sum.reset();
}

void add(Totals& t, const BenchRow& row) {
  const auto count = static_cast<double>(row.problem.count);
  t.layers += row.problem.count;
  t.us += count * row.median_us;
  add_time(t.peer_us, row.peer, count);
  add_time(t.peer_f32_us, row.peer_f32, count);
  add_time(t.one_thread_us, row.one_thread, count);
  if (row.peer) t.ratios.push_back(row.peer->ratio);
}

}  // namespace

std::optional<double> Totals::over(const std::optional<double>& other_us) const {
  if (!other_us || us == 0) return {};
  return *other_us / us;
}

std::optional<double> Totals::lowest_ratio() const {
  if (ratios.empty()) return {};
  return *std::min_element(ratios.begin(), ratios.end());
}

std::optional<double> Totals::geomean_ratio() const {
  if (ratios.empty()) return {};
  double logs = 0;
  for (const double r : ratios) logs += std::log(r);
  return std::exp(logs / static_cast<double>(ratios.size()));
}

Totals sum_of(const std::vector<BenchRow>& rows) {
  Totals sum("", kWhole);
  for (const BenchRow& row : rows)
    if (!row.failed) add(sum, row);
  return sum;
}

std::vector<Totals> totals_of(const std::vector<BenchRow>& rows) {
  std::vector<Totals> all;
  std::vector<std::string> networks;
  for (const BenchRow& row : rows) {
    const std::string network = network_of(row.problem);
    if (std::find(networks.begin(), networks.end(), network) == networks.end())
      networks.push_back(network);
  }
  for (const std::string& network : networks) {
    const auto first = static_cast<std::ptrdiff_t>(all.size());
    Totals whole(network, kWhole);
    for (const BenchRow& row : rows) {
      if (row.failed || network_of(row.problem) != network) continue;
      const std::string kind = layer_class(row.problem);
      const auto same = [&](const Totals& t) { return t.layer_class == kind; };
      auto totals = std::find_if(all.begin() + first, all.end(), same);
      if (totals == all.end()) totals = all.insert(all.end(), Totals(network, kind));
      add(*totals, row);
      add(whole, row);
    }
    if (all.end() - all.begin() - first > 1) all.push_back(whole);
  }
  return all;
}

}  // namespace oct::perf
