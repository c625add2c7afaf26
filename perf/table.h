// Rows of text in columns, as an aligned table or as CSV.
#pragma once

#include <string>
#include <vector>

namespace oct::perf {

enum class Align { kLeft, kRight };

class Table {
 public:
  void column(std::string title, Align align);
  void row(std::vector<std::string> cells);  // one per column
  void note(std::string text);               // a line of its own below the last row; not in CSV

  std::string text() const;
  std::string csv() const;

 private:
  struct Row {
    std::vector<std::string> cells, notes;
  };
  std::vector<std::string> titles_;
  std::vector<Align> aligns_;
  std::vector<Row> rows_;
};

}  // namespace oct::perf
