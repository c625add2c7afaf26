#include "tests/guard_buffer.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace oct::test {

namespace {

// The live buffers, for the signal handler: plain memory, no locks.
struct Mapping {
  const char* name;
  uintptr_t base;
  size_t page, stride, mapped;
};
constexpr int kMaxMappings = 64;
Mapping g_mappings[kMaxMappings];

char g_note[1024];

// Async-signal-safe: snprintf of integers and strings allocates nothing in glibc.
void describe_fault(uintptr_t address) {
  char text[256];
  for (const Mapping& m : g_mappings) {
    if (!m.name || address < m.base || address >= m.base + m.mapped) continue;
    const size_t row = (address - m.base) / m.stride, offset = (address - m.base) % m.stride;
    const size_t rows = (m.mapped - m.page) / m.stride;
    // A guard page lies between two rows; the nearer one was overrun.
    const bool before = row == 0 || (row < rows && offset >= m.page / 2);
    const size_t distance = before ? m.page - offset : offset + 1;
    const int length =
        snprintf(text, sizeof text, "fault in the guard of %s: %zu byte(s) %s row %zu\n", m.name,
                 distance, before ? "before" : "after", before ? row : row - 1);
    (void)!write(STDERR_FILENO, text, static_cast<size_t>(length));
    return;
  }
  const int length = snprintf(text, sizeof text, "fault at %p, in no guarded buffer\n",
                              reinterpret_cast<void*>(address));
  (void)!write(STDERR_FILENO, text, static_cast<size_t>(length));
}

void on_signal(int number, siginfo_t* info, void*) {
  char text[64];
  const int length = snprintf(text, sizeof text, "\nsignal %d while running ", number);
  (void)!write(STDERR_FILENO, text, static_cast<size_t>(length));
  (void)!write(STDERR_FILENO, g_note, strnlen(g_note, sizeof g_note));
  (void)!write(STDERR_FILENO, "\n", 1);
  if (number == SIGSEGV || number == SIGBUS)
    describe_fault(reinterpret_cast<uintptr_t>(info->si_addr));
  signal(number, SIG_DFL);
  raise(number);
}

}  // namespace

GuardBuffer::GuardBuffer(const char* name, size_t row_capacity, int rows) : rows_(rows) {
  page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  stride_ = (row_capacity + page_ - 1) / page_ * page_ + page_;
  mapped_ = page_ + static_cast<size_t>(rows) * stride_;
  void* p = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) abort();
  base_ = static_cast<uint8_t*>(p);
  for (int r = 0; r < rows; ++r)
    if (mprotect(body(r), body_bytes(), PROT_READ | PROT_WRITE) != 0) abort();
  for (Mapping& m : g_mappings) {
    if (m.name) continue;
    m = {name, reinterpret_cast<uintptr_t>(base_), page_, stride_, mapped_};
    break;
  }
}

GuardBuffer::~GuardBuffer() {
  for (Mapping& m : g_mappings)
    if (m.base == reinterpret_cast<uintptr_t>(base_)) m = {};
  munmap(base_, mapped_);
}

uint8_t* GuardBuffer::left(size_t size, size_t offset) const {
  assert(size + offset <= body_bytes());
  (void)size;
  return body() + offset;
}

uint8_t* GuardBuffer::right(size_t size, size_t alignment) const {
  const size_t room = (body_bytes() - size) / alignment * alignment;
  assert(size <= body_bytes());
  return body() + room;
}

void report_faults() {
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(number, &action, nullptr);
}

void set_fault_note(const std::string& note) { strncpy(g_note, note.c_str(), sizeof g_note - 1); }

}  // namespace oct::test
