#include "kernels/reference_conv.h"

namespace oct {
namespace {

using Index = std::array<int64_t, 3>;

// The input position that tap t contributes to output position o along one axis, or -1 if none.
int64_t input_of(const ReferenceConv& v, size_t axis, int64_t in, int64_t o, int64_t t) {
  int64_t i;
  if (v.transposed) {
    const int64_t scaled = o + v.pad_begin[axis] - t * v.dilation[axis];
    if (scaled < 0 || scaled % v.stride[axis] != 0) return -1;
    i = scaled / v.stride[axis];
  } else {
    i = o * v.stride[axis] - v.pad_begin[axis] + t * v.dilation[axis];
  }
  return i >= 0 && i < in ? i : -1;
}

// sum over taps and channels of (A - zero point) * (W - its zero point) for one output element,
// modulo 2^32.
uint32_t element(const ReferenceConv& v, const Index& in, const uint8_t* image, const Index& o,
                 int64_t channel) {
  const int64_t group_in = v.in_channels / v.groups;
  const int64_t first = channel / (v.out_channels / v.groups) * group_in;
  const int8_t* w = v.w + channel * v.kernel[0] * v.kernel[1] * v.kernel[2] * group_in;
  const int zero_point = v.layer.b_zero_points ? v.layer.b_zero_points[channel] : 0;
  uint32_t sum = 0;
  for (int64_t td = 0; td < v.kernel[0]; ++td)
    for (int64_t th = 0; th < v.kernel[1]; ++th)
      for (int64_t tw = 0; tw < v.kernel[2]; ++tw, w += group_in) {
        const int64_t d = input_of(v, 0, in[0], o[0], td);
        const int64_t h = input_of(v, 1, in[1], o[1], th);
        const int64_t x = input_of(v, 2, in[2], o[2], tw);
        if (d < 0 || h < 0 || x < 0) continue;
        const uint8_t* a = image + ((d * in[1] + h) * in[2] + x) * v.in_channels + first;
        for (int64_t i = 0; i < group_in; ++i) {
          const int value = v.layer.a_type == DType::kS8 ? static_cast<int8_t>(a[i]) : a[i];
          const int weight = v.layer.b.is_unsigned ? static_cast<uint8_t>(w[i]) : w[i];
          sum += static_cast<uint32_t>((value - v.layer.a_zero_point) * (weight - zero_point));
        }
      }
  return sum;
}

}  // namespace

void reference_conv(const ReferenceConv& v, int64_t batch, const Index& in, const Index& out,
                    const void* a, const ReferenceTensors& post, void* c) {
  const int64_t image_bytes = in[0] * in[1] * in[2] * v.in_channels;
  const int64_t pixel_bytes = v.out_channels * static_cast<int64_t>(dtype_bytes(v.layer.c_type));
  ReferenceTensors x = post;
  uint8_t* pixel = static_cast<uint8_t*>(c);
  for (int64_t b = 0; b < batch; ++b) {
    const uint8_t* image = static_cast<const uint8_t*>(a) + b * image_bytes;
    for (int64_t d = 0; d < out[0]; ++d)
      for (int64_t h = 0; h < out[1]; ++h)
        for (int64_t w = 0; w < out[2]; ++w, pixel += pixel_bytes) {
          for (int64_t n = 0; n < v.out_channels; ++n)
            reference_store(v.layer, element(v, in, image, {d, h, w}, n), n, x, pixel);
          for (size_t i = 0; i < x.size(); ++i)
            if (x[i])
              x[i] = static_cast<const uint8_t*>(x[i]) +
                     v.out_channels * static_cast<int64_t>(dtype_bytes(v.layer.post[i].type));
        }
  }
}

}  // namespace oct
