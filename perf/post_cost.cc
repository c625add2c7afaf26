// `octavo post`: what each fused post-operation costs, in per cent of the plain requantising
// product, and what it costs beside its output type's own.

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/reference.h"
#include "perf/library.h"
#include "perf/measure.h"
#include "perf/options.h"
#include "perf/table.h"

namespace oct::perf {
namespace {

struct Operation {
  const char* name;
  std::vector<PostOp> chain;  // none: the plain product
};

const std::vector<Operation>& operations() {
  constexpr float kSixth = 1.0f / 6;
  static const std::vector<Operation> all = {
      {"plain", {}},
      {"relu", {{PostKind::kRelu}}},
      {"clamp", {{PostKind::kClamp, -1, 2}}},
      {"leaky_relu", {{PostKind::kLeakyRelu, 0.1f}}},
      {"hardsigmoid", {{PostKind::kHardSigmoid, kSixth, 0.5f}}},
      {"hardswish", {{PostKind::kHardSwish, kSixth, 0.5f}}},
      {"sigmoid", {{PostKind::kSigmoid}}},
      {"tanh", {{PostKind::kTanh}}},
      {"silu", {{PostKind::kSilu}}},
      {"gelu_erf", {{PostKind::kGeluErf}}},
      {"gelu_tanh", {{PostKind::kGeluTanh}}},
      {"add u8", {{PostKind::kAdd, 0, 0, DType::kU8, 0.02f, 128}}},
      {"add s8", {{PostKind::kAdd, 0, 0, DType::kS8, 0.02f, 0}}},
      {"add f32", {{PostKind::kAdd, 0, 0, DType::kF32, 0.02f, 0}}},
      {"multiply u8", {{PostKind::kMultiply, 0, 0, DType::kU8, 0.02f, 128}}},
      {"multiply f32", {{PostKind::kMultiply, 0, 0, DType::kF32, 0.02f, 0}}},
      {"add u8, relu", {{PostKind::kAdd, 0, 0, DType::kU8, 0.02f, 128}, {PostKind::kRelu}}},
  };
  return all;
}

// Uniform bytes have this standard deviation.
constexpr double kSpread = 73.9;

// Random operands, whose real results are normally distributed, more or less.
struct Data {
  Data(const GemmShape& s, uint64_t seed)
      : shape(s), a(static_cast<size_t>(s.m * s.k)), b(static_cast<size_t>(s.k * s.n)),
        x(static_cast<size_t>(s.m * s.n)), c(static_cast<size_t>(s.m * s.n)),
        b_scale(static_cast<float>(1 / (kSpread * kSpread * std::sqrt(static_cast<double>(s.k))))) {
    std::mt19937_64 rng(seed);
    for (uint8_t& v : a) v = static_cast<uint8_t>(rng());
    for (int8_t& v : b) v = static_cast<int8_t>(rng());
    for (float& v : x) v = static_cast<float>(static_cast<int8_t>(rng()));
  }

  GemmShape shape;
  std::vector<uint8_t> a;
  std::vector<int8_t> b;
  std::vector<float> x;  // read as bytes, too
  std::vector<uint8_t> c;
  float b_scale;
};

class Fused : public Subject {
 public:
  Fused(oct_context* context, Data& data, const Operation& operation)
      : data_(data), operation_(operation) {
    for (const PostOp& op : operation.chain) {
      ops_.push_back({static_cast<oct_post_kind>(op.kind), op.alpha, op.beta,
                      static_cast<oct_dtype>(op.type), op.scale, op.zero_point});
      tensors_.push_back(
          {data.x.data(), data.shape.n * static_cast<int64_t>(dtype_bytes(op.type))});
    }
    oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
    d.n = data.shape.n;
    d.k = data.shape.k;
    d.a_zero_point = d.c_zero_point = 128;
    d.a_scale = 1;
    d.b = data.b.data();
    d.b_scales = &data.b_scale;
    d.b_scale_count = 1;
    d.c_scale = 0.02f;
    d.m_hint = data.shape.m;
    d.post = ops_.data();
    d.post_count = static_cast<int64_t>(ops_.size());
    plan_ = create_plan(context, d);
    args_ = OCT_QGEMM_ARGS_INIT;
    args_.m = data.shape.m;
    args_.a = data.a.data();
    args_.a_stride_bytes = data.shape.k;
    args_.c = data.c.data();
    args_.c_stride_bytes = data.shape.n;
    args_.post = tensors_.data();
  }

  void run(int64_t calls) override {
    for (int64_t i = 0; i < calls; ++i) check(oct_qgemm_run(plan_.get(), &args_));
  }

  // Whether the first row has the reference's bits.
  bool correct() {
    run(1);
    const GemmShape& s = data_.shape;
    const std::vector<float> scales(static_cast<size_t>(s.n), data_.b_scale);
    ReferenceGemm g{};
    g.b = {data_.b.data(), BLayout::kKN, s.n, s.k, s.n};
    g.a_type = g.c_type = DType::kU8;
    g.a_zero_point = g.c_zero_point = 128;
    g.a_scale = 1;
    g.b_scales = scales.data();
    g.c_scale = 0.02f;
    ReferenceOperands operands;
    for (size_t i = 0; i < operation_.chain.size(); ++i) {
      g.post[i] = operation_.chain[i];
      operands.data[i] = data_.x.data();
    }
    bound_by_last(g);
    std::vector<uint8_t> row(static_cast<size_t>(s.n));
    reference_gemm(g, 1, data_.a.data(), s.k, row.data(), s.n, operands);
    return std::memcmp(row.data(), data_.c.data(), row.size()) == 0;
  }

 private:
  // A last RELU or CLAMP is the layer's own.
  void bound_by_last(ReferenceGemm& g) const {
    if (operation_.chain.empty()) return;
    PostOp& last = g.post[operation_.chain.size() - 1];
    if (last.kind != PostKind::kRelu && last.kind != PostKind::kClamp) return;
    g.relu = last.kind == PostKind::kRelu;
    g.clamp = !g.relu;
    g.clamp_min = last.alpha;
    g.clamp_max = last.beta;
    last = {};
  }

  Data& data_;
  const Operation& operation_;
  std::vector<oct_post_op> ops_;
  std::vector<oct_post_tensor> tensors_;
  PlanPtr plan_;
  oct_qgemm_args args_;
};

}  // namespace

int run_post(const PostOptions& options) {
  const ContextPtr context = create_context(options.isa, 1);
  Data data(options.shape, 1);
  std::vector<std::unique_ptr<Fused>> fused;
  std::vector<Subject*> subjects;
  for (const Operation& operation : operations()) {
    fused.push_back(std::make_unique<Fused>(context.get(), data, operation));
    if (!fused.back()->correct()) {
      fmt::print(stderr, "octavo: {} gives a wrong result\n", operation.name);
      return kExitFailed;
    }
    subjects.push_back(fused.back().get());
  }
  const Timing timing = measure("post", subjects, nullptr, options.min_time_s, 1);
  Table table;
  table.column("post-operation", Align::kLeft);
  table.column("us", Align::kRight);
  table.column("cost %", Align::kRight);
  table.row({operations()[0].name, fmt::format("{:.1f}", timing.us), ""});
  for (size_t i = 0; i < timing.others.size(); ++i)
    table.row({operations()[i + 1].name, fmt::format("{:.1f}", timing.others[i].us),
               fmt::format("{:+.1f}", (timing.others[i].ratio - 1) * 100)});
  fmt::print("u8 C = post(A[{0},{1}] . B[{1},{2}]), one thread\n\n{3}", data.shape.m, data.shape.k,
             data.shape.n, table.text());
  return kExitOk;
}

}  // namespace oct::perf
