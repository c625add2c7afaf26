// Threads of a context: none, the context's own pool, or the caller's parallel-for.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "dispatch/crew.h"
#include "octavo/octavo.h"

namespace oct {

// Sets round-to-nearest-even and gradual underflow for its scope, so that results do not depend on
// the caller's MXCSR; restores it exactly, exception flags included. Free when nothing differs.
class ScopedFloatMode {
 public:
  ScopedFloatMode();
  ~ScopedFloatMode();
  ScopedFloatMode(const ScopedFloatMode&) = delete;
  ScopedFloatMode& operator=(const ScopedFloatMode&) = delete;

 private:
  unsigned saved_;
};

class Threads {
 public:
  // `count` >= 1 threads, the caller's included; `parallel_for` null for an own pool. Throws
  // std::bad_alloc.
  Threads(int count, oct_parallel_for parallel_for, void* pool);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return count_; }

  // How many of them so many predicted cycles are worth handing to; at least 1.
  int64_t useful(double cycles) const;

  // task(arg, i) for i in [0, tasks). The own pool serves one caller at a time; others that come
  // meanwhile do their tasks themselves rather than wait.
  void run(size_t tasks, void (*task)(void*, size_t), void* arg) const;

  // body(arg), meanwhile with the own pool's threads at hand, if it has some and nobody uses them.
  void gather(void (*body)(void*), void* arg) const;

  // Whether that is so, on this thread now: tasks are then handed over in less time.
  bool at_hand() const {
    return owner_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

 private:
  struct Gathering;
  static void join(void* gathering, size_t);

  int count_;
  oct_parallel_for parallel_for_;
  void* pool_;                  // the caller's, or our pthreadpool_t
  std::unique_ptr<Crew> crew_;  // of the latter
  mutable std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  mutable std::atomic<std::thread::id> owner_;  // while they are gathered: of whom
};

}  // namespace oct
