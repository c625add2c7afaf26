#include "tests/memory_support.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

#include "tests/api_support.h"
#include "tests/counting_malloc.h"

namespace oct::test {

int in_child(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int in_strict_child(const std::function<bool()>& body) {
  return in_child([&] {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) return kSkip;
    syscall(SYS_exit, body() ? 0 : 1);
    return 1;
  });
}

size_t stack_used(const std::function<void()>& body) {
  constexpr size_t kSize = 1 << 20;
  constexpr uint8_t kPaint = 0xa5;
  auto* stack = static_cast<uint8_t*>(
      mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  std::memset(stack, kPaint, kSize);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, kSize);
  pthread_t thread;
  const auto run = [](void* f) -> void* {
    (*static_cast<const std::function<void()>*>(f))();
    return nullptr;
  };
  EXPECT_EQ(
      pthread_create(&thread, &attributes, run, const_cast<void*>(static_cast<const void*>(&body))),
      0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  size_t clean = 0;
  while (clean < kSize && stack[clean] == kPaint) ++clean;
  munmap(stack, kSize);
  return kSize - clean;
}

namespace {

// Number `index` of /proc/self/statm, which counts pages.
size_t statm_bytes(int index) {
  std::ifstream file("/proc/self/statm");
  size_t pages = 0;
  for (int i = 0; i <= index; ++i) file >> pages;
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

size_t address_space_bytes() { return statm_bytes(0); }
size_t resident_bytes() { return statm_bytes(1); }

void fail_each_allocation(bool all_later, const std::function<oct_status()>& create) {
  // The first ones one by one; later ones are the generator's, thousands of a kind.
  constexpr int64_t kEach = 1000;
  int64_t i = 0;
  for (oct_status status = OCT_OUT_OF_MEMORY; status != OCT_OK; i += 1 + i / kEach) {
    ASSERT_LT(i, 1000000) << "creation never succeeds";
    fail_allocation(i, all_later);
    status = create();
    fail_allocation(-1);
    if (status == OCT_OK) break;
    ASSERT_EQ(status, OCT_OUT_OF_MEMORY) << "allocation " << i << ": " << oct_last_error();
    ASSERT_NE(std::string(oct_last_error()).find("memory"), std::string::npos);
  }
  EXPECT_GT(i, 0) << "creation made no allocation that could fail";
}

void Memory::SetUp() {
  if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  if (!counts_allocations()) GTEST_SKIP() << "a sanitizer has taken malloc's place";
}

}  // namespace oct::test
