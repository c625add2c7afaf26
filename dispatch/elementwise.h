// Elementwise operations: their code, kept per context, and how a matrix is cut into calls.
#pragma once

#include <array>
#include <atomic>

#include "dispatch/cpu.h"
#include "dispatch/threads.h"
#include "kernels/elementwise.h"

namespace oct {

// Code by spec. The first request for one generates it; later ones are a load, without a lock.
class ElementwiseCodes {
 public:
  ElementwiseCodes() = default;
  ~ElementwiseCodes();
  ElementwiseCodes(const ElementwiseCodes&) = delete;
  ElementwiseCodes& operator=(const ElementwiseCodes&) = delete;

  // Throws as elementwise_code does.
  ElementwiseFn get(const UsableIsas& isas, const ElementwiseSpec& spec) const;

 private:
  static constexpr size_t kTypes = 6;
  mutable std::array<std::atomic<const ElementwiseCode*>, kTypes * kTypes * 8> slots_{};
};

// The values equal OCT_PER_*.
enum class Granularity { kTensor, kRow, kColumn };

// One whole operation: what spec and args say, for the parameters of `granularity`.
struct ElementwiseWork {
  ElementwiseSpec spec;  // per_column and streams are set by run_elementwise
  ElementwiseArgs args;  // scale and min, max: see below
  Granularity granularity = Granularity::kTensor;
  // The kernel's scale is scales[i], 1 / scales[i] with `inverts`, or scales[i] / divisors[i].
  const float* scales = nullptr;
  const float* divisors = nullptr;
  bool inverts = false;
};

// Ranges that hold nothing: [+inf, -inf].
void set_empty(float* mins, float* maxs, int64_t count);

// Null zero points are zeros. Extrema start empty. Allocates only when the context meets a spec for
// the first time.
void run_elementwise(const UsableIsas& isas, const ElementwiseCodes& codes, const Threads& threads,
                     const ElementwiseWork& work);

}  // namespace oct
