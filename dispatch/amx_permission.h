// Whether this process may use AMX tiles. CPUID and XCR0 only say that the hardware and the kernel
// know them: Linux wants a process to ask first, since tiles make its signal frames 8 KiB larger,
// and hypervisors are known that advertise AMX and trap it. So the process asks, and then executes
// a few tile instructions to see.
#pragma once

#include <string>

namespace oct {

// The two steps, replaceable by tests.
struct TileAccess {
  int (*ask)();       // 0 or an errno
  bool (*execute)();  // whether tile instructions ran
};

// The system's arch_prctl, and instructions under a handler of SIGILL that is removed again.
TileAccess system_tile_access();

// Why tiles cannot be used; "" if they can.
std::string why_no_tiles(const TileAccess& access);

// The system's answer, asked for once per process; thread-safe. Not to be called where CPUID or
// XCR0 lack AMX.
const std::string& why_no_tiles();

}  // namespace oct
