#include "dispatch/status.h"

#include <cstdarg>
#include <cstdio>
#include <exception>
#include <new>

namespace oct {
namespace {

thread_local char t_message[512];

}  // namespace

oct_status fail(oct_status status, const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::vsnprintf(t_message, sizeof t_message, format, args);
  va_end(args);
  return status;
}

const char* last_error() { return t_message; }

oct_status status_of_current_exception() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return fail(OCT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return fail(OCT_INTERNAL, "internal error: %s", e.what());
  } catch (...) {
    return fail(OCT_INTERNAL, "internal error");
  }
}

}  // namespace oct
