#include "tests/emulate/report.h"

#include <unistd.h>

#include <algorithm>
#include <cinttypes>

#include "tests/emulate/guest_memory.h"
#include "tests/emulate/instruction.h"
#include "tests/emulate/listing.h"
#include "tests/emulate/text.h"
#include "tests/emulate/tiles.h"

namespace oct::emulate {

namespace {

// The bytes of an unknown instruction: as many as the longest one has, within its page.
int bytes_to_show(uint64_t rip) {
  constexpr uint64_t kLongest = 15, kPage = 4096;
  return static_cast<int>(std::min(kLongest, kPage - rip % kPage));
}

}  // namespace

void report_fault(const Fault& fault, uint64_t rip) {
  Text text;
  text.add("\noctavo emulate: %s", fault.reason);
  if (fault.a != Fault::kNoNumber) text.add(": %" PRId64, fault.a);
  if (fault.b != Fault::kNoNumber) text.add(", %" PRId64, fault.b);

  Instruction in;
  const bool known = decode(rip, in).none();
  text.add("\n  ");
  if (known) {
    list(in, text);
    text.add(", ");
  }
  text.add("at rip %#" PRIx64 ", bytes", rip);
  for (int i = 0; i < (known ? in.length : bytes_to_show(rip)); ++i) {
    uint8_t byte;
    load(rip + static_cast<uint64_t>(i), &byte, 1);
    text.add(" %02x", byte);
  }

  const TileConfig& config = this_threads_tiles().config();
  text.add("\n  tiles of this thread, rows x bytes:");
  for (int t = 0; t < kTiles; ++t) text.add(" %dx%d", config.rows[t], config.colsb[t]);
  if (!this_threads_tiles().configured()) text.add(" (not configured)");
  text.add("\n");
  (void)!write(STDERR_FILENO, text.c_str(), text.size());
}

}  // namespace oct::emulate
