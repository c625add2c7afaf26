// Timing of two subjects against each other, on Google Benchmark's runner.
//
// One iteration is a round: a block of calls of ours, a block of calls of the peer, and a sample
// of the machine's peak. Clock drift and noisy neighbours then hit all three alike; medians over
// many short rounds shed the rounds that were disturbed.
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
  double ours_us = 0, peer_us = 0;  // median per call; peer_us is 0 without a peer
  double ratio = 0;                 // median over rounds of peer / ours
  double peak_gops = 0;             // median, one core; 0 without a peak loop
};

// `peer` and `peak` may be null. The slower of the two sides is timed for about `min_time_s`.
// `threads` is how many either side uses.
Timing measure(const std::string& name, Subject& ours, Subject* peer, const PeakLoop* peak,
               double min_time_s, int threads);

// Seconds that `calls` calls take.
double time_calls(Subject& subject, int64_t calls);

double median(std::vector<double> values);  // not of nothing

}  // namespace oct::perf
