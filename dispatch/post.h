// The post-operations of a layer and their tensors, checked and normalised.
#pragma once

#include "dispatch/layer.h"

namespace oct {

// What a description's chain means: add_type as its first operation, and a RELU or CLAMP at its end
// as the flag, which acts on quantised bounds where there are no reals.
struct PostPlan {
  PostChain chain{};
  bool relu = false, clamp = false;
  float clamp_min = 0, clamp_max = 0;
};

// How many operations remain of `desc.post` once a last RELU or CLAMP is taken as the flag.
int64_t inner_post_count(const LayerDesc& desc);

oct_status check_post(const LayerDesc& desc);
PostPlan make_post(const LayerDesc& desc);

}  // namespace oct
