#include "tests/support.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace oct::test {

uint64_t base_seed() {
  static const uint64_t seed = [] {
    const char* text = std::getenv("OCTAVO_TEST_SEED");
    return text ? std::strtoull(text, nullptr, 0) : 1;
  }();
  return seed;
}

Effort effort() {
  static const Effort value = [] {
    const char* text = std::getenv("OCTAVO_TEST_EFFORT");
    const std::string_view name = text ? text : "default";
    if (name == "quick") return Effort::kQuick;
    if (name == "thorough") return Effort::kThorough;
    if (name != "default") {
      std::fprintf(stderr, "OCTAVO_TEST_EFFORT=%s is not quick, default or thorough\n", text);
      std::exit(2);
    }
    return Effort::kDefault;
  }();
  return value;
}

int by_effort(int quick, int normal, int thorough) {
  switch (effort()) {
    case Effort::kQuick: return quick;
    case Effort::kDefault: return normal;
    case Effort::kThorough: return thorough;
  }
  return normal;
}

namespace {

uint64_t splitmix(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t hash_name(std::string_view name, uint64_t h) {
  for (unsigned char c : name) h = (h ^ c) * 0x100000001b3u;
  return h;
}

}  // namespace

Rng::Rng(uint64_t seed) {
  for (uint64_t& s : s_) s = splitmix(seed);
}

Rng::Rng(std::string_view name, uint64_t number)
    : Rng(hash_name(name, 0xcbf29ce484222325u) ^ base_seed() ^ (number << 32)) {}

uint64_t Rng::next() {
  const uint64_t result = rotl(s_[1] * 5, 7) * 9, t = s_[1] << 17;
  s_[2] ^= s_[0];
  s_[3] ^= s_[1];
  s_[1] ^= s_[2];
  s_[0] ^= s_[3];
  s_[2] ^= t;
  s_[3] = rotl(s_[3], 45);
  return result;
}

int64_t Rng::between(int64_t lo, int64_t hi) {
  const uint64_t span = static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo) + 1;
  const uint64_t offset = span == 0 ? next() : next() % span;
  return static_cast<int64_t>(static_cast<uint64_t>(lo) + offset);
}

double Rng::real(double lo, double hi) {
  return lo + (hi - lo) * (static_cast<double>(next() >> 11) * 0x1p-53);
}

double Rng::log_real(double lo, double hi) { return std::exp(real(std::log(lo), std::log(hi))); }

void Rng::fill_bytes(void* dst, size_t size) {
  auto* p = static_cast<uint8_t*>(dst);
  for (; size >= 8; p += 8, size -= 8) {
    const uint64_t x = next();
    std::memcpy(p, &x, 8);
  }
  const uint64_t x = next();
  if (size > 0) std::memcpy(p, &x, size);  // dst may be null for nothing
}

ScopedEnv::ScopedEnv(const char* name, const char* value) : name_(name) {
  if (const char* old = std::getenv(name)) saved_ = old;
  if (value)
    setenv(name, value, 1);
  else
    unsetenv(name);
}

ScopedEnv::~ScopedEnv() {
  if (saved_)
    setenv(name_.c_str(), saved_->c_str(), 1);
  else
    unsetenv(name_.c_str());
}

}  // namespace oct::test
