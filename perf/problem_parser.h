// One problem, as text in benchdnn's syntaxes. Both may be followed by n"name" or n"name*count",
// where count says how often the problem occurs in one pass of its model; benchdnn's newer spelling
// _n"..." is read too.
#pragma once

#include <string_view>

#include "perf/problem.h"

namespace oct::perf {

// MxK:KxN, optionally followed by :MxN (the shape of C). Not read: batched (3-D) problems.
// Without a name, the problem's text becomes its name. Throws UsageError; so does parse_conv.
Problem parse_matmul(std::string_view text);

// Key and number, again and again: g (groups), mb (batch), ic, oc (channels), and for each axis
// d, h, w: i (input size), o (output size), k (kernel), s (stride), d (dilation less one), p
// (padding in front). "ic64ih56oc64kh3ph1" is a 3x3 convolution of a 56x56 image.
// The number of axes is that of the outermost i: iw is one, ih two, id three. An axis that is not
// mentioned has the value of the next outer one; the outermost has k 1, s 1, d 0, p 0. Padding
// behind is that in front, unless o says otherwise. A t in front makes it transposed:
// "tic64ih28oc32kh2sh2" doubles an image's size.
Problem parse_conv(std::string_view text);

// Either: a product begins with a digit.
Problem parse_problem(std::string_view text);

}  // namespace oct::perf
