// The C entry points of quantisation parameters and observers (quant/qparams.h, quant/observer.h).

#include <cinttypes>
#include <cmath>
#include <cstring>
#include <string>

#include "dispatch/quant_args.h"
#include "dispatch/status.h"
#include "dispatch/threads.h"
#include "octavo/octavo.h"
#include "quant/observer.h"

using oct::fail;

struct oct_observer {
  oct::Observer observer;
};

namespace {

static_assert(OCT_OBSERVER_FIXED == static_cast<int>(oct::ObserverKind::kFixed));
static_assert(OCT_OBSERVER_MIN_MAX == static_cast<int>(oct::ObserverKind::kMinMax));

oct_status check_range(float min, float max) {
  if (std::isfinite(min) && std::isfinite(max) && min <= max) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT, "the range is [%g, %g]; it must be finite and in order",
              static_cast<double>(min), static_cast<double>(max));
}

// The common part of the formulas that take a scheme.
template <class Formula>
oct_status qparams(const oct_qscheme* desc, float min, float max, float* scale, int32_t* zero_point,
                   Formula formula) {
  using oct::check_not_null;
  if (oct_status s =
          check_not_null({{"scheme", desc}, {"scale", scale}, {"zero_point", zero_point}}))
    return s;
  return oct::guarded([&]() -> oct_status {
    oct::QScheme scheme;
    if (oct_status s = oct::check_scheme(*desc, &scheme)) return s;
    if (oct_status s = check_range(min, max)) return s;
    const oct::ScopedFloatMode float_mode;
    const oct::QParams p = formula(scheme, oct::Range{min, max});
    if (oct_status s = oct::check_scale(p, {min, max}, 0)) return s;
    *scale = p.scale;
    *zero_point = p.zero_point;
    return OCT_OK;
  });
}

oct_status check_config(const oct_observer_desc& desc, oct::ObserverConfig* config) {
  if (oct_status s = oct::check_struct_size("oct_observer_desc", desc.struct_size, sizeof desc))
    return s;
  if (oct_status s = oct::check_scheme(desc.scheme, &config->scheme)) return s;
  config->kind = static_cast<oct::ObserverKind>(oct::enum_value(desc.kind));
  config->channels = desc.channels;
  config->channel_axis = desc.channel_axis;
  config->averaging = desc.averaging;
  config->bins = desc.bins;
  config->percentile = desc.percentile;
  config->scale = desc.scale;
  config->zero_point = desc.zero_point;
  const std::string why = oct::config_error(*config);
  return why.empty() ? OCT_OK : fail(OCT_INVALID_ARGUMENT, "%s", why.c_str());
}

oct_status check_count(const oct::Observer& observer, int64_t count) {
  if (count == static_cast<int64_t>(observer.count())) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT, "count is %" PRId64 "; the observer has %zu", count,
              observer.count());
}

oct_status blob_failure(oct::BlobError error, size_t size, uint32_t version) {
  switch (error) {
    case oct::BlobError::kNone: return OCT_OK;
    case oct::BlobError::kNotThis:
      return fail(OCT_INVALID_ARGUMENT, "the %zu bytes are not an observer's", size);
    case oct::BlobError::kTruncated:
      return fail(OCT_INVALID_ARGUMENT, "the blob is cut short: %zu bytes are not all", size);
    case oct::BlobError::kLength:
      return fail(OCT_INVALID_ARGUMENT, "the blob is shorter than the %zu bytes given", size);
    case oct::BlobError::kVersion:
      return fail(OCT_VERSION_MISMATCH,
                  "the blob has version %" PRIu32 "; version %s reads %" PRIu32, version,
                  oct_version(), oct::kObserverBlobVersion);
    case oct::BlobError::kDamaged: break;
  }
  return fail(OCT_INVALID_ARGUMENT, "the blob of %zu bytes is damaged", size);
}

}  // namespace

extern "C" {

oct_status oct_qscheme_range(const oct_qscheme* desc, int32_t* lo, int32_t* hi) {
  if (oct_status s = oct::check_not_null({{"scheme", desc}, {"lo", lo}, {"hi", hi}})) return s;
  return oct::guarded([&]() -> oct_status {
    oct::QScheme scheme;
    if (oct_status s = oct::check_scheme(*desc, &scheme)) return s;
    const oct::QRange range = oct::quant_range(scheme);
    *lo = range.lo;
    *hi = range.hi;
    return OCT_OK;
  });
}

oct_status oct_qparams_observer(const oct_qscheme* scheme, float min, float max, float* scale,
                                int32_t* zero_point) {
  return qparams(scheme, min, max, scale, zero_point, oct::observer_qparams);
}

oct_status oct_qparams_fbgemm(const oct_qscheme* scheme, float min, float max, float* scale,
                              int32_t* zero_point) {
  return qparams(scheme, min, max, scale, zero_point, oct::choose_qparams_fbgemm);
}

oct_status oct_qparams_aten(const oct_qscheme* scheme, float min, float max, float* scale,
                            int32_t* zero_point) {
  return qparams(scheme, min, max, scale, zero_point, oct::choose_qparams_aten);
}

oct_status oct_qparams_onnx(float min, float max, float* scale, int32_t* zero_point) {
  const oct_qscheme u8 = OCT_QSCHEME_INIT;
  return qparams(&u8, min, max, scale, zero_point, [](const oct::QScheme&, const oct::Range& r) {
    return oct::dynamic_qparams_onnx(r);
  });
}

oct_status oct_observer_create(const oct_observer_desc* desc, oct_observer** observer) {
  if (oct_status s = oct::check_not_null({{"desc", desc}, {"observer", observer}})) return s;
  return oct::guarded([&]() -> oct_status {
    oct::ObserverConfig config;
    if (oct_status s = check_config(*desc, &config)) return s;
    *observer = new oct_observer{oct::Observer(config)};
    return OCT_OK;
  });
}

void oct_observer_destroy(oct_observer* observer) { delete observer; }

oct_status oct_observer_observe(oct_observer* observer, const oct_f32_view* batch) {
  if (oct_status s = oct::check_not_null({{"observer", observer}, {"batch", batch}})) return s;
  oct::FloatView view;
  if (oct_status s = oct::check_view(*batch, &view)) return s;
  const oct::ObserverConfig& config = observer->observer.config();
  const int axis = config.channel_axis;
  if (config.channels && axis >= view.rank)
    return fail(OCT_INVALID_ARGUMENT, "rank is %d, and channel_axis %d", view.rank, axis);
  if (config.channels && view.sizes[axis] != config.channels && !oct::is_empty(view))
    return fail(OCT_INVALID_ARGUMENT,
                "sizes[%d] is %" PRId64 "; the observer has %" PRId64 " channels", axis,
                view.sizes[axis], config.channels);
  return oct::guarded([&]() -> oct_status {
    const oct::ScopedFloatMode float_mode;
    observer->observer.observe(view);
    return OCT_OK;
  });
}

oct_status oct_observer_merge(oct_observer* observer, const oct_observer* other) {
  if (oct_status s = oct::check_not_null({{"observer", observer}, {"other", other}})) return s;
  return oct::guarded([&]() -> oct_status {
    const std::string difference =
        oct::config_difference(observer->observer.config(), other->observer.config());
    if (!difference.empty())
      return fail(OCT_INVALID_ARGUMENT, "the descriptions differ: %s", difference.c_str());
    const oct::ScopedFloatMode float_mode;
    observer->observer.merge(other->observer);
    return OCT_OK;
  });
}

oct_status oct_observer_reset(oct_observer* observer) {
  if (oct_status s = oct::check_not_null({{"observer", observer}})) return s;
  return oct::guarded([&]() -> oct_status {
    observer->observer.reset();
    return OCT_OK;
  });
}

oct_status oct_observer_counts(const oct_observer* observer, uint64_t* finite, uint64_t* nans,
                               uint64_t* infinities) {
  if (oct_status s = oct::check_not_null({{"observer", observer}})) return s;
  const oct::Tally& tally = observer->observer.tally();
  if (finite) *finite = tally.finite;
  if (nans) *nans = tally.nans;
  if (infinities) *infinities = tally.infinities;
  return OCT_OK;
}

oct_status oct_observer_ranges(const oct_observer* observer, float* mins, float* maxs,
                               int64_t count) {
  if (oct_status s = oct::check_not_null({{"observer", observer}, {"mins", mins}, {"maxs", maxs}}))
    return s;
  if (oct_status s = check_count(observer->observer, count)) return s;
  return oct::guarded([&]() -> oct_status {
    const oct::ScopedFloatMode float_mode;
    for (const oct::Range& range : observer->observer.ranges()) {
      *mins++ = range.min;
      *maxs++ = range.max;
    }
    return OCT_OK;
  });
}

oct_status oct_observer_qparams(const oct_observer* observer, float* scales, int32_t* zero_points,
                                int64_t count) {
  if (oct_status s = oct::check_not_null(
          {{"observer", observer}, {"scales", scales}, {"zero_points", zero_points}}))
    return s;
  if (oct_status s = check_count(observer->observer, count)) return s;
  return oct::guarded([&]() -> oct_status {
    const oct::ScopedFloatMode float_mode;
    const std::vector<oct::Range> ranges = observer->observer.ranges();
    const std::vector<oct::QParams> all = observer->observer.qparams();
    for (size_t i = 0; i < all.size(); ++i)
      if (oct_status s = oct::check_scale(all[i], ranges[i], static_cast<int64_t>(i))) return s;
    for (const oct::QParams& p : all) {
      *scales++ = p.scale;
      *zero_points++ = p.zero_point;
    }
    return OCT_OK;
  });
}

oct_status oct_observer_histogram(const oct_observer* observer, float* counts, int64_t bins,
                                  float* min, float* max) {
  if (oct_status s = oct::check_not_null(
          {{"observer", observer}, {"counts", counts}, {"min", min}, {"max", max}}))
    return s;
  const oct::Histogram* histogram = observer->observer.histogram();
  if (!histogram)
    return fail(OCT_INVALID_ARGUMENT, "observers of kind %u keep no histogram",
                static_cast<unsigned>(observer->observer.config().kind));
  if (bins != histogram->bins())
    return fail(OCT_INVALID_ARGUMENT, "bins is %" PRId64 "; the observer has %d", bins,
                histogram->bins());
  std::memcpy(counts, histogram->counts.data(), histogram->counts.size() * sizeof(float));
  *min = histogram->range.min;
  *max = histogram->range.max;
  return OCT_OK;
}

oct_status oct_observer_save(const oct_observer* observer, void* buffer, size_t size,
                             size_t* needed) {
  if (oct_status s = oct::check_not_null({{"observer", observer}})) return s;
  if (size != 0 && !buffer)
    return fail(OCT_INVALID_ARGUMENT, "buffer is null and size is %zu", size);
  if (size == 0 && !needed)
    return fail(OCT_INVALID_ARGUMENT, "size is 0 and needed is null: there is nothing to do");
  return oct::guarded([&]() -> oct_status {
    const std::vector<uint8_t> blob = observer->observer.save();
    if (size != 0 && size < blob.size())
      return fail(OCT_INVALID_ARGUMENT, "size is %zu; the blob needs %zu bytes", size, blob.size());
    if (size != 0) std::memcpy(buffer, blob.data(), blob.size());
    if (needed) *needed = blob.size();
    return OCT_OK;
  });
}

oct_status oct_observer_load(const void* blob, size_t size, oct_observer** observer) {
  if (oct_status s = oct::check_not_null({{"blob", blob}, {"observer", observer}})) return s;
  return oct::guarded([&]() -> oct_status {
    oct::BlobError error;
    uint32_t version = 0;
    auto loaded = oct::Observer::load({static_cast<const uint8_t*>(blob), size}, &error, &version);
    if (!loaded) return blob_failure(error, size, version);
    *observer = new oct_observer{std::move(*loaded)};
    return OCT_OK;
  });
}

}  // extern "C"
