// Moving magnitude between the tensors of neighbouring layers before they are quantised, without
// changing what the network computes in real numbers.
//
// Factors that would be zero, infinite or not a number, which channels without any range give, are
// 1 everywhere here: such a channel stays as it is.
#pragma once

#include <cstdint>

#include "quant/affine.h"

namespace oct {

// y = x * factors[c], or x / factors[c], for the elements of each channel. y may be x.
void multiply_channels(const float* x, const ChannelLayout& layout, const float* factors, float* y);
void divide_channels(const float* x, const ChannelLayout& layout, const float* factors, float* y);

// Two layers with a positively homogeneous activation (none, ReLU, PReLU) between them: layer 1's
// output channels are layer 2's input channels.
struct LayerPair {
  ChannelLayout layout1, layout2;  // of the weights, around the shared channels
  float* weights1;
  float* bias1;  // may be null
  float* weights2;
};

// Cross-layer equalisation (Nagel et al. 2019, section 4.1), in the binary32 steps of
// torch.ao.quantization._equalize: f = sqrt(range1 / (range2 + 1e-9)), layer 1 times fl(1 / f) and
// layer 2 times f, in place, until the norms of the weights' changes sum to less than `threshold`,
// or `max_iterations` times. `factors` receives the product of the f. Returns the iterations.
int cross_layer_equalize(const LayerPair& layers, double threshold, int max_iterations,
                         float* factors);

// The factors of fx._equalize, by which inputs are multiplied and weights divided:
// sqrt((w_max - w_min) / (x_max - x_min)).
void input_weight_factors(int64_t channels, const float* x_min, const float* x_max,
                          const float* w_min, const float* w_max, float* factors);

// SmoothQuant (Xiao et al. 2022), as torchao computes it: (x + eps)^alpha / (w + eps)^(1 - alpha)
// with x and w the largest magnitudes of a channel of the activations and of the weights and eps =
// 2^-23. Activations are divided by it, weights multiplied. Powers are taken in binary64 and
// rounded once.
void smoothquant_factors(int64_t channels, const float* x_absmax, const float* w_absmax,
                         double alpha, float* factors);

}  // namespace oct
