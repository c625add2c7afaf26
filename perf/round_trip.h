// How far apart two threads are.
#pragma once

namespace oct::perf {

// Nanoseconds in which a cache line goes to another thread and back. Threads that share a run wait
// for such lines at its beginning and end, and share more than that on one core. Zen 4: 30 on two
// threads of a core, 50 to 100 on cores that share an L3, 350 on cores that do not. Guests of a busy
// host are moved from one to the other while they run, and speed-ups follow.
double line_round_trip_ns();

}  // namespace oct::perf
