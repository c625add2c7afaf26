#include "perf/creation.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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
// Samples of the next ones, in each child.
constexpr int kAgain = 9;
constexpr int kNetworkAgain = 3;

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
Sample time_creation(int again_samples, Create create) {
  Sample sample;
  sample.first_us = time_us(create);
  std::vector<double> again;
  for (int i = 0; i < again_samples; ++i) again.push_back(time_us(create));
  sample.again_us = median(again);
  return sample;
}

// Hosts take memory that a guest leaves free, and give it back slowly and in small pages: touches
// some, so that the system has good memory at hand for what either side allocates next. All plans
// of ResNet-50, Zen 5, 2026-11-30: 4.2 or 5.2 ms, at random from process to process; with the
// weights' and the plans' memory touched before, 3.6.
void touch_free_memory() {
  constexpr size_t kBytes = size_t{32} << 20;
  void* const p = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return;  // then little is left free
  madvise(p, kBytes, MADV_HUGEPAGE);
  std::memset(p, 1, kBytes);
  munmap(p, kBytes);
}

Sample run_in_child(const std::function<Sample()>& work) {
  int ends[2];
  if (pipe(ends) != 0)
    throw std::runtime_error(fmt::format("cannot create a pipe: {}", std::strerror(errno)));
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error(fmt::format("cannot fork: {}", std::strerror(errno)));
  if (child == 0) {
    Sample sample;
    touch_free_memory();
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

using Work = std::function<Sample()>;

// Medians over several children.
class Samples {
 public:
  explicit Samples(Work work) : work_(std::move(work)) {}

  // Takes a sample, unless one has failed before.
  void take() {
    if (!work_ || last_.status != OCT_OK) return;
    last_ = run_in_child(work_);
    first_.push_back(last_.first_us);
    again_.push_back(last_.again_us);
  }

  const Sample& last() const { return last_; }
  double first_us() const { return median(first_); }
  double again_us() const { return median(again_); }

 private:
  Work work_;  // empty: nothing to do
  Sample last_;
  std::vector<double> first_, again_;
};

CreationRow measure(CreationRow row, Work ours, Work peers, const Peer* peer) {
  Samples our_samples(std::move(ours)), peer_samples(peer ? std::move(peers) : Work());
  for (int i = 0; i < kChildren; ++i) {
    our_samples.take();
    peer_samples.take();
  }
  if (our_samples.last().status != OCT_OK)
    throw LibraryError(our_samples.last().status, our_samples.last().text);
  row.kernel = our_samples.last().text;
  row.first_us = our_samples.first_us();
  row.again_us = our_samples.again_us();
  if (peer && peer_samples.last().status == OCT_OK)
    row.peer = {peer_samples.first_us(), peer_samples.again_us()};
  else if (peer)
    row.notes.push_back(fmt::format("{}: {}", peer->name(), peer_samples.last().text));
  return row;
}

// The operands of all layers of a network, and a place for the largest output.
class NetworkCases {
 public:
  NetworkCases(const std::vector<Problem>& layers, const CaseOptions& options) : c_(0) {
    size_t c_bytes = 0;
    for (const Problem& layer : layers) {
      cases_.push_back(make_case(layer, options));
      c_bytes = std::max(c_bytes, cases_.back()->c_bytes());
      plans_ += layer.count;
    }
    c_ = AlignedBytes(c_bytes);
  }

  int64_t plans() const { return plans_; }

  // create(case, c) for every plan; returns the owners of all.
  template <class Create>
  auto create_all(Create create) const {
    std::vector<decltype(create(*cases_[0], nullptr))> all;
    for (const auto& c : cases_)
      for (int64_t i = 0; i < c->problem().count; ++i) all.push_back(create(*c, c_.data()));
    return all;
  }

 private:
  std::vector<std::unique_ptr<Case>> cases_;
  AlignedBytes c_;
  int64_t plans_ = 0;
};

}  // namespace

CreationRow measure_creation(const Case& problem, const BenchOptions& options, Peer* peer) {
  CreationRow row;
  row.name = problem.problem().name;
  row.what = problem_text(problem.problem());
  const AlignedBytes c(problem.c_bytes());
  const auto ours = [&] {
    const ContextPtr context = create_context(options.isa, options.threads);
    const auto create = [&] {
      return problem.create_plan(context.get(), options.kernel, c.data());
    };
    Sample sample = time_creation(kAgain, create);
    set_text(sample, Json::parse(create()->explain()).value("kernel", ""));
    return sample;
  };
  const auto peers = [&] {
    return time_creation(kAgain, [&] { return problem.prepare(*peer, c.data()); });
  };
  return measure(row, ours, peers, peer);
}

CreationRow measure_network_creation(const std::string& name, const std::vector<Problem>& layers,
                                     const BenchOptions& options, Peer* peer) {
  touch_free_memory();
  const NetworkCases network(layers, options.data);
  CreationRow row;
  row.name = name;
  row.what = fmt::format("{} plans", network.plans());
  const auto ours = [&] {
    const ContextPtr context = create_context(options.isa, options.threads);
    return time_creation(kNetworkAgain, [&] {
      return network.create_all([&](const Case& layer, void* c) {
        return layer.create_plan(context.get(), options.kernel, c);
      });
    });
  };
  const auto peers = [&] {
    return time_creation(kNetworkAgain, [&] {
      return network.create_all(
          [&](const Case& layer, void* c) { return layer.prepare(*peer, c); });
    });
  };
  return measure(row, ours, peers, peer);
}

}  // namespace oct::perf
