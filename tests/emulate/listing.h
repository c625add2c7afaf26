// Instructions in Intel's notation, for messages and for tests of the decoder.
#pragma once

#include "tests/emulate/instruction.h"
#include "tests/emulate/text.h"

namespace oct::emulate {

// Such as "vpdpbusd ymm8, ymm0, [r10+r11*8-0x40]".
void list(const Instruction& in, Text& text);

}  // namespace oct::emulate
