#include "perf/report.h"
#include "perf/report_text.h"
#include "perf/table.h"
#include "perf/text.h"

namespace oct::perf {
namespace {

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
    std::vector<std::string> cells = {row.problem.name, problem_text(row.problem),
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
    table.row({row.problem.name, problem_text(row.problem), row.kernel, csv_text(row.first_us),
               csv_text(row.again_us), csv_text(row.peer_first_us), csv_text(row.peer_again_us),
               joined(row.notes, "; ")});
  return table.csv();
}

Json creation_json(const RunInfo& info, const std::vector<CreationRow>& rows) {
  Json list = Json::array();
  for (const CreationRow& row : rows) {
    Json j = {{"name", row.problem.name}, {"problem", problem_text(row.problem)},
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
