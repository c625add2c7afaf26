// The C entry points: arguments that cannot even be read are refused here, the rest below.

#include <algorithm>
#include <cinttypes>
#include <cstring>

#include "dispatch/context.h"
#include "dispatch/conv_plan.h"
#include "dispatch/plan.h"
#include "dispatch/status.h"
#include "octavo/octavo.h"

using oct::fail;

namespace {

static_assert(OCT_ISA_AMX == static_cast<int>(oct::Isa::kAmx));
static_assert(OCT_BF16 == static_cast<int>(oct::DType::kBf16));

oct_status check_struct(const char* what, size_t given, size_t expected) {
  if (given == expected) return OCT_OK;
  return fail(OCT_VERSION_MISMATCH,
              "%s.struct_size is %zu; version %s expects %zu (use the OCT_*_INIT macro)", what,
              given, oct_version(), expected);
}

// The common end of the functions that return text.
oct_status copy_text(const std::string& text, char* buffer, size_t size, size_t* needed) {
  const size_t all = text.size() + 1;
  if (size != 0 && size < all)
    return fail(OCT_INVALID_ARGUMENT, "size is %zu; the text needs %zu bytes", size, all);
  if (size != 0) std::memcpy(buffer, text.c_str(), all);
  if (needed) *needed = all;
  return OCT_OK;
}

oct_status check_buffer(const char* buffer, size_t size, const size_t* needed) {
  if (size != 0 && !buffer)
    return fail(OCT_INVALID_ARGUMENT, "buffer is null and size is %zu", size);
  if (size == 0 && !needed)
    return fail(OCT_INVALID_ARGUMENT, "size is 0 and needed is null: there is nothing to do");
  return OCT_OK;
}

}  // namespace

extern "C" {

const char* oct_version(void) { return "0.1.0"; }

const char* oct_status_name(oct_status status) {
  switch (status) {
    case OCT_OK: return "OCT_OK";
    case OCT_INVALID_ARGUMENT: return "OCT_INVALID_ARGUMENT";
    case OCT_UNSUPPORTED: return "OCT_UNSUPPORTED";
    case OCT_UNSUPPORTED_CPU: return "OCT_UNSUPPORTED_CPU";
    case OCT_OUT_OF_MEMORY: return "OCT_OUT_OF_MEMORY";
    case OCT_VERSION_MISMATCH: return "OCT_VERSION_MISMATCH";
    case OCT_INTERNAL: return "OCT_INTERNAL";
  }
  return "unknown";
}

const char* oct_last_error(void) { return oct::last_error(); }

oct_status oct_context_create(const oct_context_desc* desc, oct_context** context) {
  if (!context) return fail(OCT_INVALID_ARGUMENT, "context is null");
  const oct_context_desc defaults = OCT_CONTEXT_DESC_INIT;
  if (!desc) desc = &defaults;
  if (oct_status s = check_struct("oct_context_desc", desc->struct_size, sizeof *desc)) return s;
  return oct::guarded([&] { return oct::create_context(*desc, context); });
}

void oct_context_destroy(oct_context* context) { delete context; }

oct_status oct_context_run(oct_context* context, oct_status (*body)(void* arg), void* arg) {
  if (!context || !body)
    return fail(OCT_INVALID_ARGUMENT, "%s is null", context ? "body" : "context");
  struct Call {
    oct_status (*body)(void*);
    void* arg;
    oct_status status;
  } call{body, arg, OCT_OK};
  context->threads.gather(
      [](void* c) {
        auto& the_call = *static_cast<Call*>(c);
        the_call.status = the_call.body(the_call.arg);
      },
      &call);
  return call.status;
}

oct_status oct_describe(const oct_context* context, char* buffer, size_t size, size_t* needed) {
  if (oct_status s = check_buffer(buffer, size, needed)) return s;
  return oct::guarded([&] { return copy_text(oct::describe(context), buffer, size, needed); });
}

oct_status oct_qgemm_create(oct_context* context, const oct_qgemm_desc* desc, oct_qgemm** plan) {
  if (!context || !desc || !plan)
    return fail(OCT_INVALID_ARGUMENT, "%s is null", !context ? "context" : !desc ? "desc" : "plan");
  if (oct_status s = check_struct("oct_qgemm_desc", desc->struct_size, sizeof *desc)) return s;
  return oct::create_plan(*context, *desc, plan);
}

void oct_qgemm_destroy(oct_qgemm* plan) { delete plan; }

oct_status oct_qgemm_run(const oct_qgemm* plan, const oct_qgemm_args* args) {
  if (!plan || !args) return fail(OCT_INVALID_ARGUMENT, "%s is null", plan ? "args" : "plan");
  if (oct_status s = check_struct("oct_qgemm_args", args->struct_size, sizeof *args)) return s;
  if (oct_status s = oct::check_args(*args, plan->problem)) return s;
  if (args->m > 0) oct::run_plan(*plan, *args);
  return OCT_OK;
}

oct_status oct_qgemm_explain(const oct_qgemm* plan, int64_t m, char* buffer, size_t size,
                             size_t* needed) {
  if (!plan) return fail(OCT_INVALID_ARGUMENT, "plan is null");
  if (m < 0) return fail(OCT_INVALID_ARGUMENT, "m is %" PRId64, m);
  if (oct_status s = check_buffer(buffer, size, needed)) return s;
  return oct::guarded([&] { return copy_text(oct::explain_plan(*plan, m), buffer, size, needed); });
}

oct_status oct_qconv_create(oct_context* context, const oct_qconv_desc* desc, oct_qconv** plan) {
  if (!context || !desc || !plan)
    return fail(OCT_INVALID_ARGUMENT, "%s is null", !context ? "context" : !desc ? "desc" : "plan");
  if (oct_status s = check_struct("oct_qconv_desc", desc->struct_size, sizeof *desc)) return s;
  return oct::create_conv(*context, *desc, plan);
}

void oct_qconv_destroy(oct_qconv* plan) { delete plan; }

oct_status oct_qconv_output_size(const oct_qconv* plan, const int64_t in_size[OCT_MAX_SPATIAL],
                                 int64_t out_size[OCT_MAX_SPATIAL]) {
  if (!plan || !in_size || !out_size)
    return fail(OCT_INVALID_ARGUMENT, "%s is null",
                !plan      ? "plan"
                : !in_size ? "in_size"
                           : "out_size");
  std::array<int64_t, 3> out;
  if (oct_status s = oct::output_size(plan->shape, oct::full_rank(*plan, in_size), &out)) return s;
  std::copy(out.end() - plan->shape.rank, out.end(), out_size);
  return OCT_OK;
}

oct_status oct_qconv_scratch_bytes(const oct_qconv* plan, size_t* bytes) {
  if (!plan || !bytes) return fail(OCT_INVALID_ARGUMENT, "%s is null", plan ? "bytes" : "plan");
  *bytes = oct::conv_scratch_bytes(*plan);
  return OCT_OK;
}

oct_status oct_qconv_run(const oct_qconv* plan, const oct_qconv_args* args) {
  if (!plan || !args) return fail(OCT_INVALID_ARGUMENT, "%s is null", plan ? "args" : "plan");
  if (oct_status s = check_struct("oct_qconv_args", args->struct_size, sizeof *args)) return s;
  return oct::run_conv(*plan, *args);
}

oct_status oct_qconv_explain(const oct_qconv* plan, const int64_t in_size[OCT_MAX_SPATIAL],
                             char* buffer, size_t size, size_t* needed) {
  if (!plan || !in_size) return fail(OCT_INVALID_ARGUMENT, "%s is null", plan ? "in_size" : "plan");
  if (oct_status s = check_buffer(buffer, size, needed)) return s;
  const std::array<int64_t, 3> in = oct::full_rank(*plan, in_size);
  std::array<int64_t, 3> out;
  if (oct_status s = oct::output_size(plan->shape, in, &out)) return s;
  return oct::guarded(
      [&] { return copy_text(oct::explain_conv(*plan, in), buffer, size, needed); });
}

}  // extern "C"
