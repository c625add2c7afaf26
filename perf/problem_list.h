// Which problems the command line asks for.
#pragma once

#include <vector>

#include "perf/options.h"
#include "perf/problem.h"

namespace oct::perf {

// In the order of the command line; the default models if it names none. Throws UsageError, also
// if the filter leaves nothing.
std::vector<Problem> problem_list(const BenchOptions& options);

}  // namespace oct::perf
