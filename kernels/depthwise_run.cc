// The way of a depthwise convolution through an image: columns in chunks that fit the strip, then
// pairs of output rows, then blocks of channels, so that rows are read from memory in order.

#include <algorithm>
#include <cstring>

#include "kernels/depthwise.h"

namespace oct {
namespace {

constexpr int kQuarters = kDepthwiseQuarters;
// Whole steps of every form: twelve pixels are three vectors of four, or four of three.
constexpr int64_t kStepPixels = 12;

int64_t ceil_div(int64_t x, int64_t by) { return (x + by - 1) / by; }

}  // namespace

// A run of output columns for one or two output rows: what has to be gathered for it, but for the
// image row and the channel. Positions are cut into pieces where a source enters or leaves the
// image.
struct Depthwise::Chunk {
  struct Piece {
    int stream;
    int64_t begin, end;              // positions
    int64_t row[kSources];           // of each source, from that of the first
    int64_t offset_bytes[kSources];  // of each source at `begin` from the first row's first column
    bool in_width[kSources];         // whether its column is in the image
  };

  int64_t x, pixels;
  int outputs, pieces = 0;
  Piece piece[kMaxDepthwisePieces];
  int64_t needed[kMaxDepthwiseStreams];     // positions that outputs read
  IndexRange inside[kMaxDepthwiseStreams];  // positions with any source in the image

  Chunk(const DepthwiseTaps& taps, const Axis& axis, const DepthwiseImage& image, int64_t x,
        int64_t pixels)
      : x(x), pixels(pixels), outputs(taps.outputs) {
    for (int s = 0; s < static_cast<int>(taps.streams.size()); ++s) {
      needed[s] = pixels + taps.reach(s);
      split(taps.streams[static_cast<size_t>(s)], s, x * axis.stride - image.pad_left, axis.stride,
            image);
    }
  }

 private:
  void split(const std::array<Source, kSources>& sources, int s, int64_t first, int64_t stride,
             const DepthwiseImage& image) {
    IndexRange in[kSources];
    int64_t cuts[2 * kSources];
    inside[s] = {needed[s], 0};
    for (int i = 0; i < kSources; ++i) {
      const int64_t column = first + sources[static_cast<size_t>(i)].column;
      const int64_t begin = column >= 0 ? 0 : ceil_div(-column, stride);
      const int64_t end = column >= image.width ? 0 : ceil_div(image.width - column, stride);
      in[i].begin = std::min(begin, needed[s]);
      in[i].end = std::clamp(end, in[i].begin, needed[s]);
      cuts[2 * i] = in[i].begin;
      cuts[2 * i + 1] = in[i].end;
      if (in[i].begin == in[i].end) continue;
      inside[s] = {std::min(inside[s].begin, in[i].begin), std::max(inside[s].end, in[i].end)};
    }
    inside[s].begin = std::min(inside[s].begin, inside[s].end);
    std::sort(std::begin(cuts), std::end(cuts));
    for (int i = 0; i + 1 < 2 * kSources; ++i) {
      const int64_t begin = std::max(cuts[i], inside[s].begin);
      const int64_t end = std::min(cuts[i + 1], inside[s].end);
      if (begin >= end) continue;
      Piece& p = piece[pieces++];
      p.stream = s;
      p.begin = begin;
      p.end = end;
      for (int j = 0; j < kSources; ++j) {
        const Source& source = sources[static_cast<size_t>(j)];
        p.row[j] = source.row;
        p.offset_bytes[j] = source.row * image.a_row_bytes +
                            (first + begin * stride + source.column) * image.a_pixel_bytes;
        p.in_width[j] = in[j].begin <= begin && end <= in[j].end;
      }
    }
  }
};

// Positions with no source in the image; they stay, since the code writes only the others.
void Depthwise::fill_padding(const Chunk& chunk, const Form& form, uint8_t* strip) const {
  const auto value = static_cast<uint8_t>(a_zero_point_ + a_shift_);
  const auto fill = [&](uint8_t* plane, int64_t begin, int64_t end) {
    std::memset(plane + begin * form.width, value, static_cast<size_t>((end - begin) * form.width));
  };
  const size_t streams = taps_[chunk.outputs - 1].streams.size();
  for (size_t s = 0; s < streams; ++s)
    for (int q = 0; q < kQuarters; ++q, strip += form.plane_bytes) {
      fill(strip, 0, chunk.inside[s].begin);
      fill(strip, chunk.inside[s].end, chunk.needed[s]);
    }
}

void Depthwise::run(const DepthwiseImage& image, IndexRange rows, IndexRange blocks, Order order,
                    void* scratch) const {
  if (method_ == Method::kWindow) return run_windows(image, rows, blocks, order);
  if (method_ == Method::kRolling) return run_rolling(image, rows, blocks, order);
  uint8_t* const strips = static_cast<uint8_t*>(scratch);
  const int64_t pairs_end = rows.begin + (rows.end - rows.begin) / kMaxOutputRows * kMaxOutputRows;
  for (int outputs = kMaxOutputRows; outputs >= 1; --outputs) {
    const IndexRange some =
        outputs == 1 ? IndexRange{pairs_end, rows.end} : IndexRange{rows.begin, pairs_end};
    if (some.begin == some.end || blocks.begin == blocks.end) continue;
    const DepthwiseTaps& taps = taps_[outputs - 1];
    const int64_t most = positions_ - taps.reach();
    const int64_t even = ceil_div(image.c_width, ceil_div(image.c_width, most));
    const int64_t pixels = std::min(most, ceil_div(even, kStepPixels) * kStepPixels);
    for (int64_t x = 0; x < image.c_width; x += pixels) {
      const Chunk chunk(taps, shape_.horizontal, image, x, std::min(pixels, image.c_width - x));
      for (const Form& form : forms_) fill_padding(chunk, form, strips + form.strip);
      for_steps(some, outputs, order,
                [&](IndexRange y) { run_rows(image, chunk, y.begin, blocks, strips); });
    }
  }
}

// One or two output rows of a chunk, for all blocks.
void Depthwise::run_rows(const DepthwiseImage& image, const Chunk& chunk, int64_t y,
                         IndexRange blocks, uint8_t* strips) const {
  const int variant = chunk.outputs - 1;
  const int64_t step = shape_.horizontal.stride * image.a_pixel_bytes;
  const int64_t first_row = y * shape_.vertical.stride - image.pad_top;
  const int64_t first_channel = blocks_[static_cast<size_t>(blocks.begin)].channel;

  DepthwiseStream streams[kMaxDepthwisePieces];
  const int64_t a_offset = first_row * image.a_row_bytes + first_channel;
  for (int i = 0; i < chunk.pieces; ++i) {
    const Chunk::Piece& piece = chunk.piece[i];
    streams[i].positions = piece.end - piece.begin;
    for (int j = 0; j < kSources; ++j) {
      const auto row = static_cast<uint64_t>(first_row + piece.row[j]);
      const bool in = piece.in_width[j] && row < static_cast<uint64_t>(image.height);
      streams[i].sources[j] = in ? image.a + (a_offset + piece.offset_bytes[j]) : padding_.bytes;
      streams[i].step_bytes[j] = in ? step : 0;
    }
  }

  DepthwiseArgs args;
  args.streams = streams;
  args.streams_end = streams + chunk.pieces;
  args.a_shift = a_shift_ * 0x01010101u;
  args.outputs.epilogue = &params_;
  args.outputs.c = image.c + y * image.c_row_bytes + chunk.x * image.c_pixel_bytes +
                   first_channel * static_cast<int64_t>(element_bytes_);
  args.outputs.c_row_bytes = image.c_row_bytes;
  args.outputs.c_pixel_bytes = args.outputs.place_bytes = image.c_pixel_bytes;
  args.pixels = chunk.pixels;
  const Form* form = nullptr;
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const Block& block = blocks_[static_cast<size_t>(b)];
    if (form != &forms_[static_cast<size_t>(block.form)]) {
      form = &forms_[static_cast<size_t>(block.form)];
      args.strip = strips + form->strip;
      for (int i = 0; i < chunk.pieces; ++i)
        streams[i].strip = strips + form->strip +
                           chunk.piece[i].stream * kQuarters * form->plane_bytes +
                           chunk.piece[i].begin * form->width;
    }
    args.weights = packed(block.weights[variant]);
    args.init = reinterpret_cast<const int32_t*>(packed(block.init));
    args.outputs.mult = reinterpret_cast<const float*>(packed(block.mult));
    args.outputs.bias = reinterpret_cast<const float*>(packed(block.bias));
    reinterpret_cast<DepthwiseFn>(form->run[variant])(&args);
    // All blocks but the last have nr channels.
    args.outputs.c += row_.nr * static_cast<int64_t>(element_bytes_);
    for (int i = 0; i < chunk.pieces; ++i)
      for (int j = 0; j < kSources; ++j)
        if (streams[i].step_bytes[j] != 0) streams[i].sources[j] += row_.nr;
  }
}

}  // namespace oct
