// Files of problems, as benchdnn's batch files. Not read: benchdnn's option lines.
#pragma once

#include <string>
#include <vector>

#include "perf/problem.h"

namespace oct::perf {

// The problems of a file (products and convolutions as in perf/problem_parser.h), separated by
// white space or line ends; `#` starts a comment. Throws UsageError with file and line.
std::vector<Problem> read_problem_file(const std::string& path);

}  // namespace oct::perf
