// `octavo bench --elementwise`: quantise, dequantise, requantise and min-max beside memcpy in
// memory, and beside the bound of their instructions in L1.
#pragma once

#include "perf/options.h"

namespace oct::perf {

int run_elementwise_bench(const BenchOptions& options);

}  // namespace oct::perf
