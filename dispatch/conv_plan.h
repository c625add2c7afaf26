// The plan behind oct_qconv: a convolution as GEMM over taps.
//
// A row of A is an output pixel; K is a list of taps, each `tap_k` contiguous bytes of the input.
// Pixels of one output row that see the same taps lie at a constant stride, so the kernels read the
// image in place; nothing of the size of the kernel area times the image exists. Taps outside the
// image are left out, and the accumulators then start without their zero-point corrections.
//
// A depthwise convolution (as many groups as input and output channels) has kernels of its own
// (kernels/depthwise.h), which need none of this.
//
// Where the channels of a pixel do not fill whole K groups, K is *folded*: all bytes under the
// filter are gathered, for a part of an output row at a time.
//
// Small groups make *block-diagonal* panels: every column sees the channels of its own group, and
// a panel spans many groups (GemmSpec::group_in).
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dispatch/buffer.h"
#include "dispatch/columns.h"
#include "dispatch/context.h"
#include "dispatch/conv_shape.h"
#include "dispatch/layer.h"
#include "dispatch/select.h"
#include "kernels/depthwise.h"
#include "kernels/gemm.h"
#include "kernels/gemm_lanes.h"
#include "kernels/interleave.h"

namespace oct {

// Taps that one kernel call can list; the list is on the stack.
inline constexpr int64_t kMaxTaps = 1024;
// Stack that a thread spends on input that kernels cannot read in place, and the most output pixels
// that it prepares there at a time.
inline constexpr int64_t kSourceBytes = 44 << 10, kMaxSourcePixels = 512;

// Output channels [channel, channel + n), all of one group unless the panel is block-diagonal.
struct ConvPanel {
  int64_t channel, a_channel;  // the first output channel, and the first input channel of its group
  int n;
  const KernelRow* row;
  const GemmCode* code;
  size_t b_offset;    // into packed_b
  int64_t tap_bytes;  // of one tap in the panel; with row_taps, of a run's own groups
  size_t column;      // into the per-column arrays
};

// A depthwise kernel as a candidate.
struct DepthwiseCandidate {
  const KernelRow* row;
  Reason rejected;
  double cycles_per_pixel = 0;
};

}  // namespace oct

struct oct_qconv {
  const oct_context* context = nullptr;
  oct::ConvShape shape;
  oct::Layer layer;
  oct::Selection selection;  // for the columns of one group
  // Empty if the convolution is not depthwise.
  std::vector<oct::DepthwiseCandidate> depthwise_candidates;
  std::unique_ptr<oct::Depthwise> depthwise;  // set: it does all the work
  const oct::KernelRow* row = nullptr;        // the main kernel
  bool folded = false;                        // K is all that lies under the filter: one tap
  bool row_taps = false;  // and kernels take it row by row, where it lies (RowRuns)
  std::optional<oct::Interleaver> interleaver;  // if folded without row_taps
  bool diagonal = false;                        // panels span groups,
  bool in_lanes = false;                        // and keep sums where A lies (gemm_lanes.h)
  bool packed_a = false;                        // kernels read s16 pairs
  int tile_rows = 0;         // of every tile but the last; 0: as they divide an output row best
  int clip = 0;              // most outputs that a tap may leave out at either end of a tile
  bool adds = false;         // the first post-operation is add_type's
  bool has_tensors = false;  // any post-operation has one
  int64_t tap_k = 0, tap_count = 0;
  uint8_t a_shift = 0;
  int shifted_zero_point = 0;  // of A as the kernels see it
  int w_shift = 0;             // taken from every weight
  double cycles_per_pixel = 0;
  std::vector<std::unique_ptr<oct::GemmCode>> codes;
  std::vector<oct::ConvPanel> panels;
  oct::Buffer packed_b;
  size_t columns = 0;
  oct::Columns<int32_t> bias;            // where accumulators start without any tap
  oct::Columns<int32_t> init;            // with all taps. Empty: the same
  oct::Columns<int32_t> row_sum_factor;  // as in oct_qgemm
  oct::Columns<int32_t> tap_term;  // [tap][column]: subtracted for each tap; empty if all are zero
  oct::Columns<float> mult, bias_f32;  // the latter empty if there is none
  oct::EpilogueParams params;

  // Products of one tap in a sum: tap_k, less what fills up a folded one.
  int64_t real_tap_k() const { return shape.taps() * shape.group_in() / tap_count; }
  // Which output channel of the panel a number of per-column arrays belongs to.
  int channel_of(int column) const {
    return in_lanes ? oct::lane_channel(static_cast<int>(shape.group_in()), column) : column;
  }
  const oct::Layout& layout() const { return selection.best(); }
  // Whether every output sees one tap, where its own pixel begins: then there is no list.
  bool sees_one_tap() const {
    const auto& axes = shape.axes;
    return (folded && !row_taps) ||
           std::all_of(axes.begin(), axes.end(), [](const oct::ConvAxis& a) {
             return a.kernel == 1 && a.pad_begin == 0 && a.pad_end == 0 && !a.transposed;
           });
  }
};

namespace oct {

// Which depthwise kernels may serve the plan's problem, whose weights are [channel][tap]; none if
// the convolution is not depthwise.
std::vector<DepthwiseCandidate> depthwise_candidates(const oct_qconv& plan, const UsableIsas& isas,
                                                     const int8_t* w);
DepthwiseShape depthwise_shape(const ConvShape& shape);

// Code and packed panels of a plan whose kernel is not depthwise, from its weights as
// [out_channels][taps][group_in], or folded. Throws std::bad_alloc or CodeError.
void build_panels(oct_qconv& plan, const int8_t* w);

oct_status create_conv(const oct_context& context, const oct_qconv_desc& desc, oct_qconv** plan);

// Of the caller's scratch, if it lends any.
size_t conv_scratch_bytes(const oct_qconv& plan);

// Checks `args` and runs.
oct_status run_conv(const oct_qconv& plan, const oct_qconv_args& args);

std::string explain_conv(const oct_qconv& plan, const std::array<int64_t, 3>& in);

// The caller's per-axis values with absent axes in front (size 1).
std::array<int64_t, 3> full_rank(const oct_qconv& plan, const int64_t* values);

}  // namespace oct
