// Observers as blobs: what is written is read back, and anything else is refused.
#include "quant/blob.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "quant/observer.h"
#include "tests/quant_support.h"

namespace oct {
namespace {

using test::dense_view;
using test::Rng;

BlobError error_of(const std::vector<uint8_t>& blob, uint32_t* version = nullptr) {
  BlobError error;
  uint32_t read = 0;
  const auto loaded = Observer::load(blob, &error, version ? version : &read);
  EXPECT_EQ(loaded.has_value(), error == BlobError::kNone);
  return error;
}

// One observer of each kind, per tensor and per channel, before and after data.
std::vector<Observer> observers() {
  Rng rng("blobs");
  std::vector<Observer> all;
  for (int kind = 1; kind <= 7; ++kind) {
    for (int64_t channels : {0, 3}) {
      if (channels && kind > 2) continue;
      ObserverConfig config;
      config.kind = static_cast<ObserverKind>(kind);
      config.scheme = {kind % 2 ? DType::kU8 : DType::kS8, kind % 2 ? 0 : kSymmetric};
      config.channels = channels;
      config.channel_axis = 1;
      config.bins = 300;
      config.scale = 0.5f;
      Observer observer(config);
      all.push_back(observer);
      for (int i = 0; i < 3; ++i) {
        auto data = test::normal_tensor(rng, 60, 1 + i);
        data[7] = NAN;
        observer.observe(dense_view(data, {20, 3}));
      }
      all.push_back(observer);
    }
  }
  return all;
}

// Replaces the checksum by the right one, so that what follows the frame is reached.
std::vector<uint8_t> sealed(std::vector<uint8_t> blob) {
  const uint32_t crc = crc32(std::span(blob).first(blob.size() - 4));
  for (size_t i = 0; i < 4; ++i) blob[blob.size() - 4 + i] = static_cast<uint8_t>(crc >> (8 * i));
  return blob;
}

TEST(Crc32, IsTheUsualOne) {
  const std::string check = "123456789";
  EXPECT_EQ(crc32({reinterpret_cast<const uint8_t*>(check.data()), check.size()}), 0xcbf43926u);
  EXPECT_EQ(crc32({}), 0u);
}

TEST(ObserverBlob, ReadsWhatItWrote) {
  for (const Observer& observer : observers()) {
    const std::vector<uint8_t> blob = observer.save();
    BlobError error;
    uint32_t version = 0;
    const auto loaded = Observer::load(blob, &error, &version);
    ASSERT_TRUE(loaded.has_value()) << static_cast<int>(observer.config().kind);
    EXPECT_EQ(*loaded, observer);
    EXPECT_EQ(loaded->save(), blob);
    EXPECT_EQ(version, kObserverBlobVersion);
  }
}

TEST(ObserverBlob, LoadedObserversGoOn) {
  Rng rng("go on");
  for (const Observer& observer : observers()) {
    Observer kept = observer;
    BlobError error;
    uint32_t version;
    Observer loaded = *Observer::load(observer.save(), &error, &version);
    const auto data = test::normal_tensor(rng, 60, 9);
    kept.observe(dense_view(data, {20, 3}));
    loaded.observe(dense_view(data, {20, 3}));
    EXPECT_EQ(loaded, kept);
  }
}

TEST(ObserverBlob, LayoutIsFixed) {
  // The first bytes on any machine: magic, version 1, length; kind 1, type u8.
  const std::vector<uint8_t> blob = Observer(ObserverConfig()).save();
  EXPECT_EQ(std::string(blob.begin(), blob.begin() + 8), "OCTOBSRV");
  const std::vector<uint8_t> expected = {1, 0, 0, 0, 116, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
  EXPECT_EQ(std::vector<uint8_t>(blob.begin() + 8, blob.begin() + 25), expected);
  EXPECT_EQ(blob.size(), 116u);
}

TEST(ObserverBlob, RefusesEveryFlippedBit) {
  for (const Observer& observer : observers()) {
    const std::vector<uint8_t> blob = observer.save();
    for (size_t i = 0; i < blob.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        std::vector<uint8_t> damaged = blob;
        damaged[i] ^= static_cast<uint8_t>(1 << bit);
        EXPECT_NE(error_of(damaged), BlobError::kNone) << "byte " << i << " bit " << bit;
      }
      std::vector<uint8_t> damaged = blob;
      damaged[i] = static_cast<uint8_t>(~damaged[i]);
      EXPECT_NE(error_of(damaged), BlobError::kNone) << "byte " << i;
    }
  }
}

TEST(ObserverBlob, RefusesEveryTruncationAndAnyExtension) {
  for (const Observer& observer : observers()) {
    std::vector<uint8_t> blob = observer.save();
    for (size_t size = 0; size < blob.size(); ++size)
      EXPECT_EQ(error_of({blob.begin(), blob.begin() + static_cast<ptrdiff_t>(size)}),
                size < 8 ? BlobError::kNotThis : BlobError::kTruncated)
          << size;
    blob.push_back(0);
    EXPECT_EQ(error_of(blob), BlobError::kLength);
  }
}

TEST(ObserverBlob, RefusesOtherVersionsByNumber) {
  std::vector<uint8_t> blob = Observer(ObserverConfig()).save();
  blob[8] = 2;
  uint32_t version = 0;
  EXPECT_EQ(error_of(sealed(blob), &version), BlobError::kVersion);
  EXPECT_EQ(version, 2u);
}

// Blobs with a right checksum and a wrong content: bytes 20 to 88 are the description, 24 of the
// tally follow, then the state.
TEST(ObserverBlob, RefusesMadeUpContents) {
  const std::vector<uint8_t> good = Observer(ObserverConfig()).save();
  const auto with = [&](size_t offset, std::vector<uint8_t> bytes) {
    std::vector<uint8_t> blob = good;
    std::copy(bytes.begin(), bytes.end(), blob.begin() + static_cast<ptrdiff_t>(offset));
    return error_of(sealed(blob));
  };
  EXPECT_EQ(with(20, {1}), BlobError::kNone);
  EXPECT_EQ(with(20, {0}), BlobError::kDamaged);                       // no such kind
  EXPECT_EQ(with(20, {3}), BlobError::kDamaged);                       // a histogram, without room
  EXPECT_EQ(with(24, {3}), BlobError::kDamaged);                       // s32
  EXPECT_EQ(with(24, {1, 1}), BlobError::kDamaged);                    // u8 in the low byte only
  EXPECT_EQ(with(28, {16}), BlobError::kDamaged);                      // unknown flags
  EXPECT_EQ(with(44, {0xff, 0xff, 0xff, 0x7f}), BlobError::kDamaged);  // 2^31 - 1 channels
  EXPECT_EQ(with(44, {0, 0, 0, 0, 0, 0, 0, 0xff}), BlobError::kDamaged);
  EXPECT_EQ(with(104, {0, 0, 0xc0, 0x7f}), BlobError::kDamaged);  // a NaN as minimum
  EXPECT_EQ(with(104, {0, 0, 0, 0}), BlobError::kDamaged);        // an infinite maximum alone
  EXPECT_EQ(with(104, {0, 0, 0x80, 0x3f, 0, 0, 0, 0}), BlobError::kDamaged);  // [1, 0]
  EXPECT_EQ(with(104, {0, 0, 0, 0, 0, 0, 0x80, 0x3f}), BlobError::kNone);     // [0, 1]
}

}  // namespace
}  // namespace oct
