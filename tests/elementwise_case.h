// One call of an elementwise kernel: what is computed, and the run of it against the reference.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/elementwise.h"
#include "tests/support.h"

namespace oct::test {

// Values where quantisation can go wrong: NaN, infinities, signed zeros, denormals, overflow of
// the conversion, and ties of `scale`; otherwise of a magnitude that u8 can express.
float awkward_float(Rng& rng, float scale);

struct ElementwiseCase {
  ElementwiseSpec spec;
  int rows = 1, cols = 1;
  uint64_t seed = 0;  // of data, parameters, strides and placement
};

// Runs cases of one kernel in buffers that are made once.
class ElementwiseRunner {
 public:
  ElementwiseRunner(const KernelRow& row, int max_rows, int max_cols);
  ~ElementwiseRunner();

  // Empty, or what went wrong, with everything needed to repeat it.
  std::string run(const ElementwiseCase& c);

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace oct::test
