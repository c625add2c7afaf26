#include "perf/problem_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <optional>

#include "perf/options.h"

namespace oct::perf {
namespace {

constexpr int64_t kMaxDim = std::numeric_limits<int32_t>::max();

// A cursor over one problem's text; every failure quotes all of it.
class Cursor {
 public:
  Cursor(std::string_view text, std::string_view form) : text_(text), rest_(text), form_(form) {}

  [[noreturn]] void fail(const std::string& why) const {
    throw UsageError(fmt::format("bad problem '{}': {}", text_, why));
  }

  bool at_end() const { return rest_.empty(); }

  bool accept(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  void expect(std::string_view word) {
    if (!accept(word)) fail_expecting(fmt::format("'{}'", word));
  }

  [[noreturn]] void fail_expecting(const std::string& what) const {
    fail(fmt::format("expected {} {} (the form is {})", what,
                     rest_.empty() ? "at the end" : fmt::format("before '{}'", rest_), form_));
  }

  int64_t number(std::string_view what, int64_t least = 1) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error == std::errc::invalid_argument) fail_expecting(std::string(what));
    if (error != std::errc{} || value < least || value > kMaxDim)
      fail(fmt::format("{} is not in {}..{}", what, least, kMaxDim));
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }

  bool at_suffix() const { return rest_.starts_with("n\"") || rest_.starts_with("_n\""); }

  // The problem's name and count: [_]n"name" or [_]n"name*count", or nothing at the end.
  void name(Problem& problem) {
    problem.name = problem_text(problem);
    if (rest_.empty()) return;
    accept("_");
    if (!accept("n\"") || rest_.size() < 2 || rest_.back() != '"')
      fail("after the sizes only n\"name\" or n\"name*count\" may follow");
    rest_.remove_suffix(1);
    if (rest_.find('"') != rest_.npos) fail("a quote inside the name");
    const size_t star = rest_.rfind('*');
    if (star != rest_.npos) {
      const std::string_view digits = rest_.substr(star + 1);
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), problem.count);
      if (error != std::errc{} || end != digits.data() + digits.size() || problem.count < 1)
        fail(fmt::format("the count '{}' is not a positive number", digits));
      rest_ = rest_.substr(0, star);
    }
    if (rest_.empty()) fail("the name is empty");
    problem.name = rest_;
  }

 private:
  std::string_view text_, rest_, form_;
};

// The numbers of a convolution, by key.
class ConvParser {
 public:
  explicit ConvParser(std::string_view text) : cursor_(text, "ic64ih56oc64kh3ph1") {}

  Problem parse() {
    ConvShape s;
    s.transposed = cursor_.accept("t");
    while (!cursor_.at_end() && !cursor_.at_suffix()) read_pair();
    s.rank = numbers_.contains("id") ? 3 : numbers_.contains("ih") ? 2 : 1;
    s.groups = numbers_.contains("g") ? numbers_["g"] : 1;
    s.batch = numbers_.contains("mb") ? numbers_["mb"] : 1;
    s.in_channels = required("ic");
    s.out_channels = required("oc");
    if (s.in_channels % s.groups || s.out_channels % s.groups)
      cursor_.fail(fmt::format("{} groups do not divide {} and {} channels", s.groups,
                               s.in_channels, s.out_channels));
    required(s.rank == 3 ? "id" : s.rank == 2 ? "ih" : "iw");
    fill(s, 'i', s.in, 1);
    fill(s, 'k', s.kernel, 1);
    fill(s, 's', s.stride, 1);
    fill(s, 'd', s.dilation, 0);
    for (size_t i = 0; i < axes(s); ++i) ++s.dilation[i];
    fill(s, 'p', s.pad_begin, 0);
    s.pad_end = s.pad_begin;
    pad_for_output(s);
    refuse_unused(s);
    // Beyond any network, and far from overflowing the sizes of tensors.
    if (double tensor = largest_tensor(s); tensor > 0x1p40)
      cursor_.fail(fmt::format("a tensor has {:.3g} elements", tensor));
    Problem problem{"", s};
    cursor_.name(problem);
    return problem;
  }

 private:
  static size_t axes(const ConvShape& s) { return static_cast<size_t>(s.rank); }

  void read_pair() {
    static constexpr std::string_view kKeys[] = {"g",  "mb", "ic", "oc", "id", "ih", "iw", "od",
                                                 "oh", "ow", "kd", "kh", "kw", "sd", "sh", "sw",
                                                 "dd", "dh", "dw", "pd", "ph", "pw"};
    for (const std::string_view key : kKeys) {
      if (!cursor_.accept(key)) continue;
      const bool may_be_zero = key[0] == 'p' || key[0] == 'd';
      if (!numbers_.emplace(key, cursor_.number(key, may_be_zero ? 0 : 1)).second)
        cursor_.fail(fmt::format("{} is given twice", key));
      return;
    }
    cursor_.fail_expecting("a key such as ic, ih, oc, kh, sh or ph");
  }

  int64_t required(const std::string& key) const {
    const auto it = numbers_.find(key);
    if (it == numbers_.end()) cursor_.fail(fmt::format("{} is missing", key));
    return it->second;
  }

  static std::string axis_key(const ConvShape& s, char key, size_t axis) {
    return {key, "dhw"[3 - axes(s) + axis]};
  }

  std::optional<int64_t> given(const ConvShape& s, char key, size_t axis) {
    const auto it = numbers_.find(axis_key(s, key, axis));
    return it == numbers_.end() ? std::nullopt : std::optional(it->second);
  }

  void fill(const ConvShape& s, char key, ConvShape::Axes& values, int64_t otherwise) {
    for (size_t i = 0; i < axes(s); ++i)
      values[i] = given(s, key, i).value_or(i == 0 ? otherwise : values[i - 1]);
  }

  // Padding behind such that the output has the given size.
  void pad_for_output(ConvShape& s) {
    std::optional<int64_t> wanted;
    for (size_t i = 0; i < axes(s); ++i) {
      if (given(s, 'o', i)) wanted = given(s, 'o', i);
      if (wanted && s.transposed)
        s.pad_end[i] = (s.in[i] - 1) * s.stride[i] + s.covered(i) - s.pad_begin[i] - *wanted;
      else if (wanted)
        s.pad_end[i] = std::max<int64_t>(
            0, (*wanted - 1) * s.stride[i] + s.covered(i) - s.in[i] - s.pad_begin[i]);
      const int64_t out = s.out()[i];
      if (out < 1 || (wanted && out != *wanted))
        cursor_.fail(fmt::format("{} is {}, not {}", axis_key(s, 'o', i), out,
                                 wanted ? std::to_string(*wanted) : "positive"));
    }
  }

  static double largest_tensor(const ConvShape& s) {
    const auto volume = [&](const ConvShape::Axes& size, int64_t channels, int64_t images) {
      double elements = static_cast<double>(channels) * static_cast<double>(images);
      for (const int64_t x : size) elements *= static_cast<double>(x);
      return elements;
    };
    return std::max({volume(s.in, s.in_channels, s.batch), volume(s.out(), s.out_channels, s.batch),
                     volume(s.kernel, s.out_channels, s.group_in())});
  }

  // Axes outside the first input size.
  void refuse_unused(const ConvShape& s) const {
    for (const auto& [key, value] : numbers_)
      if (key.size() == 2 && std::string_view("dhw").find(key[1]) < 3 - axes(s))
        cursor_.fail(fmt::format("{} without i{}", key, key[1]));
  }

  Cursor cursor_;
  std::map<std::string, int64_t, std::less<>> numbers_;
};

}  // namespace

Problem parse_matmul(std::string_view text) {
  Cursor cursor(text, "MxK:KxN");
  const auto inner = [&] {
    cursor.expect("x");
    const int64_t value = cursor.number("a dimension");
    if (cursor.accept("x")) cursor.fail("batched problems are not supported");
    return value;
  };
  GemmShape s{};
  s.m = cursor.number("M");
  s.k = inner();
  cursor.expect(":");
  const int64_t k2 = cursor.number("K");
  s.n = inner();
  if (k2 != s.k) cursor.fail(fmt::format("the inner sizes {} and {} differ", s.k, k2));
  if (cursor.accept(":")) {
    const int64_t m = cursor.number("M"), n = inner();
    if (m != s.m || n != s.n) cursor.fail(fmt::format("C is {}x{}, not {}x{}", s.m, s.n, m, n));
  }
  Problem problem{"", s};
  cursor.name(problem);
  return problem;
}

Problem parse_conv(std::string_view text) { return ConvParser(text).parse(); }

Problem parse_problem(std::string_view text) {
  const bool digit = !text.empty() && text[0] >= '0' && text[0] <= '9';
  return digit ? parse_matmul(text) : parse_conv(text);
}

}  // namespace oct::perf
