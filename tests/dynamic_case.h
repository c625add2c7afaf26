// Products whose A is quantised at run, for tests of the C API.
#pragma once

#include <vector>

#include "tests/api_support.h"

namespace oct::test {

struct DynamicCase {
  QgemmProblem problem;  // f32 or bf16 A, in problem.a
  oct_dynamic dynamic = OCT_DYNAMIC_INIT;

  // The same product with A quantised beforehand, by the scalar definitions: A_PER_ROW.
  QgemmProblem quantised() const;

  DynamicCase() = default;
  DynamicCase(DynamicCase&&) = default;
};

// Anything legal, rows that hold nothing finite included. Not to be moved afterwards: problem.desc
// points to `dynamic`.
void draw_dynamic(Rng& rng, const ProblemLimits& limits, DynamicCase* c);

}  // namespace oct::test
