#include "dispatch/threads.h"

#include <pthreadpool.h>
#include <xmmintrin.h>

#include <algorithm>
#include <new>

namespace oct {
namespace {

constexpr unsigned kDefaultMode = 0x1f80;  // all exceptions masked, nearest even, no FTZ or DAZ
constexpr unsigned kStickyFlags = 0x003f;

}  // namespace

ScopedFloatMode::ScopedFloatMode() : saved_(_mm_getcsr()) {
  if ((saved_ & ~kStickyFlags) != kDefaultMode) _mm_setcsr(kDefaultMode);
}

ScopedFloatMode::~ScopedFloatMode() {
  if (_mm_getcsr() != saved_) _mm_setcsr(saved_);
}

Threads::Threads(int count, oct_parallel_for parallel_for, void* pool)
    : count_(count), parallel_for_(parallel_for), pool_(pool) {
  if (count_ == 1 || parallel_for_) return;
  crew_ = std::make_unique<Crew>(count_);
  pool_ = pthreadpool_create(static_cast<size_t>(count_));
  if (!pool_) throw std::bad_alloc();
}

Threads::~Threads() {
  if (count_ > 1 && !parallel_for_) pthreadpool_destroy(static_cast<pthreadpool_t>(pool_));
}

// What it takes to hand work over and wait for it is then made good: 0.3 us by the pool on Zen 5
// (2026-11-29: 1.45 us become 1.17 on two threads, and 0.9 stay what they are), 0.5 us on Zen 4;
// and a third of that where threads are at hand.
int64_t Threads::useful(double cycles) const {
  constexpr double kCyclesPerThread = 2000, kAtHand = 800;
  const double least = at_hand() ? kAtHand : kCyclesPerThread;
  return static_cast<int64_t>(std::clamp(cycles / least, 1.0, static_cast<double>(count_)));
}

void Threads::run(size_t tasks, void (*task)(void*, size_t), void* arg) const {
  if (tasks > 1 && count_ > 1) {
    if (parallel_for_) return parallel_for_(pool_, tasks, task, arg);
    if (at_hand()) return crew_->run(tasks, task, arg);
    if (!busy_.test_and_set(std::memory_order_acquire)) {
      // Workers then stay awake for a while: the layers of a network follow each other, and to wake
      // a thread takes as long as some of them.
      pthreadpool_parallelize_1d(static_cast<pthreadpool_t>(pool_), task, arg, tasks, 0);
      busy_.clear(std::memory_order_release);
      return;
    }
  }
  for (size_t i = 0; i < tasks; ++i) task(arg, i);
}

struct Threads::Gathering {
  const Threads& threads;
  void (*body)(void*);
  void* arg;
  bool begun = false;
};

// The pool promises no thread any item. Each of the others keeps the first one it gets until the
// body has ended, so that one is left for the thread whose body it is.
void Threads::gather(void (*body)(void*), void* arg) const {
  if (!crew_ || busy_.test_and_set(std::memory_order_acquire)) return body(arg);
  owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  crew_->open();
  Gathering gathering{*this, body, arg};
  pthreadpool_parallelize_1d(static_cast<pthreadpool_t>(pool_), join, &gathering,
                             static_cast<size_t>(count_), 0);
  owner_.store({}, std::memory_order_relaxed);
  busy_.clear(std::memory_order_release);
}

void Threads::join(void* arg, size_t) {
  auto& g = *static_cast<Gathering*>(arg);
  if (!g.threads.at_hand()) return g.threads.crew_->work();
  if (g.begun) return;
  g.begun = true;
  g.threads.crew_->wait_for_others();
  g.body(g.arg);
  g.threads.crew_->close();
}

}  // namespace oct
