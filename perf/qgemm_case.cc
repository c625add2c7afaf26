#include "perf/qgemm_case.h"

#include "perf/library.h"
#include "perf/peer.h"

namespace oct::perf {
namespace {

class OurGemm : public OurPlan {
 public:
  OurGemm(oct_context* context, PlanPtr plan, const oct_qgemm_args& args)
      : context_(context), plan_(std::move(plan)), args_(args) {}

  void run(int64_t calls) override {
    run_calls(context_, oct_qgemm_run, plan_.get(), args_, calls);
  }
  std::string explain() const override { return perf::explain(plan_.get(), args_.m); }

 private:
  oct_context* context_;
  PlanPtr plan_;
  oct_qgemm_args args_;
};

}  // namespace

QgemmCase::QgemmCase(const Problem& problem, const GemmShape& shape, const CaseOptions& options)
    : Case(problem, options, {shape.m * shape.k, shape.m, shape.n, shape.k}), shape_(shape) {}

void QgemmCase::reference_row(int64_t row, void* c) const {
  ReferenceGemm r = reference_layer();
  r.b = {b(), BLayout::kNK, k(), k(), n()};
  reference_gemm(r, 1, static_cast<const uint8_t*>(a()) + row * k(), k(), c,
                 static_cast<int64_t>(row_bytes()));
}

std::unique_ptr<OurPlan> QgemmCase::create_plan(oct_context* context, const std::string& kernel,
                                                void* c) const {
  oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
  d.n = n();
  d.k = k();
  set_layer(*this, &d);
  d.b = b();
  d.b_layout = OCT_B_NK;
  d.b_scales = b_scales().data();
  d.b_scale_count = n();
  d.flags = relu() ? OCT_QGEMM_RELU : 0;
  d.m_hint = rows();
  d.kernel = kernel.empty() ? nullptr : kernel.c_str();

  oct_qgemm_args args = OCT_QGEMM_ARGS_INIT;
  args.m = rows();
  args.a = a();
  args.a_stride_bytes = k();
  args.c = c;
  args.c_stride_bytes = static_cast<int64_t>(row_bytes());
  return std::make_unique<OurGemm>(context, perf::create_plan(context, d), args);
}

std::unique_ptr<PeerRun> QgemmCase::prepare(Peer& peer, void* c) const {
  return peer.prepare(*this, c);
}

std::unique_ptr<PeerRun> QgemmCase::prepare_f32(Peer&) const { return nullptr; }

}  // namespace oct::perf
