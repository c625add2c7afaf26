// Lays out and fills what the blocks of a Depthwise read: packed weights and the epilogue's arrays.
#pragma once

#include "kernels/depthwise.h"

namespace oct {

class Depthwise::Packer {
 public:
  Packer(Depthwise& d, const DepthwiseDesc& desc);
  void pack();

 private:
  const Form& form(const Block& b) const { return d_.forms_[static_cast<size_t>(b.form)]; }
  void pack_strip();
  size_t channel_bytes() const;
  size_t weight_bytes(int variant) const;
  void pack_weights(const Block& b, int variant);
  void pack_windows();
  void pack_window(const Block& b, const std::vector<WindowRow>& rows);
  void pack_vectors(const Block& b, int q, const std::array<int, kSources>& taps,
                    uint8_t* to) const;
  void pack_init(const Block& b, int padding, uint8_t* to) const;
  void pack_outputs(const Block& b);
  void pack_rolling();
  void pack_rolling(const Block& b, int variant, uint8_t* to) const;
  int32_t init_of(int64_t channel, int padding = -1) const;
  int channel_in_lanes(const Form& f, int q, int lane) const;
  int channel_in_order(const Form& f, int vector, int lane) const;

  Depthwise& d_;
  const DepthwiseDesc& desc_;
  const int lanes_, words_, taps_;  // of a vector; vectors of a dot's weights; of a kernel
};

}  // namespace oct
