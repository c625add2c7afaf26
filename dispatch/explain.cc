// Decisions and facts as JSON: what oct_describe and oct_qgemm_explain return.

#include <cinttypes>
#include <cstdio>

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
  j.close(']');
}

void write_blocking(Json& j, const oct_qgemm& plan, int64_t m) {
  const Schedule s = make_schedule(plan, m);
  j.key("blocking").open('{');
  write_panels(j, plan.layout());
  j.key("block_rows").integer(s.block_rows).key("packed_a").boolean(plan.packed_a);
  j.key("row_tasks").integer(s.row_tasks).key("panel_tasks").integer(s.panel_tasks);
  j.close('}');
}

void write_candidates(Json& j, const oct_qgemm& plan, int64_t m) {
  const Selection& selection = plan.selection;
  j.key("candidates").open('[');
  for (const Candidate& c : selection.candidates) {
    j.open('{').key("kernel").string(c.row->name).key("predicted_cycles");
    if (c.rejected.empty())
      j.number(layout_cycles(cpu_facts(), c.layout, m, plan.problem.k()));
    else
      j.null();
    j.key("chosen").boolean(&c == &selection.best()).key("rejected");
    c.rejected.empty() ? j.null() : j.string(c.rejected);
    j.close('}');
  }
  j.close(']');
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
  j.key("predicted_cycles").number(layout_cycles(cpu_facts(), layout, m, plan.problem.k()));
  write_candidates(j, plan, m);
  return j.close('}').take();
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
    j.open('{').key("name").string(kIsaNames[i]).key("usable").boolean(isas.usable[i])
        .key("reason").string(isas.reason[i]).close('}');
  j.close(']').key("kernels").open('[');
  for (const KernelRow& row : kernel_table())
    j.open('{').key("name").string(row.name).key("isa").string(isa_name(row.isa))
        .key("mr").integer(row.mr).key("nr").integer(row.nr).key("kr").integer(row.kr)
        .key("usable").boolean(isas[row.isa]).close('}');
  return j.close(']').close('}').take();
}

}  // namespace oct
