// Reads and writes of the emulated program's memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace oct::emulate {

// An instruction the sanitizers do not see, for two reasons. They do not see the accesses of the
// generated code that is emulated here either: it may read a whole cache line that its data end
// in, and a report from inside a signal handler could deadlock. And a page fault carries the very
// address that the instruction would have faulted at.
inline void copy_bytes(void* to, const void* from, size_t size) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

inline void load(uint64_t address, void* to, size_t size) {
  copy_bytes(to, reinterpret_cast<const void*>(address), size);
}

inline void store(uint64_t address, const void* from, size_t size) {
  copy_bytes(reinterpret_cast<void*>(address), from, size);
}

}  // namespace oct::emulate
