#include "kernels/depthwise_pack.h"

#include <cstring>
#include <utility>

namespace oct {
namespace {

constexpr int kQuarters = kDepthwiseQuarters;
constexpr int kLaneChannels = 16;  // channels in a 128-bit lane of bytes

// The offset of so many bytes at the end of an array, which grows by them to whole lines.
size_t place(size_t size, size_t* bytes) {
  return std::exchange(*bytes, *bytes + (size + 63) / 64 * 64);
}

}  // namespace

Depthwise::Packer::Packer(Depthwise& d, const DepthwiseDesc& desc)
    : d_(d), desc_(desc), lanes_(d.row_.lanes), words_(depthwise_weight_vectors(d.row_)),
      taps_(d.shape_.vertical.kernel * d.shape_.horizontal.kernel) {}

void Depthwise::Packer::pack() {
  switch (d_.method_) {
    case Method::kStrip: return pack_strip();
    case Method::kWindow: return pack_windows();
    case Method::kRolling: return pack_rolling();
  }
}

void Depthwise::Packer::pack_strip() {
  size_t bytes = 0;
  for (Block& b : d_.blocks_) {
    for (int i = 0; i < kMaxOutputRows; ++i) b.weights[i] = place(weight_bytes(i), &bytes);
    b.init = place(channel_bytes(), &bytes);
    b.mult = place(channel_bytes(), &bytes);
    b.bias = place(channel_bytes(), &bytes);
  }
  d_.packed_.resize(bytes / sizeof(Line));
  for (const Block& b : d_.blocks_) {
    for (int i = 0; i < kMaxOutputRows; ++i) pack_weights(b, i);
    pack_init(b, -1, d_.packed_[0].bytes + b.init);
    pack_outputs(b);
  }
}

void Depthwise::Packer::pack_windows() {
  const std::vector<WindowRow> rows = depthwise_window_layout(d_.shape_.vertical);
  d_.window_row_bytes_ = rows[0].vectors() * lanes_ * 4;
  const auto weights = rows.size() * static_cast<size_t>(d_.window_row_bytes_);
  size_t bytes = 0;
  for (Block& b : d_.blocks_) {
    b.weights[0] = place(weights, &bytes);
    b.mult = place(channel_bytes(), &bytes);
    b.bias = place(channel_bytes(), &bytes);
  }
  d_.block_bytes_ = static_cast<int64_t>(bytes / d_.blocks_.size());
  d_.packed_.resize(bytes / sizeof(Line));
  for (const Block& b : d_.blocks_) {
    pack_window(b, rows);
    pack_outputs(b);
  }
}

void Depthwise::Packer::pack_window(const Block& b, const std::vector<WindowRow>& rows) {
  uint8_t* to = d_.packed_[0].bytes + b.weights[0];
  for (const WindowRow& row : rows) {
    pack_init(b, row.padding, to);
    to += channel_bytes();
    for (int q = 0; q < kQuarters; ++q)
      for (const auto& dot : row.dots) {
        pack_vectors(b, q, dot, to);
        to += lanes_ * 4;
      }
  }
}

// Of an array with a value for each channel.
size_t Depthwise::Packer::channel_bytes() const {
  return static_cast<size_t>(kQuarters * lanes_) * 4;
}

size_t Depthwise::Packer::weight_bytes(int variant) const {
  return static_cast<size_t>(d_.taps_[variant].dot_count() * kQuarters * words_ * lanes_) * 4;
}

// Which channel of the block lane `lane` of quarter q works on, or -1 for none; and the same for
// vectors of channels in memory order.
int Depthwise::Packer::channel_in_lanes(const Form& f, int q, int lane) const {
  const int channel = (lane / 4 * kLaneChannels + 4 * q + lane % 4) % f.width;
  return channel < f.n ? channel : -1;
}
int Depthwise::Packer::channel_in_order(const Form& f, int vector, int lane) const {
  const int channel = (vector * lanes_ + lane) % f.width;
  return channel < f.n ? channel : -1;
}

void Depthwise::Packer::pack_weights(const Block& b, int variant) {
  const DepthwiseTaps& taps = d_.taps_[variant];
  uint8_t* to = d_.packed_[0].bytes + b.weights[variant];
  for (const TapRun& run : form(b).runs[variant])
    for (int q = 0; q < kQuarters; ++q)
      for (int i = 0; i < run.count; ++i) {
        const TapDot& dot = taps.dots[static_cast<size_t>(run.first + i)];
        for (int r = 0; r < taps.outputs; ++r) {
          if (!dot.used[r]) continue;
          pack_vectors(b, q, dot.taps[r], to);
          to += words_ * lanes_ * 4;
        }
      }
}

// The weights of one dot. As bytes: four to a lane. As s16: the odd sources, then the even ones.
void Depthwise::Packer::pack_vectors(const Block& b, int q, const std::array<int, kSources>& taps,
                                     uint8_t* to) const {
  for (int lane = 0; lane < lanes_; ++lane) {
    const int channel = channel_in_lanes(form(b), q, lane);
    if (channel < 0) continue;
    const int8_t* const kernel = desc_.weights + (b.channel + channel) * taps_;
    for (int i = 0; i < kSources; ++i) {
      const int tap = taps[static_cast<size_t>(i)];
      const int16_t weight = tap < 0 ? int16_t{0} : int16_t{kernel[tap]};
      if (words_ == 1) {
        to[4 * lane + i] = static_cast<uint8_t>(weight);
      } else {
        const int vector = i % 2 == 1 ? 0 : lanes_;
        std::memcpy(to + 4 * (vector + lane) + i / 2 * 2, &weight, sizeof weight);
      }
    }
  }
}

// Sums start at the bias minus zero point times the sum of weights, less those of the kernel's row
// `padding`.
int32_t Depthwise::Packer::init_of(int64_t channel, int padding) const {
  const int columns = d_.shape_.horizontal.kernel;
  const int8_t* weight = desc_.weights + channel * taps_;
  uint32_t sum = 0;
  for (int row = 0; row < d_.shape_.vertical.kernel; ++row)
    for (int column = 0; column < columns; ++column, ++weight)
      if (row != padding) sum += static_cast<uint32_t>(int32_t{*weight});
  const auto byte = static_cast<uint8_t>(desc_.a_zero_point + desc_.a_shift);
  const auto zero_point =
      static_cast<uint32_t>(d_.method_ == Method::kRolling ? d_.rolling_value(desc_.a_zero_point)
                            : d_.row_.flags & kRowSignedA  ? int32_t{static_cast<int8_t>(byte)}
                                                           : int32_t{byte});
  const uint32_t bias = desc_.bias_s32 ? static_cast<uint32_t>(desc_.bias_s32[channel]) : 0;
  return static_cast<int32_t>(bias - zero_point * sum);
}

// By output rows of a call, then blocks.
void Depthwise::Packer::pack_rolling() {
  const Axis &v = d_.shape_.vertical, &h = d_.shape_.horizontal;
  size_t bytes = 0;
  for (int i = 0; i < kMaxOutputRows; ++i)
    for (Block& b : d_.blocks_) {
      b.weights[i] = bytes;
      bytes += static_cast<size_t>(RollingLayout(d_.row_, v, h, i + 1, form(b).n).size());
    }
  d_.packed_.resize((bytes + sizeof(Line) - 1) / sizeof(Line));
  for (const Block& b : d_.blocks_)
    for (int i = 0; i < kMaxOutputRows; ++i) pack_rolling(b, i, d_.packed_[0].bytes + b.weights[i]);
}

void Depthwise::Packer::pack_rolling(const Block& b, int variant, uint8_t* to) const {
  const Axis &v = d_.shape_.vertical, &h = d_.shape_.horizontal;
  const RollingLayout layout(d_.row_, v, h, variant + 1, form(b).n);
  const auto put = [&](int64_t offset, auto value) {
    std::memcpy(to + offset, &value, sizeof value);
  };
  const bool bytes_out = is_int8(desc_.epilogue.c_type);
  for (int c = 0; c < form(b).n; ++c) {
    const int64_t channel = b.channel + c;
    const int dword = layout.dword(c);
    put(layout.init + 4 * dword, init_of(channel));
    for (int r = 0; r < layout.outputs; ++r) {
      const int64_t at = 4 * (r * layout.vectors * lanes_ + (bytes_out ? dword : c));
      if (desc_.mult) put(layout.mult + at, desc_.mult[channel]);
      if (desc_.bias_f32) put(layout.bias + at, desc_.bias_f32[channel]);
    }
    const int8_t* const kernel = desc_.weights + channel * taps_;
    for (int t = 0; t < h.kernel; ++t)
      for (int r = 0; r < layout.outputs; ++r)
        for (int p = 0; p < layout.input_pairs; ++p) {
          const int64_t at = layout.dot(t, r, p);
          if (at < 0) continue;
          for (int half = 0; half < 2; ++half)
            if (const int row = layout.kernel_row(r, p, half); row >= 0 && row < v.kernel)
              put(at + 4 * dword + 2 * half, int16_t{kernel[row * h.kernel + t]});
        }
    for (int t = h.kernel - 1; t >= 0 && layout.across; t -= 2)
      for (int r = 0; r < layout.outputs; ++r)
        for (int half = 0; half < 2; ++half)
          if (const int column = t - 1 + half; column >= 0)
            put(layout.across_dot(t, r) + 4 * dword + 2 * half,
                int16_t{kernel[layout.across_kernel_row(r) * h.kernel + column]});
  }
}

void Depthwise::Packer::pack_init(const Block& b, int padding, uint8_t* to) const {
  auto* init = reinterpret_cast<int32_t*>(to);
  for (int q = 0; q < kQuarters; ++q)
    for (int lane = 0; lane < lanes_; ++lane)
      if (const int channel = channel_in_lanes(form(b), q, lane); channel >= 0)
        init[q * lanes_ + lane] = init_of(b.channel + channel, padding);
}

void Depthwise::Packer::pack_outputs(const Block& b) {
  const bool bytes_out = is_int8(desc_.epilogue.c_type);
  auto* mult = reinterpret_cast<float*>(d_.packed_[0].bytes + b.mult);
  auto* bias = reinterpret_cast<float*>(d_.packed_[0].bytes + b.bias);
  for (int v = 0; v < kQuarters; ++v)
    for (int lane = 0; lane < lanes_; ++lane) {
      const int at = v * lanes_ + lane;
      const int channel =
          bytes_out ? channel_in_lanes(form(b), v, lane) : channel_in_order(form(b), v, lane);
      if (channel < 0) continue;
      if (desc_.mult) mult[at] = desc_.mult[b.channel + channel];
      if (desc_.bias_f32) bias[at] = desc_.bias_f32[b.channel + channel];
    }
}

}  // namespace oct
