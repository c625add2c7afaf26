// The matrix products and convolutions of well-known models, and sets of shapes worth watching:
// data for `octavo bench`, which the library knows nothing of.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "perf/problem.h"

namespace oct::perf {

struct Model {
  const char* name;
  const char* description;
  // Problems of different shapes, each with the number of its occurrences.
  std::vector<Problem> (*problems)();
  bool in_default;  // measured when no problem is given
};

std::span<const Model> models();

// The model's problems, named "model/layer". Throws UsageError for an unknown name.
std::vector<Problem> model_problems(std::string_view name);

}  // namespace oct::perf
