// Models as matrix products, at batch 1. Layers of one shape are one row, named after all of them,
// whose count is their number.
#pragma once

#include <vector>

#include "perf/problem.h"

namespace oct::perf {

std::vector<Problem> bert_base();
std::vector<Problem> bert_large();
std::vector<Problem> vit_b16();
std::vector<Problem> resnet50_1x1();
std::vector<Problem> small_products();
std::vector<Problem> large_products();

}  // namespace oct::perf
