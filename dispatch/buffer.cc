#include "dispatch/buffer.h"

#include <algorithm>
#include <new>
#include <utility>

#include "dispatch/weight_arena.h"

namespace oct {
namespace {

constexpr size_t kArenaFrom = size_t{16} << 10;
constexpr std::align_val_t kAlign{64};
constexpr size_t kReach = size_t{1} << 20;  // at least, in one system call

}  // namespace

Buffer::Buffer(size_t bytes) : from_arena_(bytes >= kArenaFrom), bytes_(bytes) {
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
    : data_(std::exchange(other.data_, nullptr)), from_arena_(other.from_arena_),
      bytes_(other.bytes_), reached_(other.reached_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(from_arena_, other.from_arena_);
  std::swap(bytes_, other.bytes_);
  std::swap(reached_, other.reached_);
  return *this;
}

void Buffer::reach(size_t end) {
  if (!from_arena_ || end <= reached_) return;
  end = std::min(std::max(end, reached_ + kReach), bytes_);
  WeightArena::populate(data_ + reached_, data_ + end);
  reached_ = end;
}

void Buffer::shrink(size_t bytes) {
  if (from_arena_ && bytes < bytes_) global_weight_arena().shrink(data_, bytes);
  bytes_ = bytes;
}

}  // namespace oct
