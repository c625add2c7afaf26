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

  // The bytes up to `end` are about to be written: has the system fill them, if it has not yet.
  void reach(size_t end);
  // Gives back all but the first `bytes`, which were reached.
  void shrink(size_t bytes);

 private:
  uint8_t* data_ = nullptr;
  bool from_arena_ = false;
  size_t bytes_ = 0, reached_ = 0;
};

}  // namespace oct
