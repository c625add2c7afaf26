// Depthwise kernels as candidates for a convolution plan.

#include <limits>

#include "dispatch/conv_plan.h"

namespace oct {
namespace {

bool small(const ConvAxis& a) {
  constexpr int64_t most = std::numeric_limits<int16_t>::max();
  return a.kernel <= most && a.stride <= most && a.dilation <= most;
}

bool trivial(const ConvAxis& a) {
  return a.kernel == 1 && a.stride == 1 && a.pad_begin == 0 && a.pad_end == 0;
}

Reason reason_against(const KernelRow& row, const oct_qconv& plan, const UsableIsas& isas,
                      const int8_t* w) {
  const ConvShape& shape = plan.shape;
  const Layer& layer = plan.layer;
  if (!isas[row.isa]) return {isas.reason[static_cast<int>(row.isa)].c_str()};
  if (layer.forced && layer.forced != &row) return {"another kernel is forced"};
  if (row.flags & kRowSignedA && layer.a_type != DType::kS8) return {"A is u8"};
  if (layer.has_zero_points(layer.w_shift_to_s8())) return {"the weights have zero points"};
  if (shape.axes[2].transposed) return {"the convolution is transposed"};
  if (!trivial(shape.axes[0])) return {"the convolution has three spatial dimensions"};
  if (has_tensor(layer.epilogue.post)) return {"a post-operation has a tensor"};
  if (!small(shape.axes[1]) || !small(shape.axes[2]) ||
      !Depthwise::fits(row, depthwise_shape(shape)))
    return {"its rows of input exceed the stack buffer of # bytes", {kMaxDepthwiseScratch}};
  if (row.flags & kRowNeedsSafePairs && layer.a_span() > 127) {
    if (const char* vnni = isas.vnni(); vnni && !layer.forced)
      return {"the proof that pairs of weights are safe was not tried beside @", {}, vnni};
    if (!Depthwise::pairs_safe(row, depthwise_shape(shape), w))
      return {"A spans # values, and pairs of weights exceed 128: its int16 sums could saturate",
              {layer.a_span() + 1}};
  }
  return {};
}

}  // namespace

DepthwiseShape depthwise_shape(const ConvShape& shape) {
  const auto axis = [](const ConvAxis& a) {
    return Axis{static_cast<int>(a.kernel), static_cast<int>(a.stride),
                static_cast<int>(a.dilation)};
  };
  return {shape.in_channels, axis(shape.axes[1]), axis(shape.axes[2])};
}

std::vector<DepthwiseCandidate> depthwise_candidates(const oct_qconv& plan, const UsableIsas& isas,
                                                     const int8_t* w) {
  std::vector<DepthwiseCandidate> candidates;
  const ConvShape& shape = plan.shape;
  if (shape.groups != shape.in_channels || shape.groups != shape.out_channels) return candidates;
  for (const KernelRow& row : kernels_of("depthwise")) {
    DepthwiseCandidate c{&row, reason_against(row, plan, isas, w)};
    if (!c.rejected)
      c.cycles_per_pixel = depthwise_cycles(cpu_facts(), row, depthwise_shape(shape));
    candidates.push_back(std::move(c));
  }
  return candidates;
}

}  // namespace oct
