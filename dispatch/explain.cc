// Decisions and facts as JSON: what oct_describe and oct_qgemm_explain return.

#include <cinttypes>
#include <cstdio>

#include "dispatch/conv_plan.h"
#include "dispatch/plan.h"

namespace oct {
namespace {

// Just enough JSON to write: commas are placed by the writer, strings are escaped.
class Json {
 public:
  Json& open(char bracket) { return item().raw(bracket).fresh(); }
  Json& close(char bracket) {
    first_ = false;
    return raw(bracket);
  }
  Json& key(const char* name) {
    item().quoted(name);
    text_ += ": ";
    return fresh();
  }
  Json& string(const std::string& s) { return item().quoted(s); }
  Json& integer(int64_t v) { return item().append(std::to_string(v)); }
  Json& boolean(bool v) { return item().append(v ? "true" : "false"); }
  Json& null() { return item().append("null"); }
  Json& number(double v) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.0f", v);
    return item().append(buffer);
  }
  std::string take() { return std::move(text_); }

 private:
  Json& item() {
    if (!first_) text_ += ", ";
    first_ = false;
    return *this;
  }
  Json& fresh() {
    first_ = true;
    return *this;
  }
  Json& raw(char c) {
    text_ += c;
    return *this;
  }
  Json& append(const std::string& s) {
    text_ += s;
    return *this;
  }
  Json& quoted(const std::string& s) {
    text_ += '"';
    for (unsigned char c : s) {
      if (c == '"' || c == '\\') text_ += '\\';
      if (c >= 0x20) text_ += static_cast<char>(c);
    }
    text_ += '"';
    return *this;
  }

  std::string text_;
  bool first_ = true;
};

void write_problem(Json& j, const oct_qgemm& plan, int64_t m) {
  const Problem& p = plan.problem;
  j.key("problem").open('{');
  j.key("m").integer(m).key("n").integer(p.n()).key("k").integer(p.k());
  j.key("a_type").string(dtype_name(p.a_type)).key("a_zero_point").integer(p.a_zero_point);
  j.key("a_min").integer(p.a_min).key("a_max").integer(p.a_max);
  j.key("b_type").string(p.w_unsigned ? "u8" : "s8");
  j.key("bias_type").string(dtype_name(p.bias_type)).key("c_type").string(dtype_name(p.c_type));
  j.close('}');
}

void write_panels(Json& j, const Layout& layout) {
  const auto write = [&](const KernelRow& row, int n, int64_t count) {
    j.open('{').key("kernel").string(row.name).key("columns").integer(n);
    j.key("count").integer(count).close('}');
  };
  j.key("panels").open('[');
  if (layout.full) write(*layout.main, layout.main->nr, layout.full);
  for (int i = 0; i < layout.tails; ++i) write(*layout.tail[i].row, layout.tail[i].n, 1);
  j.close(']').key("row_sums").boolean(layout.row_sums);
}

void write_blocking(Json& j, const oct_qgemm& plan, int64_t m) {
  const Schedule s = make_schedule(plan, m);
  j.key("blocking").open('{');
  write_panels(j, plan.layout());
  j.key("block_rows").integer(s.block_rows).key("packed_a").boolean(plan.packed_a);
  j.key("row_tasks").integer(s.row_tasks).key("panel_tasks").integer(s.panel_tasks);
  j.close('}');
}

// Predictions for all times and `groups` groups.
void write_candidates(Json& j, const Selection& selection, const KernelRow* chosen,
                      const WorkSize& size, int64_t groups) {
  auto layout = selection.layouts.begin();
  for (const Candidate& c : selection.candidates) {
    j.open('{').key("kernel").string(c.row->name).key("predicted_cycles");
    if (!c.rejected)
      j.number(layout_cycles(cpu_facts(), *layout++, size) *
               static_cast<double>(size.times * groups));
    else
      j.null();
    j.key("chosen").boolean(c.row == chosen).key("rejected");
    c.rejected ? j.string(c.rejected.in_words()) : j.null();
    j.close('}');
  }
}

}  // namespace

std::string explain_plan(const oct_qgemm& plan, int64_t m) {
  const ScopedFloatMode float_mode;
  const Layout& layout = plan.layout();
  Json j;
  j.open('{').key("op").string(layout.main->op);
  write_problem(j, plan, m);
  j.key("kernel").string(layout.main->name).key("isa").string(isa_name(layout.main->isa));
  write_blocking(j, plan, m);
  j.key("threads").integer(plan.context->threads.count());
  j.key("predicted_cycles").number(layout_cycles(cpu_facts(), layout, {m, plan.problem.k()}));
  j.key("candidates").open('[');
  write_candidates(j, plan.selection, layout.main, {m, plan.problem.k()}, 1);
  return j.close(']').close('}').take();
}

namespace {

void write_depthwise_candidates(Json& j, const oct_qconv& plan, int64_t pixels) {
  for (const DepthwiseCandidate& c : plan.depthwise_candidates) {
    j.open('{').key("kernel").string(c.row->name).key("predicted_cycles");
    if (!c.rejected)
      j.number(c.cycles_per_pixel * static_cast<double>(pixels));
    else
      j.null();
    j.key("chosen").boolean(c.row == plan.row).key("rejected");
    c.rejected ? j.string(c.rejected.in_words()) : j.null();
    j.close('}');
  }
}

}  // namespace

std::string explain_conv(const oct_qconv& plan, const std::array<int64_t, 3>& in) {
  const ScopedFloatMode float_mode;
  const ConvShape& shape = plan.shape;
  std::array<int64_t, 3> out{};
  for (size_t i = 0; i < 3; ++i) out[i] = shape.axes[i].output_size(in[i]);
  const int64_t rows = out[0] * out[1];
  const char* lowering = plan.depthwise  ? "depthwise"
                         : plan.diagonal ? "block_diagonal"
                         : plan.row_taps ? "folded_rows"
                         : plan.folded   ? "folded"
                                         : "taps";
  Json j;
  j.open('{').key("op").string("conv").key("lowering").string(lowering);
  j.key("in_channels").integer(shape.in_channels).key("out_channels").integer(shape.out_channels);
  j.key("groups").integer(shape.groups).key("taps").integer(shape.taps());
  j.key("output").open('[').integer(out[0]).integer(out[1]).integer(out[2]).close(']');
  j.key("kernel").string(plan.row->name).key("isa").string(isa_name(plan.row->isa));
  j.key("blocking").open('{');
  if (!plan.depthwise) write_panels(j, plan.layout());
  j.close('}');
  j.key("threads").integer(plan.context->threads.count());
  j.key("predicted_cycles").number(plan.cycles_per_pixel * static_cast<double>(rows * out[2]));
  j.key("candidates").open('[');
  write_depthwise_candidates(j, plan, rows * out[2]);
  write_candidates(j, plan.selection, plan.row, {out[2], plan.tap_k, plan.tap_count, rows},
                   plan.diagonal ? 1 : shape.groups);
  return j.close(']').close('}').take();
}

std::string describe(const oct_context* context) {
  const CpuFacts& cpu = cpu_facts();
  const UsableIsas isas = context ? context->isas : usable_isas(cpu, Isa::kNone);
  Json j;
  j.open('{').key("version").string(oct_version()).key("cpu").string(cpu.name);
  j.key("vendor").string(cpu.vendor).key("uarch").string(cpu.uarch);
  j.key("cores").integer(cpu.cores);
  j.key("caches").open('{').key("l1d").integer(static_cast<int64_t>(cpu.l1d_bytes));
  j.key("l2").integer(static_cast<int64_t>(cpu.l2_bytes));
  j.key("l3").integer(static_cast<int64_t>(cpu.l3_bytes)).close('}');
  j.key("threads").integer(context ? context->threads.count() : 1);
  j.key("cap").string(isa_name(isas.cap));
  j.key("isas").open('[');
  for (int i = 1; i < kIsaCount; ++i)
    j.open('{')
        .key("name")
        .string(kIsaNames[i])
        .key("usable")
        .boolean(isas.usable[i])
        .key("emulated")
        .boolean(cpu.only_emulated(static_cast<Isa>(i)))
        .key("reason")
        .string(isas.reason[i])
        .close('}');
  j.close(']').key("kernels").open('[');
  for (const KernelRow& row : kernel_table())
    j.open('{')
        .key("name")
        .string(row.name)
        .key("isa")
        .string(isa_name(row.isa))
        .key("mr")
        .integer(row.mr)
        .key("nr")
        .integer(row.nr)
        .key("kr")
        .integer(row.kr)
        .key("usable")
        .boolean(isas[row.isa])
        .close('}');
  return j.close(']').close('}').take();
}

}  // namespace oct
