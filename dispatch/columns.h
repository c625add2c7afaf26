// Arrays with a value for each column of the weights, as kernels read them.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace oct {

// On cache lines: a load that crosses two takes twice as long. Zen 5, 2026-11-30, 1x1 of 16 to 96
// channels at 112x112, whose sums start from memory at every pixel: 68 -> 58 us.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) {}

  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kLine); }

  friend bool operator==(LineAllocator, LineAllocator) { return true; }
};

template <class T>
using Columns = std::vector<T, LineAllocator<T>>;

}  // namespace oct
