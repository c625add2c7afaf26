// What one core of this machine can do at most: a loop of nothing but dot-product instructions on
// registers, with enough independent accumulators to hide their latency.
//
// For the ISAs without VNNI the loop is vpmaddubsw, vpmaddwd, vpaddd: the fastest way to multiply
// bytes there, which saturates for some operands. Exact kernels are measured against it too.
#pragma once

#include <cstdint>
#include <memory>

#include "jit/code_cache.h"
#include "jit/isa.h"

namespace oct::perf {

class PeakLoop {
 public:
  // Null if there is no loop for `isa`. The CPU must run it.
  static std::unique_ptr<PeakLoop> create(Isa isa);

  // Runs for about 50 us in the calling thread. Billions of operations per second, where a
  // multiplication and an addition each count.
  double sample_gops() const;

 private:
  PeakLoop(std::shared_ptr<const Code> code, double operations_per_pass);

  std::shared_ptr<const Code> code_;
  double operations_per_pass_;
  int64_t passes_ = 0;  // per sample
};

}  // namespace oct::perf
