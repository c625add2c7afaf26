// Why a kernel cannot be used, put into words only where somebody asks: every plan keeps one for
// most rows of the table.
#pragma once

#include <cstdint>
#include <string>

namespace oct {

struct Reason {
  const char* text = nullptr;  // null: it can be used. Lives as long as the plan's context
  // What stands in the text for every "#", in turn, and for "@".
  int64_t numbers[2] = {};
  const char* name = nullptr;

  explicit operator bool() const { return text != nullptr; }
  std::string in_words() const;
};

}  // namespace oct
