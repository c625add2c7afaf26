#include "perf/peer_onednn.h"

#include <fmt/format.h>
#include <omp.h>

#include "perf/qgemm_case.h"

namespace oct::perf {
namespace onednn {

using dnnl::memory;

memory::data_type type_of(DType type) {
  switch (type) {
    case DType::kU8: return memory::data_type::u8;
    case DType::kS8: return memory::data_type::s8;
    case DType::kS32: return memory::data_type::s32;
    case DType::kF32: return memory::data_type::f32;
    case DType::kBf16: return memory::data_type::bf16;
    case DType::kNone: break;
  }
  return memory::data_type::undef;
}

dnnl::primitive_attr attributes(const Case& problem) {
  const CaseOptions& options = problem.options();
  dnnl::primitive_attr attr;
  if (options.dst != DType::kS32) {
    std::vector<float> scales = problem.b_scales();
    for (float& s : scales) {
      s *= problem.a_scale();
      if (is_int8(options.dst)) s /= problem.c_scale();
    }
    attr.set_output_scales(/*mask: per channel*/ 1 << 1, scales);
  }
  if (options.a_zero_point != 0) attr.set_zero_points(DNNL_ARG_SRC, 0, {options.a_zero_point});
  if (is_int8(options.dst) && options.c_zero_point != 0)
    attr.set_zero_points(DNNL_ARG_DST, 0, {options.c_zero_point});
  if (problem.relu()) add_relu(attr);
  return attr;
}

void add_relu(dnnl::primitive_attr& attr) {
  dnnl::post_ops relu;
  relu.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  attr.set_post_ops(relu);
}

Execution::Execution(const Machine& machine, const dnnl::primitive& primitive,
                     std::string implementation,
                     std::vector<std::pair<int, dnnl::memory>> arguments)
    : stream_(machine.stream), primitive_(primitive), implementation_(std::move(implementation)) {
  for (const auto& [key, value] : arguments) {
    memories_.push_back(value);
    arguments_.push_back({key, value.get()});
  }
}

// The C call, since primitive::execute would build an argument list on the heap every time.
void Execution::run(int64_t calls) {
  dnnl_status_t status = dnnl_success;
  for (int64_t i = 0; i < calls && status == dnnl_success; ++i) {
    status = dnnl_primitive_execute(primitive_.get(), stream_.get(),
                                    static_cast<int>(arguments_.size()), arguments_.data());
    if (status == dnnl_success) status = dnnl_stream_wait(stream_.get());
  }
  dnnl::error::wrap_c_api(status, "oneDNN could not execute a primitive");
}

memory reordered(const Machine& machine, memory given, const memory::desc& wanted) {
  memory to(wanted, machine.engine);
  dnnl::stream stream = machine.stream;
  dnnl::reorder(given, to).execute(stream, given, to);
  stream.wait();
  return to;
}

std::unique_ptr<PeerRun> prepare_matmul(const Machine& machine, const QgemmCase& problem, void* c) {
  const auto& [m, k, n] = problem.shape();
  const CaseOptions& options = problem.options();
  const memory::desc src({m, k}, type_of(options.src), {k, 1});
  const memory::desc weights({k, n}, memory::data_type::s8, memory::format_tag::any);
  const memory::desc dst({m, n}, type_of(options.dst), {n, 1});
  const dnnl::matmul::primitive_desc chosen({src, weights, dst}, attributes(problem),
                                            machine.engine);

  const memory given({{k, n}, memory::data_type::s8, {1, k}}, machine.engine,
                     const_cast<int8_t*>(problem.b()));
  const memory wanted = reordered(machine, given, chosen.weights_desc());
  return std::make_unique<Execution>(
      machine, dnnl::matmul(chosen), chosen.impl_info_str(),
      std::vector<std::pair<int, memory>>{
          {DNNL_ARG_SRC, memory(src, machine.engine, const_cast<void*>(problem.a()))},
          {DNNL_ARG_WEIGHTS, wanted},
          {DNNL_ARG_DST, memory(dst, machine.engine, c)}});
}

}  // namespace onednn

namespace {

dnnl::cpu_isa onednn_isa(Isa cap) {
  switch (cap) {
    case Isa::kNone: break;
    case Isa::kAvx2: return dnnl::cpu_isa::avx2;
    case Isa::kAvxVnni:
    case Isa::kAvxVnniInt8: return dnnl::cpu_isa::avx2_vnni;
    case Isa::kAvx512bw: return dnnl::cpu_isa::avx512_core;
    case Isa::kAvx512Vnni: return dnnl::cpu_isa::avx512_core_vnni;
    case Isa::kAmx: return dnnl::cpu_isa::avx512_core_amx;
  }
  return dnnl::cpu_isa::all;
}

const char* onednn_isa_name(dnnl::cpu_isa isa) {
  switch (isa) {
    case dnnl::cpu_isa::avx2: return "avx2";
    case dnnl::cpu_isa::avx2_vnni: return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core: return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni: return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16: return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx: return "avx512_core_amx";
    default: return "below avx2";
  }
}

class OneDnn : public Peer {
 public:
  OneDnn(Isa cap, int threads) {
    // Has an effect only before oneDNN first looks at the CPU; overrides DNNL_MAX_CPU_ISA.
    if (cap != Isa::kNone) dnnl::set_max_cpu_isa(onednn_isa(cap));
    omp_set_num_threads(threads);
    machine_.engine = dnnl::engine(dnnl::engine::kind::cpu, 0);
    machine_.stream = dnnl::stream(machine_.engine);
  }

  std::string name() const override { return "onednn"; }
  std::string version() const override {
    const dnnl::version_t* v = dnnl::version();
    return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
  }
  std::string isa() const override { return onednn_isa_name(dnnl::get_effective_cpu_isa()); }

  std::unique_ptr<PeerRun> prepare(const QgemmCase& problem, void* c) override {
    return onednn::prepare_matmul(machine_, problem, c);
  }
  std::unique_ptr<PeerRun> prepare(const QconvCase& problem, void* c) override {
    return onednn::prepare_convolution(machine_, problem, c);
  }
  std::unique_ptr<PeerRun> prepare_f32(const QconvCase& problem) override {
    return onednn::prepare_convolution_f32(machine_, problem);
  }

 private:
  onednn::Machine machine_;
};

}  // namespace

std::unique_ptr<Peer> make_onednn_peer(Isa cap, int threads) {
  return std::make_unique<OneDnn>(cap, threads);
}

}  // namespace oct::perf
