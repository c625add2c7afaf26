// One call of one kernel: what is computed, and the run of it against the reference.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/table.h"
#include "quant/types.h"
#include "tests/output_case.h"
#include "tests/support.h"

namespace oct::test {

// Data that a row accepts.
struct InputCase {
  DType a_type = DType::kU8;
  int a_min = 0, a_max = 255;  // every element of A lies between
  int shift = 0;               // added to each for the kernel's unsigned arithmetic
  bool safe_weights = false;   // no pair of weights can leave int16
  bool mixed_weights = false;  // in most K groups, some pairing of the four cannot, for all columns
};

// The kinds of input a row has to be exact for; narrow ranges lie at random places.
std::vector<InputCase> input_cases(const KernelRow& row, Rng& rng);

struct KernelCase {
  OutputCase output;
  InputCase input;
  bool affine = false;   // weights with zero points, some of them u8
  bool per_row = false;  // scales and zero points of A's rows, where outputs are formed in reals
  int m = 1, n = 1, tiles = 1;
  int64_t k = 1;        // with taps, of one of them
  int taps = 0;         // K is a list of so many; 0: one run. A's rows have one scale then
  int clip = 0;         // GemmSpec::clip, where there is one tile
  bool fixed = false;   // GemmSpec::k_fixed, where a run has few whole steps
  bool shared = false;  // GemmSpec::run_tail: what taps leave beyond whole groups shares groups
  // Block-diagonal B, with taps: of a group, whose bytes are k.
  int group_out = 0;
  bool in_lanes = false;  // GemmSpec::in_lanes, where the output allows it
  uint64_t seed = 0;      // of operands, scales, strides and placement
};

// Runs cases of one kernel in buffers that are made once.
class KernelRunner {
 public:
  KernelRunner(const KernelRow& row, int64_t max_k, int max_tiles);
  ~KernelRunner();

  // Empty, or what went wrong, with everything needed to repeat it.
  std::string run(const KernelCase& c);

  // Of all 8-bit outputs so far, the share strictly inside their range: tests whose operands only
  // saturate prove little.
  double interior_percent() const;

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
  int64_t outputs_ = 0, interior_ = 0;

  void count(DType type, const std::vector<uint8_t>& outputs);
};

}  // namespace oct::test
