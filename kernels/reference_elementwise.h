// The specification of the elementwise kernels, in scalar code.
#pragma once

#include "kernels/elementwise.h"

namespace oct {

void reference_elementwise(const ElementwiseSpec& spec, const ElementwiseArgs& args);

}  // namespace oct
