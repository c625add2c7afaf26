#include "perf/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "perf/report_text.h"
#include "perf/table.h"
#include "perf/text.h"
#include "perf/totals.h"

namespace oct::perf {
namespace {

std::optional<double> peak_percent(const BenchRow& row) {
  if (!row.peak_gops || row.failed) return {};
  return 100 * row.gops / *row.peak_gops;
}

std::string kernel_of(const BenchRow& row) { return row.explain.value("kernel", ""); }
std::string isa_of(const BenchRow& row) { return row.explain.value("isa", ""); }

// How a convolution is computed; products have one way only.
std::string lowering_of(const BenchRow& row) { return row.explain.value("lowering", ""); }

std::optional<double> us_of(const std::optional<BenchRow::Other>& other) {
  return other ? std::optional(other->median_us) : std::nullopt;
}
std::optional<double> ratio_of(const std::optional<BenchRow::Other>& other) {
  return other ? std::optional(other->ratio) : std::nullopt;
}

// For each ISA, the range of its peak over the run: a wide one tells of a disturbed machine.
std::string peaks_text(const std::vector<BenchRow>& rows) {
  struct Range {
    double lo = HUGE_VAL, hi = 0;
  };
  std::map<std::string, Range> ranges;
  for (const BenchRow& row : rows) {
    if (!row.peak_gops) continue;
    Range& range = ranges[isa_of(row)];
    range.lo = std::min(range.lo, *row.peak_gops);
    range.hi = std::max(range.hi, *row.peak_gops);
  }
  std::string text;
  for (const auto& [isa, range] : ranges)
    text += fmt::format("measured peak of {}: {:.0f} .. {:.0f} GOPS\n", isa, range.lo, range.hi);
  return text;
}

// Columns that are there only if some row has something in them.
struct Extras {
  explicit Extras(const std::vector<BenchRow>& rows)
      : lowering(std::any_of(rows.begin(), rows.end(),
                             [](const BenchRow& r) { return !lowering_of(r).empty(); })),
        peer_f32(std::any_of(rows.begin(), rows.end(),
                             [](const BenchRow& r) { return r.peer_f32.has_value(); })),
        one_thread(std::any_of(rows.begin(), rows.end(),
                               [](const BenchRow& r) { return r.one_thread.has_value(); })) {}
  bool lowering, peer_f32, one_thread;
};

// A column and what a row has in it.
template <class Row>
struct Column {
  const char* title;
  Align align;
  std::function<std::string(const Row&)> cell;
};

template <class Row>
void add_row(Table& table, const std::vector<Column<Row>>& columns, const Row& row) {
  std::vector<std::string> cells;
  for (const auto& column : columns) cells.push_back(column.cell(row));
  table.row(std::move(cells));
}

template <class Row>
Table table_of(const std::vector<Column<Row>>& columns) {
  Table table;
  for (const auto& column : columns) table.column(column.title, column.align);
  return table;
}

std::vector<Column<BenchRow>> bench_columns(bool peer, const Extras& extras) {
  using R = const BenchRow&;
  std::vector<Column<BenchRow>> columns = {
      {"name", Align::kLeft, [](R r) { return r.problem.name; }},
      {"problem", Align::kLeft, [](R r) { return problem_text(r.problem); }},
      {"x", Align::kRight, [](R r) { return std::to_string(r.problem.count); }}};
  if (extras.lowering) columns.push_back({"lowering", Align::kLeft, lowering_of});
  columns.push_back({"kernel", Align::kLeft, [](R r) { return short_kernel(kernel_of(r)); }});
  columns.push_back(
      {"us", Align::kRight, [](R r) { return r.failed ? "WRONG" : us_text(r.median_us); }});
  columns.push_back({"GOPS", Align::kRight,
                     [](R r) { return r.failed ? kAbsent : fmt::format("{:.1f}", r.gops); }});
  columns.push_back({"% peak", Align::kRight, [](R r) { return fixed_text(peak_percent(r), 1); }});
  const auto other = [&](const char* us, const char* ratio,
                         std::optional<BenchRow::Other> BenchRow::*which) {
    columns.push_back({us, Align::kRight, [=](R r) { return us_text(us_of(r.*which)); }});
    columns.push_back(
        {ratio, Align::kRight, [=](R r) { return fixed_text(ratio_of(r.*which), 3); }});
  };
  if (peer) other("peer us", "ratio", &BenchRow::peer);
  if (extras.peer_f32) other("f32 us", "ratio f32", &BenchRow::peer_f32);
  if (!extras.one_thread) return columns;
  other("1 thread us", "speed-up", &BenchRow::one_thread);
  columns.push_back({"line ns", Align::kRight, [](R r) { return fixed_text(r.round_trip_ns, 0); }});
  columns.push_back({"cores", Align::kRight, [](R r) { return fixed_text(r.cores, 2); }});
  return columns;
}

std::vector<Column<Totals>> total_columns(bool peer, const Extras& extras) {
  using T = const Totals&;
  std::vector<Column<Totals>> columns = {
      {"network", Align::kLeft, [](T t) { return t.network.empty() ? kAbsent : t.network; }},
      {"layers", Align::kLeft, [](T t) { return t.layer_class; }},
      {"x", Align::kRight, [](T t) { return std::to_string(t.layers); }},
      {"us", Align::kRight, [](T t) { return us_text(t.us); }}};
  const auto number = [&](const char* title, auto value) {
    columns.push_back({title, Align::kRight, [=](T t) { return fixed_text((t.*value)(), 3); }});
  };
  if (peer) {
    columns.push_back({"peer us", Align::kRight, [](T t) { return us_text(t.peer_us); }});
    number("ratio", &Totals::ratio);
    number("geomean", &Totals::geomean_ratio);
    number("lowest", &Totals::lowest_ratio);
  }
  if (extras.peer_f32) number("ratio f32", &Totals::ratio_f32);
  if (extras.one_thread) number("speed-up", &Totals::speed_up);
  return columns;
}

std::string summary_text(const RunInfo& info, const std::vector<BenchRow>& rows) {
  const Extras extras(rows);
  std::string text = peaks_text(rows);
  if (extras.lowering) {
    const auto columns = total_columns(!info.peer.empty(), extras);
    Table table = table_of(columns);
    for (const Totals& totals : totals_of(rows)) add_row(table, columns, totals);
    text += '\n' + table.text() + '\n';
  }
  const Totals sum = sum_of(rows);
  text += fmt::format("sum of time x count: {} us", us_text(sum.us));
  if (sum.peer_us) text += fmt::format("; {}: {} us", info.peer, us_text(*sum.peer_us));
  text += '\n';
  if (const auto mean = sum.geomean_ratio())
    text += fmt::format("geometric mean of {} ratio{} ({} time / our time): {:.3f}\n",
                        sum.ratios.size(), sum.ratios.size() == 1 ? "" : "s", info.peer, *mean);
  return text;
}

std::string rows_text(const RunInfo& info, const std::vector<BenchRow>& rows, bool failed_only) {
  const auto columns = bench_columns(!info.peer.empty(), Extras(rows));
  Table table = table_of(columns);
  for (const BenchRow& row : rows) {
    if (failed_only && !row.failed) continue;
    add_row(table, columns, row);
    for (const std::string& note : row.notes) table.note(note);
  }
  return table.text() + '\n';
}

std::string bench_table(const RunInfo& info, const std::vector<BenchRow>& rows,
                        const BenchOptions& options) {
  const bool failed =
      std::any_of(rows.begin(), rows.end(), [](const BenchRow& row) { return row.failed; });
  std::string text = headline(info);
  if (!options.summary || failed) text += rows_text(info, rows, options.summary);
  text += summary_text(info, rows);
  if (options.explain)
    for (const BenchRow& row : rows)
      text += fmt::format("\n{}\n{}\n", full_name(row.problem), row.explain.dump(2));
  return text;
}

std::string bench_csv(const RunInfo& info, const std::vector<BenchRow>& rows) {
  Table table;
  for (const char* title : {"name",      "problem",
                            "class",     "op",
                            "lowering",  "kernel",
                            "isa",       "threads",
                            "count",     "median_us",
                            "gops",      "peak_pct",
                            "peer",      "peer_median_us",
                            "ratio",     "peer_f32_median_us",
                            "ratio_f32", "one_thread_median_us",
                            "speed_up",  "round_trip_ns",
                            "cores",     "note"})
    table.column(title, Align::kLeft);
  for (const BenchRow& row : rows) {
    const auto timed = [&](double x) { return row.failed ? std::string() : csv_text(x); };
    table.row({row.problem.name,
               problem_text(row.problem),
               layer_class(row.problem),
               row.explain.value("op", ""),
               lowering_of(row),
               kernel_of(row),
               isa_of(row),
               std::to_string(row.threads),
               std::to_string(row.problem.count),
               timed(row.median_us),
               timed(row.gops),
               csv_text(peak_percent(row)),
               row.peer ? info.peer : "",
               csv_text(us_of(row.peer)),
               csv_text(ratio_of(row.peer)),
               csv_text(us_of(row.peer_f32)),
               csv_text(ratio_of(row.peer_f32)),
               csv_text(us_of(row.one_thread)),
               csv_text(ratio_of(row.one_thread)),
               csv_text(row.round_trip_ns),
               csv_text(row.cores),
               joined(row.notes, "; ")});
  }
  return table.csv();
}

// Null without a time.
Json other_json(const std::string& name, const std::optional<BenchRow::Other>& other) {
  if (!other) return {};
  return {
      {"name", name}, {"implementation", other->implementation}, {"median_us", other->median_us}};
}

Json row_json(const RunInfo& info, const BenchRow& row, bool explain) {
  Json j = {{"name", row.problem.name},
            {"problem", problem_text(row.problem)},
            {"class", layer_class(row.problem)},
            {"op", row.explain.value("op", "")},
            {"lowering", lowering_of(row).empty() ? Json() : Json(lowering_of(row))},
            {"kernel", kernel_of(row)},
            {"isa", isa_of(row)},
            {"threads", row.threads},
            {"count", row.problem.count},
            {"median_us", row.failed ? Json() : Json(row.median_us)},
            {"gops", row.failed ? Json() : Json(row.gops)},
            {"peak_gops", json_number(row.peak_gops)},
            {"peak_pct", json_number(peak_percent(row))},
            {"peer", other_json(info.peer, row.peer)},
            {"ratio", json_number(ratio_of(row.peer))},
            {"peer_f32", other_json(info.peer, row.peer_f32)},
            {"ratio_f32", json_number(ratio_of(row.peer_f32))},
            {"one_thread_us", json_number(us_of(row.one_thread))},
            {"speed_up", json_number(ratio_of(row.one_thread))},
            {"round_trip_ns", json_number(row.round_trip_ns)},
            {"cores", json_number(row.cores)},
            {"correct", !row.failed},
            {"notes", row.notes}};
  if (explain) j["explain"] = row.explain;
  return j;
}

Json totals_json(const Totals& t) {
  return {{"network", t.network},
          {"class", t.layer_class},
          {"layers", t.layers},
          {"us", t.us},
          {"peer_us", json_number(t.peer_us)},
          {"ratio", json_number(t.ratio())},
          {"geomean_ratio", json_number(t.geomean_ratio())},
          {"lowest_ratio", json_number(t.lowest_ratio())},
          {"ratio_f32", json_number(t.ratio_f32())},
          {"speed_up", json_number(t.speed_up())}};
}

Json bench_json(const RunInfo& info, const std::vector<BenchRow>& rows, bool explain) {
  Json list = Json::array(), totals = Json::array();
  for (const BenchRow& row : rows) list.push_back(row_json(info, row, explain));
  for (const Totals& t : totals_of(rows)) totals.push_back(totals_json(t));
  const Totals sum = sum_of(rows);
  return {{"machine", info.machine},
          {"rows", std::move(list)},
          {"totals", std::move(totals)},
          {"summary",
           {{"geomean_ratio", json_number(sum.geomean_ratio())},
            {"total_us", sum.us},
            {"peer_total_us", json_number(sum.peer_us)}}}};
}

}  // namespace

std::string bench_report(const RunInfo& info, const std::vector<BenchRow>& rows,
                         const BenchOptions& options) {
  switch (options.format) {
    case Format::kTable: return bench_table(info, rows, options);
    case Format::kJson: return bench_json(info, rows, options.explain).dump(2) + '\n';
    case Format::kCsv: return bench_csv(info, rows);
  }
  return {};
}

}  // namespace oct::perf
