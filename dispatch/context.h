// The context behind oct_context: the ISA cap and the threads.
#pragma once

#include "dispatch/cpu.h"
#include "dispatch/threads.h"
#include "octavo/octavo.h"

struct oct_context {
  oct::UsableIsas isas;
  oct::Threads threads;
};

namespace oct {

// Checks `desc` and creates the context; see oct_context_create.
oct_status create_context(const oct_context_desc& desc, oct_context** context);

}  // namespace oct
