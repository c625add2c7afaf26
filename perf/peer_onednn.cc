// oneDNN's matmul primitive (API version 2).
#include <omp.h>

#include <fmt/format.h>
#include <dnnl.hpp>

#include <array>

#include "perf/peer.h"

namespace oct::perf {
namespace {

using dnnl::memory;

memory::data_type onednn_type(DType type) {
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

class OneDnnGemm : public PeerGemm {
 public:
  OneDnnGemm(const dnnl::engine& engine, const dnnl::stream& stream, const QgemmCase& problem,
             void* c)
      : stream_(stream) {
    const auto& [name, m, k, n, count] = problem.shape();
    const CaseOptions& options = problem.options();
    const memory::desc src({m, k}, onednn_type(options.src), {k, 1});
    const memory::desc weights({k, n}, memory::data_type::s8, memory::format_tag::any);
    const memory::desc dst({m, n}, onednn_type(options.dst), {n, 1});

    const dnnl::matmul::primitive_desc chosen({src, weights, dst}, attributes(problem), engine);
    matmul_ = dnnl::matmul(chosen);
    implementation_ = chosen.impl_info_str();

    memory given({{k, n}, memory::data_type::s8, {1, k}}, engine, const_cast<int8_t*>(problem.b()));
    weights_ = memory(chosen.weights_desc(), engine);
    dnnl::reorder(given, weights_).execute(stream_, given, weights_);
    stream_.wait();

    src_ = memory(src, engine, const_cast<void*>(problem.a()));
    dst_ = memory(dst, engine, c);
    arguments_ = {{{DNNL_ARG_SRC, src_.get()},
                   {DNNL_ARG_WEIGHTS, weights_.get()},
                   {DNNL_ARG_DST, dst_.get()}}};
  }

  // The C call, since matmul::execute would build an argument list on the heap every time.
  void run(int64_t calls) override {
    dnnl_status_t status = dnnl_success;
    for (int64_t i = 0; i < calls && status == dnnl_success; ++i) {
      status = dnnl_primitive_execute(matmul_.get(), stream_.get(),
                                      static_cast<int>(arguments_.size()), arguments_.data());
      if (status == dnnl_success) status = dnnl_stream_wait(stream_.get());
    }
    dnnl::error::wrap_c_api(status, "oneDNN could not execute the matmul primitive");
  }

  std::string implementation() const override { return implementation_; }

 private:
  static dnnl::primitive_attr attributes(const QgemmCase& problem) {
    const CaseOptions& options = problem.options();
    dnnl::primitive_attr attr;
    if (options.dst != DType::kS32) {
      std::vector<float> scales = problem.b_scales();
      for (float& s : scales) {
        s *= problem.a_scale();
        if (is_int8(options.dst)) s /= problem.c_scale();
      }
      attr.set_output_scales(/*mask: per column*/ 1 << 1, scales);
    }
    if (options.a_zero_point != 0) attr.set_zero_points(DNNL_ARG_SRC, 0, {options.a_zero_point});
    if (is_int8(options.dst) && options.c_zero_point != 0)
      attr.set_zero_points(DNNL_ARG_DST, 0, {options.c_zero_point});
    return attr;
  }

  dnnl::stream stream_;
  dnnl::matmul matmul_;
  std::string implementation_;
  memory src_, weights_, dst_;
  std::array<dnnl_exec_arg_t, 3> arguments_;
};

class OneDnn : public Peer {
 public:
  OneDnn(Isa cap, int threads) {
    // Has an effect only before oneDNN first looks at the CPU; overrides DNNL_MAX_CPU_ISA.
    if (cap != Isa::kNone) dnnl::set_max_cpu_isa(onednn_isa(cap));
    omp_set_num_threads(threads);
    engine_ = dnnl::engine(dnnl::engine::kind::cpu, 0);
    stream_ = dnnl::stream(engine_);
  }

  std::string name() const override { return "onednn"; }
  std::string version() const override {
    const dnnl::version_t* v = dnnl::version();
    return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
  }
  std::string isa() const override { return onednn_isa_name(dnnl::get_effective_cpu_isa()); }

  std::unique_ptr<PeerGemm> prepare(const QgemmCase& problem, void* c) override {
    return std::make_unique<OneDnnGemm>(engine_, stream_, problem, c);
  }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
};

}  // namespace

std::unique_ptr<Peer> make_onednn_peer(Isa cap, int threads) {
  return std::make_unique<OneDnn>(cap, threads);
}

}  // namespace oct::perf
