#include "dispatch/crew.h"

#include <xmmintrin.h>

#include <thread>

namespace oct {

Crew::Crew(int threads, int spins)
    : count_(threads - 1), spins_(spins),
      seats_(std::make_unique<Seat[]>(static_cast<size_t>(count_))) {}

void Crew::open() {
  taken_.store(0, std::memory_order_relaxed);
  for (int i = 0; i < count_; ++i) seats_[i].state.store(State::kFree, std::memory_order_relaxed);
  is_open_.store(true, std::memory_order_release);
}

void Crew::close() {
  is_open_.store(false, std::memory_order_relaxed);
  for (int i = 0; i < count_; ++i) hand(seats_[i], State::kClosed);
}

void Crew::wait_for_others() const {
  constexpr int kBriefly = 10'000;  // longer than threads take to wake up
  int come;
  for (int spins = 0; (come = taken_.load(std::memory_order_acquire)) != count_; ++spins)
    spins < kBriefly ? _mm_pause() : taken_.wait(come, std::memory_order_relaxed);
}

void Crew::run(size_t tasks, void (*task)(void*, size_t), void* arg) {
  for (size_t i = 1; i < tasks; ++i) {
    Seat& seat = seats_[i - 1];
    seat.task = task;
    seat.arg = arg;
    hand(seat, State::kOffered);
  }
  task(arg, 0);
  for (size_t i = 1; i < tasks; ++i) {
    Seat& seat = seats_[i - 1];
    State offered = State::kOffered;
    if (seat.state.load(std::memory_order_relaxed) == offered &&
        seat.state.compare_exchange_strong(offered, State::kFree, std::memory_order_relaxed))
      task(arg, i);
    else
      wait_for_end(seat);
  }
}

// Nobody takes two seats of an open crew: who leaves one has seen it closed.
void Crew::work() {
  if (!is_open_.load(std::memory_order_acquire)) return;
  const auto i = static_cast<size_t>(taken_.fetch_add(1, std::memory_order_acq_rel));
  taken_.notify_one();
  Seat& seat = seats_[i];
  while (wait_for_word(seat) != State::kClosed) {
    State offered = State::kOffered;
    if (!seat.state.compare_exchange_strong(offered, State::kTaken, std::memory_order_acquire))
      continue;
    seat.task(seat.arg, i + 1);
    seat.state.store(State::kFree, std::memory_order_release);
  }
}

void Crew::hand(Seat& seat, State state) {
  if (seat.state.exchange(state, std::memory_order_acq_rel) == State::kAsleep)
    seat.state.notify_one();
}

// Until something is offered or the crew is closed.
Crew::State Crew::wait_for_word(Seat& seat) const {
  for (int spins = 0;; ++spins) {
    State state = seat.state.load(std::memory_order_acquire);
    if (state == State::kOffered || state == State::kClosed) return state;
    _mm_pause();
    if (spins < spins_) continue;
    if (seat.state.compare_exchange_strong(state, State::kAsleep, std::memory_order_relaxed))
      seat.state.wait(State::kAsleep, std::memory_order_relaxed);
    spins = 0;
  }
}

// Who has ended may be asleep by now.
void Crew::wait_for_end(const Seat& seat) const {
  for (int spins = 0; seat.state.load(std::memory_order_acquire) == State::kTaken; ++spins)
    spins < spins_ ? _mm_pause() : std::this_thread::yield();
}

}  // namespace oct
