#include "jit/code_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace oct {
namespace {

// perf reads /tmp/perf-<pid>.map to name code that no file backs. Off unless OCTAVO_PERF_MAP=1:
// the file outlives the process.
FILE* perf_map() {
  static FILE* const file = []() -> FILE* {
    const char* on = std::getenv("OCTAVO_PERF_MAP");
    if (!on || std::strcmp(on, "1") != 0) return nullptr;
    char path[64];
    std::snprintf(path, sizeof path, "/tmp/perf-%d.map", static_cast<int>(getpid()));
    return std::fopen(path, "ae");
  }();
  return file;
}

void note_for_profilers(const void* base, size_t size, const std::string& name) {
  if (FILE* f = perf_map()) {
    std::fprintf(f, "%zx %zx %s\n", reinterpret_cast<size_t>(base), size, name.c_str());
    std::fflush(f);
  }
}

}  // namespace

Code::Code(const void* bytes, size_t size, std::vector<size_t> entries, const std::string& name)
    : size_(size), entries_(std::move(entries)) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  mapped_ = (size + page - 1) / page * page;
  void* p = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<uint8_t*>(p);
  std::memcpy(base_, bytes, size);
  if (mprotect(base_, mapped_, PROT_READ | PROT_EXEC) != 0) {
    const int error = errno;
    munmap(base_, mapped_);
    if (error == ENOMEM) throw std::bad_alloc();
    throw CodeError(std::string("the system refuses executable memory: ") + std::strerror(error));
  }
  note_for_profilers(base_, size, name);
}

Code::~Code() { munmap(base_, mapped_); }

std::shared_ptr<const Code> CodeCache::get(const std::string& key, const Generate& generate) {
  // Generating under the lock is what makes "once per key" hold; it takes well under a
  // millisecond, and plan creation is the only caller.
  std::lock_guard lock(mutex_);
  if (auto it = index_.find(key); it != index_.end()) {
    lru_.splice(lru_.begin(), lru_, it->second);
    return it->second->second;
  }
  std::shared_ptr<const Code> code = generate();
  ++generated_;
  lru_.emplace_front(key, code);
  try {
    index_.emplace(key, lru_.begin());
  } catch (...) {
    lru_.pop_front();
    throw;
  }
  trim();
  return code;
}

void CodeCache::trim() {
  size_t unused = 0;
  for (auto it = lru_.begin(); it != lru_.end();) {
    const bool drop = it->second.use_count() == 1 && ++unused > kKeepUnused;
    if (drop) {
      index_.erase(it->first);
      it = lru_.erase(it);
    } else {
      ++it;
    }
  }
}

uint64_t CodeCache::generated() const {
  std::lock_guard lock(mutex_);
  return generated_;
}

size_t CodeCache::entries() const {
  std::lock_guard lock(mutex_);
  return lru_.size();
}

CodeCache& global_code_cache() {
  // Never destroyed: plans may outlive static destruction.
  static CodeCache* const cache = new CodeCache;
  return *cache;
}

}  // namespace oct
