// Which problems the rolling generator takes, and how its operands lie in memory.

#include "jit/words.h"
#include "kernels/depthwise_rolling.h"

namespace oct {
namespace {

// Sums, a pair, a temporary and a constant.
int registers(const Axis& horizontal, int outputs, int vectors) {
  return depthwise_rolling_flight(horizontal) * outputs * vectors + vectors + 2;
}

}  // namespace

int depthwise_rolling_flight(const Axis& horizontal) {
  return (horizontal.kernel + horizontal.stride - 1) / horizontal.stride;
}

bool depthwise_rolling_fits(const KernelRow& row, const Axis& vertical, const Axis& horizontal) {
  return row.b_form == BForm::kPairs16 && row.lanes == kRollingLanes && vertical.dilation == 1 &&
         horizontal.dilation == 1 && vertical.stride <= 2 && horizontal.stride <= 2 &&
         horizontal.kernel >= horizontal.stride &&
         depthwise_rolling_inputs(vertical, kMaxOutputRows) <= kMaxRollingRows &&
         registers(horizontal, kMaxOutputRows, 1) <= vector_registers(row.isa);
}

int depthwise_rolling_inputs(const Axis& vertical, int outputs) {
  return vertical.kernel + (outputs - 1) * vertical.stride;
}

int depthwise_rolling_channels(const KernelRow& row, const Axis& horizontal) {
  int vectors = kMaxRollingVectors;
  while (registers(horizontal, kMaxOutputRows, vectors) > vector_registers(row.isa)) --vectors;
  return vectors * kRollingLanes;
}

RollingLayout::RollingLayout(const KernelRow& row, const Axis& vertical, const Axis& horizontal,
                             int outputs, int n)
    : vectors((n + row.lanes - 1) / row.lanes), vector_bytes(4 * row.lanes), outputs(outputs),
      across(vertical.kernel > 1 && vertical.kernel % 2 == 1 && vertical.stride == 2 &&
             horizontal.stride == 2),
      stride(vertical.stride), kernel(vertical.kernel), columns(horizontal.kernel),
      flight(depthwise_rolling_flight(horizontal)) {
  const int64_t channels = int64_t{vectors} * vector_bytes;
  const int inputs = depthwise_rolling_inputs(vertical, outputs);
  input_pairs = across ? inputs / 2 : (inputs + 1) / 2;
  // With stride 2 all output rows multiply by the same weights, unless a row between pairs is the
  // last of one and not of the other.
  pairs = across ? kernel / 2 : stride == 2 ? (kernel + 1) / 2 : outputs * input_pairs;
  mult = 0;
  bias = mult + outputs * channels;
  init = bias + outputs * channels;
  weights = init + channels;
}

int64_t RollingLayout::size() const {
  return at(across ? outputs * (columns * pairs + flight) : columns * pairs);
}

int64_t RollingLayout::dot(int t, int r, int p) const {
  if (across) {
    const int own = p - r;
    return own < 0 || own >= pairs ? -1 : at(r * (columns * pairs + flight) + t * pairs + own);
  }
  const int row = kernel_row(r, p, 0);
  if (row >= kernel || row + 1 < 0) return -1;
  return at(t * pairs + (stride == 2 ? p - r : r * input_pairs + p));
}

int64_t RollingLayout::across_dot(int t, int r) const {
  return at(r * (columns * pairs + flight) + columns * pairs + t / 2);
}

int64_t RollingLayout::first_dot(int r) const {
  if (across) return -1;
  int p = 0;
  while (dot(0, r, p) < 0) ++p;
  return dot(0, r, p);
}

RollingCost depthwise_rolling_cost(const KernelRow& row, const Axis& vertical,
                                   const Axis& horizontal) {
  constexpr int kDot = 2, kPair = 4;  // two loads, an interleaving, an extension
  const RollingLayout layout(row, vertical, horizontal, kMaxOutputRows, row.lanes);
  int pairs = 0;
  for (int r = 0; r < kMaxOutputRows; ++r)
    for (int p = 0; p < layout.input_pairs; ++p) pairs += layout.dot(0, r, p) >= 0;
  const int across = layout.across ? kMaxOutputRows * depthwise_rolling_flight(horizontal) : 0;
  return {(horizontal.kernel * pairs + across) * kDot,
          (horizontal.stride * layout.input_pairs + layout.across) * kPair};
}

}  // namespace oct
