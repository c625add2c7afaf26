// What qgemm and qconv have in common: operand types, scales, bias and epilogue of one layer,
// checked and normalised. No raw caller structure lives beyond it.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/epilogue.h"
#include "kernels/table.h"
#include "octavo/octavo.h"
#include "quant/types.h"

namespace oct {

// The type and the zero points of weights, with the names to use in messages.
struct Weights {
  const char *type_name, *zero_points_name, *zero_count_name;  // "b_type", ... or "w_type", ...
  oct_dtype type;
  const int32_t* zero_points;
  int64_t zero_point_count;
};

// The common fields of oct_qgemm_desc and oct_qconv_desc, with the names to use in messages.
struct LayerDesc {
  const char* scales_name;    // "b_scales" or "w_scales"
  const char* count_name;     // "b_scale_count" or "w_scale_count"
  const char* channels_name;  // "n" or "out_channels"
  uint32_t flags;             // OCT_QGEMM_ALLOW_WRAP, RELU and CLAMP
  int64_t n, k;               // output channels, products in one sum
  oct_dtype a_type;
  int32_t a_zero_point;
  float a_scale;
  int32_t a_min, a_max;
  bool a_per_row;   // the scale and, if it varies, the zero point of A belong to its rows
  int64_t a_reach;  // the most that |A - zero point| can be; 0: follows from a_zero_point
  const float* scales;
  int64_t scale_count;
  Weights weights;
  oct_dtype bias_type;
  const void* bias;
  oct_dtype add_type;  // f32, too, if `sums_groups`
  float add_scale;
  int32_t add_zero_point;
  oct_dtype c_type;
  float c_scale;
  int32_t c_zero_point;
  float clamp_min, clamp_max;
  const oct_post_op* post;
  int64_t post_count;
  const char* kernel;
  bool sums_groups = false;  // what is added is the sum of earlier groups of weights
  int64_t groups = 1;        // that may have zero points of their own
};

struct Layer {
  DType a_type = DType::kU8, bias_type = DType::kNone, c_type = DType::kU8;
  int a_zero_point = 0;
  int a_min = 0, a_max = 255;  // what A may hold
  const KernelRow* forced = nullptr;

  EpilogueSpec epilogue;
  EpilogueScalars scalars;
  std::vector<float> mult, bias_f32;  // one per column, or empty where unused
  std::vector<int32_t> bias_s32;
  bool w_unsigned = false;  // the weights are u8
  // Of the weights as given, one per column, or [group][column]; empty: all zero.
  std::vector<int32_t> w_zero_points;

  // Values that A spans, less one.
  int a_span() const { return a_max - a_min; }

  // What is taken from every weight to make it s8, and when it is packed for `row`.
  int w_shift_to_s8() const { return w_unsigned ? 128 : 0; }
  int w_shift(const KernelRow& row) const {
    return row.flags & kRowUnsignedB ? 0 : w_shift_to_s8();
  }
  // The zero point of a column of weights less `shift`, and whether any column has one.
  int w_zero_point(size_t column, int shift) const {
    return (w_zero_points.empty() ? 0 : w_zero_points[column]) - shift;
  }
  bool has_zero_points(int shift) const;

  // Frees mult and the biases, which a plan has in its own order once it is made.
  void drop_columns() { mult = {}, bias_f32 = {}, bias_s32 = {}; }
};

// Whether the result is formed in reals before it is quantised (EpilogueSpec::in_reals).
bool in_reals(const LayerDesc& desc);

// Checks every field, dimensions excepted, without allocating.
oct_status check_layer(const LayerDesc& desc);

// Fills `layer` from a description that has been checked.
void make_layer(const LayerDesc& desc, Layer* layer);

}  // namespace oct
