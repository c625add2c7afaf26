// The context behind oct_context: the ISA cap, the threads, and code that belongs to no plan.
#pragma once

#include "dispatch/cpu.h"
#include "dispatch/elementwise.h"
#include "dispatch/threads.h"
#include "octavo/octavo.h"

struct oct_context {
  oct::UsableIsas isas;
  oct::Threads threads;
  oct::ElementwiseCodes elementwise{};
};

namespace oct {

// Checks `desc` and creates the context; see oct_context_create.
oct_status create_context(const oct_context_desc& desc, oct_context** context);

}  // namespace oct
