#include "perf/library.h"

namespace oct::perf {
namespace {

// Asks for the size, then for the text.
template <class Call>
std::string text_of(Call call) {
  size_t size = 0;
  check(call(nullptr, 0, &size));
  std::string text(size, '\0');
  check(call(text.data(), text.size(), &size));
  text.resize(size - 1);  // without the terminating zero
  return text;
}

}  // namespace

void check(oct_status status) {
  if (status != OCT_OK) throw LibraryError(status, oct_last_error());
}

ContextPtr create_context(Isa cap, int threads) {
  oct_context_desc desc = OCT_CONTEXT_DESC_INIT;
  desc.max_isa = static_cast<oct_isa>(cap);
  desc.threads = threads;
  oct_context* context = nullptr;
  check(oct_context_create(&desc, &context));
  return ContextPtr(context);
}

PlanPtr create_plan(oct_context* context, const oct_qgemm_desc& desc) {
  oct_qgemm* plan = nullptr;
  check(oct_qgemm_create(context, &desc, &plan));
  return PlanPtr(plan);
}

ConvPlanPtr create_plan(oct_context* context, const oct_qconv_desc& desc) {
  oct_qconv* plan = nullptr;
  check(oct_qconv_create(context, &desc, &plan));
  return ConvPlanPtr(plan);
}

std::string describe(const oct_context* context) {
  return text_of([&](char* buffer, size_t size, size_t* needed) {
    return oct_describe(context, buffer, size, needed);
  });
}

std::string explain(const oct_qgemm* plan, int64_t m) {
  return text_of([&](char* buffer, size_t size, size_t* needed) {
    return oct_qgemm_explain(plan, m, buffer, size, needed);
  });
}

std::string explain(const oct_qconv* plan, const int64_t in_size[OCT_MAX_SPATIAL]) {
  return text_of([&](char* buffer, size_t size, size_t* needed) {
    return oct_qconv_explain(plan, in_size, buffer, size, needed);
  });
}

}  // namespace oct::perf
