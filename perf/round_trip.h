// Where the host of this machine has put two threads.
#pragma once

#include "perf/peak.h"

namespace oct::perf {

struct Placement {
  // Nanoseconds in which a cache line goes to another thread and back. Threads that share a run
  // wait for such lines at its beginning and end. 50 to 100 on cores that share an L3 and 350 to
  // 400 on cores that do not (Zen 4 and Zen 5).
  double round_trip_ns = 0;
  // How much more of a peak loop two threads do at once than one alone: 2 on cores of their own, 1
  // on one core, whose two threads otherwise seem to be cores of one L3.
  double cores = 0;

  // Whether these are two cores that share an L3.
  bool is_near() const;
};

// Takes about three milliseconds.
Placement placement_of_two_threads(const PeakLoop& peak);

}  // namespace oct::perf
