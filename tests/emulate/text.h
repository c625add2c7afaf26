// Text composed in a fixed buffer, fit for signal handlers.
#pragma once

#include <algorithm>
#include <cstdarg>
#include <cstddef>
#include <cstdio>

namespace oct::emulate {

class Text {
 public:
  // What does not fit is cut off.
  [[gnu::format(printf, 2, 3)]] void add(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    // Of integers and strings, which allocates nothing in glibc.
    const int added = vsnprintf(text_ + size_, sizeof text_ - size_, format, arguments);
    va_end(arguments);
    if (added > 0) size_ = std::min(size_ + static_cast<size_t>(added), sizeof text_ - 1);
  }

  const char* c_str() const { return text_; }
  size_t size() const { return size_; }

 private:
  char text_[1024] = "";
  size_t size_ = 0;
};

}  // namespace oct::emulate
