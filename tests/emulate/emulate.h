// Runs, on a machine that lacks them, the instructions of AMX-INT8, AVX-VNNI and AVX-VNNI-INT8: a
// handler of SIGILL decodes the instruction that trapped, performs it on the saved registers of
// the thread and lets the thread go on behind it. So a test can run the very bytes a kernel
// consists of. On Zen 4 a trap costs about 7 us, and a tile product of 16x16x64 one more.
//
//     emulate::install();
//     emulate::reset_counters();
//     kernel(&args);                        // traps; one trap per run of adjacent instructions
//     emulate::counters().tile_products();
//
// What the CPU would refuse is refused: invalid tile configurations, tiles that are not
// configured, shapes that do not fit each other, encodings outside the table in mnemonic.cc. The
// process then says which instruction, where and why, and dies of the SIGILL it would have died
// of without the emulator. A bad address is a page fault inside the handler, at the address the
// instruction would have faulted at.
//
// It is not a model of a CPU. CPUID, XCR0 and arch_prctl answer as ever: whoever selects kernels
// must be told to select one that the CPU lacks. Instructions the CPU has never trap, are not
// counted, and use the CPU's own tiles. Only instructions without legacy prefixes are known: no
// segment overrides, no 32-bit addresses.
#pragma once

#include "jit/isa.h"
#include "tests/emulate/counters.h"
#include "tests/emulate/fault.h"
#include "tests/emulate/registers.h"

namespace oct::emulate {

// Takes over SIGILL for the process and calls install_thread(). A handler that was there before is
// given the signals that are not ours: install it first. No effect when called again.
void install();

// Gives the calling thread, until it ends, a signal stack of its own. Threads without one are
// emulated on the stack they run on, which then must have about 32 KiB left.
void install_thread();

// Whether install() has been called.
bool active();

// Whether code of that ISA runs here with the emulator's help, if the CPU lacks what it adds to
// AVX2 (of AMX: to AVX-512). Always false for ISAs the emulator does not know, and before
// install(). Vector registers are out of reach where signal frames lack them, as Valgrind's do.
bool covers(Isa isa);

// Performs the one instruction at state.rip, with no signal and whether or not the CPU has it, and
// moves rip behind it. Tile instructions use the calling thread's emulated tiles. On a fault
// nothing has changed.
Fault step(RegisterState& state);

}  // namespace oct::emulate
