#include "perf/report_text.h"

#include <fmt/format.h>

namespace oct::perf {

std::string us_text(double us) {
  return fmt::format("{:.{}f}", us, us < 10 ? 3 : us < 100 ? 2 : us < 10000 ? 1 : 0);
}

std::string us_text(const std::optional<double>& us) { return us ? us_text(*us) : kAbsent; }

std::string fixed_text(const std::optional<double>& x, int digits) {
  return x ? fmt::format("{:.{}f}", *x, digits) : kAbsent;
}

std::string csv_text(const std::optional<double>& x) { return x ? fmt::format("{:.6g}", *x) : ""; }

Json json_number(const std::optional<double>& x) { return x ? Json(*x) : Json(); }

std::string short_kernel(const std::string& name) {
  const size_t types = name.find('_');
  const size_t tile = types == name.npos ? name.npos : name.find('_', types + 1);
  return tile == name.npos ? name : name.substr(tile + 1);
}

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

}  // namespace oct::perf
