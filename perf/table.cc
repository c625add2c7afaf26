#include "perf/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "perf/text.h"

namespace oct::perf {
namespace {

std::string csv_cell(const std::string& cell) {
  if (cell.find_first_of(",\"\n") == cell.npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::vector<std::string> quoted;
  for (const std::string& cell : cells) quoted.push_back(csv_cell(cell));
  return joined(quoted, ",") + '\n';
}

}  // namespace

void Table::column(std::string title, Align align) {
  titles_.push_back(std::move(title));
  aligns_.push_back(align);
}

void Table::row(std::vector<std::string> cells) {
  assert(cells.size() == titles_.size());
  rows_.push_back({std::move(cells), {}});
}

void Table::note(std::string text) {
  assert(!rows_.empty());
  rows_.back().notes.push_back(std::move(text));
}

std::string Table::text() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < titles_.size(); ++i) {
    size_t width = titles_[i].size();
    for (const Row& row : rows_) width = std::max(width, row.cells[i].size());
    widths.push_back(width);
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) text += "  ";
      text += aligns_[i] == Align::kLeft ? fmt::format("{:<{}}", cells[i], widths[i])
                                         : fmt::format("{:>{}}", cells[i], widths[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text + '\n';
  };
  std::string text = line(titles_);
  for (const Row& row : rows_) {
    text += line(row.cells);
    for (const std::string& note : row.notes) text += "    " + note + '\n';
  }
  return text;
}

std::string Table::csv() const {
  std::string text = csv_line(titles_);
  for (const Row& row : rows_) text += csv_line(row.cells);
  return text;
}

}  // namespace oct::perf
