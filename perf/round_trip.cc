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

}  // namespace

// The median of groups: at first the system may have both threads on one core.
double line_round_trip_ns() {
  using Clock = std::chrono::steady_clock;
  constexpr uint32_t kGroups = 41, kTrips = 50;
  Line line;
  std::thread other([&] {
    for (uint32_t i = 0; i < kGroups * kTrips; ++i) {
      line.wait_for(2 * i + 1);
      line.pass(2 * i + 2);
    }
  });
  std::vector<double> times;
  for (uint32_t group = 0, i = 0; group < kGroups; ++group) {
    const auto start = Clock::now();
    for (uint32_t trip = 0; trip < kTrips; ++trip, ++i) {
      line.pass(2 * i + 1);
      line.wait_for(2 * i + 2);
    }
    const std::chrono::duration<double, std::nano> time = Clock::now() - start;
    times.push_back(time.count() / kTrips);
  }
  other.join();
  return median(std::move(times));
}

}  // namespace oct::perf
