// The specification of qconv: a loop nest over outputs, taps and channels.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/reference.h"

namespace oct {

struct ReferenceConv {
  ReferenceGemm layer;  // of its b, is_unsigned only
  const int8_t* w;      // [out_channels][taps][in_channels / groups], taps in row-major order
  int64_t in_channels, out_channels, groups;
  std::array<int64_t, 3> kernel, stride, dilation, pad_begin;
  bool transposed;
};

// Channels-last dense tensors: a [batch][in][in_channels], c and the chain's tensors
// [batch][out][out_channels].
void reference_conv(const ReferenceConv& conv, int64_t batch, const std::array<int64_t, 3>& in,
                    const std::array<int64_t, 3>& out, const void* a, const ReferenceTensors& post,
                    void* c);

}  // namespace oct
