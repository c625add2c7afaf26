#include "perf/variants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kernels/reference.h"
#include "perf/library.h"
#include "perf/measure.h"
#include "perf/table.h"

namespace oct::perf {
namespace {

constexpr int64_t kGroup = 128;   // rows of B
constexpr float kScale = 0.05f;   // of B
constexpr double kSpread = 73.9;  // standard deviation of uniform bytes

// A plan, its arguments and its result.
class Product : public Subject {
 public:
  Product(oct_context* context, const oct_qgemm_desc& d, int64_t m, const void* a,
          int64_t a_stride_bytes)
      : c_(static_cast<size_t>(m * d.n) * (d.c_type == OCT_F32 ? sizeof(float) : 1)),
        plan_(create_plan(context, d)), args_(OCT_QGEMM_ARGS_INIT) {
    args_.m = m;
    args_.a = a;
    args_.a_stride_bytes = a_stride_bytes;
    args_.c = c_.data();
    args_.c_stride_bytes = static_cast<int64_t>(c_.size()) / m;
  }

  void run(int64_t calls) override {
    for (int64_t i = 0; i < calls; ++i) check(oct_qgemm_run(plan_.get(), &args_));
  }
  const std::vector<uint8_t>& result() {
    run(1);
    return c_;
  }
  oct_qgemm_args& args() { return args_; }

 private:
  std::vector<uint8_t> c_;
  PlanPtr plan_;
  oct_qgemm_args args_;
};

// Two of them on equal operands.
struct Comparison {
  std::string name;
  GemmShape shape;
  std::unique_ptr<Product> plain, variant;
};

// Random operands, B as K rows of N.
struct Operands {
  explicit Operands(const GemmShape& s)
      : shape(s), reals(static_cast<size_t>(s.m * s.k)), a(reals.size()),
        b(static_cast<size_t>(s.k * s.n)), row_scales(static_cast<size_t>(s.m)),
        row_zero_points(static_cast<size_t>(s.m)) {
    std::mt19937_64 rng(1);
    std::normal_distribution<float> normal;
    for (float& x : reals) x = normal(rng);
    for (uint8_t& x : a) x = static_cast<uint8_t>(rng());
    for (int8_t& x : b) x = static_cast<int8_t>(rng());
  }

  oct_qgemm_desc desc() const {
    oct_qgemm_desc d = OCT_QGEMM_DESC_INIT;
    d.n = shape.n;
    d.k = shape.k;
    d.b = b.data();
    d.b_scales = &kScale;
    d.b_scale_count = 1;
    d.m_hint = shape.m;
    d.a_zero_point = d.c_zero_point = 128;
    d.c_scale = static_cast<float>(kScale * kSpread * std::sqrt(static_cast<double>(shape.k)));
    return d;
  }

  // `a` and the rows' parameters = what dynamic A becomes, by the library's elementwise functions.
  void quantize(const oct_context* context, const oct_dynamic& dynamic) {
    std::vector<float> mins(row_scales.size()), maxs(row_scales.size());
    const oct_matrix x{reals.data(), OCT_F32, 0};
    oct_minmax_args range = OCT_MINMAX_ARGS_INIT;
    range.rows = shape.m;
    range.cols = shape.k;
    range.x = x;
    range.granularity = OCT_PER_ROW;
    range.mins = mins.data();
    range.maxs = maxs.data();
    check(oct_minmax(context, &range));
    for (size_t i = 0; i < mins.size(); ++i)
      check(oct_qparams_observer(&dynamic.scheme, mins[i], maxs[i], &row_scales[i],
                                 &row_zero_points[i]));
    oct_quantize_args q = OCT_QUANTIZE_ARGS_INIT;
    q.rows = shape.m;
    q.cols = shape.k;
    q.x = x;
    q.q.data = a.data();
    q.granularity = OCT_PER_ROW;
    q.form = dynamic.form;
    q.scales = row_scales.data();
    q.zero_points = row_zero_points.data();
    check(oct_quantize(context, &q));
  }

  GemmShape shape;
  std::vector<float> reals;
  std::vector<uint8_t> a;
  std::vector<int8_t> b;
  std::vector<float> row_scales;
  std::vector<int32_t> row_zero_points;
};

// f32 A, quantised row by row, beside the same bytes with their scales and zero points.
Comparison dynamic_rows(oct_context* context, Operands& o) {
  oct_dynamic dynamic = OCT_DYNAMIC_INIT;
  dynamic.formula = OCT_QPARAMS_OBSERVER;
  dynamic.form = OCT_QUANTIZE_RECIPROCAL;
  o.quantize(context, dynamic);
  oct_qgemm_desc d = o.desc();
  d.c_type = OCT_F32;
  d.flags = OCT_QGEMM_A_PER_ROW;
  Comparison c{"dynamic A per row", o.shape, nullptr, nullptr};
  c.plain = std::make_unique<Product>(context, d, o.shape.m, o.a.data(), o.shape.k);
  c.plain->args().a_scales = o.row_scales.data();
  c.plain->args().a_zero_points = o.row_zero_points.data();
  d.flags = 0;
  d.a_type = OCT_F32;
  d.dynamic = &dynamic;
  c.variant = std::make_unique<Product>(context, d, o.shape.m, o.reals.data(),
                                        o.shape.k * static_cast<int64_t>(sizeof(float)));
  if (c.plain->result() != c.variant->result())
    throw std::runtime_error(c.name + " differs from the quantised product");
  return c;
}

// The first row by the scalar reference.
void check_first_row(const Comparison& c, const oct_qgemm_desc& d, const Operands& o) {
  const auto n = static_cast<size_t>(d.n);
  const std::vector<float> scales(n, kScale);
  std::vector<int32_t> zero_points(n);
  for (size_t i = 0; i < n; ++i)
    zero_points[i] = d.b_zero_points[d.b_zero_point_count == 1 ? 0 : i];
  ReferenceGemm g{};
  g.b = {static_cast<const int8_t*>(d.b), BLayout::kKN, d.n, d.k, d.n, d.b_type == OCT_U8};
  g.b_zero_points = zero_points.data();
  g.a_type = g.c_type = DType::kU8;
  g.a_zero_point = d.a_zero_point;
  g.c_zero_point = d.c_zero_point;
  g.a_scale = d.a_scale;
  g.b_scales = scales.data();
  g.c_scale = d.c_scale;
  std::vector<uint8_t> row(n);
  reference_gemm(g, 1, o.a.data(), d.k, row.data(), d.n, {});
  if (std::memcmp(row.data(), c.variant->result().data(), n) != 0)
    throw std::runtime_error(c.name + " gives a wrong result");
}

// u8 weights with a zero point for every column, beside s8 weights without.
Comparison affine(oct_context* context, Operands& o) {
  std::vector<int32_t> zero_points(static_cast<size_t>(o.shape.n));
  for (size_t i = 0; i < zero_points.size(); ++i) zero_points[i] = 100 + static_cast<int>(i % 56);
  oct_qgemm_desc d = o.desc();
  Comparison c{"u8 B, zero point per column", o.shape, nullptr, nullptr};
  c.plain = std::make_unique<Product>(context, d, o.shape.m, o.a.data(), o.shape.k);
  d.b_type = OCT_U8;
  d.b_zero_points = zero_points.data();
  d.b_zero_point_count = d.n;
  c.variant = std::make_unique<Product>(context, d, o.shape.m, o.a.data(), o.shape.k);
  check_first_row(c, d, o);
  return c;
}

// Weights with scales, and zero points, of groups: equal ones, so that the f32 result of both is
// the same but for roundings.
Comparison grouped(oct_context* context, Operands& o, bool zero_points) {
  const int64_t count = o.shape.k / kGroup * o.shape.n;
  const std::vector<float> scales(static_cast<size_t>(count), kScale);
  const std::vector<int32_t> points(static_cast<size_t>(count), 3);
  oct_qgemm_desc d = o.desc();
  d.c_type = OCT_F32;
  const int32_t point = 3;
  if (zero_points) d.b_zero_points = &point, d.b_zero_point_count = 1;
  Comparison c{fmt::format("B in groups of {}{}", kGroup, zero_points ? ", zero points" : ""),
               o.shape, nullptr, nullptr};
  c.plain = std::make_unique<Product>(context, d, o.shape.m, o.a.data(), o.shape.k);
  d.b_group_k = kGroup;
  d.b_scales = scales.data();
  d.b_scale_count = count;
  if (zero_points) d.b_zero_points = points.data(), d.b_zero_point_count = count;
  c.variant = std::make_unique<Product>(context, d, o.shape.m, o.a.data(), o.shape.k);
  const std::vector<uint8_t>&plain = c.plain->result(), &got = c.variant->result();
  for (size_t i = 0; i < got.size(); i += sizeof(float)) {
    float x, y;
    std::memcpy(&x, &plain[i], sizeof x);
    std::memcpy(&y, &got[i], sizeof y);
    constexpr float kTolerance = 1e-5f;  // of the largest sums
    if (!(std::fabs(x - y) <= kTolerance * d.c_scale * 128))
      throw std::runtime_error(c.name + " gives a wrong result");
  }
  return c;
}

void add_row(Table& table, const Comparison& c, const BenchOptions& options) {
  const Timing t = measure("variant", {c.plain.get(), c.variant.get()}, nullptr, options.min_time_s,
                           options.threads);
  table.row({c.name, fmt::format("{}x{}:{}x{}", c.shape.m, c.shape.k, c.shape.k, c.shape.n),
             fmt::format("{:.1f}", t.us), fmt::format("{:.1f}", t.others[0].us),
             fmt::format("{:.3f}", 1 / t.others[0].ratio)});
}

}  // namespace

int run_variants_bench(const BenchOptions& options) {
  const ContextPtr context = create_context(options.isa, options.threads);
  Table table;
  table.column("variant", Align::kLeft);
  table.column("problem", Align::kLeft);
  for (const char* title : {"plain us", "us", "plain/variant"}) table.column(title, Align::kRight);
  for (int64_t m : {1, 16, 128}) {
    Operands o({m, 768, 3072});
    add_row(table, dynamic_rows(context.get(), o), options);
  }
  Operands square({1024, 1024, 1024});
  add_row(table, affine(context.get(), square), options);
  for (bool zero_points : {false, true})
    add_row(table, grouped(context.get(), square, zero_points), options);
  std::fputs(options.format == Format::kCsv ? table.csv().c_str() : table.text().c_str(), stdout);
  return kExitOk;
}

}  // namespace oct::perf
