// Problems in benchdnn's matmul syntax: MxK:KxN, optionally followed by :MxN (the shape of C) and
// by n"name" or n"name*count", where count says how often the problem occurs in one pass of its
// model. benchdnn's newer spelling _n"..." is read too. Not read: batched (3-D) problems and
// benchdnn's option lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace oct::perf {

struct GemmShape {
  std::string name;
  int64_t m, k, n;
  int64_t count = 1;
};

// "MxK:KxN"
std::string problem_text(const GemmShape& shape);

// "name (MxK:KxN)", or only the problem if it has no other name.
std::string full_name(const GemmShape& shape);

// One problem; without a name, the problem's text becomes its name. Throws UsageError.
GemmShape parse_problem(std::string_view text);

// The problems of a file, separated by white space or line ends; `#` starts a comment. Throws
// UsageError with file and line.
std::vector<GemmShape> read_problem_file(const std::string& path);

}  // namespace oct::perf
