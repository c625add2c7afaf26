#include "dispatch/reason.h"

namespace oct {

std::string Reason::in_words() const {
  std::string words;
  const int64_t* number = numbers;
  for (const char* c = text; c && *c; ++c) {
    if (*c == '#')
      words += std::to_string(*number++);
    else if (*c == '@')
      words += name;
    else
      words += *c;
  }
  return words;
}

}  // namespace oct
