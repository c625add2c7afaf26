// What a long run is doing and how long it will take, on standard error.
#pragma once

#include <chrono>
#include <string>

namespace oct::perf {

class Progress {
 public:
  // `seconds_per_row` is the estimate until the first row is done.
  Progress(size_t rows, double seconds_per_row);
  ~Progress();

  void start_row(const std::string& name);
  // Ends the row with a word on it. On a terminal the line is replaced by the next row's.
  void end_row(const std::string& result);

 private:
  double seconds_left() const;

  using Clock = std::chrono::steady_clock;
  size_t rows_, done_ = 0;
  double seconds_per_row_;
  Clock::time_point start_ = Clock::now();
  bool terminal_;
  bool row_open_ = false;
};

}  // namespace oct::perf
