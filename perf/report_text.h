// How reports write numbers and names.
#pragma once

#include <optional>
#include <string>

#include "perf/report.h"

namespace oct::perf {

inline constexpr const char* kAbsent = "-";

std::string us_text(double us);
std::string us_text(const std::optional<double>& us);
std::string fixed_text(const std::optional<double>& x, int digits);

// Empty in CSV, null in JSON.
std::string csv_text(const std::optional<double>& x);
Json json_number(const std::optional<double>& x);

// Kernel names are <op>_<types>_<tile>_<isa>. Of these a table shows the tile and the ISA: the
// headline has the types.
std::string short_kernel(const std::string& name);

// Two lines: who ran what on which machine.
std::string headline(const RunInfo& info);

}  // namespace oct::perf
