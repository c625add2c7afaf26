#include "tests/kernel_case.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>

#include "kernels/gemm.h"
#include "kernels/gemm_lanes.h"
#include "kernels/gemm_vector.h"
#include "kernels/pack.h"
#include "kernels/reference.h"
#include "tests/guard_buffer.h"
#include "tests/kernel_runs.h"
#include "tests/kernel_weights.h"
#include "tests/operands.h"
#include "tests/output_image.h"
#include "tests/post_case.h"
#include "tests/trampoline.h"

namespace oct::test {

namespace {

constexpr int kMostFixedSteps = 8;  // that plans have unrolled

size_t strided(int64_t rows, int64_t width) {
  return static_cast<size_t>(rows * (width + kMaxStridePad));
}

}  // namespace

std::vector<InputCase> input_cases(const KernelRow& row, Rng& rng) {
  if (row.flags & kRowSignedA) return {{DType::kS8, -128, 127, 0, false}};
  if (row.flags & kRowUnsignedA) return {{DType::kU8, 0, 255, 0, false}};
  if (row.b_form == BForm::kMixed && row.flags & kRowNeedsSafePairs)
    return {{DType::kU8, 0, 127, 0, false}, {DType::kU8, 1, 128, 0, false}};
  if (row.b_form == BForm::kMixed)
    return {{DType::kU8, 0, 255, 0, false},
            {DType::kU8, 0, 255, 0, true, true},
            {DType::kS8, -128, 127, 128, true, true}};
  if (!(row.flags & kRowNeedsSafePairs))
    return {{DType::kU8, 0, 255, 0, false}, {DType::kS8, -128, 127, 128, false}};
  // Promises: 128 values from anywhere, or fewer; and the whole range with proven weights. Without
  // a shift 128 is still safe.
  const int u8_min = static_cast<int>(rng.between(1, 128));
  const int s8_min = static_cast<int>(rng.between(-128, 0));
  const int width = static_cast<int>(rng.between(0, 127));
  return {{DType::kU8, 0, 127, 0, false},
          {DType::kU8, 1, 128, 0, false},
          {DType::kU8, u8_min, u8_min + 127, -u8_min, false},
          {DType::kS8, s8_min, s8_min + 127, -s8_min, false},
          {DType::kS8, s8_min, s8_min + width, -s8_min, false},
          {DType::kU8, 0, 255, 0, true},
          {DType::kS8, -128, 127, 128, true}};
}

struct KernelRunner::Buffers {
  Buffers(const KernelRow& row, int64_t max_k, int max_tiles)
      : row(row), rows(row.mr * max_tiles), a("A", strided(rows, max_k)),
        a_paged("A", static_cast<size_t>(max_k), rows),
        a_packed("packed A", packed_a_row_bytes(max_k) * static_cast<size_t>(rows)),
        b("B", std::max(strided(max_k, row.nr), strided(row.nr, max_k))),
        b_packed("packed B", packed_b_bytes(row, max_k, row.nr)), c("C", strided(rows, 4 * kMaxNr)),
        c_paged("C", 4 * kMaxNr, rows) {
    for (int i = 0; i < kMaxPostOps; ++i)
      tensors.push_back(std::make_unique<GuardBuffer>("X", strided(rows, 4 * kMaxNr)));
  }

  const KernelRow& row;
  const int rows;
  CodeCache cache;
  GuardBuffer a, a_paged, a_packed, b, b_packed;
  GuardBuffer init{"init", 4 * kMaxSums}, mult{"mult", 4 * kMaxNr}, bias{"bias", 4 * kMaxNr},
      row_init{"row_init", 4096}, row_factor{"row_factor", 4096},
      col_factor{"col_factor", 4 * kMaxNr}, zero_points{"zero points", 4096},
      zero_point_factor{"zero point factor", 4 * kMaxNr}, row_scale{"row_scale", 4096},
      params{"epilogue", sizeof(EpilogueParams)}, scratch{"scratch", kGemmScratchBytes};
  GuardBuffer c, c_paged;
  std::vector<std::unique_ptr<GuardBuffer>> tensors;  // of post-operations
};

namespace {

// Draws everything a case leaves open, in the order of the kernel's arguments, and runs it.
template <class Buffers>
class Call {
 public:
  Call(Buffers& buffers, const KernelCase& c)
      : s_(buffers), c_(c), row_(buffers.row), rng_(c.seed), rows_(c.m * c.tiles), runs_(c, rng_) {
    args_.tiles = c.tiles;
    spec_.n = c.n;
    spec_.taps = c.taps > 0;
    if (runs_.clips()) spec_.clip = c.clip;
    draw_a();
    draw_b();
    draw_c();
    draw_output(c.output, runs_.count() * c.k, c.n, rng_, reference_, output_);
    spec_.epilogue = output_.spec;
    if (c.in_lanes && keeps_lanes(row_, spec_.epilogue, c.group_out)) keep_lanes();
    draw_tensors();
    per_row_ = c.per_row && !c.taps && c.output.c_type != DType::kS32 && spec_.epilogue.in_reals();
    if (per_row_) draw_rows();
    fill_columns();
    const EpilogueParams params = spread(output_.scalars);
    args_.epilogue = place<EpilogueParams>(s_.params, 1);
    std::memcpy(const_cast<EpilogueParams*>(args_.epilogue), &params, sizeof params);
    const bool own_numbers = args_.row_init || spec_.row_terms || per_row_ || spec_.clip;
    backwards_ = !own_numbers && rng_.one_in(4);
  }

  std::vector<uint8_t> expected() const {
    const int64_t row_bytes = c_.n * static_cast<int64_t>(dtype_bytes(c_.output.c_type));
    std::vector<uint8_t> dense(static_cast<size_t>(rows_ * row_bytes));
    const bool clips = !seen_a_.empty();
    reference_gemm(reference_, rows_, clips ? seen_a_.data() : a_,
                   clips ? runs_.all_bytes() : a_stride_, dense.data(), row_bytes, operands_);
    return dense;
  }

  std::string run(const std::vector<uint8_t>& expected) {
    const GemmCode code = gemm_code(s_.cache, row_, spec_);
    OutputImage image(*c_buffer_, static_cast<uint8_t*>(args_.c), args_.c_stride_bytes, rows_, c_.n,
                      c_.output.c_type, rng_);
    image.expect(expected.data());
    const std::string note = describe();
    set_fault_note(note);
    const auto entry = reinterpret_cast<CheckedFn>(code.entry[static_cast<size_t>(c_.m)]);
    if (code.tiles) prepare_tiles();
    if (backwards_) turn_rows(args_, rows_);
    const std::string broken = checked_call(entry, &args_);
    if (code.tiles) release_tiles();
    const std::string wrong = image.differences();
    if (broken.empty() && wrong.empty()) return "";
    return note + "\n" + (broken.empty() ? "" : "  " + broken + "\n") + wrong;
  }

 private:
  uint8_t shift() const { return static_cast<uint8_t>(c_.input.shift); }

  // `count` values at either end of a buffer, holding garbage.
  template <class T>
  T* place(const GuardBuffer& buffer, int count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    uint8_t* p = buffer.place(either_end(rng_), bytes, alignof(T));
    rng_.fill_bytes(p, bytes);
    return reinterpret_cast<T*>(p);
  }

  // A clipped tap contributes nothing to some rows, as if they held A's zero point there.
  void list_taps(int64_t a_bytes) {
    if (!c_.taps) return;
    const int64_t k = c_.shared ? c_.k / kKr * kKr : c_.k;
    taps_ = runs_.taps(a_bytes, static_cast<int64_t>(packed_b_bytes(row_, k, c_.n)), rng_);
    args_.taps = taps_.data();
    args_.taps_end = taps_.data() + taps_.size();
  }

  void set_steps() {
    set_k(row_, c_.k, runs_.count(), &spec_);
    const int64_t whole = k_steps(row_, c_.k).whole;
    args_.k_groups = whole;
    if (row_.isa == Isa::kAmx) return;
    if (c_.fixed && whole <= kMostFixedSteps) spec_.k_fixed = static_cast<int>(whole);
    if (c_.shared) {
      spec_.k_fixed = static_cast<int>(whole);
      spec_.run_tail = spec_.k_tail;
      spec_.k_tail = 0;
      spec_.run_count = c_.taps;
      const int most = std::min(gemm_last_steps(row_, spec_), spec_.k_fixed);
      spec_.k_last = static_cast<int>(rng_.between(0, most));
    }
    if (!c_.group_out) return;
    spec_.k_fixed = static_cast<int>((c_.k + kKr - 1) / kKr);
    spec_.k_tail = 0;
    spec_.group_in = static_cast<int>(c_.k);
    spec_.group_out = c_.group_out;
  }

  void keep_lanes() {
    spec_.in_lanes = true;
    spec_.k_fixed = 1;
    for (int t = 0; t < c_.taps; ++t)
      pack_lanes(c_.group_out,
                 weights_->packed() + static_cast<size_t>(t) * packed_b_bytes(row_, c_.k, c_.n));
  }
  // The column whose number in the kernel's arrays is n.
  int column(int n) const { return spec_.in_lanes ? lane_channel(c_.group_out, n) : n; }

  // What the reference sees of A.
  void hide_clipped() {
    if (!spec_.clip) return;
    for (int i = 0; i < rows_; ++i)
      for (int t = 0; t < runs_.count(); ++t)
        for (int64_t k = 0; k < runs_.bytes(); ++k)
          seen_a_.push_back(runs_.sees(i, t) ? a_[i * a_stride_ + t * runs_.bytes() + k]
                                             : static_cast<uint8_t>(reference_.a_zero_point));
  }

  // A in the caller's type, at any stride, or with each row between guards of its own.
  void draw_a() {
    a_fill_ = rng_.pick(kFills);
    const bool paged = rng_.one_in(4);
    const GuardBuffer& buffer = paged ? s_.a_paged : s_.a;
    a_stride_ = paged ? static_cast<int64_t>(buffer.stride_bytes())
                      : runs_.all_bytes() + (rng_.one_in(2) ? 0 : rng_.between(1, kMaxStridePad));
    const int64_t beyond = c_.shared ? kKr - c_.k % kKr : 0;  // that may be read
    const int64_t size = (paged ? 0 : (rows_ - 1) * a_stride_) + runs_.all_bytes() + beyond;
    a_ = buffer.place(either_end(rng_), static_cast<size_t>(size));
    for (int i = 0; i < rows_; ++i)
      for (int64_t k = 0; k < runs_.all_bytes(); ++k)
        a_[i * a_stride_ + k] =
            static_cast<uint8_t>(fill_value(rng_, a_fill_, c_.input.a_min, c_.input.a_max, k + i));
    const DType type = c_.input.a_type;
    reference_.a_type = type;
    reference_.a_zero_point = static_cast<int>(rng_.between(dtype_min(type), dtype_max(type)));
    set_steps();
    row_.a_form == AForm::kBytes ? pass_a_in_place() : pack_a();
    hide_clipped();
  }

  void pass_a_in_place() {
    args_.a = a_;
    args_.a_stride_bytes = a_stride_;
    args_.a_shift = shift() * 0x01010101u;
    list_taps(runs_.bytes());
    spec_.a_shift = shift() != 0;
  }

  void pack_a() {
    const size_t row_bytes = packed_a_row_bytes(c_.k);
    const size_t run = row_bytes * static_cast<size_t>(rows_);
    uint8_t* packed = s_.a_packed.place(either_end(rng_), run * static_cast<size_t>(runs_.count()));
    int32_t* row_init = place<int32_t>(s_.row_init, rows_);
    std::fill_n(row_init, rows_, 0);
    std::vector<int32_t> terms(static_cast<size_t>(rows_));
    for (int t = 0; t < runs_.count(); ++t) {
      pack_a_rows(a_ + t * c_.k, a_stride_, rows_, c_.k, shift(),
                  packed + static_cast<size_t>(t) * run, terms.data());
      for (int i = 0; i < rows_; ++i)
        if (runs_.sees(i, t))
          row_init[i] = static_cast<int32_t>(static_cast<uint32_t>(row_init[i]) +
                                             static_cast<uint32_t>(terms[static_cast<size_t>(i)]));
    }
    list_taps(static_cast<int64_t>(run));
    args_.a = packed;
    args_.a_stride_bytes = static_cast<int64_t>(row_bytes);
    args_.row_init = row_init;
  }

  void draw_b() {
    weights_.emplace(row_, c_, runs_, rng_, s_.b);
    reference_.b = weights_->view();
    weights_->pack(s_.b_packed);
    args_.b = weights_->packed();
    if (c_.affine) draw_zero_points();
  }

  void draw_zero_points() {
    const int least = reference_.b.is_unsigned ? 0 : -128;
    for (int n = 0; n < c_.n; ++n)
      b_zero_points_[n] = static_cast<int32_t>(rng_.between(least, least + 255));
    reference_.b_zero_points = b_zero_points_;
    spec_.row_terms = 1;
    int32_t* sums = place<int32_t>(s_.row_factor, rows_);
    const std::vector<Tap> taps =
        c_.taps ? runs_.taps(runs_.bytes(), 0, rng_) : std::vector<Tap>(1);
    const bool is_signed = row_.flags & kRowSignedA;
    sum_a_rows(
        {a_, a_stride_, taps.data(), taps.data() + taps.size(), runs_.bytes(), shift(), is_signed},
        rows_, sums);
    args_.row_factor[0] = sums;
    const int padded = (c_.n + row_.lanes - 1) / row_.lanes * row_.lanes;
    int32_t* factors = place<int32_t>(s_.col_factor, padded);
    for (int n = 0; n < c_.n; ++n) factors[n] = -packed_zero_point(n);
    args_.col_factor[0] = factors;
  }

  void draw_rows() {
    spec_.epilogue.row_scale = true;
    spec_.epilogue.saturating = false;
    const DType type = c_.input.a_type;
    float* scales = place<float>(s_.row_scale, rows_);
    int32_t* points = place<int32_t>(s_.zero_points, rows_);
    for (int i = 0; i < rows_; ++i) {
      a_zero_points_.push_back(
          static_cast<int32_t>(rng_.between(dtype_min(type), dtype_max(type))));
      points[i] = a_zero_points_.back() + c_.input.shift;
      scales[i] = reference_.a_scale * static_cast<float>(rng_.real(0.5, 2));
    }
    a_scales_.assign(scales, scales + rows_);
    reference_.a_scales = a_scales_.data();
    reference_.a_zero_points = a_zero_points_.data();
    args_.row_scale = scales;
    args_.row_factor[spec_.row_terms++] = points;
  }

  int packed_zero_point(int n) const { return b_zero_points_[n] - weights_->shift(); }

  // C dense, strided, or with each row between guards of its own.
  void draw_c() {
    const size_t element = dtype_bytes(c_.output.c_type);
    const size_t row_bytes = static_cast<size_t>(c_.n) * element;
    const bool paged = rng_.one_in(4);
    c_buffer_ = paged ? &s_.c_paged : &s_.c;
    const size_t pad = rng_.one_in(2) ? 0 : static_cast<size_t>(rng_.between(0, kMaxStridePad));
    const size_t stride = paged ? c_buffer_->stride_bytes() : row_bytes + pad / element * element;
    const size_t size = paged ? row_bytes : (static_cast<size_t>(rows_) - 1) * stride + row_bytes;
    args_.c = c_buffer_->place(either_end(rng_), size);
    args_.c_stride_bytes = static_cast<int64_t>(stride);
  }

  void draw_tensors() {
    for (size_t i = 0; i < reference_.post.size(); ++i) {
      const PostOp& op = reference_.post[i];
      if (!has_tensor(op.kind)) continue;
      const size_t element = dtype_bytes(op.type), n = static_cast<size_t>(c_.n);
      const size_t pad = rng_.one_in(2) ? 0 : static_cast<size_t>(rng_.between(0, kMaxStridePad));
      const size_t stride = (n + pad / element) * element;
      const size_t last = static_cast<size_t>(rows_ - 1) * stride;
      uint8_t* const x = s_.tensors[i]->place(either_end(rng_), last + n * element, element);
      fill_tensor(rng_, op, x, last / element + n);
      args_.post[i] = {x, static_cast<int64_t>(stride)};
      operands_.data[i] = x;
      operands_.stride_bytes[i] = static_cast<int64_t>(stride);
    }
  }

  // Per-column arrays, padded to whole vectors with garbage.
  void fill_columns() {
    const int padded = (c_.n + row_.lanes - 1) / row_.lanes * row_.lanes;
    const int starts = spec_.clip ? c_.m : 1;
    int32_t* init = place<int32_t>(s_.init, starts * padded);
    args_.init = init;
    args_.init_stride_bytes = spec_.clip ? 4 * padded : 0;
    const auto zero_point = static_cast<uint32_t>(reference_.a_zero_point + c_.input.shift);
    int32_t* factors = nullptr;
    if (per_row_) {
      factors = place<int32_t>(s_.zero_point_factor, padded);
      args_.col_factor[spec_.row_terms - 1] = factors;
    }
    for (int i = 0; i < starts; ++i)
      for (int n = 0; n < c_.n; ++n) {
        const ColumnSums sums = weights_->sums_of(i, column(n));
        uint32_t start =
            c_.output.bias == DType::kS32 ? static_cast<uint32_t>(output_.bias_s32[column(n)]) : 0;
        uint32_t sum = static_cast<uint32_t>(sums.sum);
        if (c_.affine) sum -= static_cast<uint32_t>(packed_zero_point(n) * runs_.seen_bytes(i));
        if (per_row_)
          factors[n] = static_cast<int32_t>(0u - sum);
        else
          start -= zero_point * sum;
        if (row_.a_form == AForm::kPairs16) start -= static_cast<uint32_t>(sums.product);
        init[i * padded + n] = static_cast<int32_t>(start);
      }
    if (c_.output.c_type == DType::kS32) return;
    float* mult = place<float>(s_.mult, padded);
    for (int n = 0; n < c_.n; ++n)
      mult[n] = (per_row_ ? output_.b_scales : output_.mult)[column(n)];
    args_.mult = mult;
    if (c_.output.bias != DType::kF32) return;
    float* bias = place<float>(s_.bias, padded);
    for (int n = 0; n < c_.n; ++n) bias[n] = output_.bias_f32[column(n)];
    args_.bias = bias;
  }

  void prepare_tiles() {
    args_.m = c_.m;
    args_.scratch = s_.scratch.place(either_end(rng_), kGemmScratchBytes, 64);
    rng_.fill_bytes(static_cast<uint8_t*>(args_.scratch), kGemmScratchBytes);
    load_tile_config(amx_tile_config(spec_, c_.m));
  }

  std::string describe() const {
    const OutputCase& o = c_.output;
    const EpilogueSpec& e = spec_.epilogue;
    char text[800];
    snprintf(text, sizeof text,
             "%s, OCTAVO_TEST_SEED=%llu\n"
             "  m %d x tiles %d%s, n %d, K %lld, taps %d, clip %d, fixed %d, groups %d -> %d\n"
             "  A %s in [%d, %d] shifted by %d, %s, zero point %d, stride %lld\n"
             "  B %s, %s, %s%s%s\n"
             "  C %s, stride %lld%s, bias %s, post %s, multipliers %s, zero point %d\n"
             "  spec: k_tail %d, a_shift %d, saturating %d, clamp %d %d, zero_point %d\n",
             row_.name, static_cast<unsigned long long>(base_seed()), c_.m, c_.tiles,
             backwards_ ? " backwards" : "", c_.n, static_cast<long long>(c_.k), c_.taps,
             spec_.clip, spec_.k_fixed, spec_.group_in, spec_.group_out,
             dtype_name(c_.input.a_type), c_.input.a_min, c_.input.a_max, c_.input.shift,
             fill_name(a_fill_), reference_.a_zero_point, static_cast<long long>(a_stride_),
             reference_.b.is_unsigned ? "u8" : "s8", fill_name(weights_->fill()),
             reference_.b.layout == BLayout::kKN ? "KxN" : "NxK",
             c_.input.safe_weights ? ", safe pairs" : "", c_.affine ? ", zero points" : "",
             dtype_name(o.c_type), static_cast<long long>(args_.c_stride_bytes),
             c_buffer_->rows() > 1 ? " (guarded rows)" : "", dtype_name(o.bias), post_name(o.post),
             o.small_multipliers ? "below 1" : "above 1", reference_.c_zero_point, spec_.k_tail,
             spec_.a_shift, e.saturating, e.clamp_lo, e.clamp_hi, e.zero_point);
    return text + ("  post-operations" + text_of(reference_.post)) + "\n";
  }

  Buffers& s_;
  const KernelCase& c_;
  const KernelRow& row_;
  Rng rng_;
  const int rows_;
  ReferenceGemm reference_ = {};
  ReferenceOperands operands_{};
  OutputData output_;
  GemmSpec spec_;
  bool backwards_ = false;
  GemmArgs args_ = {};
  const KernelRuns runs_;
  Fill a_fill_;
  uint8_t* a_ = nullptr;
  int64_t a_stride_ = 0;
  std::optional<KernelWeights> weights_;
  std::vector<Tap> taps_;
  std::vector<uint8_t> seen_a_;  // dense; empty without clips
  int32_t b_zero_points_[kMaxNr];
  bool per_row_ = false;
  std::vector<float> a_scales_;
  std::vector<int32_t> a_zero_points_;
  const GuardBuffer* c_buffer_ = nullptr;
};

}  // namespace

KernelRunner::KernelRunner(const KernelRow& row, int64_t max_k, int max_tiles)
    : buffers_(std::make_unique<Buffers>(row, max_k, max_tiles)) {}
KernelRunner::~KernelRunner() = default;

std::string KernelRunner::run(const KernelCase& c) {
  set_fault_note("the packing or the reference for " + std::string(buffers_->row.name) +
                 ", OCTAVO_TEST_SEED=" + std::to_string(base_seed()));
  Call<Buffers> call(*buffers_, c);
  const std::vector<uint8_t> expected = call.expected();
  count(c.output.c_type, expected);
  return call.run(expected);
}

void KernelRunner::count(DType type, const std::vector<uint8_t>& outputs) {
  if (!is_int8(type)) return;
  outputs_ += static_cast<int64_t>(outputs.size());
  for (uint8_t x : outputs) {
    const int q = type == DType::kS8 ? static_cast<int8_t>(x) : x;
    interior_ += q > dtype_min(type) && q < dtype_max(type);
  }
}

double KernelRunner::interior_percent() const {
  return 100.0 * static_cast<double>(interior_) /
         static_cast<double>(std::max<int64_t>(1, outputs_));
}

}  // namespace oct::test
