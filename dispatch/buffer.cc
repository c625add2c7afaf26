#include "dispatch/buffer.h"

#include <new>
#include <utility>

#include "dispatch/weight_arena.h"

namespace oct {
namespace {

constexpr size_t kArenaFrom = size_t{128} << 10;
constexpr std::align_val_t kAlign{64};

}  // namespace

Buffer::Buffer(size_t bytes) : from_arena_(bytes >= kArenaFrom) {
  data_ = from_arena_ ? global_weight_arena().take(bytes)
                      : static_cast<uint8_t*>(::operator new(bytes, kAlign));
}

Buffer::~Buffer() {
  if (!from_arena_)
    ::operator delete(data_, kAlign);
  else if (data_)
    global_weight_arena().give_back(data_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), from_arena_(other.from_arena_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(from_arena_, other.from_arena_);
  return *this;
}

}  // namespace oct
