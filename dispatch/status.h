// Failures: a status and one sentence with the numbers, kept per thread for oct_last_error.
#pragma once

#include "octavo/octavo.h"

namespace oct {

// Records the message (printf style) and returns `status`. Never allocates.
[[gnu::format(printf, 2, 3)]] oct_status fail(oct_status status, const char* format, ...);

const char* last_error();

// Runs body(), which returns an oct_status, and turns the exceptions of allocation and code
// generation into one. The only place where exceptions end.
template <class Body>
oct_status guarded(Body body);

oct_status status_of_current_exception();

template <class Body>
oct_status guarded(Body body) {
  try {
    return body();
  } catch (...) {
    return status_of_current_exception();
  }
}

}  // namespace oct
