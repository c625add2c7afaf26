#include "tests/kernel_case.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "kernels/gemm.h"
#include "kernels/gemm_lanes.h"
#include "kernels/gemm_vector.h"
#include "kernels/pack.h"
#include "kernels/reference.h"
#include "tests/guard_buffer.h"
#include "tests/operands.h"
#include "tests/output_image.h"
#include "tests/post_case.h"
#include "tests/trampoline.h"

namespace oct::test {

namespace {

constexpr int kMaxPad = 64;         // of strides, in bytes
constexpr int kMostFixedSteps = 8;  // that plans have unrolled

size_t strided(int64_t rows, int64_t width) {
  return static_cast<size_t>(rows * (width + kMaxPad));
}

Flush either_end(Rng& rng) { return rng.one_in(2) ? Flush::kLeft : Flush::kRight; }

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
      : s_(buffers), c_(c), row_(buffers.row), rng_(c.seed), rows_(c.m * c.tiles) {
    args_.tiles = c.tiles;
    spec_.n = c.n;
    draw_taps();
    draw_a();
    draw_b();
    draw_c();
    draw_output(c.output, runs() * c.k, c.n, rng_, reference_, output_);
    spec_.epilogue = output_.spec;
    if (c.in_lanes && keeps_lanes(row_, spec_.epilogue, c.group_out)) keep_lanes();
    draw_tensors();
    per_row_ = c.per_row && !c.taps && c.output.c_type != DType::kS32 && spec_.epilogue.in_reals();
    if (per_row_) draw_rows();
    fill_columns();
    const EpilogueParams params = spread(output_.scalars);
    args_.epilogue = place<EpilogueParams>(s_.params, 1);
    std::memcpy(const_cast<EpilogueParams*>(args_.epilogue), &params, sizeof params);
  }

  std::vector<uint8_t> expected() const {
    const int64_t row_bytes = c_.n * static_cast<int64_t>(dtype_bytes(c_.output.c_type));
    std::vector<uint8_t> dense(static_cast<size_t>(rows_ * row_bytes));
    const bool clips = !seen_a_.empty();
    reference_gemm(reference_, rows_, clips ? seen_a_.data() : a_, clips ? all_k() : a_stride_,
                   dense.data(), row_bytes, operands_);
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
    const std::string broken = checked_call(entry, &args_);
    if (code.tiles) release_tiles();
    const std::string wrong = image.differences();
    if (broken.empty() && wrong.empty()) return "";
    return note + "\n" + (broken.empty() ? "" : "  " + broken + "\n") + wrong;
  }

 private:
  int runs() const { return std::max(1, c_.taps); }
  // Bytes of one tap in a row of A, and of all.
  int64_t run_bytes() const { return c_.group_out ? c_.n / c_.group_out * c_.k : c_.k; }
  int64_t all_k() const { return runs() * run_bytes(); }
  // Where a column's part of a run begins.
  int64_t first_byte(int n) const { return c_.group_out ? n / c_.group_out * c_.k : 0; }
  bool sees(int row, int run) const {
    const int64_t clip = clips_[static_cast<size_t>(run)];
    return clip >= 0 ? row >= clip : row < rows_ + clip;
  }
  uint8_t shift() const { return static_cast<uint8_t>(c_.input.shift); }
  bool unsigned_b() const { return row_.flags & kRowUnsignedB; }

  // `count` values at either end of a buffer, holding garbage.
  template <class T>
  T* place(const GuardBuffer& buffer, int count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    uint8_t* p = buffer.place(either_end(rng_), bytes, alignof(T));
    rng_.fill_bytes(p, bytes);
    return reinterpret_cast<T*>(p);
  }

  // The dense problem, of which every tap is a piece of K; a clipped one contributes nothing to
  // some rows, as if they held A's zero point there.
  void draw_taps() {
    clips_.assign(static_cast<size_t>(runs()), 0);
    if (!c_.taps) return;
    spec_.taps = true;
    if (c_.tiles > 1) return;
    spec_.clip = c_.clip;
    const int64_t most = std::min(c_.clip, c_.m - 1);
    for (int64_t& clip : clips_)
      if (rng_.one_in(2)) clip = rng_.between(-most, most);
  }

  // Taps in any order, whose parts of A and B lie so far apart.
  void list_taps(int64_t a_bytes) {
    if (!c_.taps) return;
    const int64_t k = c_.shared ? c_.k / kKr * kKr : c_.k;
    const auto b_bytes = static_cast<int64_t>(packed_b_bytes(row_, k, c_.n));
    for (int t = 0; t < c_.taps; ++t)
      taps_.insert(taps_.begin() + (c_.shared ? t : rng_.between(0, t)),
                   {t * a_bytes, t * b_bytes, clips_[static_cast<size_t>(t)]});
    args_.taps = taps_.data();
    args_.taps_end = taps_.data() + taps_.size();
  }

  void set_steps() {
    set_k(row_, c_.k, runs(), &spec_);
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
                 packed_b_ + static_cast<size_t>(t) * packed_b_bytes(row_, c_.k, c_.n));
  }
  // The column whose number in the kernel's arrays is n.
  int column(int n) const { return spec_.in_lanes ? lane_channel(c_.group_out, n) : n; }

  // What the reference sees of A.
  void hide_clipped() {
    if (!spec_.clip) return;
    for (int i = 0; i < rows_; ++i)
      for (int t = 0; t < runs(); ++t)
        for (int64_t k = 0; k < run_bytes(); ++k)
          seen_a_.push_back(sees(i, t) ? a_[i * a_stride_ + t * run_bytes() + k]
                                       : static_cast<uint8_t>(reference_.a_zero_point));
  }

  // A in the caller's type, at any stride, or with each row between guards of its own.
  void draw_a() {
    a_fill_ = rng_.pick(kFills);
    const bool paged = rng_.one_in(4);
    const GuardBuffer& buffer = paged ? s_.a_paged : s_.a;
    a_stride_ = paged ? static_cast<int64_t>(buffer.stride_bytes())
                      : all_k() + (rng_.one_in(2) ? 0 : rng_.between(1, kMaxPad));
    const int64_t beyond = c_.shared ? kKr - c_.k % kKr : 0;  // that may be read
    const int64_t size = (paged ? 0 : (rows_ - 1) * a_stride_) + all_k() + beyond;
    a_ = buffer.place(either_end(rng_), static_cast<size_t>(size));
    for (int i = 0; i < rows_; ++i)
      for (int64_t k = 0; k < all_k(); ++k)
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
    list_taps(run_bytes());
    spec_.a_shift = shift() != 0;
  }

  void pack_a() {
    const size_t row_bytes = packed_a_row_bytes(c_.k);
    const size_t run = row_bytes * static_cast<size_t>(rows_);
    uint8_t* packed = s_.a_packed.place(either_end(rng_), run * static_cast<size_t>(runs()));
    int32_t* row_init = place<int32_t>(s_.row_init, rows_);
    std::fill_n(row_init, rows_, 0);
    std::vector<int32_t> terms(static_cast<size_t>(rows_));
    for (int t = 0; t < runs(); ++t) {
      pack_a_rows(a_ + t * c_.k, a_stride_, rows_, c_.k, shift(),
                  packed + static_cast<size_t>(t) * run, terms.data());
      for (int i = 0; i < rows_; ++i)
        if (sees(i, t))
          row_init[i] = static_cast<int32_t>(static_cast<uint32_t>(row_init[i]) +
                                             static_cast<uint32_t>(terms[static_cast<size_t>(i)]));
    }
    list_taps(static_cast<int64_t>(run));
    args_.a = packed;
    args_.a_stride_bytes = static_cast<int64_t>(row_bytes);
    args_.row_init = row_init;
  }

  WeightPair draw_weights(int64_t k) {
    if (c_.input.safe_weights) return safe_pair(rng_, b_fill_);
    const int w0 = fill_value(rng_, b_fill_, -128, 127, k);
    const int w1 = fill_value(rng_, b_fill_, -128, 127, k + 1);
    return {static_cast<int8_t>(w0), static_cast<int8_t>(w1)};
  }

  void draw_b() {
    b_fill_ = rng_.pick(kFills);
    const bool kn = rng_.one_in(2);
    const int64_t width = kn ? c_.n : all_k(), height = kn ? all_k() : c_.n;
    const int64_t stride = width + rng_.between(0, kMaxPad);
    const auto size = static_cast<size_t>((height - 1) * stride + width);
    auto* b = reinterpret_cast<int8_t*>(s_.b.place(either_end(rng_), size));
    reference_.b = {b,      kn ? BLayout::kKN : BLayout::kNK,
                    stride, all_k(),
                    c_.n,   unsigned_b() || (c_.affine && rng_.one_in(2))};
    const int64_t k_step = kn ? stride : 1, n_step = kn ? 1 : stride;
    const int flip = reference_.b.is_unsigned ? -128 : 0;  // drawn as s8
    std::memset(b, 0, size);
    for (int t = 0; t < runs(); ++t) {
      for (int n = 0; n < c_.n; ++n)
        for (int64_t k = 0; k < c_.k; k += 2) {
          int8_t* const w = b + (t * run_bytes() + first_byte(n) + k) * k_step + n * n_step;
          const WeightPair pair = draw_weights(k);
          *w = static_cast<int8_t>(pair.w0 ^ flip);
          if (k + 1 < c_.k) w[k_step] = static_cast<int8_t>(pair.w1 ^ flip);
        }
      if (c_.input.mixed_weights) mix_groups(b + t * run_bytes() * k_step, k_step, n_step);
    }
    c_.shared ? pack_shared(b, k_step, n_step) : pack_runs(b, k_step, n_step);
    if (c_.affine) draw_zero_points();
  }

  // Each run by itself, and of block-diagonal weights the blocks.
  void pack_runs(const int8_t* b, int64_t k_step, int64_t n_step) {
    const size_t bytes = packed_b_bytes(row_, c_.k, c_.n);
    uint8_t* const packed = packed_b_ =
        s_.b_packed.place(either_end(rng_), bytes * static_cast<size_t>(runs()), 64);
    sums_.resize(static_cast<size_t>(runs() * c_.n));
    std::vector<int8_t> blocks(static_cast<size_t>(c_.n * c_.k));
    for (int t = 0; t < runs(); ++t) {
      BView run = reference_.b;
      run.k = c_.k;
      run.data += t * run_bytes() * k_step;
      if (c_.group_out) {
        for (int n = 0; n < c_.n; ++n)
          for (int64_t k = 0; k < c_.k; ++k)
            blocks[static_cast<size_t>(n * c_.k + k)] =
                b[(t * run_bytes() + first_byte(n) + k) * k_step + n * n_step];
        run.data = blocks.data();
        run.layout = BLayout::kNK;
        run.stride_bytes = c_.k;
      }
      pack_b_panel(row_, run, 0, c_.n, packed + static_cast<size_t>(t) * bytes,
                   sums_.data() + t * c_.n);
    }
    args_.b = packed;
  }

  // All as one run: whole groups of every tap, then what is left of each, filled up with zeros.
  void pack_shared(const int8_t* b, int64_t k_step, int64_t n_step) {
    const int64_t whole = c_.k / kKr * kKr, tail = c_.k - whole;
    const int64_t k_all = runs() * whole + (runs() * tail + kKr - 1) / kKr * kKr;
    const int flip = reference_.b.is_unsigned && !unsigned_b() ? -128 : 0;
    std::vector<int8_t> ordered(static_cast<size_t>(c_.n * k_all));
    for (int n = 0; n < c_.n; ++n)
      for (int t = 0; t < runs(); ++t)
        for (int64_t k = 0; k < c_.k; ++k) {
          const int64_t to = k < whole ? t * whole + k : runs() * whole + t * tail + k - whole;
          ordered[static_cast<size_t>(n * k_all + to)] =
              static_cast<int8_t>(b[(t * c_.k + k) * k_step + n * n_step] ^ flip);
        }
    sums_.resize(static_cast<size_t>(runs() * c_.n));
    uint8_t* const packed =
        s_.b_packed.place(either_end(rng_), packed_b_bytes(row_, k_all, c_.n), 64);
    pack_b_panel(row_, {ordered.data(), BLayout::kNK, k_all, k_all, c_.n, unsigned_b()}, 0, c_.n,
                 packed, sums_.data());
    args_.b = packed;
  }

  int64_t seen_k(int i) const {
    int64_t k = 0;
    for (int t = 0; t < runs(); ++t) k += sees(i, t) ? run_bytes() : 0;
    return k;
  }

  // Of all weights of column n that row i sees.
  ColumnSums sums_of(int i, int n) const {
    uint32_t sum = 0, product = 0;
    for (int t = 0; t < runs(); ++t)
      if (sees(i, t)) {
        const ColumnSums& of_run = sums_[static_cast<size_t>(t * c_.n + n)];
        sum += static_cast<uint32_t>(of_run.sum);
        product += static_cast<uint32_t>(of_run.product);
      }
    return {static_cast<int32_t>(sum), static_cast<int32_t>(product)};
  }

  void draw_zero_points() {
    const int least = reference_.b.is_unsigned ? 0 : -128;
    for (int n = 0; n < c_.n; ++n)
      b_zero_points_[n] = static_cast<int32_t>(rng_.between(least, least + 255));
    reference_.b_zero_points = b_zero_points_;
    spec_.row_terms = 1;
    int32_t* sums = place<int32_t>(s_.row_factor, rows_);
    std::vector<Tap> taps;
    for (int t = 0; t < runs(); ++t)
      taps.push_back({t * run_bytes(), 0, clips_[static_cast<size_t>(t)]});
    const bool is_signed = row_.flags & kRowSignedA;
    sum_a_rows(
        {a_, a_stride_, taps.data(), taps.data() + taps.size(), run_bytes(), shift(), is_signed},
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

  int packed_zero_point(int n) const {
    return b_zero_points_[n] - (reference_.b.is_unsigned && !unsigned_b() ? 128 : 0);
  }

  // Safe pairs (0 1)(2 3) of a group become (0 2)(1 3), (0 3)(1 2), or whatever chance gives.
  void mix_groups(int8_t* b, int64_t k_step, int64_t n_step) {
    for (int64_t g = 0; g + kKr <= c_.k; g += kKr) {
      const int64_t kind = rng_.between(0, 3);
      for (int64_t n = 0; n < c_.n; ++n) {
        int8_t* const w = b + g * k_step + n * n_step;
        if (kind == 1 || kind == 2) std::swap(w[k_step], w[(kind + 1) * k_step]);
        if (kind == 3) w[k_step] = static_cast<int8_t>(rng_.between(-128, 127));
      }
    }
  }

  // C dense, strided, or with each row between guards of its own.
  void draw_c() {
    const size_t element = dtype_bytes(c_.output.c_type);
    const size_t row_bytes = static_cast<size_t>(c_.n) * element;
    const bool paged = rng_.one_in(4);
    c_buffer_ = paged ? &s_.c_paged : &s_.c;
    const size_t pad = rng_.one_in(2) ? 0 : static_cast<size_t>(rng_.between(0, kMaxPad));
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
      const size_t pad = rng_.one_in(2) ? 0 : static_cast<size_t>(rng_.between(0, kMaxPad));
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
        const ColumnSums sums = sums_of(i, column(n));
        uint32_t start =
            c_.output.bias == DType::kS32 ? static_cast<uint32_t>(output_.bias_s32[column(n)]) : 0;
        uint32_t sum = static_cast<uint32_t>(sums.sum);
        if (c_.affine) sum -= static_cast<uint32_t>(packed_zero_point(n) * seen_k(i));
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
             "  m %d x tiles %d, n %d, K %lld, taps %d, clip %d, fixed %d, groups %d -> %d\n"
             "  A %s in [%d, %d] shifted by %d, %s, zero point %d, stride %lld\n"
             "  B %s, %s, %s%s%s\n"
             "  C %s, stride %lld%s, bias %s, post %s, multipliers %s, zero point %d\n"
             "  spec: k_tail %d, a_shift %d, saturating %d, clamp %d %d, zero_point %d\n",
             row_.name, static_cast<unsigned long long>(base_seed()), c_.m, c_.tiles, c_.n,
             static_cast<long long>(c_.k), c_.taps, spec_.clip, spec_.k_fixed, spec_.group_in,
             spec_.group_out, dtype_name(c_.input.a_type), c_.input.a_min, c_.input.a_max,
             c_.input.shift, fill_name(a_fill_), reference_.a_zero_point,
             static_cast<long long>(a_stride_), reference_.b.is_unsigned ? "u8" : "s8",
             fill_name(b_fill_), reference_.b.layout == BLayout::kKN ? "KxN" : "NxK",
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
  GemmArgs args_ = {};
  Fill a_fill_, b_fill_;
  uint8_t *a_ = nullptr, *packed_b_ = nullptr;
  int64_t a_stride_ = 0;
  std::vector<ColumnSums> sums_;  // [run][column]
  std::vector<Tap> taps_;
  std::vector<int64_t> clips_;   // of each run
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
