// What follows the accumulation: the legal combinations, and random parameters for each in both of
// their forms, the reference's and the emitted epilogue's.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/epilogue.h"
#include "kernels/reference.h"
#include "kernels/table.h"
#include "quant/types.h"
#include "tests/support.h"

namespace oct::test {

enum class Post { kNone, kRelu, kClamp, kUpperClamp };
const char* post_name(Post post);

struct OutputCase {
  DType c_type = DType::kS32;
  DType bias = DType::kNone;  // none, s32 or f32
  Post post = Post::kNone;
  bool saturating = false;        // the epilogue that leaves clamping to the packs
  bool small_multipliers = true;  // all below one, as `saturating` needs
  bool chain = false;             // post-operations before `post`
  bool tensors = false;           // some of them with one
};

// Every legal combination, with chains of this kind.
enum class Chains { kNone, kWithoutTensors, kAll };
std::vector<OutputCase> all_output_cases(Chains chains);

struct OutputData {
  EpilogueSpec spec;
  EpilogueScalars scalars;
  float b_scales[kMaxNr], mult[kMaxNr];
  int32_t bias_s32[kMaxNr];
  float bias_f32[kMaxNr];
};

// Draws scales, zero point, bias and bounds for n columns and sums of k products. The output fields
// of `reference` are set, and point into `data`.
void draw_output(const OutputCase& c, int64_t k, int n, Rng& rng, ReferenceGemm& reference,
                 OutputData& data);

}  // namespace oct::test
