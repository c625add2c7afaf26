// Threads of a context: none, the context's own pool, or the caller's parallel-for.
#pragma once

#include <atomic>
#include <cstddef>

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

  // task(arg, i) for i in [0, tasks). The own pool serves one caller at a time; others that come
  // meanwhile do their tasks themselves rather than wait.
  void run(size_t tasks, void (*task)(void*, size_t), void* arg) const;

 private:
  int count_;
  oct_parallel_for parallel_for_;
  void* pool_;  // the caller's, or our pthreadpool_t
  mutable std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
};

}  // namespace oct
