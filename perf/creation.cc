#include "perf/creation.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>

#include "perf/library.h"
#include "perf/measure.h"

namespace oct::perf {
namespace {

constexpr int kChildren = 7;  // samples of the first creation
constexpr int kAgain = 9;     // samples of the next ones, in each child

// What a child sends to its parent: one write, shorter than a pipe's buffer.
struct Sample {
  oct_status status = OCT_OK;
  double first_us = 0, again_us = 0;
  char text[512] = "";  // the kernel, or what went wrong
};

void set_text(Sample& sample, const std::string& text) {
  std::snprintf(sample.text, sizeof sample.text, "%s", text.c_str());
}

template <class Create>
double time_us(Create create) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto created = create();
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// `create` returns an owner of what it created.
template <class Create>
Sample time_creation(Create create) {
  Sample sample;
  sample.first_us = time_us(create);
  std::vector<double> again;
  for (int i = 0; i < kAgain; ++i) again.push_back(time_us(create));
  sample.again_us = median(again);
  return sample;
}

Sample time_ours(const Case& problem, const BenchOptions& options, void* c) {
  const ContextPtr context = create_context(options.isa, options.threads);
  const auto create = [&] { return problem.create_plan(context.get(), options.kernel, c); };
  Sample sample = time_creation(create);
  set_text(sample, Json::parse(create()->explain()).value("kernel", ""));
  return sample;
}

Sample run_in_child(const std::function<Sample()>& work) {
  int ends[2];
  if (pipe(ends) != 0)
    throw std::runtime_error(fmt::format("cannot create a pipe: {}", std::strerror(errno)));
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error(fmt::format("cannot fork: {}", std::strerror(errno)));
  if (child == 0) {
    Sample sample;
    try {
      sample = work();
    } catch (const LibraryError& error) {
      sample.status = error.status;
      set_text(sample, error.what());
    } catch (const std::exception& error) {
      sample.status = OCT_INTERNAL;
      set_text(sample, error.what());
    }
    _exit(write(ends[1], &sample, sizeof sample) == sizeof sample ? 0 : 1);
  }
  close(ends[1]);
  Sample sample;
  const bool complete = read(ends[0], &sample, sizeof sample) == sizeof sample;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!complete) throw std::runtime_error("a child process died while creating a plan");
  return sample;
}

// Medians over several children; the text is that of the last one.
Sample median_of_children(const std::function<Sample()>& work) {
  std::vector<double> first, again;
  Sample sample;
  for (int i = 0; i < kChildren; ++i) {
    sample = run_in_child(work);
    if (sample.status != OCT_OK) return sample;
    first.push_back(sample.first_us);
    again.push_back(sample.again_us);
  }
  sample.first_us = median(first);
  sample.again_us = median(again);
  return sample;
}

}  // namespace

CreationRow measure_creation(const Case& problem, const BenchOptions& options, Peer* peer) {
  CreationRow row;
  row.problem = problem.problem();
  const AlignedBytes c(problem.c_bytes());
  const Sample ours = median_of_children([&] { return time_ours(problem, options, c.data()); });
  if (ours.status != OCT_OK) throw LibraryError(ours.status, ours.text);
  row.kernel = ours.text;
  row.first_us = ours.first_us;
  row.again_us = ours.again_us;
  if (!peer) return row;

  const Sample peers = median_of_children(
      [&] { return time_creation([&] { return problem.prepare(*peer, c.data()); }); });
  if (peers.status != OCT_OK) {
    row.notes.push_back(fmt::format("{}: {}", peer->name(), peers.text));
    return row;
  }
  row.peer_first_us = peers.first_us;
  row.peer_again_us = peers.again_us;
  return row;
}

}  // namespace oct::perf
