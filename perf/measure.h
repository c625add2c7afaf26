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
#include "perf/round_trip.h"

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
  Placement placement;        // medians; zeros with one thread or without a peak loop
};

// `peak` may be null. The slowest subject is timed for about `min_time_s`. `threads` is the most
// that any of them uses: with several, rounds during which the host of a guest had not put two of
// them on cores that share an L3 are done again, as long as there are not too many.
Timing measure(const std::string& name, const std::vector<Subject*>& subjects, const PeakLoop* peak,
               double min_time_s, int threads);

// Seconds that `calls` calls take.
double time_calls(Subject& subject, int64_t calls);

double median(std::vector<double> values);  // not of nothing

}  // namespace oct::perf
