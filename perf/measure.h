// Timing of several subjects against each other, on Google Benchmark's runner.
//
// One iteration is a round: a block of calls of each subject, and a sample of the machine's peak.
// Clock drift and noisy neighbours then hit all alike; medians over many short rounds shed the
// rounds that were disturbed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "perf/peak.h"

namespace oct::perf {

// Something that is timed.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual void run(int64_t calls) = 0;
};

struct Timing {
  struct Other {
    double us = 0;     // median per call
    double ratio = 0;  // median over rounds of its time / the first subject's
  };
  double us = 0;              // median per call of the first subject
  std::vector<Other> others;  // the further subjects
  double peak_gops = 0;       // median, one core; 0 without a peak loop
  double round_trip_ns = 0;   // median of line_round_trip_ns; 0 with one thread
};

// `peak` may be null. The slowest subject is timed for about `min_time_s`. `threads` is the most
// that any of them uses.
Timing measure(const std::string& name, const std::vector<Subject*>& subjects, const PeakLoop* peak,
               double min_time_s, int threads);

// Seconds that `calls` calls take.
double time_calls(Subject& subject, int64_t calls);

double median(std::vector<double> values);  // not of nothing

}  // namespace oct::perf
