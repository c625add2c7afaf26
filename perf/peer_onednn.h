// What oneDNN's operations share (its API version 2). Included by peer_onednn*.cc only.
#pragma once

#include <dnnl.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "perf/case.h"
#include "perf/peer.h"

namespace oct::perf::onednn {

struct Machine {
  dnnl::engine engine;
  dnnl::stream stream;
};

dnnl::memory::data_type type_of(DType type);

// Scales, zero points and ReLU of an int8 layer.
dnnl::primitive_attr attributes(const Case& problem);

void add_relu(dnnl::primitive_attr& attr);

// A primitive with its arguments.
class Execution : public PeerRun {
 public:
  Execution(const Machine& machine, const dnnl::primitive& primitive, std::string implementation,
            std::vector<std::pair<int, dnnl::memory>> arguments);
  void run(int64_t calls) override;
  std::string implementation() const override { return implementation_; }

 private:
  dnnl::stream stream_;
  dnnl::primitive primitive_;
  std::string implementation_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

// `given` in the layout that a primitive wants.
dnnl::memory reordered(const Machine& machine, dnnl::memory given,
                       const dnnl::memory::desc& wanted);

std::unique_ptr<PeerRun> prepare_matmul(const Machine& machine, const QgemmCase& problem, void* c);
std::unique_ptr<PeerRun> prepare_convolution(const Machine& machine, const QconvCase& problem,
                                             void* c);
std::unique_ptr<PeerRun> prepare_convolution_f32(const Machine& machine, const QconvCase& problem);

}  // namespace oct::perf::onednn
