// `octavo quantize-error`: the accuracy of an int8 layer by scheme and observer, as a table and a
// picture.

#include <fmt/format.h>

#include <cmath>
#include <random>

#include "perf/library.h"
#include "perf/options.h"
#include "perf/out_file.h"
#include "perf/quantize_error.h"
#include "perf/table.h"

namespace oct::perf {
namespace {

constexpr double kOutlierShare = 1e-3;
constexpr float kOutlierSize = 20;

Matrix random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix m{rows, cols, std::vector<float>(static_cast<size_t>(rows * cols))};
  std::mt19937_64 rng(seed);
  std::normal_distribution<float> normal;
  for (float& x : m.data) x = normal(rng);
  return m;
}

void shape_activations(Distribution distribution, uint64_t seed, Matrix* x) {
  std::mt19937_64 rng(seed);
  std::bernoulli_distribution outlier(kOutlierShare);
  for (float& v : x->data) {
    if (distribution == Distribution::kRelu) v = std::max(v, 0.0f);
    if (distribution == Distribution::kOutliers && outlier(rng)) v *= kOutlierSize;
  }
}

std::string table_of(const std::vector<LayerError>& errors) {
  Table table;
  table.column("activations", Align::kLeft);
  table.column("observer", Align::kLeft);
  table.column("weights", Align::kLeft);
  table.column("SQNR dB", Align::kRight);
  table.column("max error / rms", Align::kRight);
  for (const LayerError& e : errors)
    table.row({e.activations, e.observer, e.weights, fmt::format("{:.2f}", e.sqnr_db),
               fmt::format("{:.4f}", e.max_error)});
  return table.text();
}

}  // namespace

int run_quantize_error(const QuantizeErrorOptions& o) {
  if (!o.plot.empty()) check_out(o.plot);
  Matrix x = o.activations.empty() ? random_matrix(o.shape.m, o.shape.k, o.seed)
                                   : read_npy(o.activations, Fold::kLeading);
  Matrix w = o.weights.empty() ? random_matrix(o.shape.n, x.cols, o.seed + 1)
                               : read_npy(o.weights, Fold::kTrailing);
  if (o.activations.empty()) {
    if (x.cols != w.cols) x = random_matrix(o.shape.m, w.cols, o.seed);
    shape_activations(o.distribution, o.seed + 2, &x);
  }
  if (x.cols != w.cols)
    throw UsageError(fmt::format("activations have {} columns, weights {}", x.cols, w.cols));
  const ContextPtr context = create_context(Isa::kNone, 1);
  const std::vector<LayerError> errors = layer_errors(context.get(), x, w);
  const std::string title =
      fmt::format("{} x {} activations, {} x {} weights", x.rows, x.cols, w.rows, w.cols);
  fmt::print("{}\n\n{}", title, table_of(errors));
  if (!o.plot.empty()) write_out(o.plot, layer_errors_svg(errors, title));
  return kExitOk;
}

}  // namespace oct::perf
