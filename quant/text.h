// Messages with numbers.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>

namespace oct {

// What printf would print, up to 200 characters.
[[gnu::format(printf, 1, 2)]] inline std::string text(const char* format, ...) {
  char buffer[200];
  va_list args;
  va_start(args, format);
  std::vsnprintf(buffer, sizeof buffer, format, args);
  va_end(args);
  return buffer;
}

}  // namespace oct
