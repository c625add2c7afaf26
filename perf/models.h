// The matrix products of well-known models, and sets of shapes worth watching: data for
// `octavo bench`, which the library knows nothing of.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "perf/problem_file.h"

namespace oct::perf {

struct Layer {
  const char* name;
  int64_t m, k, n;
  int64_t count;  // occurrences in one forward pass
};

struct Model {
  const char* name;
  const char* description;
  std::span<const Layer> layers;
  bool in_default;  // measured when no problem is given
};

std::span<const Model> models();

// The model's problems, named "model/layer". Throws UsageError for an unknown name.
std::vector<GemmShape> model_problems(std::string_view name);

}  // namespace oct::perf
