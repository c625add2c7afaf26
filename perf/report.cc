#include "perf/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "perf/table.h"
#include "perf/text.h"

namespace oct::perf {
namespace {

constexpr const char* kAbsent = "-";

std::string us_text(double us) {
  return fmt::format("{:.{}f}", us, us < 10 ? 3 : us < 100 ? 2 : us < 10000 ? 1 : 0);
}

std::string us_text(const std::optional<double>& us) { return us ? us_text(*us) : kAbsent; }

// Empty in CSV, null in JSON.
std::string csv_text(const std::optional<double>& x) { return x ? fmt::format("{:.6g}", *x) : ""; }

Json json_number(const std::optional<double>& x) { return x ? Json(*x) : Json(); }

std::optional<double> peak_percent(const BenchRow& row) {
  if (!row.peak_gops || row.failed) return {};
  return 100 * row.gops / *row.peak_gops;
}

std::optional<double> geometric_mean(const std::vector<double>& values) {
  if (values.empty()) return {};
  double logs = 0;
  for (const double v : values) logs += std::log(v);
  return std::exp(logs / static_cast<double>(values.size()));
}

// Over a whole pass of the models: every row as often as it occurs.
struct Summary {
  std::vector<double> ratios;
  std::optional<double> geomean_ratio;
  double total_us = 0;
  std::optional<double> peer_total_us;  // only if the peer ran every row that we did
};

Summary summarize(const std::vector<BenchRow>& rows) {
  Summary s;
  double peer_total = 0;
  bool peer_complete = true;
  for (const BenchRow& row : rows) {
    if (row.failed) continue;
    const auto count = static_cast<double>(row.shape.count);
    s.total_us += count * row.median_us;
    if (row.peer) {
      s.ratios.push_back(row.peer->ratio);
      peer_total += count * row.peer->median_us;
    } else {
      peer_complete = false;
    }
  }
  s.geomean_ratio = geometric_mean(s.ratios);
  if (peer_complete && !s.ratios.empty()) s.peer_total_us = peer_total;
  return s;
}

// Kernel names are gemm_<types>_<tile>_<isa>. Of these the table shows the tile and the ISA: the
// headline has the types.
std::string short_kernel(const std::string& name) {
  const size_t types = name.find('_');
  const size_t tile = types == name.npos ? name.npos : name.find('_', types + 1);
  return tile == name.npos ? name : name.substr(tile + 1);
}

std::string kernel_of(const BenchRow& row) { return row.explain.value("kernel", ""); }
std::string isa_of(const BenchRow& row) { return row.explain.value("isa", ""); }

// Two lines: who ran what on which machine.
std::string headline(const RunInfo& info) {
  const Json& m = info.machine;
  const Json& s = m.at("settings");
  const int threads = m.value("threads", 1);
  std::string text = fmt::format(
      "octavo {}, {}, {} thread{}\n{} x s8 -> {}, {}-bit activations, {} weights",
      m.value("version", ""), m.value("cpu", ""), threads, threads == 1 ? "" : "s",
      s.value("src", ""), s.value("dst", ""), s.value("act_bits", 8), s.value("weights", ""));
  if (m.contains("peer"))
    text += fmt::format("; peer: {} {}, {}", info.peer, m["peer"].value("version", ""),
                        m["peer"].value("isa", ""));
  return text + "\n\n";
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

std::string summary_text(const RunInfo& info, const std::vector<BenchRow>& rows) {
  std::string text = peaks_text(rows);
  const Summary s = summarize(rows);
  text += fmt::format("sum of time x count: {} us", us_text(s.total_us));
  if (s.peer_total_us) text += fmt::format("; {}: {} us", info.peer, us_text(*s.peer_total_us));
  text += '\n';
  if (s.geomean_ratio)
    text +=
        fmt::format("geometric mean of {} ratio{} ({} time / our time): {:.3f}\n", s.ratios.size(),
                    s.ratios.size() == 1 ? "" : "s", info.peer, *s.geomean_ratio);
  return text;
}

std::string bench_table(const RunInfo& info, const std::vector<BenchRow>& rows, bool explain) {
  const bool peer = !info.peer.empty();
  Table table;
  table.column("name", Align::kLeft);
  table.column("problem", Align::kLeft);
  table.column("kernel", Align::kLeft);
  table.column("us", Align::kRight);
  table.column("GOPS", Align::kRight);
  table.column("% peak", Align::kRight);
  if (peer) {
    table.column("peer us", Align::kRight);
    table.column("ratio", Align::kRight);
  }
  for (const BenchRow& row : rows) {
    const auto percent = peak_percent(row);
    std::vector<std::string> cells = {row.shape.name,
                                      problem_text(row.shape),
                                      short_kernel(kernel_of(row)),
                                      row.failed ? "WRONG" : us_text(row.median_us),
                                      row.failed ? kAbsent : fmt::format("{:.1f}", row.gops),
                                      percent ? fmt::format("{:.1f}", *percent) : kAbsent};
    if (peer) {
      cells.push_back(row.peer ? us_text(row.peer->median_us) : kAbsent);
      cells.push_back(row.peer ? fmt::format("{:.3f}", row.peer->ratio) : kAbsent);
    }
    table.row(std::move(cells));
    for (const std::string& note : row.notes) table.note(note);
  }
  std::string text = headline(info) + table.text() + '\n' + summary_text(info, rows);
  if (explain)
    for (const BenchRow& row : rows)
      text += fmt::format("\n{}\n{}\n", full_name(row.shape), row.explain.dump(2));
  return text;
}

std::string bench_csv(const RunInfo& info, const std::vector<BenchRow>& rows) {
  Table table;
  for (const char* title :
       {"name", "problem", "op", "kernel", "isa", "threads", "count", "median_us", "gops",
        "peak_pct", "peer", "peer_median_us", "ratio", "note"})
    table.column(title, Align::kLeft);
  for (const BenchRow& row : rows) {
    const auto timed = [&](double x) { return row.failed ? std::string() : csv_text(x); };
    table.row({row.shape.name, problem_text(row.shape), row.explain.value("op", ""), kernel_of(row),
               isa_of(row), std::to_string(row.threads), std::to_string(row.shape.count),
               timed(row.median_us), timed(row.gops), csv_text(peak_percent(row)),
               row.peer ? info.peer : "", row.peer ? csv_text(row.peer->median_us) : "",
               row.peer ? csv_text(row.peer->ratio) : "", joined(row.notes, "; ")});
  }
  return table.csv();
}

Json bench_json(const RunInfo& info, const std::vector<BenchRow>& rows, bool explain) {
  Json list = Json::array();
  for (const BenchRow& row : rows) {
    Json j = {{"name", row.shape.name},
              {"problem", problem_text(row.shape)},
              {"op", row.explain.value("op", "")},
              {"kernel", kernel_of(row)},
              {"isa", isa_of(row)},
              {"threads", row.threads},
              {"count", row.shape.count},
              {"median_us", row.failed ? Json() : Json(row.median_us)},
              {"gops", row.failed ? Json() : Json(row.gops)},
              {"peak_gops", json_number(row.peak_gops)},
              {"peak_pct", json_number(peak_percent(row))},
              {"peer", nullptr},
              {"ratio", nullptr}};
    if (row.peer) {
      j["peer"] = {{"name", info.peer},
                   {"implementation", row.peer->implementation},
                   {"median_us", row.peer->median_us}};
      j["ratio"] = row.peer->ratio;
    }
    j["correct"] = !row.failed;
    j["notes"] = row.notes;
    if (explain) j["explain"] = row.explain;
    list.push_back(std::move(j));
  }
  const Summary s = summarize(rows);
  return {{"machine", info.machine},
          {"rows", std::move(list)},
          {"summary",
           {{"geomean_ratio", json_number(s.geomean_ratio)},
            {"total_us", s.total_us},
            {"peer_total_us", json_number(s.peer_total_us)}}}};
}

std::string creation_table(const RunInfo& info, const std::vector<CreationRow>& rows) {
  const bool peer = !info.peer.empty();
  Table table;
  table.column("name", Align::kLeft);
  table.column("problem", Align::kLeft);
  table.column("kernel", Align::kLeft);
  table.column("first us", Align::kRight);
  table.column("again us", Align::kRight);
  if (peer) {
    table.column("peer first us", Align::kRight);
    table.column("peer again us", Align::kRight);
  }
  for (const CreationRow& row : rows) {
    std::vector<std::string> cells = {row.shape.name, problem_text(row.shape),
                                      short_kernel(row.kernel), us_text(row.first_us),
                                      us_text(row.again_us)};
    if (peer) {
      cells.push_back(us_text(row.peer_first_us));
      cells.push_back(us_text(row.peer_again_us));
    }
    table.row(std::move(cells));
    for (const std::string& note : row.notes) table.note(note);
  }
  return headline(info) + table.text();
}

std::string creation_csv(const std::vector<CreationRow>& rows) {
  Table table;
  for (const char* title : {"name", "problem", "kernel", "first_us", "again_us", "peer_first_us",
                            "peer_again_us", "note"})
    table.column(title, Align::kLeft);
  for (const CreationRow& row : rows)
    table.row({row.shape.name, problem_text(row.shape), row.kernel, csv_text(row.first_us),
               csv_text(row.again_us), csv_text(row.peer_first_us), csv_text(row.peer_again_us),
               joined(row.notes, "; ")});
  return table.csv();
}

Json creation_json(const RunInfo& info, const std::vector<CreationRow>& rows) {
  Json list = Json::array();
  for (const CreationRow& row : rows) {
    Json j = {{"name", row.shape.name},   {"problem", problem_text(row.shape)},
              {"kernel", row.kernel},     {"first_us", row.first_us},
              {"again_us", row.again_us}, {"peer", nullptr},
              {"notes", row.notes}};
    if (row.peer_first_us)
      j["peer"] = {
          {"name", info.peer}, {"first_us", *row.peer_first_us}, {"again_us", *row.peer_again_us}};
    list.push_back(std::move(j));
  }
  return {{"machine", info.machine}, {"creation", std::move(list)}};
}

}  // namespace

std::string bench_report(const RunInfo& info, const std::vector<BenchRow>& rows, Format format,
                         bool explain) {
  switch (format) {
    case Format::kTable: return bench_table(info, rows, explain);
    case Format::kJson: return bench_json(info, rows, explain).dump(2) + '\n';
    case Format::kCsv: return bench_csv(info, rows);
  }
  return {};
}

std::string creation_report(const RunInfo& info, const std::vector<CreationRow>& rows,
                            Format format) {
  switch (format) {
    case Format::kTable: return creation_table(info, rows);
    case Format::kJson: return creation_json(info, rows).dump(2) + '\n';
    case Format::kCsv: return creation_csv(rows);
  }
  return {};
}

}  // namespace oct::perf
