// oneDNN's convolution, in int8 with tensors laid out as ours, and in f32 as it likes them best.

#include <cstring>
#include <type_traits>

#include "perf/peer_onednn.h"
#include "perf/qconv_case.h"

namespace oct::perf::onednn {
namespace {

using dnnl::memory;

memory::dims axes_of(const ConvShape& s, const ConvShape::Axes& values) {
  return {values.begin(), values.begin() + s.rank};
}

memory::dims tensor_dims(const ConvShape& s, int64_t channels, const ConvShape::Axes& size) {
  memory::dims dims{s.batch, channels};
  dims.insert(dims.end(), size.begin(), size.begin() + s.rank);
  return dims;
}

memory::dims weight_dims(const ConvShape& s) {
  memory::dims dims;
  if (s.groups > 1) dims.push_back(s.groups);
  dims.push_back(s.out_channels / s.groups);
  dims.push_back(s.group_in());
  dims.insert(dims.end(), s.kernel.begin(), s.kernel.begin() + s.rank);
  return dims;
}

// Channels last.
memory::format_tag tensor_tag(const ConvShape& s) {
  constexpr memory::format_tag kTags[] = {memory::format_tag::nwc, memory::format_tag::nhwc,
                                          memory::format_tag::ndhwc};
  return kTags[s.rank - 1];
}

memory::format_tag weight_tag(const ConvShape& s) {
  constexpr memory::format_tag kTags[] = {memory::format_tag::owi, memory::format_tag::ohwi,
                                          memory::format_tag::odhwi};
  constexpr memory::format_tag kGrouped[] = {memory::format_tag::gowi, memory::format_tag::gohwi,
                                             memory::format_tag::godhwi};
  return (s.groups > 1 ? kGrouped : kTags)[s.rank - 1];
}

// A convolution or its transpose, chosen for the layouts given.
template <class Primitive>
typename Primitive::primitive_desc choose(const Machine& machine, const ConvShape& s,
                                          const memory::desc& src, const memory::desc& weights,
                                          const memory::desc& dst,
                                          const dnnl::primitive_attr& attr) {
  constexpr bool transposed = std::is_same_v<Primitive, dnnl::deconvolution_forward>;
  memory::dims skipped = axes_of(s, s.dilation);
  for (auto& d : skipped) --d;
  return {{dnnl::prop_kind::forward_inference,
           transposed ? dnnl::algorithm::deconvolution_direct : dnnl::algorithm::convolution_direct,
           src, weights, dst, axes_of(s, s.stride), skipped, axes_of(s, s.pad_begin),
           axes_of(s, s.pad_end)},
          attr,
          machine.engine};
}

memory zeros(const Machine& machine, const memory::desc& desc) {
  memory m(desc, machine.engine);
  std::memset(m.get_data_handle(), 0, desc.get_size());
  return m;
}

template <class Primitive>
std::unique_ptr<PeerRun> prepare(const Machine& machine, const QconvCase& problem, void* c) {
  const ConvShape& s = problem.shape();
  const memory::desc src(tensor_dims(s, s.in_channels, s.in), type_of(problem.options().src),
                         tensor_tag(s));
  const memory::desc weights(weight_dims(s), memory::data_type::s8, memory::format_tag::any);
  const memory::desc dst(tensor_dims(s, s.out_channels, s.out()), type_of(problem.options().dst),
                         tensor_tag(s));
  const auto chosen = choose<Primitive>(machine, s, src, weights, dst, attributes(problem));

  const memory given({weight_dims(s), memory::data_type::s8, weight_tag(s)}, machine.engine,
                     const_cast<int8_t*>(problem.b()));
  const memory wanted = reordered(machine, given, chosen.weights_desc());
  return std::make_unique<Execution>(
      machine, Primitive(chosen), chosen.impl_info_str(),
      std::vector<std::pair<int, memory>>{
          {DNNL_ARG_SRC, memory(src, machine.engine, const_cast<void*>(problem.a()))},
          {DNNL_ARG_WEIGHTS, wanted},
          {DNNL_ARG_DST, memory(dst, machine.engine, c)}});
}

template <class Primitive>
std::unique_ptr<PeerRun> prepare_f32(const Machine& machine, const QconvCase& problem) {
  const ConvShape& s = problem.shape();
  const auto any = [](const memory::dims& dims) {
    return memory::desc(dims, memory::data_type::f32, memory::format_tag::any);
  };
  dnnl::primitive_attr attr;
  if (problem.relu()) add_relu(attr);
  const auto chosen =
      choose<Primitive>(machine, s, any(tensor_dims(s, s.in_channels, s.in)), any(weight_dims(s)),
                        any(tensor_dims(s, s.out_channels, s.out())), attr);
  return std::make_unique<Execution>(
      machine, Primitive(chosen), chosen.impl_info_str(),
      std::vector<std::pair<int, memory>>{{DNNL_ARG_SRC, zeros(machine, chosen.src_desc())},
                                          {DNNL_ARG_WEIGHTS, zeros(machine, chosen.weights_desc())},
                                          {DNNL_ARG_DST, zeros(machine, chosen.dst_desc())}});
}

}  // namespace

std::unique_ptr<PeerRun> prepare_convolution(const Machine& machine, const QconvCase& problem,
                                             void* c) {
  return problem.shape().transposed ? prepare<dnnl::deconvolution_forward>(machine, problem, c)
                                    : prepare<dnnl::convolution_forward>(machine, problem, c);
}

std::unique_ptr<PeerRun> prepare_convolution_f32(const Machine& machine, const QconvCase& problem) {
  return problem.shape().transposed ? prepare_f32<dnnl::deconvolution_forward>(machine, problem)
                                    : prepare_f32<dnnl::convolution_forward>(machine, problem);
}

}  // namespace oct::perf::onednn
