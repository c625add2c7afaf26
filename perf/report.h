// The results of `octavo bench`, as a table to read, JSON or CSV.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "perf/options.h"
#include "perf/problem.h"

namespace oct::perf {

using Json = nlohmann::ordered_json;

// What both sides ran on and with: the library's description of the machine (oct_describe), with
// "settings" and, if there is one, "peer".
struct RunInfo {
  Json machine;
  std::string peer;  // its name; empty without one
};

struct BenchRow {
  Problem problem;
  Json explain;  // the library's; names the kernel and its ISA
  int threads = 1;

  bool failed = false;  // ours is wrong: nothing was timed
  double median_us = 0, gops = 0;
  std::optional<double> peak_gops;  // of all threads
  // With several threads, as in Placement.
  std::optional<double> round_trip_ns, cores;
  struct Other {
    std::string implementation;
    double median_us = 0, ratio = 0;  // ratio: its time / ours
  };
  std::optional<Other> peer, peer_f32, one_thread;  // the last: ours, if there are several threads
  std::vector<std::string> notes;
};

struct CreationRow {
  std::string name, what;  // a problem and its text, or a network and its number of layers
  std::string kernel;      // empty for networks
  double first_us = 0, again_us = 0;  // with code generation, and with the code at hand
  struct Peer {
    double first_us = 0, again_us = 0;
  };
  std::optional<Peer> peer;
  std::vector<std::string> notes;
};

std::string bench_report(const RunInfo& info, const std::vector<BenchRow>& rows,
                         const BenchOptions& options);
std::string creation_report(const RunInfo& info, const std::vector<CreationRow>& rows,
                            Format format);

}  // namespace oct::perf
