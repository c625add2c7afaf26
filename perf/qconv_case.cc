#include "perf/qconv_case.h"

#include <algorithm>

#include "kernels/reference_conv.h"
#include "perf/library.h"
#include "perf/peer.h"

namespace oct::perf {
namespace {

using Axes = ConvShape::Axes;

class OurConv : public OurPlan {
 public:
  OurConv(oct_context* context, ConvPlanPtr plan, const oct_qconv_args& args)
      : context_(context), plan_(std::move(plan)), args_(args) {}

  void run(int64_t calls) override {
    run_calls(context_, oct_qconv_run, plan_.get(), args_, calls);
  }
  std::string explain() const override { return perf::explain(plan_.get(), args_.in_size); }

 private:
  oct_context* context_;
  ConvPlanPtr plan_;
  oct_qconv_args args_;
};

// The reference has three axes always: absent ones come first.
Axes full_rank(int rank, const Axes& values, int64_t absent) {
  Axes all;
  all.fill(absent);
  std::copy(values.begin(), values.begin() + rank, all.end() - rank);
  return all;
}

}  // namespace

QconvCase::QconvCase(const Problem& problem, const ConvShape& shape, const CaseOptions& options)
    : Case(problem, options,
           {shape.in_pixels() * shape.in_channels, shape.out_pixels(), shape.out_channels,
            shape.taps() * shape.group_in()}),
      shape_(shape) {}

// What a transposed convolution's outputs see differs: every input pixel meets every tap.
double QconvCase::operations() const {
  if (!shape_.transposed) return Case::operations();
  return 2.0 * static_cast<double>(shape_.in_pixels()) * static_cast<double>(n()) *
         static_cast<double>(k());
}

// An output of one pixel, with the padding that puts the filter over it.
void QconvCase::reference_row(int64_t row, void* c) const {
  const Axes in = full_rank(shape_.rank, shape_.in, 1);
  const Axes out = full_rank(shape_.rank, shape_.out(), 1);
  ReferenceConv r{};
  r.layer = reference_layer();
  r.w = b();
  r.in_channels = shape_.in_channels;
  r.out_channels = shape_.out_channels;
  r.groups = shape_.groups;
  r.kernel = full_rank(shape_.rank, shape_.kernel, 1);
  r.stride = full_rank(shape_.rank, shape_.stride, 1);
  r.dilation = full_rank(shape_.rank, shape_.dilation, 1);
  r.pad_begin = full_rank(shape_.rank, shape_.pad_begin, 0);
  r.transposed = shape_.transposed;
  for (size_t axis = 3; axis-- > 0; row /= out[axis])
    r.pad_begin[axis] += row % out[axis] * (shape_.transposed ? 1 : -r.stride[axis]);
  const int64_t image_bytes = in[0] * in[1] * in[2] * shape_.in_channels;
  reference_conv(r, 1, in, {1, 1, 1}, static_cast<const uint8_t*>(a()) + row * image_bytes, {}, c);
}

std::unique_ptr<OurPlan> QconvCase::create_plan(oct_context* context, const std::string& kernel,
                                                void* c) const {
  oct_qconv_desc d = OCT_QCONV_DESC_INIT;
  d.rank = shape_.rank;
  d.in_channels = shape_.in_channels;
  d.out_channels = shape_.out_channels;
  d.groups = shape_.groups;
  std::copy(shape_.kernel.begin(), shape_.kernel.end(), d.kernel);
  std::copy(shape_.stride.begin(), shape_.stride.end(), d.stride);
  std::copy(shape_.dilation.begin(), shape_.dilation.end(), d.dilation);
  std::copy(shape_.pad_begin.begin(), shape_.pad_begin.end(), d.pad_begin);
  for (size_t i = 0; i < shape_.pad_end.size(); ++i) {
    d.pad_end[i] = std::max<int64_t>(0, shape_.pad_end[i]);
    d.output_padding[i] = std::max<int64_t>(0, -shape_.pad_end[i]);
  }
  std::copy(shape_.in.begin(), shape_.in.end(), d.size_hint);
  set_layer(*this, &d);
  d.w = b();
  d.w_layout = OCT_WEIGHTS_OHWI;
  d.w_scales = b_scales().data();
  d.w_scale_count = n();
  d.flags = (relu() ? OCT_QCONV_RELU : 0) | (shape_.transposed ? OCT_QCONV_TRANSPOSED : 0);
  d.kernel_name = kernel.empty() ? nullptr : kernel.c_str();

  oct_qconv_args args = OCT_QCONV_ARGS_INIT;
  args.batch = shape_.batch;
  std::copy(shape_.in.begin(), shape_.in.end(), args.in_size);
  args.a.data = const_cast<void*>(a());
  args.c.data = c;
  return std::make_unique<OurConv>(context, perf::create_plan(context, d), args);
}

std::unique_ptr<PeerRun> QconvCase::prepare(Peer& peer, void* c) const {
  return peer.prepare(*this, c);
}

std::unique_ptr<PeerRun> QconvCase::prepare_f32(Peer& peer) const {
  return peer.prepare_f32(*this);
}

}  // namespace oct::perf
