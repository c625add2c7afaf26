#include "dispatch/quant_args.h"

#include <cinttypes>
#include <cmath>
#include <cstdlib>
#include <string>

#include "dispatch/status.h"
#include "quant/requant.h"

namespace oct {

namespace {

static_assert(kSymmetric == OCT_QSCHEME_SYMMETRIC && kNarrow == OCT_QSCHEME_NARROW &&
              kReduced == OCT_QSCHEME_REDUCED);
static_assert(kMaxRank == OCT_MAX_RANK);

// Elements up to which indices in bytes fit, with room to add a few.
constexpr int64_t kMaxElements = INT64_MAX / 16;

bool multiply(int64_t a, int64_t b, int64_t* product) {
  return !__builtin_mul_overflow(a, b, product) && *product <= kMaxElements;
}

// The distance of the farthest element from the first in either direction must be addressable.
bool is_addressable(const FloatView& v) {
  int64_t sum = 0;
  for (int d = 0; d < v.rank; ++d) {
    int64_t span;
    // The magnitude of INT64_MIN does not fit, and is too far anyway.
    if (v.strides[d] == INT64_MIN || !multiply(v.sizes[d], std::abs(v.strides[d]), &span) ||
        __builtin_add_overflow(sum, span, &sum) || sum > kMaxElements)
      return false;
  }
  return true;
}

}  // namespace

oct_status check_struct_size(const char* what, size_t given, size_t expected) {
  if (given == expected) return OCT_OK;
  return fail(OCT_VERSION_MISMATCH,
              "%s.struct_size is %zu; version %s expects %zu (use the OCT_*_INIT macro)", what,
              given, oct_version(), expected);
}

oct_status check_not_null(std::initializer_list<std::pair<const char*, const void*>> pointers) {
  for (const auto& [name, pointer] : pointers)
    if (!pointer) return fail(OCT_INVALID_ARGUMENT, "%s is null", name);
  return OCT_OK;
}

oct_status check_finite(const char* name, const float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(values[i]))
      return fail(OCT_INVALID_ARGUMENT, "%s[%" PRId64 "] is %g; it must be finite", name, i,
                  static_cast<double>(values[i]));
  return OCT_OK;
}

oct_status check_scheme(const oct_qscheme& desc, QScheme* scheme) {
  if (oct_status s = check_struct_size("oct_qscheme", desc.struct_size, sizeof desc)) return s;
  const int type = enum_value(desc.type);
  if (type != OCT_U8 && type != OCT_S8)
    return fail(OCT_INVALID_ARGUMENT, "type is %d; quantised values are OCT_U8 or OCT_S8", type);
  *scheme = {static_cast<DType>(type), desc.flags, desc.quant_min, desc.quant_max, desc.eps};
  if (const std::string why = scheme_error(*scheme); !why.empty())
    return fail(OCT_INVALID_ARGUMENT, "%s", why.c_str());
  return OCT_OK;
}

oct_status check_layout(const char* name, const ChannelLayout& l) {
  int64_t rows, all;
  if (l.outer >= 1 && l.channels >= 1 && l.inner >= 1 && multiply(l.outer, l.channels, &rows) &&
      multiply(rows, l.inner, &all))
    return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT,
              "%s is [%" PRId64 ", %" PRId64 ", %" PRId64
              "]; sizes are at least 1 and their product at most 2^59",
              name, l.outer, l.channels, l.inner);
}

oct_status check_view(const oct_f32_view& desc, FloatView* view) {
  if (oct_status s = check_struct_size("oct_f32_view", desc.struct_size, sizeof desc)) return s;
  if (desc.rank < 1 || desc.rank > OCT_MAX_RANK)
    return fail(OCT_INVALID_ARGUMENT, "rank is %d; it must be in [1, %d]", desc.rank, OCT_MAX_RANK);
  *view = {desc.data, desc.rank, {}, {}};
  bool dense = true;
  for (int d = 0; d < desc.rank; ++d) {
    if (desc.sizes[d] < 0)
      return fail(OCT_INVALID_ARGUMENT, "sizes[%d] is %" PRId64, d, desc.sizes[d]);
    view->sizes[d] = desc.sizes[d];
    view->strides[d] = desc.strides[d];
    dense &= desc.strides[d] == 0;
  }
  if (is_empty(*view)) return OCT_OK;
  if (!desc.data) return fail(OCT_INVALID_ARGUMENT, "data is null and no size is 0");
  if (reinterpret_cast<uintptr_t>(desc.data) % alignof(float) != 0)
    return fail(OCT_INVALID_ARGUMENT, "data is not aligned to %zu bytes", alignof(float));

  int64_t elements = 1;
  for (int d = view->rank - 1; d >= 0; --d) {
    if (dense) view->strides[d] = elements;
    if (!multiply(elements, view->sizes[d], &elements))
      return fail(OCT_INVALID_ARGUMENT,
                  "sizes[%d] is %" PRId64
                  ", with which there are too many "
                  "elements to count",
                  d, view->sizes[d]);
  }
  if (!is_addressable(*view))
    return fail(OCT_INVALID_ARGUMENT, "sizes times strides reach beyond 2^59 elements");
  return OCT_OK;
}

oct_status check_scale(const QParams& params, const Range& range, int64_t channel) {
  if (is_valid_scale(params.scale)) return OCT_OK;
  return fail(OCT_INVALID_ARGUMENT,
              "channel %" PRId64 " has the range [%g, %g], whose scale, %g, is beyond binary32",
              channel, static_cast<double>(range.min), static_cast<double>(range.max),
              static_cast<double>(params.scale));
}

}  // namespace oct
