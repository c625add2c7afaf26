// One problem with its operands, drawn at random, as both libraries receive it; and our side of
// the comparison.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/reference.h"
#include "perf/library.h"
#include "perf/measure.h"
#include "perf/problem_file.h"

namespace oct::perf {

// How weights are distributed before each channel (column) is quantised symmetrically to its full
// range, so that its largest magnitude becomes 127.
enum class Weights { kGaussian, kLaplace, kUniform };

// What is the same for all rows of a run.
struct CaseOptions {
  DType src = DType::kU8;
  DType dst = DType::kU8;
  int act_bits = 8;  // 7: activations span half of their type, and this is declared
  int a_zero_point = 0;
  int c_zero_point = 0;
  Weights weights = Weights::kGaussian;
  uint64_t seed = 1;
};

// Bytes on a cache line boundary, not initialised.
class AlignedBytes {
 public:
  explicit AlignedBytes(size_t size);
  void* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(void* p) const;
  };
  std::unique_ptr<void, Free> data_;
};

class QgemmCase {
 public:
  QgemmCase(const GemmShape& shape, const CaseOptions& options);

  const GemmShape& shape() const { return shape_; }
  const CaseOptions& options() const { return options_; }

  const void* a() const { return a_.data(); }  // M x K, dense
  // N x K, dense: as frameworks keep a linear layer's weights.
  const int8_t* b() const { return static_cast<const int8_t*>(b_.data()); }
  float a_scale() const { return 1.0f; }
  const std::vector<float>& b_scales() const { return b_scales_; }  // one per column
  float c_scale() const { return c_scale_; }

  size_t c_bytes() const;
  double operations() const;  // a multiplication and an addition each count

  // The problem as our library and as the specification take it; both point into the case.
  // `kernel` names the kernel to force; empty: none.
  oct_qgemm_desc desc(const std::string& kernel) const;
  ReferenceGemm reference() const;

 private:
  void draw_activations();
  void draw_weights();
  void choose_scales();
  int a_min() const;
  int a_max() const;

  GemmShape shape_;
  CaseOptions options_;
  AlignedBytes a_, b_;
  std::vector<float> b_scales_;
  float c_scale_ = 1.0f;
};

// A plan of ours, writing to `c` (M x N, dense).
class OurGemm : public Subject {
 public:
  OurGemm(oct_context* context, const QgemmCase& problem, const std::string& kernel, void* c);
  void run(int64_t calls) override;
  std::string explain() const { return perf::explain(plan_.get(), args_.m); }

 private:
  PlanPtr plan_;
  oct_qgemm_args args_ = OCT_QGEMM_ARGS_INIT;
};

}  // namespace oct::perf
