#include "tests/output_image.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

namespace oct::test {

OutputImage::OutputImage(const GuardBuffer& buffer, uint8_t* c, int64_t stride_bytes, int rows,
                         int n, DType type, Rng& rng)
    : buffer_(buffer), c_(c), stride_(stride_bytes), rows_(rows), n_(n), type_(type),
      image_(static_cast<size_t>(buffer.rows()) * buffer.stride_bytes()) {
  const int bodies = buffer.rows() > 1 ? rows : 1;
  for (int r = 0; r < bodies; ++r) {
    rng.fill_bytes(buffer.body(r), buffer.body_bytes());
    std::memcpy(&image_[static_cast<size_t>(r) * buffer.stride_bytes()], buffer.body(r),
                buffer.body_bytes());
  }
}

void OutputImage::expect(const uint8_t* dense) {
  const size_t row_bytes = static_cast<size_t>(n_) * dtype_bytes(type_);
  for (int i = 0; i < rows_; ++i)
    std::memcpy(const_cast<uint8_t*>(image_of(c_ + i * stride_)),
                dense + static_cast<size_t>(i) * row_bytes, row_bytes);
}

std::string OutputImage::differences() const {
  bool same = true;
  const int bodies = buffer_.rows() > 1 ? rows_ : 1;
  for (int r = 0; r < bodies; ++r)
    same &= std::memcmp(buffer_.body(r), image_of(buffer_.body(r)), buffer_.body_bytes()) == 0;
  return same ? "" : wrong_cells() + stray_bytes();
}

namespace {

std::string element_text(const uint8_t* p, DType type) {
  char text[64];
  uint32_t bits = 0;
  std::memcpy(&bits, p, dtype_bytes(type));
  switch (type) {
    case DType::kU8: snprintf(text, sizeof text, "%u", bits); break;
    case DType::kS8: snprintf(text, sizeof text, "%d", static_cast<int8_t>(bits)); break;
    case DType::kS32: snprintf(text, sizeof text, "%d", static_cast<int32_t>(bits)); break;
    case DType::kBf16:
      snprintf(text, sizeof text, "%g (0x%04x)", std::bit_cast<float>(bits << 16), bits);
      break;
    default: snprintf(text, sizeof text, "%.9g (0x%08x)", std::bit_cast<float>(bits), bits);
  }
  return text;
}

}  // namespace

std::string OutputImage::wrong_cells() const {
  constexpr int kListed = 6, kMapRows = 24;
  const size_t element = dtype_bytes(type_);
  std::string list, map;
  int wrong = 0;
  for (int i = 0; i < rows_; ++i) {
    std::string line;
    for (int j = 0; j < n_; ++j) {
      const uint8_t* got = c_ + i * stride_ + static_cast<size_t>(j) * element;
      const bool same = std::memcmp(got, image_of(got), element) == 0;
      line += same ? '.' : 'x';
      if (!same && wrong++ < kListed)
        list += "  C[" + std::to_string(i) + "," + std::to_string(j) + "] is " +
                element_text(got, type_) + ", expected " + element_text(image_of(got), type_) +
                "\n";
    }
    if (i < kMapRows) map += "    " + line + "\n";
  }
  if (wrong == 0) return "";
  return "  " + std::to_string(wrong) + " of " + std::to_string(rows_ * n_) +
         " elements are wrong\n" + list + map;
}

std::string OutputImage::stray_bytes() const {
  const int64_t row_bytes = static_cast<int64_t>(n_) * static_cast<int64_t>(dtype_bytes(type_));
  const int bodies = buffer_.rows() > 1 ? rows_ : 1;
  for (int r = 0; r < bodies; ++r)
    for (size_t i = 0; i < buffer_.body_bytes(); ++i) {
      const uint8_t* p = buffer_.body(r) + i;
      if (*p == *image_of(p)) continue;
      const int64_t offset = p - c_;
      if (offset < 0) return "  a byte was written " + std::to_string(-offset) + " before C\n";
      const int64_t row = std::min<int64_t>(offset / stride_, rows_ - 1);
      const int64_t past = offset - row * stride_ - row_bytes;
      if (past < 0) continue;  // inside C: reported as an element
      return "  a byte was written " + std::to_string(past + 1) + " after the end of row " +
             std::to_string(row) + " (" + std::to_string(stride_ - row_bytes - past) +
             " before the start of the next)\n";
    }
  return "";
}

}  // namespace oct::test
