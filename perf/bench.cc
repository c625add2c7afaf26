// `octavo bench`: every problem is checked, then timed against the peer.

#include <fmt/format.h>
#include <regex.h>

#include <cstring>
#include <map>
#include <memory>

#include "perf/compare.h"
#include "perf/creation.h"
#include "perf/library.h"
#include "perf/measure.h"
#include "perf/models.h"
#include "perf/options.h"
#include "perf/out_file.h"
#include "perf/peak.h"
#include "perf/peer.h"
#include "perf/problem_file.h"
#include "perf/progress.h"
#include "perf/report.h"

namespace oct::perf {
namespace {

void append(std::vector<GemmShape>& to, std::vector<GemmShape> shapes) {
  to.insert(to.end(), shapes.begin(), shapes.end());
}

std::vector<GemmShape> all_problems(const std::vector<ProblemSource>& sources) {
  std::vector<GemmShape> shapes;
  for (const ProblemSource& source : sources) {
    switch (source.kind) {
      case ProblemSource::kMatmul: shapes.push_back(parse_problem(source.text)); break;
      case ProblemSource::kBatchFile: append(shapes, read_problem_file(source.text)); break;
      case ProblemSource::kModel: append(shapes, model_problems(source.text)); break;
    }
  }
  if (sources.empty())
    for (const Model& model : models())
      if (model.in_default) append(shapes, model_problems(model.name));
  return shapes;
}

// A POSIX extended regular expression.
class NameFilter {
 public:
  explicit NameFilter(const std::string& pattern) {
    const int error = regcomp(&compiled_, pattern.c_str(), REG_EXTENDED | REG_NOSUB);
    if (error == 0) return;
    char why[128];
    regerror(error, &compiled_, why, sizeof why);
    throw UsageError(fmt::format("--filter '{}': {}", pattern, why));
  }
  ~NameFilter() { regfree(&compiled_); }
  NameFilter(const NameFilter&) = delete;
  NameFilter& operator=(const NameFilter&) = delete;

  bool matches(const std::string& name) const {
    return regexec(&compiled_, name.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_;
};

void keep_matching(std::vector<GemmShape>& shapes, const std::string& pattern) {
  if (pattern.empty()) return;
  const NameFilter filter(pattern);
  std::erase_if(shapes, [&](const GemmShape& shape) { return !filter.matches(shape.name); });
  if (shapes.empty()) throw UsageError(fmt::format("no problem's name matches '{}'", pattern));
}

std::unique_ptr<Peer> make_peer(const BenchOptions& options, Isa cap, int threads) {
  if (options.peer == "none") return nullptr;
  auto peer = make_onednn_peer(cap, threads);
  if (!peer && options.peer == "onednn")
    throw UsageError("--peer onednn: this program was built without oneDNN");
  return peer;
}

const char* weights_name(Weights weights) {
  switch (weights) {
    case Weights::kGaussian: return "gaussian";
    case Weights::kLaplace: return "laplace";
    case Weights::kUniform: return "uniform";
  }
  return "";
}

Json settings_json(const BenchOptions& options) {
  const CaseOptions& d = options.data;
  return {{"src", dtype_name(d.src)},
          {"dst", dtype_name(d.dst)},
          {"act_bits", d.act_bits},
          {"a_zero_point", d.a_zero_point},
          {"c_zero_point", d.c_zero_point},
          {"weights", weights_name(d.weights)},
          {"seed", d.seed},
          {"kernel", options.kernel.empty() ? Json() : Json(options.kernel)},
          {"min_time_s", options.min_time_s}};
}

std::string difference_text(const Difference& d) {
  return fmt::format("{} of {} outputs, by up to {:g}; {}", d.different, d.compared, d.largest,
                     d.first);
}

class Bench {
 public:
  explicit Bench(const BenchOptions& options)
      : options_(options), context_(create_context(options.isa, options.threads)) {
    // The library resolves the thread count 0 and an OCTAVO_MAX_ISA below --isa.
    info_.machine = Json::parse(describe(context_.get()));
    info_.machine.erase("kernels");
    threads_ = info_.machine.value("threads", 1);
    const Isa cap = isa_from_name(info_.machine.value("cap", ""));
    info_.machine["settings"] = settings_json(options);
    peer_ = make_peer(options, cap, threads_);
    if (peer_) {
      info_.peer = peer_->name();
      info_.machine["peer"] = {
          {"name", peer_->name()}, {"version", peer_->version()}, {"isa", peer_->isa()}};
    }
  }

  const RunInfo& info() const { return info_; }
  Peer* peer() const { return peer_.get(); }

  BenchRow run(const GemmShape& shape) {
    const QgemmCase problem(shape, options_.data);
    const AlignedBytes our_c(problem.c_bytes()), peer_c(problem.c_bytes());
    std::memset(our_c.data(), 0xa5, problem.c_bytes());
    std::memset(peer_c.data(), 0x5a, problem.c_bytes());

    OurGemm ours(context_.get(), problem, options_.kernel, our_c.data());
    BenchRow row;
    row.shape = shape;
    row.threads = threads_;
    row.explain = Json::parse(ours.explain());
    ours.run(1);
    const Difference wrong = compare_with_reference(problem, our_c.data());
    if (wrong.any()) {
      row.failed = true;
      row.notes.push_back("WRONG: " + difference_text(wrong));
      return row;
    }

    const std::unique_ptr<PeerGemm> peer = prepare_peer(problem, our_c, peer_c, row);
    const PeakLoop* peak = peak_loop(isa_from_name(row.explain.value("isa", "")));
    const Timing timing =
        measure(shape.name, ours, peer.get(), peak, options_.min_time_s, threads_);
    row.median_us = timing.ours_us;
    row.gops = problem.operations() / (timing.ours_us * 1e3);
    if (peak) row.peak_gops = timing.peak_gops * threads_;
    if (peer) row.peer = {peer->implementation(), timing.peer_us, timing.ratio};
    return row;
  }

 private:
  // The peer ready to be timed, or null, with a note on the row if it refuses.
  std::unique_ptr<PeerGemm> prepare_peer(const QgemmCase& problem, const AlignedBytes& our_c,
                                         const AlignedBytes& peer_c, BenchRow& row) const {
    if (!peer_) return nullptr;
    try {
      auto peer = peer_->prepare(problem, peer_c.data());
      peer->run(1);
      const Difference difference = compare_with_peer(problem, our_c.data(), peer_c.data());
      if (difference.any())
        row.notes.push_back(fmt::format("peer differs: {} of {} outputs, max {:g}",
                                        difference.different, difference.compared,
                                        difference.largest));
      return peer;
    } catch (const std::exception& error) {
      row.notes.push_back(fmt::format("{}: {}", peer_->name(), error.what()));
      return nullptr;
    }
  }

  const PeakLoop* peak_loop(Isa isa) {
    const auto [it, is_new] = peaks_.try_emplace(isa);
    if (is_new) it->second = PeakLoop::create(isa);
    return it->second.get();
  }

  const BenchOptions& options_;
  ContextPtr context_;
  int threads_ = 1;
  std::unique_ptr<Peer> peer_;
  RunInfo info_;
  std::map<Isa, std::unique_ptr<PeakLoop>> peaks_;
};

// Measures all problems, with progress on standard error. `brief` is a row's result in a few words.
template <class Measure, class Brief>
auto measure_all(const std::vector<GemmShape>& shapes, double seconds_per_row, Measure measure,
                 Brief brief) {
  Progress progress(shapes.size(), seconds_per_row);
  std::vector<decltype(measure(shapes[0]))> rows;
  for (const GemmShape& shape : shapes) {
    progress.start_row(shape.name);
    try {
      rows.push_back(measure(shape));
    } catch (const LibraryError& error) {
      throw LibraryError(error.status, fmt::format("{}: {}", full_name(shape), error.what()));
    }
    progress.end_row(brief(rows.back()));
  }
  return rows;
}

std::string brief(const BenchRow& row) {
  if (row.failed) return "WRONG";
  std::string text = fmt::format("{:.2f} us", row.median_us);
  if (row.peer) text += fmt::format(", ratio {:.3f}", row.peer->ratio);
  return text;
}

int bench_runs(const BenchOptions& options, const std::vector<GemmShape>& shapes, Bench& bench) {
  // Operands, checks and calibration take about 0.2 s beside the timing of both sides.
  const double seconds_per_row = options.min_time_s * (bench.peer() ? 2 : 1) + 0.2;
  const auto rows = measure_all(
      shapes, seconds_per_row, [&](const GemmShape& shape) { return bench.run(shape); }, brief);
  write_out(options.out, bench_report(bench.info(), rows, options.format, options.explain));
  for (const BenchRow& row : rows)
    if (row.failed) return kExitFailed;
  return kExitOk;
}

int bench_creation(const BenchOptions& options, const std::vector<GemmShape>& shapes,
                   Bench& bench) {
  const auto rows = measure_all(
      shapes, 0.5,
      [&](const GemmShape& shape) {
        return measure_creation(QgemmCase(shape, options.data), options, bench.peer());
      },
      [](const CreationRow& row) { return fmt::format("{:.0f} us", row.first_us); });
  write_out(options.out, creation_report(bench.info(), rows, options.format));
  return kExitOk;
}

}  // namespace

int run_bench(const BenchOptions& options) {
  std::vector<GemmShape> shapes = all_problems(options.sources);
  keep_matching(shapes, options.filter);
  check_out(options.out);
  Bench bench(options);
  return options.creation ? bench_creation(options, shapes, bench)
                          : bench_runs(options, shapes, bench);
}

int list_models() {
  for (const Model& model : models()) {
    fmt::print("{:<14}{}{}\n", model.name, model.description,
               model.in_default ? " (measured by default)" : "");
    for (const GemmShape& s : model_problems(model.name))
      fmt::print("    {}n\"{}*{}\"\n", problem_text(s), s.name, s.count);
  }
  return kExitOk;
}

}  // namespace oct::perf
