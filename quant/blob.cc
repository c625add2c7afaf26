#include "quant/blob.h"

#include <array>
#include <cassert>

namespace oct {

namespace {

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ (c & 1 ? 0xedb88320u : 0);
    table[i] = c;
  }
  return table;
}();

uint64_t little_endian(std::span<const uint8_t> bytes) {
  uint64_t x = 0;
  for (size_t i = 0; i < bytes.size(); ++i) x |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  return x;
}

}  // namespace

uint32_t crc32(std::span<const uint8_t> bytes) {
  uint32_t c = 0xffffffffu;
  for (uint8_t b : bytes) c = kCrcTable[(c ^ b) & 0xff] ^ (c >> 8);
  return ~c;
}

BlobWriter::BlobWriter(std::string_view magic, uint32_t version)
    : bytes_(magic.begin(), magic.end()) {
  assert(magic.size() == 8);
  u32(version);
  u64(0);  // the length, known at the end
}

void BlobWriter::put(uint64_t x, int size) {
  for (int i = 0; i < size; ++i) bytes_.push_back(static_cast<uint8_t>(x >> (8 * i)));
}

std::vector<uint8_t> BlobWriter::finish() {
  const uint64_t length = bytes_.size() + 4;
  for (size_t i = 0; i < 8; ++i) bytes_[12 + i] = static_cast<uint8_t>(length >> (8 * i));
  u32(crc32(bytes_));
  return std::move(bytes_);
}

BlobError check_blob(std::span<const uint8_t> blob, std::string_view magic, uint32_t known_version,
                     uint32_t* version) {
  if (blob.size() < magic.size() || std::memcmp(blob.data(), magic.data(), magic.size()) != 0)
    return BlobError::kNotThis;
  if (blob.size() < kBlobOverheadBytes) return BlobError::kTruncated;
  *version = static_cast<uint32_t>(little_endian(blob.subspan(8, 4)));
  // First, since another version may frame the rest differently.
  if (*version != known_version) return BlobError::kVersion;
  const uint64_t length = little_endian(blob.subspan(12, 8));
  if (blob.size() < length) return BlobError::kTruncated;
  if (blob.size() > length) return BlobError::kLength;
  const size_t body = blob.size() - 4;
  if (little_endian(blob.subspan(body)) != crc32(blob.first(body))) return BlobError::kDamaged;
  return BlobError::kNone;
}

uint64_t BlobReader::get(size_t size) {
  if (rest_.size() < size) {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  const uint64_t x = little_endian(rest_.first(size));
  rest_ = rest_.subspan(size);
  return x;
}

}  // namespace oct
