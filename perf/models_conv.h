// The convolutions of published networks, at batch 1 and the input size they were published with,
// built by the rules of their architectures. Linear layers are left out.
//
// Layers of one shape are one row, named after the first of them, whose count is their number.
#pragma once

#include <vector>

#include "perf/problem.h"

namespace oct::perf {

// As in torchvision; ResNets are v1.5, with the stride in the 3x3 convolution.
std::vector<Problem> resnet50();
std::vector<Problem> resnext50_32x4d();
std::vector<Problem> mobilenet_v2();
std::vector<Problem> mobilenet_v3_large();
std::vector<Problem> efficientnet_b0();
std::vector<Problem> unet();
std::vector<Problem> r3d_18();
// Howard et al. 2017, table 1.
std::vector<Problem> mobilenet_v1();
// Baevski et al. 2020: feature encoder and positional convolution.
std::vector<Problem> wav2vec2_base();
// Luo and Mesgarani 2019, N 512, L 16, B 128, H 512, P 3, X 8, R 3, without the transposed
// convolution at its end.
std::vector<Problem> conv_tasnet();
// Feichtenhofer 2020.
std::vector<Problem> x3d_s();

}  // namespace oct::perf
