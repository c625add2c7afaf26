// Reading and writing of small binary records that refuse damage.
//
//   magic (8 bytes) | version (u32) | length of all (u64) | payload | CRC-32 of all before (u32)
//
// Integers and floats are little-endian whatever the machine.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace oct {

// The CRC of IEEE 802.3, zlib and PNG: finds every burst of up to 32 wrong bits.
uint32_t crc32(std::span<const uint8_t> bytes);

enum class BlobError { kNone, kTruncated, kNotThis, kVersion, kLength, kDamaged };

constexpr size_t kBlobHeaderBytes = 20;
constexpr size_t kBlobOverheadBytes = kBlobHeaderBytes + 4;

class BlobWriter {
 public:
  BlobWriter(std::string_view magic, uint32_t version);  // a magic of 8 characters

  void u32(uint32_t x) { put(x, 4); }
  void u64(uint64_t x) { put(x, 8); }
  void i32(int32_t x) { put(static_cast<uint32_t>(x), 4); }
  void i64(int64_t x) { put(static_cast<uint64_t>(x), 8); }
  void f32(float x) { u32(std::bit_cast<uint32_t>(x)); }
  void f64(double x) { u64(std::bit_cast<uint64_t>(x)); }

  // The whole, with length and checksum; the writer is then spent.
  std::vector<uint8_t> finish();

 private:
  void put(uint64_t x, int size);
  std::vector<uint8_t> bytes_;
};

// Checks the frame. `version` receives the blob's version if it carries the magic.
BlobError check_blob(std::span<const uint8_t> blob, std::string_view magic, uint32_t known_version,
                     uint32_t* version);

// Reads the payload of a checked blob. Reading past its end gives zeros and makes ok() false.
class BlobReader {
 public:
  explicit BlobReader(std::span<const uint8_t> blob)
      : rest_(blob.subspan(kBlobHeaderBytes, blob.size() - kBlobOverheadBytes)) {}

  uint32_t u32() { return static_cast<uint32_t>(get(4)); }
  uint64_t u64() { return get(8); }
  int32_t i32() { return static_cast<int32_t>(u32()); }
  int64_t i64() { return static_cast<int64_t>(u64()); }
  float f32() { return std::bit_cast<float>(u32()); }
  double f64() { return std::bit_cast<double>(u64()); }

  bool ok() const { return ok_; }
  size_t rest() const { return rest_.size(); }

 private:
  uint64_t get(size_t size);
  std::span<const uint8_t> rest_;
  bool ok_ = true;
};

}  // namespace oct
