// A report's destination: standard output, or a file that appears whole or not at all.
#pragma once

#include <string>

namespace oct::perf {

// Throws UsageError if write_out would have no place to write to: asked before a long run.
void check_out(const std::string& path);

// Writes `text` to a temporary file beside `path` and renames it; an empty path is standard
// output. Throws std::runtime_error.
void write_out(const std::string& path, const std::string& text);

}  // namespace oct::perf
