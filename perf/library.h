// The public C API with owners and exceptions.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include "jit/isa.h"
#include "octavo/octavo.h"

namespace oct::perf {

// A call of the library failed; what() is oct_last_error().
struct LibraryError : std::runtime_error {
  LibraryError(oct_status s, const std::string& message) : std::runtime_error(message), status(s) {}
  oct_status status;
};

struct Destroy {
  void operator()(oct_context* c) const { oct_context_destroy(c); }
  void operator()(oct_qgemm* p) const { oct_qgemm_destroy(p); }
  void operator()(oct_qconv* p) const { oct_qconv_destroy(p); }
};
using ContextPtr = std::unique_ptr<oct_context, Destroy>;
using PlanPtr = std::unique_ptr<oct_qgemm, Destroy>;
using ConvPlanPtr = std::unique_ptr<oct_qconv, Destroy>;

// Throws LibraryError unless `status` is OCT_OK.
void check(oct_status status);

ContextPtr create_context(Isa cap, int threads);
PlanPtr create_plan(oct_context* context, const oct_qgemm_desc& desc);
ConvPlanPtr create_plan(oct_context* context, const oct_qconv_desc& desc);

// Runs a plan so many times with the context's threads at hand, as a program would run a network's
// layers.
template <class Plan, class Args>
void run_calls(oct_context* context, oct_status (*run)(const Plan*, const Args*), const Plan* plan,
               const Args& args, int64_t calls) {
  auto body = [&] {
    oct_status status = OCT_OK;
    for (int64_t i = 0; i < calls && status == OCT_OK; ++i) status = run(plan, &args);
    return status;
  };
  using Body = decltype(body);
  check(oct_context_run(
      context, [](void* b) { return (*static_cast<Body*>(b))(); }, &body));
}

// The JSON texts of oct_describe, oct_qgemm_explain and oct_qconv_explain.
std::string describe(const oct_context* context);
std::string explain(const oct_qgemm* plan, int64_t m);
std::string explain(const oct_qconv* plan, const int64_t in_size[OCT_MAX_SPATIAL]);

}  // namespace oct::perf
