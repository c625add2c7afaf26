#include "perf/npy.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <regex>

#include "perf/options.h"

namespace oct::perf {
namespace {

constexpr size_t kMagicSize = 8, kShortHeader = 10, kLongHeader = 12;

// The dictionary in front of the data, and where the data begin.
std::string header_of(const std::string& file, size_t* data_at) {
  if (file.size() < kLongHeader || file.compare(0, 6, "\x93NUMPY") != 0)
    throw UsageError("not a .npy file");
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(file[i])); };
  const bool is_long = file[6] > 1;  // version 2 and later
  size_t size = byte(kMagicSize) | byte(kMagicSize + 1) << 8;
  if (is_long) size |= byte(kMagicSize + 2) << 16 | byte(kMagicSize + 3) << 24;
  const size_t begin = is_long ? kLongHeader : kShortHeader;
  if (file.size() - begin < size) throw UsageError("its header is cut short");
  *data_at = begin + size;
  return file.substr(begin, size);
}

std::vector<int64_t> shape_of(const std::string& header) {
  std::smatch match;
  if (!std::regex_search(header, match, std::regex(R"('descr': *'([^']*)')")) || match[1] != "<f4")
    throw UsageError("its elements are not little-endian float32 (descr '<f4')");
  if (!std::regex_search(header, std::regex("'fortran_order': *False")))
    throw UsageError("it is in Fortran order");
  if (!std::regex_search(header, match, std::regex(R"('shape': *\(([0-9, ]*)\))")))
    throw UsageError("its header has no shape");
  std::vector<int64_t> shape;
  const std::string text = match[1];
  const std::regex number("[0-9]+");
  for (std::sregex_iterator i(text.begin(), text.end(), number), end; i != end; ++i)
    shape.push_back(std::stoll(i->str()));
  return shape;
}

Matrix parse(const std::string& file, Fold fold) {
  size_t data_at;
  const std::vector<int64_t> shape = shape_of(header_of(file, &data_at));
  constexpr int64_t kMost = int64_t{1} << 32;
  int64_t elements = 1;
  for (int64_t s : shape)
    if (s < 1 || s > kMost || (elements *= s) > kMost)
      throw UsageError("its shape is empty or too large");
  if (shape.empty() || shape.size() > 8) throw UsageError("it must have one to eight axes");
  if (file.size() - data_at != static_cast<size_t>(elements) * sizeof(float))
    throw UsageError(fmt::format("it has {} bytes of data; its shape needs {}",
                                 file.size() - data_at, elements * 4));
  Matrix m;
  m.rows = fold == Fold::kTrailing ? shape.front() : elements / shape.back();
  m.cols = elements / m.rows;
  m.data.resize(static_cast<size_t>(elements));
  std::memcpy(m.data.data(), file.data() + data_at, m.data.size() * sizeof(float));
  for (float x : m.data)
    if (!std::isfinite(x)) throw UsageError("it holds a value that is not finite");
  return m;
}

}  // namespace

Matrix read_npy(const std::string& path, Fold fold) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw UsageError(fmt::format("{}: cannot be opened", path));
  const std::string file{std::istreambuf_iterator<char>(stream), {}};
  try {
    return parse(file, fold);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", path, error.what()));
  }
}

}  // namespace oct::perf
