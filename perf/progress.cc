#include "perf/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace oct::perf {
namespace {

constexpr const char* kEraseLine = "\r\033[K";

std::string duration_text(double seconds) {
  const long s = std::lround(seconds);
  return s < 60 ? fmt::format("{} s", s) : fmt::format("{} min {:02} s", s / 60, s % 60);
}

}  // namespace

Progress::Progress(size_t rows, double seconds_per_row)
    : rows_(rows), seconds_per_row_(seconds_per_row), terminal_(isatty(STDERR_FILENO)) {}

Progress::~Progress() {
  if (terminal_)
    fmt::print(stderr, "{}", kEraseLine);
  else if (row_open_)
    fmt::print(stderr, "\n");  // an exception passes by
}

void Progress::start_row(const std::string& name) {
  fmt::print(stderr, "{}[{:>{}}/{}] {}, about {} left{}", terminal_ ? kEraseLine : "", done_ + 1,
             std::to_string(rows_).size(), rows_, name, duration_text(seconds_left()),
             terminal_ ? "" : ": ");
  std::fflush(stderr);
  row_open_ = true;
}

void Progress::end_row(const std::string& result) {
  ++done_;
  row_open_ = false;
  if (!terminal_) fmt::print(stderr, "{}\n", result);
}

double Progress::seconds_left() const {
  const double rows_left = static_cast<double>(rows_ - done_);
  if (done_ == 0) return rows_left * seconds_per_row_;
  const std::chrono::duration<double> elapsed = Clock::now() - start_;
  return rows_left * elapsed.count() / static_cast<double>(done_);
}

}  // namespace oct::perf
