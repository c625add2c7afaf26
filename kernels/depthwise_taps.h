// Which input elements a depthwise kernel multiplies together: its taps, packed four to a dot.
//
// A dot multiplies the four bytes of a 32-bit lane; a lane is one channel, and its bytes are four
// *sources*: input rows, or columns, or both. A stream is the sequence of such lanes along an image
// row, `stride` columns apart; a dot reads it at some shift. Weights are zero where an output row
// has no use for a source:
//
//   3x3, stride 1, two output rows: one stream of four rows, three shifts, six dots
//
//     sources  r0 r1 r2 r3     output row 0:  [w0 w1 w2 0]      at shift 0, 1 and 2
//                              output row 1:  [0 w0 w1 w2]
//
//   5x5, stride 1, two output rows: what is left of six rows is packed with its right neighbour
//
//     sources  r0 r1 r2 r3                shifts 0, 1, 2, 3, 4
//              r4 r5 r4' r5'              shifts 0, 2, 4; r4' is to the right of r4
//
// A stride s has a stream for each remainder of a column modulo s. The output rows share streams
// made of all their rows, or have streams of their own; the cheapest of these arrangements is
// taken.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace oct {

inline constexpr int kMaxOutputRows = 2;
inline constexpr int kSources = 4;

// Along one axis of a kernel.
struct Axis {
  int kernel, stride, dilation;

  friend bool operator==(const Axis&, const Axis&) = default;
};

struct Source {
  int row, column;  // from the first tap of the first output row
};

// One dot of every output row that has a use for it.
struct TapDot {
  int stream, shift;  // shift in positions of the stream
  bool used[kMaxOutputRows];
  // Per output row and source: row * columns of the kernel + column, or -1.
  std::array<int, kSources> taps[kMaxOutputRows];
};

// What one call of a kernel can be given.
inline constexpr int kMaxDepthwiseStreams = 24, kMaxDepthwisePieces = 64;

struct DepthwiseTaps {
  int outputs = 0;                                    // output rows
  std::vector<std::array<Source, kSources>> streams;  // unused sources repeat another
  std::vector<TapDot> dots;                           // by stream, then shift

  int dot_count() const;  // of all output rows
  // Pieces that the edges of an image cut the streams into, at most: a stream whose sources lie in
  // different columns leaves the image source by source.
  int pieces() const;
  int reach(int stream) const;  // largest shift
  int reach() const;
};

// Instructions that depend on how dots are formed: of a dot, and to load what it multiplies.
struct DotCost {
  int dot, load;
};

// The taps of `outputs` neighbouring output rows.
DepthwiseTaps pack_taps(int outputs, const Axis& vertical, const Axis& horizontal,
                        const DotCost& cost);

}  // namespace oct
