// Sums of a report's rows, every row as often as it occurs in its network.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perf/report.h"

namespace oct::perf {

struct Totals {
  Totals(std::string network_name, std::string class_name)
      : network(std::move(network_name)), layer_class(std::move(class_name)) {}

  std::string network, layer_class;  // the class is "all" for a whole network
  int64_t layers = 0;                // rows times their counts
  double us = 0;
  // Of the peer, its f32 and one thread of ours: only if all rows have it.
  std::optional<double> peer_us = 0, peer_f32_us = 0, one_thread_us = 0;
  std::vector<double> ratios;  // the peer's, of each row

  std::optional<double> ratio() const { return over(peer_us); }
  std::optional<double> ratio_f32() const { return over(peer_f32_us); }
  std::optional<double> speed_up() const { return over(one_thread_us); }
  std::optional<double> lowest_ratio() const;
  std::optional<double> geomean_ratio() const;

 private:
  std::optional<double> over(const std::optional<double>& other_us) const;
};

// Of rows whose results were right.
Totals sum_of(const std::vector<BenchRow>& rows);

// For each network its classes, in order of appearance, and the whole unless it has one class only.
std::vector<Totals> totals_of(const std::vector<BenchRow>& rows);

}  // namespace oct::perf
