#include "dispatch/threads.h"

#include <pthreadpool.h>
#include <xmmintrin.h>

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
  pool_ = pthreadpool_create(static_cast<size_t>(count_));
  if (!pool_) throw std::bad_alloc();
}

Threads::~Threads() {
  if (count_ > 1 && !parallel_for_) pthreadpool_destroy(static_cast<pthreadpool_t>(pool_));
}

void Threads::run(size_t tasks, void (*task)(void*, size_t), void* arg) const {
  if (tasks > 1 && count_ > 1) {
    if (parallel_for_) return parallel_for_(pool_, tasks, task, arg);
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

}  // namespace oct
