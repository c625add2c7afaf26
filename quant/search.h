// Which part of a histogram's range to quantise: the searches of the calibration methods.
//
// All return a range of real values. HistogramObserver's is PyTorch's, bit for bit in every term;
// percentile, entropy and mean squared error follow ONNX Runtime and TensorRT (numerics.md B2.7,
// B2.8), generalised to two-sided ranges, and expect a histogram whose range holds zero. Symmetric
// schemes give those three a histogram of magnitudes, and get back [-t, t].
#pragma once

#include "quant/histogram.h"
#include "quant/qparams.h"

namespace oct {

// HistogramObserver._non_linear_param_search: moves whichever end cuts off less, in steps of 1e-5
// of the mass, and stops at the first increase of an L2 error that assumes 256 levels, whatever
// the scheme's range. It is greedy: on usual data it stops after a few evaluations. `evaluations`,
// unless null, is how many those were.
Range histogram_search(const Histogram& h, int* evaluations = nullptr);

// Cuts at most (100 - percentile) per cent of the mass: half of it on either side, or, for
// magnitudes, all of it from the top.
Range percentile_search(const Histogram& h, bool magnitudes, double percentile);

// The least Kullback-Leibler divergence between the clipped distribution and the same distribution
// on as many levels as the scheme has.
Range entropy_search(const Histogram& h, bool magnitudes, const QScheme& scheme);

// The least mean squared error of quantising and dequantising the bins' centres with the
// parameters that observer_qparams gives the candidate range.
Range mse_search(const Histogram& h, bool magnitudes, const QScheme& scheme);

// How many levels entropy_search distributes bins to. With no more bins than levels there is a
// single candidate, the whole range: the degenerate default of ONNX Runtime's calibrator.
int entropy_levels(const QScheme& scheme);

}  // namespace oct
