#include "dispatch/buffer.h"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace oct {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMapFrom = size_t{128} << 10;
constexpr std::align_val_t kAlign{64};

// MADV_POPULATE_WRITE, which older C libraries do not name; older kernels refuse it, which costs
// time only.
constexpr int kPopulateWrite = 23;

}  // namespace

Buffer::Buffer(size_t bytes) {
  if (bytes < kMapFrom) {
    data_ = static_cast<uint8_t*>(::operator new(bytes, kAlign));
    return;
  }
  // With huge pages: room to start on a boundary, and to the end of a last page that is half full.
  const bool huge = bytes >= kHugePage / 2;
  const size_t last = bytes % kHugePage;
  const size_t used = huge && last >= kHugePage / 2 ? bytes - last + kHugePage : bytes;
  if (used < bytes || __builtin_add_overflow(used, huge ? kHugePage : 0, &mapped_))
    throw std::bad_alloc();
  void* p = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  mapping_ = p;
  auto address = reinterpret_cast<uintptr_t>(p);
  if (huge) address = (address + kHugePage - 1) / kHugePage * kHugePage;
  data_ = reinterpret_cast<uint8_t*>(address);
  if (huge) madvise(data_, used, MADV_HUGEPAGE);
  madvise(data_, bytes, kPopulateWrite);
}

Buffer::~Buffer() {
  if (mapping_)
    munmap(mapping_, mapped_);
  else
    ::operator delete(data_, kAlign);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), mapping_(std::exchange(other.mapping_, nullptr)),
      mapped_(other.mapped_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

}  // namespace oct
