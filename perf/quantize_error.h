// What quantising a linear layer costs in accuracy, for schemes and observers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "octavo/octavo.h"
#include "perf/npy.h"

namespace oct::perf {

struct WeightScheme {
  const char* name;
  oct_dtype type;
  uint32_t flags;  // OCT_QSCHEME_*
  bool per_channel;
};

struct ActivationScheme {
  const char* name;
  oct_dtype type;
  uint32_t flags;
};

struct ObserverChoice {
  const char* name;
  oct_observer_kind kind;
};

struct DynamicChoice {
  const char* name;
  oct_granularity granularity;
};

// Of Y = X . W^T computed in int8 and given as f32, against the same in binary64.
struct LayerError {
  std::string activations, observer, weights;
  double sqnr_db = 0;    // 10 log10(|Y|^2 / |error|^2)
  double max_error = 0;  // in units of the root mean square of Y
};

// Every activation scheme with every observer, and quantised dynamically, with the best weights;
// then every weight scheme with 8-bit affine activations observed by their extrema. `x` is both
// calibration data and input.
std::vector<LayerError> layer_errors(oct_context* context, const Matrix& x, const Matrix& w);

// A picture of them: one bar of SQNR each, as SVG.
std::string layer_errors_svg(const std::vector<LayerError>& errors, const std::string& title);

}  // namespace oct::perf
