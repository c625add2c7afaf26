// A matrix product as both libraries receive it.
#pragma once

#include <memory>
#include <string>

#include "perf/case.h"

namespace oct::perf {

class QgemmCase : public Case {
 public:
  QgemmCase(const Problem& problem, const GemmShape& shape, const CaseOptions& options);

  const GemmShape& shape() const { return shape_; }
  bool relu() const override { return options().relu.value_or(false); }

  void reference_row(int64_t row, void* c) const override;
  std::unique_ptr<OurPlan> create_plan(oct_context* context, const std::string& kernel,
                                       void* c) const override;
  std::unique_ptr<PeerRun> prepare(Peer& peer, void* c) const override;
  std::unique_ptr<PeerRun> prepare_f32(Peer&) const override;

 private:
  GemmShape shape_;
};

}  // namespace oct::perf
