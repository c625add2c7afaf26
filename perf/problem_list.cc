#include "perf/problem_list.h"

#include <fmt/format.h>
#include <regex.h>

#include <string>

#include "perf/models.h"
#include "perf/problem_file.h"
#include "perf/problem_parser.h"

namespace oct::perf {
namespace {

void append(std::vector<Problem>& to, const std::vector<Problem>& problems) {
  to.insert(to.end(), problems.begin(), problems.end());
}

std::vector<Problem> all_problems(const std::vector<ProblemSource>& sources) {
  std::vector<Problem> problems;
  for (const ProblemSource& source : sources) {
    switch (source.kind) {
      case ProblemSource::kMatmul: problems.push_back(parse_matmul(source.text)); break;
      case ProblemSource::kConv: problems.push_back(parse_conv(source.text)); break;
      case ProblemSource::kBatchFile: append(problems, read_problem_file(source.text)); break;
      case ProblemSource::kModel: append(problems, model_problems(source.text)); break;
    }
  }
  if (sources.empty())
    for (const Model& model : models())
      if (model.in_default) append(problems, model_problems(model.name));
  return problems;
}

// A POSIX extended regular expression.
class NameFilter {
 public:
  explicit NameFilter(const std::string& pattern) {
    const int error = regcomp(&compiled_, pattern.c_str(), REG_EXTENDED | REG_NOSUB);
    if (error == 0) return;
    char why[128];
    regerror(error, &compiled_, why, sizeof why);
    throw UsageError(fmt::format("--filter '{}': {}", pattern, why));
  }
  ~NameFilter() { regfree(&compiled_); }
  NameFilter(const NameFilter&) = delete;
  NameFilter& operator=(const NameFilter&) = delete;

  bool matches(const std::string& name) const {
    return regexec(&compiled_, name.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_;
};

void keep_matching(std::vector<Problem>& problems, const std::string& pattern) {
  if (pattern.empty()) return;
  const NameFilter filter(pattern);
  std::erase_if(problems, [&](const Problem& p) { return !filter.matches(p.name); });
  if (problems.empty()) throw UsageError(fmt::format("no problem's name matches '{}'", pattern));
}

}  // namespace

std::vector<Problem> problem_list(const BenchOptions& options) {
  std::vector<Problem> problems = all_problems(options.sources);
  keep_matching(problems, options.filter);
  return problems;
}

}  // namespace oct::perf
