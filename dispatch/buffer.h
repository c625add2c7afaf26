// Memory for packed weights: 64-byte aligned, written once, read for the life of a plan.
//
// Where pages are costly to fault in one by one (virtual machines: about 2 us each), faults would
// dominate the creation of a plan. Large buffers are populated in one system call, and from 1 MiB
// on mapped on a 2 MiB boundary and offered huge pages, which also spare the kernels TLB misses. A
// last huge page is taken where it is at least half full.
#pragma once

#include <cstddef>
#include <cstdint>

namespace oct {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);  // throws std::bad_alloc
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_ = nullptr;
  void* mapping_ = nullptr;  // null: from operator new
  size_t mapped_ = 0;
};

}  // namespace oct
