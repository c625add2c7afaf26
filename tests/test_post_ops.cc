// Post-operations by themselves: the scalar form against exact mathematics, the emitted code
// against the scalar form.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "dispatch/cpu.h"
#include "kernels/post_emit.h"
#include "kernels/table.h"
#include "tests/support.h"

namespace oct::test {
namespace {

template <class Real>
Real sigmoid(Real x) {
  return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}
template <class Real>
Real tanh(Real x) {
  return std::tanh(x);
}
template <class Real>
Real silu(Real x) {
  return x * sigmoid(x);
}
template <class Real>
Real gelu_erf(Real x) {
  return x * std::erfc(-x / std::sqrt(Real{2})) / 2;
}
template <class Real>
Real gelu_tanh(Real x) {
  static const Real factor = 2 * std::sqrt(2 / std::acos(Real{-1}));
  return x * sigmoid(factor * (x + Real{0.044715L} * x * x * x));
}

struct Transcendental {
  PostKind kind;
  const char* name;
  long double (*exact)(long double);
  double (*close)(double);  // to far less than an ulp of f32, and faster
};

const Transcendental kTranscendentals[] = {
    {PostKind::kSigmoid, "sigmoid", sigmoid, sigmoid},
    {PostKind::kTanh, "tanh", tanh, tanh},
    {PostKind::kSilu, "silu", silu, silu},
    {PostKind::kGeluErf, "gelu_erf", gelu_erf, gelu_erf},
    {PostKind::kGeluTanh, "gelu_tanh", gelu_tanh, gelu_tanh}};

// Of all floats the farthest from exact values, GELU's and SiLU's, with these tables and with
// earlier ones, which went beyond 2 ulp at so few that no sample met them.
constexpr float kFarthest[] = {
    -0x1.1d97a4p2f,  -0x1.1d961ep2f,  -0x1.1d9fep2f,   -0x1.1d94a4p2f,  -0x1.05756ap2f,
    -0x1.0dc0f8p2f,  -0x1.1e7ee8p2f,  -0x1.0f08ecp2f,  -0x1.342d74p2f,  -0x1.5e8ebap0f,
    -0x1.61b0a2p0f,  -0x1.b9ff08p-3f, -0x1.6446dep0f,  -0x1.2c37bp2f,   -0x1.1fc1d6p-3f,
    -0x1.201e8cp-3f, -0x1.1febp-3f,   -0x1.1f291cp-3f, -0x1.2007d8p-3f, -0x1.1eb54p-3f,
    -0x1.ba6b2ap1f,  -0x1.6f3e96p3f,  -0x1.6ef82p3f,   -0x1.46ba8p2f,   -0x1.605a9ap1f,
    -0x1.634deap0f,  -0x1.63eadp0f,   -0x1.5f9fa8p0f,  -0x1.5edb08p0f,  -0x1.23a14ep1f,
    -0x1.402baap2f,  -0x1.ba7d7ap-3f, -0x1.3f7e84p1f,  -0x1.3f7c0ep1f,  -0x1.ba215cp-3f};

// Those, and every `step`th float, with the neighbourhoods of zero, the smallest normal number,
// powers of two and the infinities.
std::vector<float> sweep(uint64_t step) {
  std::vector<float> all(std::begin(kFarthest), std::end(kFarthest));
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += step) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!std::isnan(x)) all.push_back(x);
  }
  for (uint32_t exponent = 0; exponent < 256; ++exponent)
    for (int d = -2; d <= 2; ++d)
      for (uint32_t sign : {0u, 0x80000000u}) {
        const uint32_t bits = ((exponent << 23) + static_cast<uint32_t>(d)) & 0x7fffffffu;
        const float x = std::bit_cast<float>(bits | sign);
        if (!std::isnan(x)) all.push_back(x);
      }
  return all;
}

// From `got` to `exact`, in units of the last place that a float of exact's size has.
template <class Real>
double ulps(float got, Real exact) {
  if (std::isinf(got) || std::isinf(exact)) return static_cast<Real>(got) == exact ? 0 : 1e9;
  const Real size = std::max(std::fabs(exact), static_cast<Real>(FLT_MIN));
  const int exponent = std::ilogb(size) - (FLT_MANT_DIG - 1);
  return static_cast<double>(std::ldexp(std::fabs(got - exact), -exponent));
}

TEST(PostOps, TranscendentalsAreWithinTwoUlp) {
  const std::vector<float> inputs = sweep(static_cast<uint64_t>(by_effort(20011, 4001, 101)));
  for (const Transcendental& f : kTranscendentals) {
    double worst = 0;
    float at = 0;
    for (float x : inputs) {
      const float got = apply_post_op({f.kind}, x, nullptr);
      // -inf times zero, in the exact formulas.
      const bool limit = std::isinf(x) && x < 0;
      const long double exact = f.exact(limit ? -20000.0L : static_cast<long double>(x));
      const double error = ulps(got, exact);
      if (!(error <= worst)) worst = error, at = x;
    }
    EXPECT_LE(worst, 2) << f.name << "(" << at << ")";
    RecordProperty(f.name, std::to_string(worst));
  }
}

TEST(PostOps, TranscendentalsHaveTheirLimits) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  const auto at = [](PostKind kind, float x) { return apply_post_op({kind}, x, nullptr); };
  EXPECT_EQ(at(PostKind::kSigmoid, -inf), 0.0f);
  EXPECT_EQ(at(PostKind::kSigmoid, inf), 1.0f);
  EXPECT_EQ(at(PostKind::kSigmoid, 0), 0.5f);
  EXPECT_EQ(at(PostKind::kTanh, -inf), -1.0f);
  EXPECT_TRUE(std::signbit(at(PostKind::kTanh, -0.0f)));
  for (PostKind kind : {PostKind::kSilu, PostKind::kGeluErf, PostKind::kGeluTanh}) {
    EXPECT_EQ(at(kind, inf), inf);
    EXPECT_EQ(at(kind, -inf), 0.0f);
    EXPECT_EQ(at(kind, 0), 0.0f);
    EXPECT_EQ(at(kind, 1e30f), 1e30f);
  }
  for (const Transcendental& f : kTranscendentals)
    EXPECT_TRUE(std::isnan(at(f.kind, std::numeric_limits<float>::quiet_NaN()))) << f.name;
}

// Code that applies one operation to a vector in memory.
struct Call {
  const float* params;  // PostParams
  float* y;
};

class Emitted {
 public:
  // With `free` vector registers; all others hold garbage that has to survive.
  Emitted(const KernelRow& row, PostKind kind, int free) {
    Assembler as;
    const std::unique_ptr<Words> words = make_words(as, row.isa, row.lanes, Dot::kSplit16);
    RegisterPool pool(vector_registers(row.isa));
    std::vector<RegisterPool::Role> held;
    const auto count = static_cast<size_t>(vector_registers(row.isa) - free);
    while (held.size() < count) held.push_back(pool.take());
    PostSpecs specs{};
    specs[0].kind = kind;
    const Xbyak::Xmm y = words->reg(held[0].index()), other = words->reg(held[1].index());
    as.enter(0);
    as.mov(as.rsi, as.ptr[as.rdi + offsetof(Call, y)]);
    as.mov(as.rdx, as.ptr[as.rdi + offsetof(Call, params)]);
    as.vmovups(y, as.ptr[as.rsi]);
    as.vmovups(other, as.ptr[as.rsi]);
    emit_post_ops(as, {*words, pool, specs, as.rdx, 0, nullptr}, {&y, 1});
    as.vmovups(as.ptr[as.rsi], y);
    as.vmovups(as.ptr[as.rsi + words->bytes()], other);
    as.leave();
    code_ = as.finish("post_test");
    lanes_ = static_cast<size_t>(words->lanes());
  }

  size_t lanes() const { return lanes_; }

  // In place; false if another register was lost.
  bool operator()(const PostOp& op, float* values) const {
    PostParams params;
    spread_post(op, &params);
    float y[32];
    std::memcpy(y, values, lanes_ * sizeof(float));
    const Call call{params.alpha, y};
    reinterpret_cast<void (*)(const Call*)>(const_cast<void*>(code_->entry(0)))(&call);
    const bool kept = std::memcmp(y + lanes_, values, lanes_ * sizeof(float)) == 0;
    std::memcpy(values, y, lanes_ * sizeof(float));
    return kept;
  }

 private:
  std::shared_ptr<const Code> code_;
  size_t lanes_ = 0;
};

void expect_same_bits(const KernelRow& row, const PostOp& op, int free, std::vector<float> inputs) {
  const Emitted code(row, op.kind, free);
  while (inputs.size() % code.lanes()) inputs.push_back(1);
  std::vector<float> got = inputs;
  for (size_t i = 0; i < got.size(); i += code.lanes())
    ASSERT_TRUE(code(op, &got[i])) << row.name << ": a register was lost";
  for (size_t i = 0; i < got.size(); ++i) {
    const float expected = apply_post_op(op, inputs[i], nullptr);
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(expected))
        << row.name << ", kind " << static_cast<int>(op.kind) << ", free " << free << " at "
        << inputs[i] << ": " << got[i] << ", expected " << expected;
  }
}

// One row for each width and encoding of vectors.
std::vector<const KernelRow*> vector_forms() {
  std::vector<const KernelRow*> rows;
  std::set<std::pair<int, int>> seen;
  for (const KernelRow& row : kernels_of("gemm"))
    if (row.isa != Isa::kAmx && cpu_facts().runs[static_cast<size_t>(row.isa)] &&
        seen.insert({row.lanes, vector_registers(row.isa)}).second)
      rows.push_back(&row);
  return rows;
}

// What is left out rounds to x, x / 2, 1 / 2 or a limit. With thorough effort every float is tried:
// farthest are, in the order of the functions above, 0.774, 1.459, 1.820, 1.873 and 1.946 ulp.
TEST(PostOps, NoFloatIsBeyondTwoUlp) {
  const auto step = static_cast<uint32_t>(by_effort(200003, 20011, 1));
  const uint32_t first = std::bit_cast<uint32_t>(0x1p-24f), last = std::bit_cast<uint32_t>(128.0f);
  for (const Transcendental& f : kTranscendentals) {
    const Emitted code(*vector_forms().back(), f.kind, 10);
    double worst = 0;
    float at = 0;
    for (uint32_t sign : {0u, 0x80000000u})
      for (uint64_t bits = first; bits <= last;) {
        float x[16], y[16];
        for (float& v : x) {
          v = std::bit_cast<float>(std::min(static_cast<uint32_t>(bits), last) | sign);
          bits += step;
        }
        std::copy(std::begin(x), std::end(x), y);
        for (size_t i = 0; i < std::size(y); i += code.lanes()) code({f.kind}, y + i);
        for (size_t i = 0; i < std::size(y); ++i)
          if (const double error = ulps(y[i], f.close(static_cast<double>(x[i])));
              !(error <= worst))
            worst = error, at = x[i];
      }
    EXPECT_LE(worst, 2) << f.name << "(" << at << ")";
    RecordProperty(f.name, std::to_string(worst));
  }
}

TEST(PostOps, EmittedCodeHasTheScalarBits) {
  const std::vector<float> inputs = sweep(static_cast<uint64_t>(by_effort(20011, 3001, 307)));
  for (const KernelRow* row : vector_forms())
    for (int kind = 1; kind < static_cast<int>(PostKind::kAdd); ++kind) {
      PostOp op{static_cast<PostKind>(kind), 0.25f, 0.5f};
      expect_same_bits(*row, op, 10, inputs);
      // Few registers: others are saved.
      expect_same_bits(*row, op, 2, {inputs.begin(), inputs.begin() + 64});
    }
}

}  // namespace
}  // namespace oct::test
