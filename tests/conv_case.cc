#include "tests/conv_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "kernels/reference_conv.h"

namespace oct::test {
namespace {

int64_t product(const int64_t* v, int rank) {
  int64_t p = 1;
  for (int i = 0; i < rank; ++i) p *= v[i];
  return p;
}

std::array<int64_t, 3> full(const int64_t* v, int rank) {
  std::array<int64_t, 3> all{1, 1, 1};
  for (int i = 0; i < rank; ++i) all[static_cast<size_t>(3 - rank + i)] = v[i];
  return all;
}

int type_min(oct_dtype t) { return t == OCT_S8 ? -128 : 0; }
int type_max(oct_dtype t) { return t == OCT_S8 ? 127 : 255; }

class Drawing {
 public:
  Drawing(Rng& rng, const ConvLimits& limits) : rng(rng), limits(limits), d(c.desc) {}

  ConvCase draw() {
    shape();
    operands();
    epilogue();
    return std::move(c);
  }

 private:
  void shape() {
    d.rank = static_cast<int32_t>(limits.depthwise ? rng.between(1, 2) : rng.between(1, 3));
    const bool transposed = rng.one_in(limits.depthwise ? 10 : 5);
    if (transposed) d.flags |= OCT_QCONV_TRANSPOSED;
    d.groups = limits.depthwise ? rng.between(1, 150) : rng.one_in(3) ? rng.between(2, 4) : 1;
    const int64_t in = limits.depthwise ? 1 : rng.between(1, rng.one_in(2) ? 4 : 20);
    const int64_t out = limits.depthwise ? 1 : rng.between(1, rng.one_in(4) ? 90 : 40);
    d.in_channels = d.groups * in;
    d.out_channels = d.groups * out;
    if (limits.small_groups) small_groups();
    c.batch = rng.between(1, 2);
    for (int i = 0; i < d.rank; ++i) axis(i, transposed);
    if (limits.tall) tall();
  }

  void tall() {
    d.rank = 2;
    d.groups = 1;
    d.in_channels = rng.between(1, 3);
    d.flags &= ~static_cast<uint32_t>(OCT_QCONV_TRANSPOSED);
    for (int i = 0; i < d.rank; ++i) {
      axis(i, false);
      d.output_padding[i] = 0;
    }
    c.in[0] = rng.between(950, 1100);
    if (rng.one_in(3)) d.dilation[0] = rng.between(365, 450);
    d.dilation[1] = 1;
    set_output(0, false);
    c.in[1] = rng.between(3, 5);
    set_output(1, false);
  }

  void small_groups() {
    const int64_t out = int64_t{1} << rng.between(0, 4), in = rng.one_in(2) ? out : (out + 1) / 2;
    d.groups = 16 * rng.between(1, 6) / std::min<int64_t>(out, 8) * (rng.one_in(2) ? 4 : 1);
    d.out_channels = d.groups * out;
    d.in_channels = d.groups * in;
  }

  void axis(int i, bool transposed) {
    d.kernel[i] = rng.between(1, d.rank == 3 ? 3 : limits.kernel);
    d.stride[i] = rng.between(1, limits.stride);
    d.dilation[i] = rng.between(1, limits.dilation);
    const int64_t pad = rng.one_in(6) ? 7 : 2;  // sometimes beyond the kernel
    d.pad_begin[i] = rng.between(0, pad);
    d.pad_end[i] = rng.between(0, pad);
    if (transposed) d.output_padding[i] = rng.between(0, std::max(d.stride[i], d.dilation[i]) - 1);
    c.in[i] = rng.between(1, d.rank == 1 ? 40 : d.rank == 2 ? 14 : 6);
    set_output(i, transposed);
  }

  void set_output(int i, bool transposed) {
    const int64_t reach = d.dilation[i] * (d.kernel[i] - 1) + 1;
    const int64_t padded = c.in[i] + d.pad_begin[i] + d.pad_end[i] - reach;
    c.out[i] = transposed ? (c.in[i] - 1) * d.stride[i] - d.pad_begin[i] - d.pad_end[i] + reach +
                                d.output_padding[i]
               : padded < 0 ? 0
                            : padded / d.stride[i] + 1;
  }

  void zero_points() {
    d.w_type = rng.one_in(2) ? OCT_U8 : OCT_S8;
    d.w_zero_point_count = rng.one_in(2) ? 1 : d.out_channels;
    for (int64_t i = 0; i < d.w_zero_point_count; ++i)
      c.w_zero_points.push_back(
          static_cast<int32_t>(rng.between(type_min(d.w_type), type_max(d.w_type))));
    if (!rng.one_in(4)) d.w_zero_points = c.w_zero_points.data();
  }

  void operands() {
    d.a_type = rng.one_in(2) ? OCT_S8 : OCT_U8;
    const int lo = type_min(d.a_type), hi = type_max(d.a_type);
    d.a_zero_point = rng.one_in(3) ? 0 : static_cast<int32_t>(rng.between(lo, hi));
    d.a_scale = 0.02f;
    c.a.resize(static_cast<size_t>(c.batch * c.in_pixels() * d.in_channels));
    for (uint8_t& v : c.a)
      v = static_cast<uint8_t>(rng.one_in(4) ? (rng.one_in(2) ? lo : hi) : rng.between(lo, hi));
    const int64_t in = d.in_channels / d.groups, out = d.out_channels / d.groups;
    c.w_ohwi.resize(static_cast<size_t>(d.out_channels * c.taps() * in));
    for (int8_t& v : c.w_ohwi)
      v = static_cast<int8_t>(rng.one_in(4) ? (rng.one_in(2) ? -128 : 127)
                                            : rng.between(-128, 127));
    c.w = c.w_ohwi;
    d.w_layout = rng.one_in(2) ? OCT_WEIGHTS_OIHW : OCT_WEIGHTS_OHWI;
    if (d.w_layout == OCT_WEIGHTS_OIHW) {
      const bool transposed = d.flags & OCT_QCONV_TRANSPOSED;
      for (int64_t o = 0; o < d.out_channels; ++o)
        for (int64_t t = 0; t < c.taps(); ++t)
          for (int64_t i = 0; i < in; ++i) {
            const int64_t row = transposed ? (o / out * in + i) * out + o % out : o * in + i;
            c.w[static_cast<size_t>(row * c.taps() + t)] =
                c.w_ohwi[static_cast<size_t>((o * c.taps() + t) * in + i)];
          }
    }
    d.w = c.w.data();
    if (!limits.small_groups && rng.one_in(3)) zero_points();
    c.scales.resize(static_cast<size_t>(rng.one_in(4) ? 1 : d.out_channels));
    for (float& s : c.scales) s = static_cast<float>(rng.log_real(1e-4, 2e-3));
    d.w_scales = c.scales.data();
    d.w_scale_count = static_cast<int64_t>(c.scales.size());
  }

  void epilogue() {
    constexpr oct_dtype types[] = {OCT_U8, OCT_S8, OCT_U8, OCT_S32, OCT_F32, OCT_BF16};
    d.c_type = rng.pick(types);
    d.c_scale = rng.one_in(4) ? 1e-6f : 0.05f;  // small: multipliers above one
    d.c_zero_point = static_cast<int32_t>(rng.between(type_min(d.c_type), type_max(d.c_type)));
    bias();
    if (d.c_type == OCT_S32) return;
    switch (rng.between(0, 2)) {
      case 1: d.flags |= OCT_QCONV_RELU; break;
      case 2:
        d.flags |= OCT_QCONV_CLAMP;
        d.clamp_min = -1;
        d.clamp_max = 2;
        break;
    }
    if (!limits.depthwise && rng.one_in(3)) residual();
    if (limits.post) chain();
  }

  void chain() {
    const int most = OCT_MAX_POST_OPS - (d.add_type != OCT_NONE);
    const auto elements = static_cast<size_t>(c.batch * c.out_pixels() * d.out_channels);
    c.chain = draw_api_chain(rng, 2, most, elements);
    if (c.chain.bound()) d.flags &= ~static_cast<uint32_t>(OCT_QCONV_RELU | OCT_QCONV_CLAMP);
    d.post = c.chain.ops.data();
    d.post_count = static_cast<int64_t>(c.chain.ops.size());
  }

  void bias() {
    const auto n = static_cast<size_t>(d.out_channels);
    if (rng.one_in(3)) {
      c.bias_s32.resize(n);
      for (int32_t& b : c.bias_s32) b = static_cast<int32_t>(rng.between(-20000, 20000));
      d.bias_type = OCT_S32;
      d.bias = c.bias_s32.data();
    } else if (d.c_type != OCT_S32 && rng.one_in(2)) {
      c.bias_f32.resize(n);
      for (float& b : c.bias_f32) b = static_cast<float>(rng.real(-10, 10));
      d.bias_type = OCT_F32;
      d.bias = c.bias_f32.data();
    }
  }

  void residual() {
    d.add_type = rng.one_in(2) ? OCT_S8 : OCT_U8;
    d.add_scale = 0.03f;
    d.add_zero_point =
        static_cast<int32_t>(rng.between(type_min(d.add_type), type_max(d.add_type)));
    c.x.resize(
        static_cast<size_t>(std::max<int64_t>(0, c.batch * c.out_pixels() * d.out_channels)));
    if (!c.x.empty()) rng.fill_bytes(c.x.data(), c.x.size());
  }

  Rng& rng;
  const ConvLimits& limits;
  ConvCase c;
  oct_qconv_desc& d;
};

}  // namespace

ConvCase draw_conv(Rng& rng, const ConvLimits& limits) { return Drawing(rng, limits).draw(); }

int64_t ConvCase::taps() const { return product(desc.kernel, desc.rank); }
int64_t ConvCase::in_pixels() const { return product(in, desc.rank); }
int64_t ConvCase::out_pixels() const {
  const bool none = std::any_of(out, out + desc.rank, [](int64_t o) { return o < 1; });
  return none ? 0 : product(out, desc.rank);
}

size_t ConvCase::c_bytes() const {
  return static_cast<size_t>(batch * out_pixels() * desc.out_channels) *
         dtype_bytes(static_cast<DType>(desc.c_type));
}

std::vector<uint8_t> ConvCase::expected() const {
  const oct_qconv_desc& d = desc;
  std::vector<float> per_channel(static_cast<size_t>(d.out_channels), scales[0]);
  if (scales.size() > 1) per_channel = scales;
  ReferenceConv v{};
  ReferenceGemm& g = v.layer;
  g.a_type = static_cast<DType>(d.a_type);
  g.a_zero_point = d.a_zero_point;
  g.a_scale = d.a_scale;
  g.b_scales = per_channel.data();
  g.bias_type = static_cast<DType>(d.bias_type);
  g.bias = d.bias;
  g.c_type = static_cast<DType>(d.c_type);
  g.c_scale = d.c_scale;
  g.c_zero_point = d.c_zero_point;
  g.relu = d.flags & OCT_QCONV_RELU;
  g.clamp = d.flags & OCT_QCONV_CLAMP;
  g.clamp_min = d.clamp_min;
  g.clamp_max = d.clamp_max;
  ReferenceTensors tensors{};
  size_t at = 0;
  if (d.add_type != OCT_NONE) {
    tensors[at] = x.data();
    g.post[at++] = {PostKind::kAdd,  0, 0, static_cast<DType>(d.add_type), d.add_scale,
                    d.add_zero_point};
  }
  const PostChain inner = chain.inner();
  for (size_t i = 0; i < chain.x.size(); ++i) {
    tensors[at] = chain.x[i].empty() ? nullptr : chain.x[i].data();
    g.post[at++] = inner[i];
  }
  if (const PostOp* bound = chain.bound()) {
    g.relu = bound->kind == PostKind::kRelu;
    g.clamp = !g.relu;
    g.clamp_min = bound->alpha;
    g.clamp_max = bound->beta;
  }
  std::vector<int32_t> zero_points(static_cast<size_t>(d.out_channels));
  for (size_t i = 0; i < zero_points.size() && d.w_zero_points; ++i)
    zero_points[i] = d.w_zero_points[d.w_zero_point_count == 1 ? 0 : i];
  g.b.is_unsigned = d.w_type == OCT_U8;
  g.b_zero_points = zero_points.data();
  v.w = w_ohwi.data();
  v.in_channels = d.in_channels;
  v.out_channels = d.out_channels;
  v.groups = d.groups;
  v.kernel = full(d.kernel, d.rank);
  v.stride = full(d.stride, d.rank);
  v.dilation = full(d.dilation, d.rank);
  v.pad_begin = {0, 0, 0};
  for (int i = 0; i < d.rank; ++i)
    v.pad_begin[static_cast<size_t>(3 - d.rank + i)] = d.pad_begin[i];
  v.transposed = d.flags & OCT_QCONV_TRANSPOSED;
  std::vector<uint8_t> result(c_bytes());
  reference_conv(v, batch, full(in, d.rank), full(out, d.rank), a.data(), tensors, result.data());
  return result;
}

std::vector<uint8_t> ConvCase::run(const oct_qconv* plan, int64_t images) const {
  std::vector<uint8_t> result(c_bytes() / static_cast<size_t>(batch) * static_cast<size_t>(images),
                              0xcc);
  oct_qconv_args args = OCT_QCONV_ARGS_INIT;
  args.batch = images;
  std::copy(in, in + OCT_MAX_SPATIAL, args.in_size);
  args.a.data = const_cast<uint8_t*>(a.data());
  args.add.data = const_cast<uint8_t*>(x.data());
  args.c.data = result.data();
  EXPECT_EQ(oct_qconv_run(plan, &args), OCT_OK) << oct_last_error() << "\n" << text();
  return result;
}

std::string ConvCase::text() const {
  const oct_qconv_desc& d = desc;
  std::string s = "OCTAVO_TEST_SEED=" + std::to_string(base_seed()) + ", rank " +
                  std::to_string(d.rank) + ", flags " + std::to_string(d.flags) + ", batch " +
                  std::to_string(batch) + ", channels " + std::to_string(d.in_channels) + " -> " +
                  std::to_string(d.out_channels) + ", groups " + std::to_string(d.groups);
  for (int i = 0; i < d.rank; ++i)
    s += "; in " + std::to_string(in[i]) + " out " + std::to_string(out[i]) + " kernel " +
         std::to_string(d.kernel[i]) + " stride " + std::to_string(d.stride[i]) + " dilation " +
         std::to_string(d.dilation[i]) + " pad " + std::to_string(d.pad_begin[i]) + "," +
         std::to_string(d.pad_end[i]) + " output padding " + std::to_string(d.output_padding[i]);
  return s + "; a_type " + std::to_string(d.a_type) + " zero point " +
         std::to_string(d.a_zero_point) + ", bias " + std::to_string(d.bias_type) + ", add " +
         std::to_string(d.add_type) + ", c_type " + std::to_string(d.c_type) + ", post-operations" +
         text_of(chain.chain);
}

ConvPlan::ConvPlan(oct_context* context, const oct_qconv_desc& desc) {
  EXPECT_EQ(oct_qconv_create(context, &desc, &plan_), OCT_OK) << oct_last_error();
}

PostTensors dense_tensors(const ConvCase& c) {
  PostTensors post{};
  for (size_t i = 0; i < c.chain.x.size(); ++i)
    post[i].data = const_cast<uint8_t*>(c.chain.x[i].data());
  return post;
}

oct_qconv_args dense_args(const ConvCase& c, const PostTensors& post, void* out) {
  oct_qconv_args args = OCT_QCONV_ARGS_INIT;
  args.post = post.data();
  args.batch = c.batch;
  std::memcpy(args.in_size, c.in, sizeof c.in);
  args.a.data = const_cast<uint8_t*>(c.a.data());
  args.add.data = const_cast<uint8_t*>(c.x.data());
  args.c.data = out;
  return args;
}

}  // namespace oct::test
