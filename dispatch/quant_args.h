// Checks of arguments that the entry points of the quantisation layer share. Each returns OCT_OK
// or fails with a message.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "octavo/octavo.h"
#include "quant/affine.h"
#include "quant/qparams.h"
#include "quant/view.h"

namespace oct {

// The number in an enumeration that C code filled: any int, where C++ would expect an enumerator.
template <class Enum>
int enum_value(const Enum& e) {
  static_assert(sizeof(Enum) == sizeof(int));
  int value;
  std::memcpy(&value, &e, sizeof value);
  return value;
}

oct_status check_struct_size(const char* what, size_t given, size_t expected);

// One after another, the first null among the pointers.
oct_status check_not_null(std::initializer_list<std::pair<const char*, const void*>> pointers);

oct_status check_finite(const char* name, const float* values, int64_t count);

// Fills *scheme from a description that can be used.
oct_status check_scheme(const oct_qscheme& desc, QScheme* scheme);

// Sizes of at least 1, of which the product can be addressed.
oct_status check_layout(const char* name, const ChannelLayout& layout);

// Fills *view, with strides of its own if those given are all 0.
oct_status check_view(const oct_f32_view& desc, FloatView* view);

// The parameters that came out can be used: `range` was not too wide.
oct_status check_scale(const QParams& params, const Range& range, int64_t channel);

}  // namespace oct
