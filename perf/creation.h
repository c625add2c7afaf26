// How long it takes to create a plan: the first time, with code generation, and again, when the
// code is at hand.
#pragma once

#include "perf/case.h"
#include "perf/peer.h"
#include "perf/report.h"

namespace oct::perf {

// `peer` may be null. Every sample is taken in a child process, where creation happens for the
// first time: to be called while neither library has generated code in this process.
CreationRow measure_creation(const Case& problem, const BenchOptions& options, Peer* peer);

}  // namespace oct::perf
