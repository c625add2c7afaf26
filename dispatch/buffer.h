// Memory for packed weights: 64-byte aligned, written once, read for the life of a plan. Small ones
// come from the heap, large ones from the arena (dispatch/weight_arena.h).
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
  bool from_arena_ = false;
};

}  // namespace oct
