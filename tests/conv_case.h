// A random convolution with the memory it points to, for tests of the C API.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/octavo.h"
#include "tests/post_case.h"
#include "tests/support.h"

namespace oct::test {

struct ConvLimits {
  int64_t kernel = 5, stride = 3, dilation = 3;
  bool depthwise = false;
  bool post = false;          // post-operations
  bool tall = false;          // few channels and more rows than are copied at a time
  bool small_groups = false;  // of powers of two, whose weights make block-diagonal panels
};

struct ConvCase {
  oct_qconv_desc desc = OCT_QCONV_DESC_INIT;
  int64_t batch = 1, in[OCT_MAX_SPATIAL] = {}, out[OCT_MAX_SPATIAL] = {};
  std::vector<int8_t> w;       // as desc.w_layout says
  std::vector<int8_t> w_ohwi;  // [out_channels][taps][in_channels / groups]
  std::vector<uint8_t> a, x;   // dense; x is empty without add_type
  std::vector<float> scales, bias_f32;
  std::vector<int32_t> bias_s32, w_zero_points;
  ApiChain chain;

  int64_t taps() const;
  int64_t in_pixels() const;
  int64_t out_pixels() const;
  size_t c_bytes() const;
  std::vector<uint8_t> expected() const;  // dense C by the reference
  std::vector<uint8_t> run(const oct_qconv* plan,
                           int64_t images) const;  // dense C of the first ones
  std::string text() const;                        // for failures, with the seed

  ConvCase() = default;
  ConvCase(ConvCase&&) = default;
  ConvCase& operator=(ConvCase&&) = default;
};

// A plan for a scope. Fails the test, and holds null, if it cannot be created.
class ConvPlan {
 public:
  ConvPlan(oct_context* context, const oct_qconv_desc& desc);
  ~ConvPlan() { oct_qconv_destroy(plan_); }
  ConvPlan(const ConvPlan&) = delete;
  ConvPlan& operator=(const ConvPlan&) = delete;
  operator oct_qconv*() const { return plan_; }

 private:
  oct_qconv* plan_ = nullptr;
};

// Arguments of a run on dense tensors, which point into the case and into `post`.
using PostTensors = std::array<oct_tensor, OCT_MAX_POST_OPS>;
PostTensors dense_tensors(const ConvCase& c);
oct_qconv_args dense_args(const ConvCase& c, const PostTensors& post, void* out);

// Anything legal but for the output size, which may be empty: `out` is then 0.
ConvCase draw_conv(Rng& rng, const ConvLimits& limits = {});

}  // namespace oct::test
