// Calls a function and says which promises of the System V x86-64 ABI it broke.
//
// Checked: rbx, rbp, r12-r15, rsp, the caller's stack frame, the direction flag, the control bits
// of MXCSR, and that the upper parts of ymm0-15 (zmm0-15 where there are any) are zero on
// return, i.e. that the function ended with vzeroupper. Every register the function may not rely
// on is filled with garbage first. One call at a time per process.
#pragma once

#include <string>

namespace oct::test {

using CheckedFn = void (*)(const void*);

// Empty if the call kept all promises; otherwise a list such as "rbx changed; ...".
// The CPU must have AVX2.
std::string checked_call(CheckedFn fn, const void* argument);

}  // namespace oct::test
