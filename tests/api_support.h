// For tests of the C API: owners of its handles, and problems with the reference's answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dispatch/cpu.h"
#include "octavo/octavo.h"
#include "quant/types.h"
#include "tests/post_case.h"
#include "tests/support.h"

namespace oct::test {

// A context for a scope. Fails the test, and holds null, if it cannot be created.
class Context {
 public:
  explicit Context(oct_isa max_isa = OCT_ISA_NONE, int threads = 1);
  explicit Context(const oct_context_desc& desc);
  // For instruction sets that the CPU may lack: whoever runs its plans has an emulator for them.
  Context(const UsableIsas& isas, int threads);
  ~Context() { oct_context_destroy(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  operator oct_context*() const { return context_; }

 private:
  oct_context* context_ = nullptr;
};

// Likewise a plan.
class Plan {
 public:
  Plan(oct_context* context, const oct_qgemm_desc& desc);
  ~Plan() { oct_qgemm_destroy(plan_); }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  operator oct_qgemm*() const { return plan_; }

 private:
  oct_qgemm* plan_ = nullptr;
};

// oct_context_run of what is called without arguments.
template <class Body>
oct_status run_body(oct_context* context, Body body) {
  return oct_context_run(
      context, [](void* b) { return (*static_cast<Body*>(b))(); }, &body);
}

// The caps that leave different instruction sets usable here, lowest first, OCTAVO_MAX_ISA
// respected; empty on a CPU that octavo does not support.
std::vector<oct_isa> distinct_caps();

// A problem with the memory it points to. `a` holds m dense rows.
struct QgemmProblem {
  oct_qgemm_desc desc = OCT_QGEMM_DESC_INIT;
  int64_t m = 0;
  std::vector<int8_t> b;
  std::vector<uint8_t> a;
  std::vector<float> b_scales, bias_f32;
  std::vector<int32_t> bias_s32, b_zero_points;
  std::vector<float> a_scales;         // with A_PER_ROW
  std::vector<int32_t> a_zero_points;  // likewise
  ApiChain chain;

  size_t element_bytes() const { return dtype_bytes(static_cast<DType>(desc.c_type)); }
  size_t c_bytes() const { return static_cast<size_t>(m * desc.n) * element_bytes(); }

  // Dense C by the reference.
  std::vector<uint8_t> expected() const;
  // Dense C by a plan made for the context, or by a given plan.
  std::vector<uint8_t> run(oct_context* context) const;
  std::vector<uint8_t> run(const oct_qgemm* plan) const { return run(plan, m); }
  // The same of the first `rows` rows.
  std::vector<uint8_t> run(const oct_qgemm* plan, int64_t rows) const;

  std::string text() const;  // for failures, with the seed

  // With pointers to memory of its own.
  QgemmProblem copy() const;

  QgemmProblem() = default;
  QgemmProblem(QgemmProblem&&) = default;  // vectors keep their memory when moved
  QgemmProblem& operator=(QgemmProblem&&) = default;
};

// Anything legal, of up to the given sizes.
struct ProblemLimits {
  int64_t m = 40, n = 150, k = 150;
  bool post = false;  // post-operations, too
};
QgemmProblem draw_problem(Rng& rng, const ProblemLimits& limits = {});

// A plain problem: u8 A and C, no bias, random operands, scales that give unsaturated results.
QgemmProblem simple_problem(Rng& rng, int64_t m, int64_t n, int64_t k);

// The index of the first difference as text, or "".
std::string first_difference(const std::vector<uint8_t>& got, const std::vector<uint8_t>& expected,
                             const QgemmProblem& problem);

}  // namespace oct::test
