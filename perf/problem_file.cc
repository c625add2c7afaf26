#include "perf/problem_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>

#include "perf/options.h"

namespace oct::perf {
namespace {

constexpr int64_t kMaxDim = std::numeric_limits<int32_t>::max();

// A cursor over one problem's text; every failure quotes all of it.
class ProblemParser {
 public:
  explicit ProblemParser(std::string_view text) : text_(text), rest_(text) {}

  GemmShape parse() {
    GemmShape shape;
    shape.m = dimension("M");
    expect('x');
    shape.k = dimension("K");
    if (accept('x')) fail("batched problems are not supported");
    expect(':');
    const int64_t k2 = dimension("K");
    expect('x');
    shape.n = dimension("N");
    if (accept('x')) fail("batched problems are not supported");
    if (k2 != shape.k) fail(fmt::format("the inner sizes {} and {} differ", shape.k, k2));
    if (accept(':')) destination(shape);
    shape.name = problem_text(shape);
    if (!rest_.empty()) suffix(shape);
    return shape;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw UsageError(fmt::format("bad problem '{}': {}", text_, why));
  }

  bool accept(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(expected(fmt::format("'{}'", c)));
  }

  std::string expected(const std::string& what) const {
    return fmt::format("expected {} {} (the form is MxK:KxN)", what,
                       rest_.empty() ? "at the end" : fmt::format("before '{}'", rest_));
  }

  int64_t dimension(const char* what) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error == std::errc::invalid_argument) fail(expected(what));
    if (error != std::errc{} || value < 1 || value > kMaxDim)
      fail(fmt::format("{} is not in 1..{}", what, kMaxDim));
    rest_.remove_prefix(end - rest_.data());
    return value;
  }

  void destination(const GemmShape& shape) {
    const int64_t m = dimension("M");
    expect('x');
    const int64_t n = dimension("N");
    if (m != shape.m || n != shape.n)
      fail(fmt::format("C is {}x{}, not {}x{}", shape.m, shape.n, m, n));
  }

  // [_]n"name" or [_]n"name*count"
  void suffix(GemmShape& shape) {
    accept('_');
    if (!accept('n') || !accept('"') || rest_.size() < 2 || rest_.back() != '"')
      fail("after the sizes only n\"name\" or n\"name*count\" may follow");
    rest_.remove_suffix(1);
    if (rest_.find('"') != rest_.npos) fail("a quote inside the name");
    const size_t star = rest_.rfind('*');
    if (star != rest_.npos) {
      const std::string_view digits = rest_.substr(star + 1);
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), shape.count);
      if (error != std::errc{} || end != digits.data() + digits.size() || shape.count < 1)
        fail(fmt::format("the count '{}' is not a positive number", digits));
      rest_ = rest_.substr(0, star);
    }
    if (rest_.empty()) fail("the name is empty");
    shape.name = rest_;
  }

  std::string_view text_, rest_;
};

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

std::string problem_text(const GemmShape& shape) {
  return fmt::format("{}x{}:{}x{}", shape.m, shape.k, shape.k, shape.n);
}

std::string full_name(const GemmShape& shape) {
  const std::string problem = problem_text(shape);
  return shape.name == problem ? problem : fmt::format("{} ({})", shape.name, problem);
}

GemmShape parse_problem(std::string_view text) { return ProblemParser(text).parse(); }

std::vector<GemmShape> read_problem_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw UsageError(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  std::vector<GemmShape> shapes;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    std::string_view rest = line;
    for (auto word = next_word(rest); !word.empty(); word = next_word(rest)) {
      try {
        if (word.starts_with("--"))
          throw UsageError(fmt::format("option '{}': only problems may stand in a file", word));
        shapes.push_back(parse_problem(word));
      } catch (const UsageError& error) {
        throw UsageError(fmt::format("{}:{}: {}", path, number, error.what()));
      }
    }
  }
  if (file.bad()) throw UsageError(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  if (shapes.empty()) throw UsageError(fmt::format("'{}' holds no problem", path));
  return shapes;
}

}  // namespace oct::perf
