#include "tests/counting_malloc.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace oct::test {
namespace {

std::atomic<uint64_t> g_count;
std::atomic<int64_t> g_until_failure{-1};
std::atomic<bool> g_all_later;

// Counts one allocation; whether it may succeed.
[[maybe_unused]] bool allow() {
  ++g_count;
  if (g_until_failure < 0) return true;
  if (g_until_failure > 0) {
    --g_until_failure;
    return true;
  }
  if (!g_all_later) g_until_failure = -1;
  errno = ENOMEM;
  return false;
}

}  // namespace

uint64_t allocations() { return g_count; }

void fail_allocation(int64_t index, bool all_later) {
  g_all_later = all_later;
  g_until_failure = index;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
bool counts_allocations() { return false; }
#else
bool counts_allocations() { return true; }

extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) { return allow() ? __libc_malloc(size) : nullptr; }
void* calloc(size_t count, size_t size) { return allow() ? __libc_calloc(count, size) : nullptr; }
void* realloc(void* p, size_t size) { return allow() ? __libc_realloc(p, size) : nullptr; }
void* memalign(size_t alignment, size_t size) {
  return allow() ? __libc_memalign(alignment, size) : nullptr;
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** p, size_t alignment, size_t size) {
  void* const result = memalign(alignment, size);
  if (!result) return ENOMEM;
  *p = result;
  return 0;
}

}  // extern "C"
#endif

}  // namespace oct::test
