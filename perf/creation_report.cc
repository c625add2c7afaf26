#include "perf/report.h"
#include "perf/report_text.h"
#include "perf/table.h"
#include "perf/text.h"

namespace oct::perf {
namespace {

std::optional<double> ratio_of(const CreationRow& row, double CreationRow::Peer::*peers,
                               double CreationRow::*ours) {
  return row.peer ? std::optional((*row.peer).*peers / row.*ours) : std::nullopt;
}
std::optional<double> first_ratio(const CreationRow& row) {
  return ratio_of(row, &CreationRow::Peer::first_us, &CreationRow::first_us);
}
std::optional<double> again_ratio(const CreationRow& row) {
  return ratio_of(row, &CreationRow::Peer::again_us, &CreationRow::again_us);
}

std::string creation_table(const RunInfo& info, const std::vector<CreationRow>& rows) {
  const bool peer = !info.peer.empty();
  Table table;
  for (const char* title : {"name", "problem", "kernel"}) table.column(title, Align::kLeft);
  for (const char* title : {"first us", "again us"}) table.column(title, Align::kRight);
  if (peer)
    for (const char* title : {"peer first us", "peer again us", "ratio first", "ratio again"})
      table.column(title, Align::kRight);
  for (const CreationRow& row : rows) {
    std::vector<std::string> cells = {row.name, row.what, short_kernel(row.kernel),
                                      us_text(row.first_us), us_text(row.again_us)};
    if (peer) {
      cells.push_back(row.peer ? us_text(row.peer->first_us) : kAbsent);
      cells.push_back(row.peer ? us_text(row.peer->again_us) : kAbsent);
      cells.push_back(fixed_text(first_ratio(row), 2));
      cells.push_back(fixed_text(again_ratio(row), 2));
    }
    table.row(std::move(cells));
    for (const std::string& note : row.notes) table.note(note);
  }
  return headline(info) + table.text();
}

std::string creation_csv(const std::vector<CreationRow>& rows) {
  Table table;
  for (const char* title : {"name", "problem", "kernel", "first_us", "again_us", "peer_first_us",
                            "peer_again_us", "ratio_first", "ratio_again", "note"})
    table.column(title, Align::kLeft);
  for (const CreationRow& row : rows)
    table.row({row.name, row.what, row.kernel, csv_text(row.first_us), csv_text(row.again_us),
               row.peer ? csv_text(row.peer->first_us) : "",
               row.peer ? csv_text(row.peer->again_us) : "", csv_text(first_ratio(row)),
               csv_text(again_ratio(row)), joined(row.notes, "; ")});
  return table.csv();
}

Json creation_json(const RunInfo& info, const std::vector<CreationRow>& rows) {
  Json list = Json::array();
  for (const CreationRow& row : rows) {
    Json j = {{"name", row.name},
              {"problem", row.what},
              {"kernel", row.kernel.empty() ? Json() : Json(row.kernel)},
              {"first_us", row.first_us},
              {"again_us", row.again_us},
              {"peer", nullptr},
              {"ratio_first", json_number(first_ratio(row))},
              {"ratio_again", json_number(again_ratio(row))},
              {"notes", row.notes}};
    if (row.peer)
      j["peer"] = {
          {"name", info.peer}, {"first_us", row.peer->first_us}, {"again_us", row.peer->again_us}};
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
