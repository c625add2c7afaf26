#include "perf/out_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "perf/options.h"

namespace oct::perf {
namespace {

bool write_all(std::FILE* file, const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0;
}

}  // namespace

void check_out(const std::string& path) {
  if (path.empty()) return;
  if (std::filesystem::is_directory(path))
    throw UsageError(fmt::format("cannot write '{}': it is a directory", path));
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    throw UsageError(
        fmt::format("cannot write '{}': {}: {}", path, folder.string(), std::strerror(errno)));
}

void write_out(const std::string& path, const std::string& text) {
  if (path.empty()) {
    if (!write_all(stdout, text))
      throw std::runtime_error(
          fmt::format("cannot write to standard output: {}", std::strerror(errno)));
    return;
  }
  const std::string temporary = fmt::format("{}.tmp.{}", path, getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "wx");
  bool written = file && write_all(file, text);
  if (file) written = std::fclose(file) == 0 && written;
  if (written && std::rename(temporary.c_str(), path.c_str()) == 0) return;
  const std::string why = std::strerror(errno);
  if (file) std::remove(temporary.c_str());
  throw std::runtime_error(fmt::format("cannot write '{}': {}", path, why));
}

}  // namespace oct::perf
