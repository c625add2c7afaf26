#include "perf/elementwise.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dispatch/context.h"
#include "dispatch/cost.h"
#include "kernels/elementwise.h"
#include "perf/case.h"
#include "perf/library.h"
#include "perf/measure.h"
#include "perf/table.h"

namespace oct::perf {
namespace {

// Bytes of the wider operand in memory, and of both in L1.
constexpr int64_t kInMemory = 64 << 20, kInCache = 32 << 10;
constexpr double kBlockSeconds = 2e-3;  // one side of a round, at least
constexpr int kRounds = 41;

struct Operation {
  const char* name;
  ElementwiseSpec spec;
  oct_granularity granularity;
};
constexpr Operation kOperations[] = {
    {"quantise f32 -> u8, reciprocal", {DType::kF32, DType::kU8}, OCT_PER_TENSOR},
    {"quantise f32 -> u8, division", {DType::kF32, DType::kU8, true}, OCT_PER_TENSOR},
    {"quantise bf16 -> s8, reciprocal", {DType::kBf16, DType::kS8}, OCT_PER_TENSOR},
    {"dequantise u8 -> f32", {DType::kU8, DType::kF32}, OCT_PER_TENSOR},
    {"dequantise s8 -> bf16", {DType::kS8, DType::kBf16}, OCT_PER_TENSOR},
    {"requantise u8 -> s8", {DType::kU8, DType::kS8}, OCT_PER_TENSOR},
    {"min-max f32", {DType::kF32, DType::kNone}, OCT_PER_TENSOR},
    {"quantise f32 -> u8 per column", {DType::kF32, DType::kU8}, OCT_PER_COLUMN},
    {"quantise f32 -> u8 per row", {DType::kF32, DType::kU8}, OCT_PER_ROW},
    {"dequantise u8 -> f32 per column", {DType::kU8, DType::kF32}, OCT_PER_COLUMN},
};

// One operation on a matrix of rows of kCols elements.
class Run {
 public:
  static constexpr int64_t kCols = 1024;

  // `bytes` of the wider operand.
  Run(const Operation& op, const oct_context* context, int64_t bytes)
      : op_(op), context_(context), in_bytes_(dtype_bytes(op.spec.in)),
        out_bytes_(dtype_bytes(op.spec.out)),
        rows_(bytes / static_cast<int64_t>(std::max(in_bytes_, out_bytes_)) / kCols),
        in_(elements() * in_bytes_), out_(elements() * out_bytes_), copy_from_(traffic() / 2),
        copy_to_(traffic() / 2) {
    std::memset(in_.data(), 0, elements() * in_bytes_);
    std::memset(copy_from_.data(), 1, traffic() / 2);
    // Finite values, of which most are in range.
    if (op.spec.in == DType::kF32)
      for (size_t i = 0; i < elements(); ++i) {
        const float x = static_cast<float>(i % 511) * 0.1f;
        std::memcpy(static_cast<uint8_t*>(in_.data()) + 4 * i, &x, 4);
      }
    const auto params = static_cast<size_t>(std::max(rows_, kCols));
    scales_.assign(params, 0.2f);
    c_scales_.assign(params, 0.3f);
    zero_points_.assign(params, 3);
    mins_.resize(params);
    maxs_.resize(params);
  }

  size_t elements() const { return static_cast<size_t>(rows_ * kCols); }
  size_t traffic() const { return elements() * (in_bytes_ + out_bytes_); }

  void copy() {
    std::memcpy(copy_to_.data(), copy_from_.data(), traffic() / 2);
    asm volatile("" ::"r"(copy_to_.data()) : "memory");
  }

  void run() {
    const oct_matrix in{in_.data(), static_cast<oct_dtype>(op_.spec.in), 0};
    const oct_matrix out{out_.data(), static_cast<oct_dtype>(op_.spec.out), 0};
    const std::string name = op_.spec.op();
    if (name == "quantize") {
      oct_quantize_args a{sizeof a,
                          rows_,
                          kCols,
                          in,
                          out,
                          op_.granularity,
                          op_.spec.divide ? OCT_QUANTIZE_DIVIDE : OCT_QUANTIZE_RECIPROCAL,
                          scales_.data(),
                          zero_points_.data(),
                          0,
                          0};
      check(oct_quantize(context_, &a));
    } else if (name == "dequantize") {
      oct_dequantize_args a{sizeof a, rows_,           kCols,          in,
                            out,      op_.granularity, scales_.data(), zero_points_.data()};
      check(oct_dequantize(context_, &a));
    } else if (name == "requantize") {
      oct_requantize_args a{sizeof a,
                            rows_,
                            kCols,
                            in,
                            out,
                            op_.granularity,
                            scales_.data(),
                            c_scales_.data(),
                            zero_points_.data(),
                            zero_points_.data(),
                            0,
                            0};
      check(oct_requantize(context_, &a));
    } else {
      oct_minmax_args a{sizeof a, rows_, kCols, in, op_.granularity, mins_.data(), maxs_.data()};
      check(oct_minmax(context_, &a));
    }
  }

  // The kernel alone, for what of it fits L1.
  ElementwiseCode code(const KernelRow& row) {
    ElementwiseSpec spec = op_.spec;
    spec.per_column = op_.granularity == OCT_PER_COLUMN;
    args_ = {};
    args_.in = in_.data();
    args_.out = out_.data();
    args_.rows = rows_;
    args_.cols = kCols;
    args_.in_stride_bytes = kCols * static_cast<int64_t>(in_bytes_);
    args_.out_stride_bytes = kCols * static_cast<int64_t>(out_bytes_);
    if (op_.granularity == OCT_PER_TENSOR) args_.cols *= std::exchange(args_.rows, 1);
    args_.scale = scales_.data();
    args_.zero_point_in = args_.zero_point_out = zero_points_.data();
    args_.param_stride_bytes = op_.granularity == OCT_PER_ROW ? 4 : 0;
    args_.hi = 127;
    args_.min = mins_.data();
    args_.max = maxs_.data();
    return elementwise_code(global_code_cache(), row, spec);
  }
  const ElementwiseArgs& args() const { return args_; }

 private:
  ElementwiseArgs args_{};
  const Operation& op_;
  const oct_context* context_;
  const size_t in_bytes_, out_bytes_;
  const int64_t rows_;
  const AlignedBytes in_, out_, copy_from_, copy_to_;
  std::vector<float> scales_, c_scales_, mins_, maxs_;
  std::vector<int32_t> zero_points_;
};

// Bytes of the wider operand with which both take kInCache.
int64_t in_cache_bytes(const ElementwiseSpec& s) {
  const auto in = static_cast<int64_t>(dtype_bytes(s.in));
  const auto out = static_cast<int64_t>(dtype_bytes(s.out));
  return kInCache * std::max(in, out) / (in + out);
}

double seconds_of(const std::function<void()>& body, int calls) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) body();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Medians of alternating blocks, per call.
struct Pair {
  double a, b;
};
Pair alternate(const std::function<void()>& a, const std::function<void()>& b) {
  const double once = std::max(1e-9, std::min(seconds_of(a, 1), seconds_of(b, 1)));
  const int calls = std::max(1, static_cast<int>(kBlockSeconds / once));
  std::vector<double> times_a, times_b;
  const int rounds = calls == 1 ? kRounds / 4 : kRounds;
  for (int i = 0; i < rounds; ++i) {
    times_a.push_back(seconds_of(a, calls) / calls);
    times_b.push_back(seconds_of(b, calls) / calls);
  }
  return {median(times_a), median(times_b)};
}

constexpr int kChain = 30000;  // multiplications, each of which waits three cycles for the last

void multiply_chain() {
  uint64_t x = 3;
  for (int i = 0; i < kChain; ++i) asm volatile("imul %0, %0" : "+r"(x));
}

// Cycles that a pass of the main loop needs at least, by the ports of core_ports. A pass of 512-bit
// divisions is bound by the divider instead, whose throughput is not in that table.
double bound_cycles(const KernelRow& row, const ElementwiseSpec& spec) {
  const ElementwiseBound b = elementwise_bound(row, spec);
  const CorePorts p = core_ports(cpu_facts(), row);
  return std::max({b.multiplies / p.multiplies, b.additions / p.multiplies, b.vectors / p.vectors,
                   b.loads / p.loads, b.stores / (p.loads / 2), b.instructions / p.instructions});
}

const KernelRow& row_of(const oct_context& context, const char* op) {
  for (const KernelRow& row : kernels_of(op))
    if (context.isas[row.isa]) return row;  // the widest comes first
  throw LibraryError(OCT_UNSUPPORTED_CPU, "no elementwise kernel");
}

}  // namespace

int run_elementwise_bench(const BenchOptions& options) {
  const ContextPtr context = create_context(options.isa, options.threads);
  Table table;
  table.column("operation", Align::kLeft);
  for (const char* title :
       {"64 MiB us", "GB/s", "memcpy us", "memcpy/ours", "32 KiB us", "cycles", "bound", "x bound"})
    table.column(title, Align::kRight);
  for (const Operation& op : kOperations) {
    Run large(op, context.get(), kInMemory), small(op, context.get(), in_cache_bytes(op.spec));
    const Pair memory = alternate([&] { large.run(); }, [&] { large.copy(); });
    const KernelRow& row = row_of(*context, op.spec.op());
    const ElementwiseCode code = small.code(row);
    const Pair cache = alternate([&] { code.entry(&small.args()); }, multiply_chain);
    const double cycles = cache.a / cache.b * 3 * kChain;
    const double passes = static_cast<double>(small.elements()) / row.nr;
    const double bound = passes * bound_cycles(row, op.spec);
    const bool bounded = op.granularity == OCT_PER_TENSOR && !op.spec.divide;
    table.row({op.name, fmt::format("{:.0f}", memory.a * 1e6),
               fmt::format("{:.1f}", static_cast<double>(large.traffic()) / memory.a * 1e-9),
               fmt::format("{:.0f}", memory.b * 1e6), fmt::format("{:.2f}", memory.b / memory.a),
               fmt::format("{:.3f}", cache.a * 1e6), fmt::format("{:.0f}", cycles),
               bounded ? fmt::format("{:.0f}", bound) : "-",
               bounded ? fmt::format("{:.2f}", cycles / bound) : "-"});
  }
  std::fputs(options.format == Format::kCsv ? table.csv().c_str() : table.text().c_str(), stdout);
  return kExitOk;
}

}  // namespace oct::perf
