// The geometry of a convolution, one spatial dimension at a time.
//
// Along one axis every convolution here is a set of *phases*. A phase produces the outputs
// out_start + q * out_step, q = 0, 1, .., from the inputs q * in_step + offset(tap) of its taps. An
// ordinary convolution is one phase (out_step 1, in_step = stride, offset = tap * dilation -
// pad_begin); a transposed one has a phase for each residue of the output modulo the stride
// (out_step = stride, in_step 1).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "octavo/octavo.h"

namespace oct {

// a / b for b > 0, rounded down and up.
// Strides are mostly powers of two, and a division takes as long as a dozen other instructions.
constexpr int64_t floor_div(int64_t a, int64_t b) {
  if ((b & (b - 1)) == 0) return a >> std::countr_zero(static_cast<uint64_t>(b));
  return a / b - (a % b < 0);
}
constexpr int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

struct AxisTap {
  int64_t index;   // in the kernel
  int64_t offset;  // of the input from q * in_step
};

struct AxisPhase {
  int64_t out_start, out_step, in_step;
  std::vector<AxisTap> taps;  // by ascending offset

  // How many outputs this phase has among `out`.
  int64_t outputs(int64_t out) const {
    return out > out_start ? ceil_div(out - out_start, out_step) : 0;
  }
};

struct ConvAxis {
  int64_t kernel = 1, stride = 1, dilation = 1, pad_begin = 0, pad_end = 0, output_padding = 0;
  bool transposed = false;
  std::vector<AxisPhase> phases;

  // Size of the output for `in`; negative or zero if there is none, -1 if it overflows.
  int64_t output_size(int64_t in) const;
};

// Whether every output along the axis sees just the input at its own place.
bool is_pointwise(const ConvAxis& axis);

// Fills axis.phases from its other fields.
void make_phases(ConvAxis* axis);

// Taps [first, last) of a phase.
struct TapRange {
  int first, last;

  friend bool operator==(const TapRange&, const TapRange&) = default;
};

// Those that output q sees inside an input of `in`.
TapRange taps_seen(const AxisPhase& phase, int64_t in, int64_t q);

// Outputs q in [begin, end) of a phase that see exactly taps [first, last) inside the input.
struct AxisRun {
  int64_t begin, end;
  int first, last;
};

// The runs of a phase for an input of `in`, in order; there are at most 2 * taps + 1.
class AxisRuns {
 public:
  AxisRuns(const AxisPhase& phase, int64_t in, int64_t outputs)
      : phase_(phase), in_(in), outputs_(outputs) {}

  // The run that begins at q, q < outputs.
  AxisRun at(int64_t q) const;

 private:
  const AxisPhase& phase_;
  int64_t in_, outputs_;
};

struct ConvShape {
  int rank = 2;
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  std::array<ConvAxis, OCT_MAX_SPATIAL> axes;  // depth, height, width; absent ones are trivial

  int64_t group_in() const { return in_channels / groups; }
  int64_t group_out() const { return out_channels / groups; }
  int64_t taps() const { return axes[0].kernel * axes[1].kernel * axes[2].kernel; }
};

// Checks the geometry of `desc` and fills `shape`, with axes moved to the end (rank 1 is width).
oct_status make_shape(const oct_qconv_desc& desc, ConvShape* shape);

// The output size for an input size; OCT_INVALID_ARGUMENT with the numbers if there is none.
oct_status output_size(const ConvShape& shape, const std::array<int64_t, 3>& in,
                       std::array<int64_t, 3>* out);

}  // namespace oct
