// Where kernels run in a test process: on the CPU, under the emulator, or nowhere.
#pragma once

#include <string>

#include "kernels/table.h"

namespace oct::test {

enum class Place { kNative, kEmulated, kNowhere };

// Installs the emulator if it is needed.
Place place_of(Isa isa);

// Why it runs nowhere.
std::string why_nowhere(Isa isa);

// Every trap costs microseconds, so under the emulator all efforts are quick.
int by_effort_at(Place place, int quick, int normal, int thorough);

// Records that the harness runs `row` here. At its end a program that recorded any prints how many
// kernels of each ISA ran where, so that a green run on an old machine does not look like a full
// one, and appends "<kernel> <isa> <place>" for every row of the table to the file that
// OCTAVO_TEST_PLACES names.
void record_place(const KernelRow& row);

}  // namespace oct::test
