// What every test program shares: the seed, the effort, random numbers, and scoped environment
// variables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace oct::test {

// OCTAVO_TEST_SEED, or 1. Printed by every failure that depends on it; setting it repeats the run.
uint64_t base_seed();

// OCTAVO_TEST_EFFORT: quick (sanitizers, emulation), default, or thorough.
enum class Effort { kQuick, kDefault, kThorough };
Effort effort();

// `quick`, `normal` or `thorough`, as the effort says.
int by_effort(int quick, int normal, int thorough);

// xoshiro256**: fast enough to fill operands, and the same numbers everywhere.
class Rng {
 public:
  explicit Rng(uint64_t seed);
  // A stream of its own for each test: the base seed mixed with a name and a number.
  explicit Rng(std::string_view name, uint64_t number = 0);

  uint64_t next();
  int64_t between(int64_t lo, int64_t hi);  // both included
  double real(double lo, double hi);
  double log_real(double lo, double hi);  // uniform in the exponent
  bool one_in(int n) { return between(1, n) == 1; }
  template <class T, size_t N>
  const T& pick(const T (&items)[N]) {
    return items[between(0, static_cast<int64_t>(N) - 1)];
  }
  void fill_bytes(void* dst, size_t size);

 private:
  uint64_t s_[4];
};

// Sets an environment variable, or removes it (nullptr), for a scope.
class ScopedEnv {
 public:
  ScopedEnv(const char* name, const char* value);
  ~ScopedEnv();
  ScopedEnv(const ScopedEnv&) = delete;
  ScopedEnv& operator=(const ScopedEnv&) = delete;

 private:
  std::string name_;
  std::optional<std::string> saved_;
};

}  // namespace oct::test
