// The promise of the library: whatever the instruction set, the number of threads and the blocking,
// the same bits come out.
//
// Fifty random problems, half of them convolutions, of every output type, with s8 weights, u8 ones
// and u8 ones that have zero points. Each is computed for
// every machine that this one can act as, by its own choice of kernel with 1, 2, 3 and 5 threads,
// and by every kernel of its best instruction set that accepts the problem; and by the reference.
// Under the emulator a problem is, as a rule, cut down to its first rows or its first image, which
// are computed alike.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>

#include "kernels/table.h"
#include "tests/api_support.h"
#include "tests/conv_case.h"
#include "tests/guard_buffer.h"
#include "tests/machines.h"

namespace oct::test {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr int kThreadCounts[] = {1, 2, 3, 5};
constexpr oct_dtype kOutputs[] = {OCT_S32, OCT_F32, OCT_BF16, OCT_U8, OCT_S8};
constexpr int kProblems = 50;

enum class Weights { kAny, kS8, kU8, kU8WithZeroPoints };

bool are(Weights wanted, oct_dtype type, const int32_t* zero_points) {
  switch (wanted) {
    case Weights::kS8: return type == OCT_S8;
    case Weights::kU8: return type == OCT_U8 && !zero_points;
    case Weights::kU8WithZeroPoints: return type == OCT_U8 && zero_points;
    case Weights::kAny: break;
  }
  return true;
}

// Either operation. Results of a part are the beginning of those of the whole.
class Problem {
 public:
  virtual ~Problem() = default;
  virtual std::vector<const char*> ops() const = 0;  // of the kernels that may serve it
  virtual Bytes expected() const = 0;
  // By the kernel, or by the library's choice; none if the kernel does not accept the problem.
  virtual std::optional<Bytes> run(oct_context* context, const char* kernel, bool part) const = 0;
  virtual std::string text() const = 0;
};

class GemmProblem : public Problem {
 public:
  GemmProblem(Rng& rng, oct_dtype output, Weights weights) {
    do p_ = draw_problem(rng, {.m = 300, .n = 150, .k = 150});
    while (p_.desc.c_type != output || !are(weights, p_.desc.b_type, p_.desc.b_zero_points));
  }
  std::vector<const char*> ops() const override { return {"gemm"}; }
  Bytes expected() const override { return p_.expected(); }
  std::optional<Bytes> run(oct_context* context, const char* kernel, bool part) const override {
    constexpr int64_t kPartRows = 5;
    oct_qgemm_desc desc = p_.desc;
    desc.kernel = kernel;
    oct_qgemm* plan = nullptr;
    if (oct_qgemm_create(context, &desc, &plan) != OCT_OK) return {};
    Bytes c = p_.run(plan, part ? std::min(p_.m, kPartRows) : p_.m);
    oct_qgemm_destroy(plan);
    return c;
  }
  std::string text() const override { return p_.text(); }

 private:
  QgemmProblem p_;
};

class ConvProblem : public Problem {
 public:
  ConvProblem(Rng& rng, oct_dtype input, oct_dtype output, Weights weights, bool depthwise)
      : depthwise_(depthwise) {
    do c_ = draw_conv(rng, {.depthwise = depthwise});
    while (c_.desc.c_type != output || c_.out_pixels() == 0 || products() > kMostProducts ||
           c_.desc.a_type != input || !are(weights, c_.desc.w_type, c_.desc.w_zero_points));
    // Enough images for several threads.
    grow(rng, c_.a);
    grow(rng, c_.x);
    c_.batch = kImages;
    if (rng.one_in(2)) promise_seven_bits();
  }
  std::vector<const char*> ops() const override {
    return depthwise_ ? std::vector{"gemm", "depthwise"} : std::vector{"gemm"};
  }
  Bytes expected() const override { return c_.expected(); }
  std::optional<Bytes> run(oct_context* context, const char* kernel, bool part) const override {
    oct_qconv_desc desc = c_.desc;
    desc.kernel_name = kernel;
    oct_qconv* plan = nullptr;
    if (oct_qconv_create(context, &desc, &plan) != OCT_OK) return {};
    Bytes c = c_.run(plan, part ? 1 : kImages);
    oct_qconv_destroy(plan);
    return c;
  }
  std::string text() const override { return c_.text(); }

 private:
  static constexpr int64_t kImages = 100, kMostProducts = 15000;  // of one image

  int64_t products() const {
    return c_.out_pixels() * c_.taps() * c_.desc.out_channels * c_.desc.in_channels /
           c_.desc.groups;
  }
  void grow(Rng& rng, Bytes& images) const {
    images.resize(images.size() / static_cast<size_t>(c_.batch) * kImages);
    rng.fill_bytes(images.data(), images.size());
  }

  // The zero point, and so the padding, need not lie in the promised range.
  void promise_seven_bits() {
    const int lo = c_.desc.a_type == OCT_S8 ? -64 : 0;
    for (uint8_t& a : c_.a) a = static_cast<uint8_t>(a % 128 + lo);
    c_.desc.a_min = lo;
    c_.desc.a_max = lo + 127;
  }

  const bool depthwise_;
  ConvCase c_;
};

std::unique_ptr<Problem> draw(int i) {
  Rng rng("every isa", static_cast<uint64_t>(i));
  const oct_dtype output = kOutputs[i / 2 % std::size(kOutputs)];
  constexpr Weights kWeights[] = {Weights::kAny, Weights::kU8, Weights::kU8WithZeroPoints,
                                  Weights::kS8};
  const Weights weights = kWeights[i / 2 % std::size(kWeights)];
  if (i % 2 == 0) return std::make_unique<GemmProblem>(rng, output, weights);
  const bool depthwise = i / 2 % 3 == 0;
  const oct_dtype input = i / 6 % 2 == 0 ? OCT_U8 : OCT_S8;
  // Depthwise kernels accept hardly any zero points of weights.
  return std::make_unique<ConvProblem>(rng, input, output, depthwise ? Weights::kS8 : weights,
                                       depthwise);
}

// A machine with a context for each number of threads.
struct Contexts {
  explicit Contexts(const Machine& machine) : machine(machine) {
    for (int threads : kThreadCounts)
      contexts.push_back(std::make_unique<Context>(machine.isas, threads));
  }
  oct_context* operator[](size_t i) const { return *contexts[i]; }

  const Machine machine;
  std::vector<std::unique_ptr<Context>> contexts;
};

class EveryIsa : public testing::Test {
 protected:
  void SetUp() override {
    for (const Machine& m : machines()) all.push_back(std::make_unique<Contexts>(m));
    if (all.empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }

  void check(const Problem& problem, int number) {
    const Bytes expected = problem.expected();
    for (const auto& contexts : all) {
      const Machine& machine = contexts->machine;
      const auto same = [&](size_t threads, const char* kernel) {
        const bool shared = number % 10 == 0 && !kernel && kThreadCounts[threads] == 5;
        const bool part = machine.place == Place::kEmulated && !shared;
        set_fault_note(problem.text());
        const auto got = problem.run((*contexts)[threads], kernel, part);
        if (!got) {
          EXPECT_NE(kernel, nullptr) << oct_last_error() << "\n" << problem.text();
          return false;
        }
        EXPECT_TRUE(std::equal(got->begin(), got->end(), expected.begin()))
            << "problem " << number << " on " << machine.name() << ", " << kThreadCounts[threads]
            << " threads, kernel " << (kernel ? kernel : "any") << "\n"
            << problem.text();
        return true;
      };
      for (size_t i = 0; i < std::size(kThreadCounts); ++i) same(i, nullptr);
      for (const char* op : problem.ops())
        for (const KernelRow& row : kernels_of(op)) {
          if (row.isa != machine.best) continue;
          if (same(0, row.name) && same(1 + static_cast<size_t>(number) % 3, row.name))
            used.insert(row.name);
        }
    }
  }

  std::vector<std::unique_ptr<Contexts>> all;
  std::set<std::string> used;
};

TEST_F(EveryIsa, EveryThreadCountAndEveryBlockingGiveTheSameBits) {
  for (int i = 0; i < kProblems; ++i) {
    check(*draw(i), i);
    if (HasFailure()) return;
  }
  for (const auto& contexts : all)
    for (const char* op : {"gemm", "depthwise"})
      for (const KernelRow& row : kernels_of(op))
        EXPECT_TRUE(row.isa != contexts->machine.best || used.contains(row.name))
            << row.name << " served none of the problems";
}

}  // namespace
}  // namespace oct::test
