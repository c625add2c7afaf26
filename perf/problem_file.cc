#include "perf/problem_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "perf/options.h"
#include "perf/problem_parser.h"

namespace oct::perf {
namespace {

// The next word of a line, ended by white space outside quotes or by a comment; empty at the end.
std::string_view next_word(std::string_view& line) {
  const size_t start = std::min(line.find_first_not_of(" \t\r"), line.size());
  line.remove_prefix(start);
  size_t length = 0;
  bool quoted = false;
  for (; length < line.size(); ++length) {
    const char c = line[length];
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == ' ' || c == '\t' || c == '\r' || c == '#')) break;
  }
  const std::string_view word = line.substr(0, length);
  line.remove_prefix(length);
  return word;
}

}  // namespace

std::vector<Problem> read_problem_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw UsageError(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  std::vector<Problem> problems;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    std::string_view rest = line;
    for (auto word = next_word(rest); !word.empty(); word = next_word(rest)) {
      try {
        if (word.starts_with("--"))
          throw UsageError(fmt::format("option '{}': only problems may stand in a file", word));
        problems.push_back(parse_problem(word));
      } catch (const UsageError& error) {
        throw UsageError(fmt::format("{}:{}: {}", path, number, error.what()));
      }
    }
  }
  if (file.bad()) throw UsageError(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  if (problems.empty()) throw UsageError(fmt::format("'{}' holds no problem", path));
  return problems;
}

}  // namespace oct::perf
