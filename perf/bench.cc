// `octavo bench`: every problem is checked, then timed against the peer.

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <memory>

#include "perf/case.h"
#include "perf/compare.h"
#include "perf/creation.h"
#include "perf/library.h"
#include "perf/measure.h"
#include "perf/models.h"
#include "perf/options.h"
#include "perf/out_file.h"
#include "perf/peak.h"
#include "perf/peer.h"
#include "perf/problem_list.h"
#include "perf/progress.h"
#include "perf/report.h"

namespace oct::perf {
namespace {

std::unique_ptr<Peer> make_peer(const BenchOptions& options, Isa cap, int threads) {
  if (options.peer == "none") return nullptr;
  if (options.peer == "saturating") return make_saturating_peer(cap, threads);
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
          {"relu", d.relu ? Json(*d.relu) : Json()},
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
    if (threads_ > 1) single_ = create_context(options.isa, 1);
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

  BenchRow run(const Problem& problem) {
    const std::unique_ptr<Case> c = make_case(problem, options_.data);
    const AlignedBytes ours(c->c_bytes()), peers(c->c_bytes());
    std::memset(ours.data(), 0xa5, c->c_bytes());
    std::memset(peers.data(), 0x5a, c->c_bytes());

    const auto plan = c->create_plan(context_.get(), options_.kernel, ours.data());
    BenchRow row;
    row.problem = problem;
    row.threads = threads_;
    row.explain = Json::parse(plan->explain());
    plan->run(1);
    const Difference wrong = compare_with_reference(*c, ours.data());
    if (wrong.any()) {
      row.failed = true;
      row.notes.push_back("WRONG: " + difference_text(wrong));
      return row;
    }
    Others others;
    if (peer_) add_peer(*c, ours, peers, row, others);
    if (single_)
      others.add(c->create_plan(single_.get(), options_.kernel, ours.data()), &row.one_thread);
    time(*c, *plan, others, row);
    return row;
  }

 private:
  // What is timed beside our plan, and where its times go.
  struct Others {
    void add(std::unique_ptr<Subject> subject, std::optional<BenchRow::Other>* to) {
      subjects.push_back(std::move(subject));
      times.push_back(to);
    }
    std::vector<std::unique_ptr<Subject>> subjects;
    std::vector<std::optional<BenchRow::Other>*> times;
  };

  void time(const Case& c, OurPlan& plan, const Others& others, BenchRow& row) {
    std::vector<Subject*> subjects = {&plan};
    for (const auto& other : others.subjects) subjects.push_back(other.get());
    const PeakLoop* peak = peak_loop(isa_from_name(row.explain.value("isa", "")));
    const Timing timing = measure(row.problem.name, subjects, peak, options_.min_time_s, threads_);
    row.median_us = timing.us;
    row.gops = c.operations() / (timing.us * 1e3);
    if (peak) row.peak_gops = timing.peak_gops * threads_;
    if (peak && threads_ > 1) {
      row.round_trip_ns = timing.placement.round_trip_ns;
      row.cores = timing.placement.cores;
    }
    for (size_t i = 0; i < others.times.size(); ++i) {
      auto& to = *others.times[i];
      if (!to) to.emplace();
      to->median_us = timing.others[i].us;
      to->ratio = timing.others[i].ratio;
    }
  }

  // The peer, checked and ready to be timed; with a note on the row where it differs or refuses.
  void add_peer(const Case& c, const AlignedBytes& ours, const AlignedBytes& peers, BenchRow& row,
                Others& others) const {
    const auto attempt = [&](const char* what, auto prepare, std::optional<BenchRow::Other>* to) {
      try {
        std::unique_ptr<PeerRun> peer = prepare();
        if (!peer) return;
        peer->run(1);
        to->emplace().implementation = peer->implementation();
        others.add(std::move(peer), to);
      } catch (const std::exception& error) {
        row.notes.push_back(fmt::format("{}{}: {}", peer_->name(), what, error.what()));
      }
    };
    attempt(
        "", [&] { return c.prepare(*peer_, peers.data()); }, &row.peer);
    if (row.peer) {
      const Difference difference = compare_with_peer(c, ours.data(), peers.data());
      if (difference.any())
        row.notes.push_back(fmt::format("peer differs: {} of {} outputs, max {:g}",
                                        difference.different, difference.compared,
                                        difference.largest));
    }
    if (options_.peer_f32 || layer_class(row.problem).starts_with("depthwise"))
      attempt(
          " f32", [&] { return c.prepare_f32(*peer_); }, &row.peer_f32);
  }

  const PeakLoop* peak_loop(Isa isa) {
    const auto [it, is_new] = peaks_.try_emplace(isa);
    if (is_new) it->second = PeakLoop::create(isa);
    return it->second.get();
  }

  const BenchOptions& options_;
  ContextPtr context_;
  int threads_ = 1;
  ContextPtr single_;  // to compare with one thread; null if that is all
  std::unique_ptr<Peer> peer_;
  RunInfo info_;
  std::map<Isa, std::unique_ptr<PeakLoop>> peaks_;
};

// Measures all problems, with progress on standard error. `brief` is a row's result in a few words.
template <class Measure, class Brief>
auto measure_all(const std::vector<Problem>& problems, double seconds_per_row, Measure measure,
                 Brief brief) {
  Progress progress(problems.size(), seconds_per_row);
  std::vector<decltype(measure(problems[0]))> rows;
  for (const Problem& problem : problems) {
    progress.start_row(problem.name);
    try {
      rows.push_back(measure(problem));
    } catch (const LibraryError& error) {
      throw LibraryError(error.status, fmt::format("{}: {}", full_name(problem), error.what()));
    }
    progress.end_row(brief(rows.back()));
  }
  return rows;
}

std::string brief(const BenchRow& row) {
  if (row.failed) return "WRONG";
  std::string text = fmt::format("{:.2f} us", row.median_us);
  if (row.peer) text += fmt::format(", ratio {:.3f}", row.peer->ratio);
  if (row.one_thread) text += fmt::format(", speed-up {:.2f}", row.one_thread->ratio);
  return text;
}

int bench_runs(const BenchOptions& options, const std::vector<Problem>& problems, Bench& bench) {
  // Operands, checks and calibration take about 0.2 s beside the timing of both sides.
  const double seconds_per_row = options.min_time_s * (bench.peer() ? 2 : 1) + 0.2;
  const auto rows = measure_all(
      problems, seconds_per_row, [&](const Problem& p) { return bench.run(p); }, brief);
  write_out(options.out, bench_report(bench.info(), rows, options));
  for (const BenchRow& row : rows)
    if (row.failed) return kExitFailed;
  return kExitOk;
}

// The networks among the problems, each with its layers; those of one layer are left out.
std::vector<std::pair<std::string, std::vector<Problem>>> networks_of(
    const std::vector<Problem>& problems) {
  std::vector<std::pair<std::string, std::vector<Problem>>> networks;
  for (const Problem& p : problems) {
    const std::string name = network_of(p);
    if (name.empty()) continue;
    if (networks.empty() || networks.back().first != name) networks.push_back({name, {}});
    networks.back().second.push_back(p);
  }
  std::erase_if(networks, [](const auto& n) { return n.second.size() < 2; });
  return networks;
}

int bench_creation(const BenchOptions& options, const std::vector<Problem>& problems,
                   Bench& bench) {
  auto rows = measure_all(
      problems, 0.5,
      [&](const Problem& p) {
        return measure_creation(*make_case(p, options.data), options, bench.peer());
      },
      [](const CreationRow& row) { return fmt::format("{:.0f} us", row.first_us); });
  for (const auto& [name, layers] : networks_of(problems))
    rows.push_back(measure_network_creation(name, layers, options, bench.peer()));
  write_out(options.out, creation_report(bench.info(), rows, options.format));
  return kExitOk;
}

}  // namespace

int run_bench(const BenchOptions& options) {
  const std::vector<Problem> problems = problem_list(options);
  check_out(options.out);
  Bench bench(options);
  return options.creation ? bench_creation(options, problems, bench)
                          : bench_runs(options, problems, bench);
}

int list_models() {
  for (const Model& model : models()) {
    fmt::print("{:<20}{}{}\n", model.name, model.description,
               model.in_default ? " (measured by default)" : "");
    for (const Problem& p : model_problems(model.name))
      fmt::print("    {}n\"{}*{}\"\n", problem_text(p), p.name, p.count);
  }
  return kExitOk;
}

}  // namespace oct::perf
