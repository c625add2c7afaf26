// Random chains of post-operations, and tensors for them.
#pragma once

#include <string>
#include <vector>

#include "kernels/post_ops.h"
#include "octavo/octavo.h"
#include "tests/support.h"

namespace oct::test {

// One to eight operations for reals of about the magnitude `unit`; `tensors`: some may have one.
PostChain draw_chain(Rng& rng, double unit, bool tensors);

// Fills `count` elements of an operation's tensor.
void fill_tensor(Rng& rng, const PostOp& op, void* to, size_t count);

// A chain as the C API takes it, with dense tensors.
struct ApiChain {
  PostChain chain{};  // as given: a last RELU or CLAMP included
  std::vector<oct_post_op> ops;
  std::vector<std::vector<uint8_t>> x;  // of each operation; empty without a tensor

  // What is left once a last RELU or CLAMP is taken as the flag of the layer.
  PostChain inner() const;
  const PostOp* bound() const;  // that RELU or CLAMP, or null
};
ApiChain draw_api_chain(Rng& rng, double unit, int most, size_t elements);

std::string text_of(const PostChain& chain);

}  // namespace oct::test
