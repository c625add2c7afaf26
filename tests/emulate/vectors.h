// Dot products of bytes or words, accumulated in the 32-bit elements of a vector register.
#pragma once

#include <cstddef>

#include "tests/emulate/mnemonic.h"
#include "tests/emulate/registers.h"

namespace oct::emulate {

// `acc` plus the products of a and b, in the first `size` bytes; zero beyond. Sums are modulo 2^32,
// or saturated to the range of int32, or of uint32 when neither factor is signed.
Vector dot_product(const Row& row, const Vector& acc, const Vector& a, const Vector& b,
                   size_t size);

}  // namespace oct::emulate
