#include "tests/elementwise_case.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/reference_elementwise.h"
#include "quant/requant.h"
#include "tests/guard_buffer.h"
#include "tests/operands.h"
#include "tests/output_image.h"
#include "tests/trampoline.h"

namespace oct::test {

float awkward_float(Rng& rng, float scale) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kSpecial[] = {0.0f,   -0.0f,   kInf,    -kInf,    std::nanf(""),  -std::nanf(""),
                                1e-42f, -1e-42f, 3.4e38f, -3.4e38f, 1.17549435e-38f};
  constexpr float kFar[] = {2147483647.0f, 2147483648.0f, -2147483648.0f, 4294967296.0f, 32767.5f,
                            -32768.5f,     65536.0f,      1.07374182e9f,  -1.07374195e9f};
  switch (rng.between(0, 9)) {
    case 0: return rng.pick(kSpecial);
    case 1: return rng.pick(kFar) * scale;
    case 2:
    case 3: return (static_cast<float>(rng.between(-300, 300)) + 0.5f) * scale;  // near ties
    default: return static_cast<float>(rng.real(-300, 300)) * scale;
  }
}

namespace {

constexpr int kMaxPad = 64;  // of strides, in elements

}  // namespace

struct ElementwiseRunner::Buffers {
  Buffers(const KernelRow& row, int max_rows, int max_cols)
      : row(row), elements(static_cast<size_t>(max_rows) * static_cast<size_t>(max_cols + kMaxPad)),
        params(static_cast<size_t>(std::max(max_rows, max_cols))) {}

  const KernelRow& row;
  const size_t elements, params;
  CodeCache cache;
  GuardBuffer in{"in", 4 * elements + 64}, out{"out", 4 * elements + 64};
  GuardBuffer scale{"scale", 4 * params}, zero_in{"zero_point_in", 4 * params},
      zero_out{"zero_point_out", 4 * params}, min{"min", 4 * params}, max{"max", 4 * params};
};

namespace {

template <class Buffers>
class Call {
 public:
  Call(Buffers& buffers, const ElementwiseCase& c)
      : s_(buffers), c_(c), spec_(c.spec), rng_(c.seed),
        single_(!c.spec.per_column && rng_.one_in(2)) {
    args_.rows = c.rows;
    args_.cols = c.cols;
    args_.param_stride_bytes = single_ ? 0 : 4;
    draw_params();
    draw_in();
  }

  std::string run() {
    set_fault_note(describe());
    const ElementwiseCode code = elementwise_code(s_.cache, s_.row, spec_);
    const std::string wrong = spec_.out == DType::kNone ? run_extrema(code) : run_matrix(code);
    return wrong.empty() ? "" : describe() + wrong;
  }

 private:
  bool reduces() const { return spec_.out == DType::kNone; }
  int params() const { return single_ ? 1 : spec_.per_column ? c_.cols : c_.rows; }

  template <class T>
  T* place(const GuardBuffer& buffer, int count) {
    return reinterpret_cast<T*>(
        buffer.place(either_end(rng_), static_cast<size_t>(count) * sizeof(T), alignof(T)));
  }

  void draw_params() {
    const DType out = spec_.out;
    float* scale = place<float>(s_.scale, params());
    int32_t* zero_in = place<int32_t>(s_.zero_in, params());
    int32_t* zero_out = place<int32_t>(s_.zero_out, params());
    for (int i = 0; i < params(); ++i) {
      scale[i] = static_cast<float>(rng_.log_real(1e-3, 1e3));
      if (rng_.one_in(8)) scale[i] = rng_.one_in(2) ? 1.17549435e-38f : 3e38f;
      zero_in[i] = is_int8(spec_.in) ? in_range(spec_.in) : 0;
      zero_out[i] = is_int8(out) ? in_range(out) : 0;
    }
    args_.scale = scale;
    args_.zero_point_in = zero_in;
    args_.zero_point_out = zero_out;
    if (!is_int8(out)) return;
    args_.lo = rng_.one_in(2) ? dtype_min(out) : in_range(out);
    args_.hi = rng_.one_in(2) ? dtype_max(out) : in_range(out);
    if (args_.lo > args_.hi) std::swap(args_.lo, args_.hi);
  }

  int in_range(DType type) {
    return static_cast<int>(rng_.between(dtype_min(type), dtype_max(type)));
  }

  // In units of the scale that it will be divided by.
  void draw_in() {
    const auto bytes = static_cast<int64_t>(dtype_bytes(spec_.in));
    const int64_t pad = rng_.one_in(2) ? 0 : rng_.between(0, kMaxPad);
    args_.in_stride_bytes = (c_.cols + pad) * bytes;
    const auto size = static_cast<size_t>((c_.rows - 1) * args_.in_stride_bytes + c_.cols * bytes);
    uint8_t* const in = s_.in.place(either_end(rng_), size, static_cast<size_t>(bytes));
    rng_.fill_bytes(in, size);
    args_.in = in;
    if (is_int8(spec_.in)) return;
    for (int r = 0; r < c_.rows; ++r)
      for (int c = 0; c < c_.cols; ++c) {
        const float s = args_.scale[single_ ? 0 : spec_.per_column ? c : r];
        const float x = awkward_float(rng_, spec_.divide ? s : 1 / s);
        uint8_t* to = in + r * args_.in_stride_bytes + c * bytes;
        const uint16_t half = std::isnan(x) ? 0x7fc1 : bf16_from_float(x);
        bytes == 4 ? std::memcpy(to, &x, 4) : std::memcpy(to, &half, 2);
      }
  }

  std::string run_matrix(const ElementwiseCode& code) {
    const auto bytes = static_cast<int64_t>(dtype_bytes(spec_.out));
    const int64_t row_bytes = c_.cols * bytes;
    // Streaming needs lines of its own.
    const int64_t pad = rng_.one_in(2) ? 0 : rng_.between(0, kMaxPad) * bytes;
    const int64_t stride = spec_.streams ? (row_bytes + 63) / 64 * 64 : row_bytes + pad;
    const auto size = static_cast<size_t>((c_.rows - 1) * stride + row_bytes);
    const Flush flush = either_end(rng_);
    args_.out = s_.out.place(flush, size, spec_.streams ? 64 : static_cast<size_t>(bytes));
    args_.out_stride_bytes = stride;

    std::vector<uint8_t> expected(static_cast<size_t>(c_.rows * row_bytes));
    ElementwiseArgs dense = args_;
    dense.out = expected.data();
    dense.out_stride_bytes = row_bytes;
    reference_elementwise(spec_, dense);
    OutputImage image(s_.out, static_cast<uint8_t*>(args_.out), stride, c_.rows, c_.cols, spec_.out,
                      rng_);
    image.expect(expected.data());
    const std::string broken = checked_call(reinterpret_cast<CheckedFn>(code.entry), &args_);
    return (broken.empty() ? "" : "  " + broken + "\n") + image.differences();
  }

  std::string run_extrema(const ElementwiseCode& code) {
    std::vector<float> mins(static_cast<size_t>(params())), maxs(mins.size());
    for (size_t i = 0; i < mins.size(); ++i) {
      const bool fresh = rng_.one_in(2);
      const auto x = static_cast<float>(rng_.real(-1, 1));
      mins[i] = fresh ? std::numeric_limits<float>::infinity() : x;
      maxs[i] = fresh ? -std::numeric_limits<float>::infinity() : x;
    }
    const size_t size = 4 * mins.size();
    args_.min = place<float>(s_.min, params());
    args_.max = place<float>(s_.max, params());
    std::memcpy(args_.min, mins.data(), size);
    std::memcpy(args_.max, maxs.data(), size);
    ElementwiseArgs other = args_;
    other.min = mins.data();
    other.max = maxs.data();
    reference_elementwise(spec_, other);
    const std::string broken = checked_call(reinterpret_cast<CheckedFn>(code.entry), &args_);
    std::string wrong = broken.empty() ? "" : "  " + broken + "\n";
    for (size_t i = 0; i < mins.size(); ++i)
      if (std::memcmp(&args_.min[i], &mins[i], 4) || std::memcmp(&args_.max[i], &maxs[i], 4)) {
        char text[160];
        snprintf(text, sizeof text, "  range %zu is [%g, %g], expected [%g, %g]\n", i,
                 double{args_.min[i]}, double{args_.max[i]}, double{mins[i]}, double{maxs[i]});
        wrong += text;
      }
    return wrong;
  }

  std::string describe() const {
    char text[400];
    snprintf(text, sizeof text,
             "%s, OCTAVO_TEST_SEED=%llu\n"
             "  %d x %d, %s -> %s, %s, parameters of %s%s; lo %d, hi %d\n"
             "  strides %lld and %lld\n",
             s_.row.name, static_cast<unsigned long long>(base_seed()), c_.rows, c_.cols,
             dtype_name(spec_.in), dtype_name(spec_.out), spec_.divide ? "divides" : "multiplies",
             spec_.per_column ? "columns"
             : single_        ? "the tensor"
                              : "rows",
             spec_.streams ? ", streams" : "", args_.lo, args_.hi,
             static_cast<long long>(args_.in_stride_bytes),
             static_cast<long long>(args_.out_stride_bytes));
    return text;
  }

  Buffers& s_;
  const ElementwiseCase& c_;
  const ElementwiseSpec& spec_;
  Rng rng_;
  const bool single_;  // one parameter for all rows
  ElementwiseArgs args_ = {};
};

}  // namespace

ElementwiseRunner::ElementwiseRunner(const KernelRow& row, int max_rows, int max_cols)
    : buffers_(std::make_unique<Buffers>(row, max_rows, max_cols)) {}
ElementwiseRunner::~ElementwiseRunner() = default;

std::string ElementwiseRunner::run(const ElementwiseCase& c) {
  set_fault_note("the reference for " + std::string(buffers_->row.name) +
                 ", OCTAVO_TEST_SEED=" + std::to_string(base_seed()));
  return Call(*buffers_, c).run();
}

}  // namespace oct::test
