// How long it takes to create plans: the first time, with code generation, and again, when the
// code is at hand.
//
// Every sample is taken in a child process, where creation happens for the first time: to be called
// while neither library has generated code in this process. Children of ours and of the peer take
// turns. `peer` may be null.
#pragma once

#include <string>
#include <vector>

#include "perf/case.h"
#include "perf/peer.h"
#include "perf/report.h"

namespace oct::perf {

CreationRow measure_creation(const Case& problem, const BenchOptions& options, Peer* peer);

// All plans of a network, each layer as often as it occurs, and all of them alive together.
CreationRow measure_network_creation(const std::string& name, const std::vector<Problem>& layers,
                                     const BenchOptions& options, Peer* peer);

}  // namespace oct::perf
