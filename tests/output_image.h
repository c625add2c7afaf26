// What memory around and inside C must look like after a run: the expected elements, and everything
// else exactly as it was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quant/types.h"
#include "tests/guard_buffer.h"
#include "tests/support.h"

namespace oct::test {

class OutputImage {
 public:
  // C is rows x n at `c`, inside `buffer`. Fills all of the buffer with random bytes.
  OutputImage(const GuardBuffer& buffer, uint8_t* c, int64_t stride_bytes, int rows, int n,
              DType type, Rng& rng);

  // Sets the elements that C must have, given densely.
  void expect(const uint8_t* dense);

  // Empty if memory is as expected. Otherwise a map of the wrong cells, the first few with what
  // was got and expected, and the first byte written outside of C with its side and distance.
  std::string differences() const;

 private:
  std::string wrong_cells() const;
  std::string stray_bytes() const;
  const uint8_t* image_of(const uint8_t* p) const { return image_.data() + (p - buffer_.body()); }

  const GuardBuffer& buffer_;
  uint8_t* const c_;
  const int64_t stride_;
  const int rows_, n_;
  const DType type_;
  std::vector<uint8_t> image_;  // of the buffer from its first body to its last, guards included
};

}  // namespace oct::test
