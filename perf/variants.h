// `octavo bench --variants`: what it costs that A is quantised by the call, or that weights have
// zero points or scales of groups, in one run with the product that lacks it.
#pragma once

#include "perf/options.h"

namespace oct::perf {

int run_variants_bench(const BenchOptions& options);

}  // namespace oct::perf
