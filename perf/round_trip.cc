#include "perf/round_trip.h"

#include <xmmintrin.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "perf/measure.h"

namespace oct::perf {
namespace {

// Odd numbers go there, even ones back.
class Line {
 public:
  void pass(uint32_t to) { at_.store(to, std::memory_order_release); }

  // Without a core of its own the other thread comes to pass it on only if this one lets go.
  void wait_for(uint32_t to) const {
    constexpr int kSpins = 10000;
    for (int i = 0; at_.load(std::memory_order_acquire) != to; ++i)
      i < kSpins ? _mm_pause() : std::this_thread::yield();
  }

 private:
  alignas(128) std::atomic<uint32_t> at_ = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

bool Placement::is_near() const {
  constexpr double kFarNs = 200, kOwnCores = 1.7;
  return round_trip_ns < kFarNs && cores > kOwnCores;
}

// Medians of groups: at first the system may have both threads on one core.
Placement placement_of_two_threads(const PeakLoop& peak) {
  using Clock = std::chrono::steady_clock;
  constexpr uint32_t kGroups = 41, kTrips = 50, kPeaks = 21;
  Line line;
  std::thread other([&] {
    for (uint32_t i = 0; i < kGroups * kTrips + kPeaks; ++i) {
      line.wait_for(2 * i + 1);
      if (i >= kGroups * kTrips) peak.sample_gops();
      line.pass(2 * i + 2);
    }
  });
  std::vector<double> trips, cores;
  uint32_t i = 0;
  for (uint32_t group = 0; group < kGroups; ++group) {
    const auto start = Clock::now();
    for (uint32_t trip = 0; trip < kTrips; ++trip, ++i) {
      line.pass(2 * i + 1);
      line.wait_for(2 * i + 2);
    }
    trips.push_back(seconds_since(start) / kTrips * 1e9);
  }
  for (uint32_t sample = 0; sample < kPeaks; ++sample, ++i) {
    auto start = Clock::now();
    peak.sample_gops();
    const double alone = seconds_since(start);
    start = Clock::now();
    line.pass(2 * i + 1);
    peak.sample_gops();
    line.wait_for(2 * i + 2);
    cores.push_back(2 * alone / seconds_since(start));
  }
  other.join();
  return {median(std::move(trips)), median(std::move(cores))};
}

}  // namespace oct::perf
