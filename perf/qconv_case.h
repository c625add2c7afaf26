// A convolution as both libraries receive it: channels-last tensors, weights [output channel][tap]
// [input channel of the group].
#pragma once

#include <memory>
#include <string>

#include "perf/case.h"

namespace oct::perf {

class QconvCase : public Case {
 public:
  QconvCase(const Problem& problem, const ConvShape& shape, const CaseOptions& options);

  const ConvShape& shape() const { return shape_; }
  bool relu() const override { return options().relu.value_or(options().dst != DType::kS32); }

  double operations() const override;
  void reference_row(int64_t row, void* c) const override;
  std::unique_ptr<OurPlan> create_plan(oct_context* context, const std::string& kernel,
                                       void* c) const override;
  std::unique_ptr<PeerRun> prepare(Peer& peer, void* c) const override;
  std::unique_ptr<PeerRun> prepare_f32(Peer& peer) const override;

 private:
  ConvShape shape_;
};

}  // namespace oct::perf
