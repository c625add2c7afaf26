// Crews without a pool around them, so that ThreadSanitizer sees both sides.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "dispatch/crew.h"
#include "tests/support.h"

namespace oct::test {
namespace {

// What tasks write is no atomic: nothing but the crew orders it.
struct Counts {
  std::vector<int> of_tasks;
  std::vector<std::thread::id> threads;

  explicit Counts(size_t tasks) : of_tasks(tasks), threads(tasks) {}
  static void count(void* arg, size_t i) {
    auto& self = *static_cast<Counts*>(arg);
    ++self.of_tasks[i];
    self.threads[i] = std::this_thread::get_id();
  }
};

void run_and_check(Crew& crew, size_t tasks) {
  Counts counts(tasks);
  crew.run(tasks, Counts::count, &counts);
  EXPECT_EQ(counts.of_tasks, std::vector<int>(tasks, 1));
  EXPECT_EQ(counts.threads[0], std::this_thread::get_id());
}

// The others of an open crew, which end when it is closed.
std::vector<std::jthread> others(Crew& crew, int threads) {
  std::vector<std::jthread> all;
  for (int i = 1; i < threads; ++i) all.emplace_back([&] { crew.work(); });
  return all;
}

TEST(Crew, DoesEveryTaskOnce) {
  for (int threads : {2, 3, 8}) {
    Crew crew(threads);
    for (int opened = 0; opened < 3; ++opened) {
      crew.open();
      const std::vector<std::jthread> all = others(crew, threads);
      for (int i = 0; i < by_effort(100, 1000, 10000); ++i)
        run_and_check(crew, static_cast<size_t>(1 + i % threads));
      crew.close();
    }
  }
}

TEST(Crew, EveryThreadTakesATask) {
  for (int threads : {2, 4}) {
    Crew crew(threads);
    crew.open();
    const std::vector<std::jthread> all = others(crew, threads);
    crew.wait_for_others();
    std::atomic<int> left = threads - 1;
    const auto meet = [](void* arg, size_t i) {  // the first thread keeps its own meanwhile
      auto& others_left = *static_cast<std::atomic<int>*>(arg);
      if (i > 0) --others_left;
      while (i == 0 && others_left > 0) std::this_thread::yield();
    };
    crew.run(static_cast<size_t>(threads), meet, &left);
    crew.close();
  }
}

TEST(Crew, DoesTheTasksOfThreadsThatDoNotCome) {
  Crew crew(3);
  crew.open();
  for (size_t tasks : {1, 2, 3}) run_and_check(crew, tasks);
  const std::vector<std::jthread> one = others(crew, 2);  // of two
  for (size_t tasks : {1, 2, 3}) run_and_check(crew, tasks);
  crew.close();
}

// Nobody stays who comes to a crew that is closed.
TEST(Crew, SendsAwayWhenClosed) {
  Crew crew(2);
  crew.work();
  crew.open();
  crew.close();
  crew.work();
}

void sleep() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

// Those who sleep are woken for a task, and to leave; and who sleeps before the first thread has
// done its own task has done its.
TEST(Crew, ThoseWhoSleepAreWoken) {
  for (int spins : {0, 1, 100}) {
    Crew crew(3, spins);
    crew.open();
    const std::vector<std::jthread> all = others(crew, 3);
    crew.wait_for_others();
    for (int i = 0; i < by_effort(10, 100, 1000); ++i) {
      run_and_check(crew, 3);
      if (i % 2 == 0) sleep();
      crew.run(
          3, [](void*, size_t task) { task == 0 ? sleep() : void(); }, nullptr);
    }
    crew.close();
  }
}

}  // namespace
}  // namespace oct::test
