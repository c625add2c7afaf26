// One depthwise convolution: what is computed, and the run of it against the reference.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/depthwise.h"
#include "tests/kernel_case.h"
#include "tests/output_case.h"

namespace oct::test {

struct DepthwiseCase {
  DepthwiseShape shape;
  int64_t height = 1, width = 1;  // of the image
  int64_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  OutputCase output;
  InputCase input;
  uint64_t seed = 0;  // of operands, scales, strides and placement

  int64_t out_height() const;
  int64_t out_width() const;  // either is less than one where the kernel does not fit
};

// Runs cases of one row in buffers that are made once.
class DepthwiseRunner {
 public:
  // The largest input and output, in elements.
  DepthwiseRunner(const KernelRow& row, int64_t max_elements);
  ~DepthwiseRunner();

  // Empty, or what went wrong, with everything needed to repeat it.
  std::string run(const DepthwiseCase& c);

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace oct::test
