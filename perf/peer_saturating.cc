// What exactness costs without VNNI: ourselves, told that activations have seven bits when they do
// not. The kernels that serve this promise are as fast as any that saturate, and as wrong.

#include <nlohmann/json.hpp>

#include "kernels/table.h"
#include "perf/library.h"
#include "perf/peer.h"
#include "perf/qconv_case.h"
#include "perf/qgemm_case.h"

namespace oct::perf {
namespace {

class SaturatingRun : public PeerRun {
 public:
  SaturatingRun(std::unique_ptr<Case> problem, oct_context* context, void* c)
      : problem_(std::move(problem)), plan_(problem_->create_plan(context, "", c)),
        kernel_(nlohmann::json::parse(plan_->explain()).value("kernel", "")) {
    if (!(find_kernel(kernel_.c_str())->flags & kRowNeedsSafePairs))
      throw std::runtime_error(kernel_ + " does not saturate");
  }
  std::string implementation() const override { return kernel_; }
  void run(int64_t calls) override { plan_->run(calls); }

 private:
  std::unique_ptr<Case> problem_;
  std::unique_ptr<OurPlan> plan_;
  std::string kernel_;
};

class Saturating : public Peer {
 public:
  Saturating(Isa cap, int threads) : cap_(cap), context_(create_context(cap, threads)) {}

  std::string name() const override { return "saturating"; }
  std::string version() const override { return oct_version(); }
  std::string isa() const override { return isa_name(cap_); }

  std::unique_ptr<PeerRun> prepare(const QgemmCase& problem, void* c) override {
    return promised(problem, c);
  }
  std::unique_ptr<PeerRun> prepare(const QconvCase& problem, void* c) override {
    return promised(problem, c);
  }
  std::unique_ptr<PeerRun> prepare_f32(const QconvCase&) override { return nullptr; }

 private:
  // The same seed gives the same operands.
  std::unique_ptr<PeerRun> promised(const Case& problem, void* c) const {
    CaseOptions options = problem.options();
    options.declared_bits = 7;
    return std::make_unique<SaturatingRun>(make_case(problem.problem(), options), context_.get(),
                                           c);
  }

  const Isa cap_;
  ContextPtr context_;
};

}  // namespace

std::unique_ptr<Peer> make_saturating_peer(Isa cap, int threads) {
  return std::make_unique<Saturating>(cap, threads);
}

}  // namespace oct::perf
