// What the command line asks for, and how the program ends.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "jit/isa.h"
#include "perf/case.h"

namespace oct::perf {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,    // a wrong result, or the system refused something
  kExitBadInput = 2,  // the command line, a problem file, or a problem the library refuses
  kExitUnsupportedCpu = 3
};

// A mistake of the user's. The message names the offending text.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Format { kTable, kJson, kCsv };

// Where problems come from, in the order of the command line.
struct ProblemSource {
  enum Kind { kMatmul, kConv, kBatchFile, kModel } kind;
  std::string text;
};

struct BenchOptions {
  std::vector<ProblemSource> sources;  // empty: the default models
  std::string filter;                  // regular expression on names; empty: all

  CaseOptions data;
  std::string kernel;  // empty: the library chooses
  Isa isa = Isa::kNone;
  int threads = 1;
  std::string peer;       // "onednn", "saturating", "none", or empty: onednn if the program has it
  bool peer_f32 = false;  // the peer's f32 beside all convolutions, not only depthwise ones

  double min_time_s = 1.0;
  bool creation = false;     // time creation instead of runs
  bool elementwise = false;  // time quantise, dequantise, requantise and min-max instead
  bool variants = false;     // time products with and without dynamic A, zero points and groups

  Format format = Format::kTable;
  std::string out;  // empty: standard output
  bool explain = false;
  bool summary = false;  // totals only (tables)
};

struct InfoOptions {
  bool json = false;
};

struct PostOptions {
  GemmShape shape{128, 768, 3072};
  Isa isa = Isa::kNone;
  double min_time_s = 1.0;
};

// Of random activations.
enum class Distribution { kGaussian, kRelu, kOutliers };

struct QuantizeErrorOptions {
  GemmShape shape{256, 768, 768};    // of what no file gives
  std::string activations, weights;  // .npy files, or empty: random
  Distribution distribution = Distribution::kOutliers;
  uint64_t seed = 1;
  std::string plot;  // an SVG file to write, or empty
};

// The subcommands. They return an ExitCode, or throw UsageError or LibraryError.
int run_info(const InfoOptions& options);
int run_bench(const BenchOptions& options);
int run_post(const PostOptions& options);
int run_quantize_error(const QuantizeErrorOptions& options);
int list_models();

}  // namespace oct::perf
