// One problem with its operands, drawn at random, as both libraries receive it.
//
// Whatever the operation, the output is a dense matrix: rows (of a product, or the output pixels
// of all images) of n channels, each the sum of k products.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/reference.h"
#include "octavo/octavo.h"
#include "perf/measure.h"
#include "perf/problem.h"

namespace oct::perf {

class Peer;
class PeerRun;

// How weights are distributed before each channel is quantised symmetrically to its full range, so
// that its largest magnitude becomes 127.
enum class Weights { kGaussian, kLaplace, kUniform };

// What is the same for all rows of a run.
struct CaseOptions {
  DType src = DType::kU8;
  DType dst = DType::kU8;
  int act_bits = 8;                  // 7: activations span half of their type, and this is declared
  std::optional<int> declared_bits;  // what is declared instead, true or not
  int a_zero_point = 0;
  int c_zero_point = 0;
  std::optional<bool> relu;  // without a value: in convolutions
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

// A plan of ours with its arguments.
class OurPlan : public Subject {
 public:
  virtual std::string explain() const = 0;  // the library's JSON
};

class Case {
 public:
  virtual ~Case() = default;

  const Problem& problem() const { return problem_; }
  const CaseOptions& options() const { return options_; }
  int64_t rows() const { return size_.rows; }
  int64_t n() const { return size_.n; }
  int64_t k() const { return size_.k; }
  virtual bool relu() const = 0;

  const void* a() const { return a_.data(); }
  // Rows of K for each channel: as frameworks keep a linear layer's weights.
  const int8_t* b() const { return static_cast<const int8_t*>(b_.data()); }
  float a_scale() const { return 1.0f; }
  const std::vector<float>& b_scales() const { return b_scales_; }  // one per channel
  float c_scale() const { return c_scale_; }
  int a_min() const;
  int a_max() const;

  size_t row_bytes() const;
  size_t c_bytes() const { return static_cast<size_t>(rows()) * row_bytes(); }
  virtual double operations() const;  // a multiplication and an addition each count

  // One row of the output by the scalar reference.
  virtual void reference_row(int64_t row, void* c) const = 0;

  // Our plan, writing to `c`. `kernel` names the kernel to force; empty: none.
  virtual std::unique_ptr<OurPlan> create_plan(oct_context* context, const std::string& kernel,
                                               void* c) const = 0;
  // The peer's; see Peer.
  virtual std::unique_ptr<PeerRun> prepare(Peer& peer, void* c) const = 0;
  // The same layer in f32, where int8 may not be worth the trouble; null if it always is.
  virtual std::unique_ptr<PeerRun> prepare_f32(Peer& peer) const = 0;

 protected:
  struct Size {
    int64_t a_bytes, rows, n, k;
  };
  Case(const Problem& problem, const CaseOptions& options, const Size& size);

  // Everything but b.
  ReferenceGemm reference_layer() const;

 private:
  void draw_activations();
  void draw_weights();
  void choose_scales();

  Problem problem_;
  CaseOptions options_;
  Size size_;
  AlignedBytes a_, b_;
  std::vector<float> b_scales_;
  float c_scale_ = 1.0f;
};

// What the descriptions of both operations have in common, but for their weights.
template <class Desc>
void set_layer(const Case& problem, Desc* d) {
  const CaseOptions& options = problem.options();
  d->a_type = static_cast<oct_dtype>(options.src);
  d->a_zero_point = options.a_zero_point;
  d->a_scale = problem.a_scale();
  if (options.declared_bits.value_or(options.act_bits) == 7) {
    d->a_min = dtype_min(options.src) / 2;
    d->a_max = dtype_max(options.src) / 2;
  }
  d->c_type = static_cast<oct_dtype>(options.dst);
  if (is_int8(options.dst)) {
    d->c_scale = problem.c_scale();
    d->c_zero_point = options.c_zero_point;
  }
}

std::unique_ptr<Case> make_case(const Problem& problem, const CaseOptions& options);

}  // namespace oct::perf
