// What tests of memory, stack and system calls need: children, stacks to look at, and sizes of the
// process.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>

#include "octavo/octavo.h"

namespace oct::test {

inline constexpr int kSkip = 77;  // exit status of a child that cannot do its test here

// The exit status of `body` in a child process; 1000 + N if signal N ended it.
int in_child(const std::function<int()>& body);

// in_child where any system call but read, write and exit kills (seccomp's strict mode). 0 if
// `body` returned true.
int in_strict_child(const std::function<bool()>& body);

// Bytes of a fresh stack that `body` dirties on a thread of its own.
size_t stack_used(const std::function<void()>& body);

size_t address_space_bytes();
size_t resident_bytes();

// Calls `create` with allocation number i = 0, 1, 2, ... failing (and with `all_later` every one
// after it), until none does; of those beyond the first thousand, ever fewer.
void fail_each_allocation(bool all_later, const std::function<oct_status()>& create);

// Skips where nothing can be counted.
class Memory : public testing::Test {
  void SetUp() override;
};

}  // namespace oct::test
