// The public header alone, as C++: it must parse, and its functions have C linkage.
#include "octavo/octavo.h"

int main() {
  const oct_context_desc context = OCT_CONTEXT_DESC_INIT;
  const oct_qgemm_desc desc = OCT_QGEMM_DESC_INIT;
  const oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  return context.struct_size != sizeof context || desc.struct_size != sizeof desc ||
         args.struct_size != sizeof args || oct_version()[0] != '0' + OCT_VERSION_MAJOR;
}
