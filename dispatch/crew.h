// Threads that wait together for what the first of them hands them.
//
// A pool takes longer to begin and to end a parallel region than a small layer takes to run. So the
// threads of a pool can stay in one region, each on a seat of its own, while its first thread runs
// layer after layer: a task then goes to a thread, and word of its end comes back, by one cache
// line. Which threads these are, and how they come and go, is the pool's matter.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace oct {

class Crew {
 public:
  // Some milliseconds: as pthreadpool's workers wait.
  static constexpr int kSpins = 1'000'000;

  // `threads` >= 2, the first one included; who waits looks so many times before it sleeps. Throws
  // std::bad_alloc.
  explicit Crew(int threads, int spins = kSpins);

  // By the first thread: from open() to close() others may come and work. The last of them must
  // have returned before it opens again.
  void open();
  void close();

  // By the first thread: until all others have come, which must be sure to. It may sleep, and does
  // so soon: a system that has put another on the same core then finds out that it has more.
  void wait_for_others() const;

  // By the first thread, while it is open: task(arg, i) for i in [0, tasks), which are at most as
  // many as threads. It does the first itself, and those whose thread has not come by then.
  void run(size_t tasks, void (*task)(void*, size_t), void* arg);

  // By each of the others: does what it is handed until the crew is closed.
  void work();

 private:
  enum class State : int { kFree, kAsleep, kOffered, kTaken, kClosed };

  // Aligned to the pairs of lines that prefetchers fetch.
  struct alignas(128) Seat {
    std::atomic<State> state;
    void (*task)(void*, size_t);
    void* arg;
  };

  static void hand(Seat& seat, State state);
  State wait_for_word(Seat& seat) const;
  void wait_for_end(const Seat& seat) const;

  const int count_;
  const int spins_;
  const std::unique_ptr<Seat[]> seats_;
  std::atomic<bool> is_open_ = false;
  std::atomic<int> taken_ = 0;  // seats
};

}  // namespace oct
