#include "dispatch/context.h"

#include <algorithm>
#include <cstdlib>

#include "dispatch/status.h"

namespace oct {
namespace {

constexpr int kMaxThreads = 1024;

// The lower of the caller's cap and the environment's.
oct_status read_cap(oct_isa from_caller, Isa* cap) {
  if (from_caller < OCT_ISA_NONE || from_caller > OCT_ISA_AMX)
    return fail(OCT_INVALID_ARGUMENT, "max_isa is %d; it must be 0 .. %d",
                static_cast<int>(from_caller), static_cast<int>(OCT_ISA_AMX));
  *cap = static_cast<Isa>(from_caller);
  const char* name = std::getenv("OCTAVO_MAX_ISA");
  if (!name || !*name) return OCT_OK;
  const Isa from_env = isa_from_name(name);
  if (from_env == Isa::kNone)
    return fail(OCT_INVALID_ARGUMENT,
                "OCTAVO_MAX_ISA is \"%.40s\"; it must be one of avx2, avxvnni, avxvnniint8, "
                "avx512bw, avx512vnni, amx",
                name);
  *cap = *cap == Isa::kNone ? from_env : std::min(*cap, from_env);
  return OCT_OK;
}

// The instruction sets some kernel is written for; others do not make a machine usable.
oct_status check_usable(const UsableIsas& isas) {
  if (isas.any()) return OCT_OK;
  const auto avx2 = static_cast<int>(Isa::kAvx2);
  return fail(OCT_UNSUPPORTED_CPU, "no usable instruction set: octavo needs AVX2 (%s)",
              isas.reason[avx2].c_str());
}

}  // namespace

oct_status create_context(const oct_context_desc& desc, oct_context** context) {
  Isa cap = Isa::kNone;
  if (oct_status s = read_cap(desc.max_isa, &cap)) return s;
  if (desc.threads < 0 || desc.threads > kMaxThreads)
    return fail(OCT_INVALID_ARGUMENT, "threads is %d; it must be 0 .. %d", desc.threads,
                kMaxThreads);
  if (desc.parallel_for && desc.threads == 0)
    return fail(OCT_INVALID_ARGUMENT,
                "threads is 0 with a parallel_for; say how many threads it runs on");
  const UsableIsas isas = usable_isas(cpu_facts(), cap);
  if (oct_status s = check_usable(isas)) return s;
  const int threads = desc.threads ? desc.threads : std::min(cpu_facts().cores, kMaxThreads);
  return guarded([&] {
    *context = new oct_context{isas, Threads(threads, desc.parallel_for, desc.pool), {}};
    return OCT_OK;
  });
}

}  // namespace oct
