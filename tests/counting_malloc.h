// Counts every allocation of the process, whoever makes it, and makes chosen ones fail.
//
// The program's own malloc, calloc, realloc and aligned variants take the place of libc's for all
// libraries it loads, and operator new calls them. Not available under a sanitizer, which needs
// that place itself.
#pragma once

#include <cstdint>

namespace oct::test {

bool counts_allocations();

// Allocations so far, by all threads.
uint64_t allocations();

// From now on allocation number `index` (0 is the next one) fails, and with `all_later` every one
// after it. A negative index ends that.
void fail_allocation(int64_t index, bool all_later = false);

}  // namespace oct::test
