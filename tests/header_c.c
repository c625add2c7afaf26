/* The public header alone, as strict C99. */
#include "octavo/octavo.h"

int main(void) {
  const oct_context_desc context = OCT_CONTEXT_DESC_INIT;
  const oct_qgemm_desc desc = OCT_QGEMM_DESC_INIT;
  const oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  /* The macros and the structures must have the same order of fields. */
  if (context.struct_size != sizeof context || context.max_isa != OCT_ISA_NONE) return 1;
  if (context.threads != 1 || context.parallel_for || context.pool) return 2;
  if (desc.struct_size != sizeof desc || desc.n || desc.k || desc.flags) return 3;
  if (desc.a_type != OCT_U8 || desc.a_zero_point || desc.a_scale != 1.0f) return 4;
  if (desc.a_min || desc.a_max || desc.b || desc.b_layout != OCT_B_KN) return 5;
  if (desc.b_stride_bytes || desc.b_scales || desc.b_scale_count) return 6;
  if (desc.bias_type != OCT_NONE || desc.bias || desc.c_type != OCT_U8) return 7;
  if (desc.c_scale != 1.0f || desc.c_zero_point || desc.m_hint || desc.kernel) return 8;
  if (desc.clamp_min != 0.0f || desc.clamp_max != 0.0f) return 9;
  if (args.struct_size != sizeof args || args.m || args.a || args.c) return 10;
  if (args.a_stride_bytes || args.c_stride_bytes) return 11;
  return 0;
}
