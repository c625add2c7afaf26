#include "perf/measure.h"

#include <benchmark/benchmark.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace oct::perf {
namespace {

// Long against the clock's resolution and the first call's cache misses, short against
// interruptions: a disturbed round is then rare, and the median drops it.
constexpr double kBlockSeconds = 500e-6;
// With several threads every block starts with a pause (below) and is then a group of so long,
// whose median counts: what interrupts one thread holds up all. Before that the subject runs: a
// host takes its time to find good cores for a guest that has slept.
constexpr double kThreadedGroupSeconds = 5e-3, kThreadedWarmSeconds = 20e-3;
constexpr int64_t kMinRounds = 11;
// Hosts move the cores of their guests every few seconds.
constexpr int64_t kMostSpoiltRounds = 2;  // done again, to one that counts

// Whether another thread of this process is running or ready to: asked of /proc, since clocks of
// processor time lag behind by a scheduler tick.
bool other_threads_run() {
  const std::string self = std::to_string(gettid());
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == self) continue;
    std::ifstream file(task.path() / "stat");  // "tid (name) state ..."
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    const size_t name_end = line.rfind(") ");
    if (name_end != line.npos && line[name_end + 2] == 'R') return true;
  }
  return false;
}

// The workers of either side spin for some milliseconds after a run, and would take the cores
// from the other side.
void wait_for_idle_threads() {
  constexpr int kMaxSteps = 400;  // workers that never sleep are the user's choice
  for (int i = 0; i < kMaxSteps && other_threads_run(); ++i)
    std::this_thread::sleep_for(std::chrono::microseconds(500));
}

// Blocks of calls of one subject.
class Blocks {
 public:
  Blocks(Subject& subject, int threads) : subject_(subject) {
    calibrate();
    if (threads > 1) group_ = std::max(1L, std::lround(kThreadedGroupSeconds / calls_seconds()));
  }

  // Seconds per call over one block.
  double time_block() {
    if (group_ == 0) return time_some();
    wait_for_idle_threads();
    for (double left = kThreadedWarmSeconds; left > 0;)
      left -= time_some() * static_cast<double>(calls_);
    std::vector<double> times(static_cast<size_t>(group_));
    for (double& time : times) time = time_some();
    return median(times);
  }

  double block_seconds() const {
    if (group_ == 0) return calls_seconds();
    return kThreadedWarmSeconds + calls_seconds() * static_cast<double>(group_);
  }

 private:
  double time_some() { return time_calls(subject_, calls_) / static_cast<double>(calls_); }
  double calls_seconds() const { return call_seconds_ * static_cast<double>(calls_); }

  void calibrate() {
    subject_.run(1);  // first touches of memory
    for (calls_ = 1;; calls_ *= 2) {
      const double seconds = time_calls(subject_, calls_);
      call_seconds_ = seconds / static_cast<double>(calls_);
      if (seconds >= kBlockSeconds / 2) break;
    }
    calls_ = std::max<int64_t>(1, std::lround(std::ceil(kBlockSeconds / call_seconds_)));
  }

  Subject& subject_;
  int64_t calls_ = 1;
  long group_ = 0;  // times of so many calls in a block; 0: one thread, no pause
  double call_seconds_ = 0;
};

struct Round {
  std::vector<double> times;  // of each subject, seconds per call
  double peak_gops = 0;
  Placement placement;
  bool spoilt = false;
};

Round time_round(std::vector<Blocks>& blocks, const PeakLoop* peak, int threads) {
  Round round;
  for (Blocks& b : blocks) round.times.push_back(b.time_block());
  if (!peak) return round;
  round.peak_gops = peak->sample_gops();
  if (threads == 1) return round;
  wait_for_idle_threads();
  round.placement = placement_of_two_threads(*peak);
  round.spoilt = !round.placement.is_near();
  return round;
}

// The samples are collected below and reported elsewhere.
class SilentReporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

}  // namespace

double time_calls(Subject& subject, int64_t calls) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  subject.run(calls);
  benchmark::ClobberMemory();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

Timing measure(const std::string& name, const std::vector<Subject*>& subjects, const PeakLoop* peak,
               double min_time_s, int threads) {
  std::vector<Blocks> blocks;
  double longest_block = 0;
  for (Subject* subject : subjects) {
    blocks.emplace_back(*subject, threads);
    longest_block = std::max(longest_block, blocks.back().block_seconds());
  }
  const int64_t rounds = std::max(kMinRounds, std::lround(std::ceil(min_time_s / longest_block)));

  std::vector<Round> done;
  int64_t spare = kMostSpoiltRounds * rounds;
  const auto time_rounds = [&](benchmark::State& state) {
    for (auto _ : state) {
      done.push_back(time_round(blocks, peak, threads));
      while (done.back().spoilt && spare-- > 0) done.back() = time_round(blocks, peak, threads);
      const auto& times = done.back().times;
      state.SetIterationTime(std::accumulate(times.begin(), times.end(), 0.0));
    }
  };
  auto* registered = benchmark::RegisterBenchmark(name.c_str(), time_rounds);
  registered->UseManualTime()->Iterations(rounds)->Repetitions(1);
  SilentReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter, ".");
  benchmark::ClearRegisteredBenchmarks();

  const auto median_of = [&](auto value) {
    std::vector<double> values;
    for (const Round& round : done) values.push_back(value(round));
    return median(std::move(values));
  };
  Timing timing;
  timing.us = median_of([](const Round& r) { return r.times[0]; }) * 1e6;
  for (size_t i = 1; i < subjects.size(); ++i)
    timing.others.push_back({median_of([&](const Round& r) { return r.times[i]; }) * 1e6,
                             median_of([&](const Round& r) { return r.times[i] / r.times[0]; })});
  timing.peak_gops = median_of([](const Round& r) { return r.peak_gops; });
  timing.placement = {median_of([](const Round& r) { return r.placement.round_trip_ns; }),
                      median_of([](const Round& r) { return r.placement.cores; })};
  return timing;
}

}  // namespace oct::perf
