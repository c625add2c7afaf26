// An observer as a blob: the description, the tally, and the state in the order of its members.

#include <cmath>

#include "quant/observer.h"

namespace oct {

namespace {

constexpr std::string_view kMagic = "OCTOBSRV";

void write(BlobWriter& w, const ObserverConfig& c) {
  w.u32(static_cast<uint32_t>(c.kind));
  w.u32(static_cast<uint32_t>(c.scheme.type));
  w.u32(c.scheme.flags);
  w.i32(c.scheme.quant_min);
  w.i32(c.scheme.quant_max);
  w.f32(c.scheme.eps);
  w.i64(c.channels);
  w.i32(c.channel_axis);
  w.f32(c.averaging);
  w.i32(c.bins);
  w.f64(c.percentile);
  w.f32(c.scale);
  w.i32(c.zero_point);
}

ObserverConfig read_config(BlobReader& r) {
  ObserverConfig c;
  c.kind = static_cast<ObserverKind>(r.u32());
  const uint32_t type = r.u32();
  c.scheme.type = type == static_cast<uint32_t>(DType::kU8)   ? DType::kU8
                  : type == static_cast<uint32_t>(DType::kS8) ? DType::kS8
                                                              : DType::kNone;
  c.scheme.flags = r.u32();
  c.scheme.quant_min = r.i32();
  c.scheme.quant_max = r.i32();
  c.scheme.eps = r.f32();
  c.channels = r.i64();
  c.channel_axis = r.i32();
  c.averaging = r.f32();
  c.bins = r.i32();
  c.percentile = r.f64();
  c.scale = r.f32();
  c.zero_point = r.i32();
  return c;
}

void write(BlobWriter& w, const Range& range) {
  w.f32(range.min);
  w.f32(range.max);
}

// Empty as a new range is, or of finite ends in order.
bool read(BlobReader& r, Range* range) {
  range->min = r.f32();
  range->max = r.f32();
  return *range == Range{} ||
         (std::isfinite(range->min) && std::isfinite(range->max) && !range->empty());
}

void write(BlobWriter&, const std::monostate&) {}
bool read(BlobReader&, std::monostate*) { return true; }

void write(BlobWriter& w, const Extrema& e) {
  for (const Range& range : e.ranges) write(w, range);
}

bool read(BlobReader& r, Extrema* e) {
  for (Range& range : e->ranges)
    if (!read(r, &range)) return false;
  return true;
}

void write(BlobWriter& w, const MovingExtrema& m) {
  for (const MovingExtrema::Channel& c : m.channels) {
    write(w, c.average);
    write(w, c.first);
    w.u64(c.batches);
  }
}

bool read(BlobReader& r, MovingExtrema* m) {
  for (MovingExtrema::Channel& c : m->channels) {
    if (!read(r, &c.average) || !read(r, &c.first)) return false;
    c.batches = r.u64();
    if (c.average.empty() != (c.batches == 0) || c.first.empty() != (c.batches == 0)) return false;
  }
  return true;
}

void write(BlobWriter& w, const Histogram& h) {
  write(w, h.range);
  for (float count : h.counts) w.f32(count);
}

bool read(BlobReader& r, Histogram* h) {
  if (!read(r, &h->range)) return false;
  bool any = false;
  for (float& count : h->counts) {
    count = r.f32();
    if (!std::isfinite(count) || count < 0) return false;
    any |= count > 0;
  }
  return any != h->range.empty();
}

// The bytes of the state, which must match before memory is taken for it.
uint64_t state_bytes(const ObserverConfig& c) {
  const uint64_t channels = c.channels ? static_cast<uint64_t>(c.channels) : 1;
  switch (c.kind) {
    case ObserverKind::kMinMax: return 8 * channels;
    case ObserverKind::kMovingAverage: return 24 * channels;
    case ObserverKind::kFixed: return 0;
    default: return 8 + 4 * static_cast<uint64_t>(c.bins);
  }
}

}  // namespace

std::vector<uint8_t> Observer::save() const {
  BlobWriter w(kMagic, kObserverBlobVersion);
  write(w, config_);
  w.u64(tally_.finite);
  w.u64(tally_.nans);
  w.u64(tally_.infinities);
  std::visit([&](const auto& state) { write(w, state); }, state_);
  return w.finish();
}

std::optional<Observer> Observer::load(std::span<const uint8_t> blob, BlobError* error,
                                       uint32_t* version) {
  *error = check_blob(blob, kMagic, kObserverBlobVersion, version);
  if (*error != BlobError::kNone) return {};

  // The checksum guards against accidents only; what follows against a blob made up.
  *error = BlobError::kDamaged;
  BlobReader r(blob);
  const ObserverConfig config = read_config(r);
  const Tally tally = {r.u64(), r.u64(), r.u64()};
  if (!r.ok() || !config_error(config).empty() || r.rest() != state_bytes(config)) return {};
  Observer observer(config);
  observer.tally_ = tally;
  if (!std::visit([&](auto& state) { return read(r, &state); }, observer.state_)) return {};
  *error = BlobError::kNone;
  return observer;
}

}  // namespace oct
