// `octavo info`: oct_describe's JSON, as it is or as text.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

#include "perf/library.h"
#include "perf/options.h"
#include "perf/out_file.h"
#include "perf/table.h"

namespace oct::perf {
namespace {

using Json = nlohmann::ordered_json;

std::string size_text(int64_t bytes) {
  if (bytes <= 0) return "unknown";
  if (bytes >= 1 << 20) return fmt::format("{:g} MiB", static_cast<double>(bytes) / (1 << 20));
  return fmt::format("{:g} KiB", static_cast<double>(bytes) / (1 << 10));
}

// "yes", "emulated only" (by the library's tests) or "no".
std::string usable_text(const Json& isa) {
  if (isa.value("usable", false)) return "yes";
  return isa.value("emulated", false) ? "emulated only" : "no";
}

std::string isa_table(const Json& isas, const Json& kernels) {
  Table table;
  table.column("isa", Align::kLeft);
  table.column("kernels", Align::kRight);
  table.column("usable", Align::kLeft);
  for (const Json& isa : isas) {
    const auto count = std::count_if(kernels.begin(), kernels.end(), [&](const Json& k) {
      return k.value("isa", "") == isa.value("name", "");
    });
    const std::string reason = isa.value("reason", "");
    table.row({isa.value("name", ""), std::to_string(count),
               usable_text(isa) + (reason.empty() ? "" : ": " + reason)});
  }
  return table.text();
}

const Json& isa_of(const Json& kernel, const Json& isas) {
  return *std::find_if(isas.begin(), isas.end(), [&](const Json& isa) {
    return isa.value("name", "") == kernel.value("isa", "");
  });
}

std::string kernel_counts(const Json& isas, const Json& kernels) {
  std::map<std::string, int> counts;
  for (const Json& kernel : kernels) ++counts[usable_text(isa_of(kernel, isas))];
  return fmt::format("{} of {} run here, {} under the tests' emulator, {} nowhere", counts["yes"],
                     kernels.size(), counts["emulated only"], counts["no"]);
}

std::string kernel_table_text(const Json& isas, const Json& kernels) {
  Table table;
  table.column("kernel", Align::kLeft);
  table.column("isa", Align::kLeft);
  table.column("MR x NR x KR", Align::kLeft);
  table.column("usable", Align::kLeft);
  for (const Json& k : kernels)
    table.row({k.value("name", ""), k.value("isa", ""),
               fmt::format("{} x {} x {}", k.value("mr", 0), k.value("nr", 0), k.value("kr", 0)),
               usable_text(isa_of(k, isas))});
  return table.text();
}

std::string info_text(const Json& machine, const std::string& refusal) {
  std::string cpu = machine.value("cpu", "");
  if (cpu.empty()) cpu = "unknown";
  const std::string uarch = machine.value("uarch", "");
  if (!uarch.empty()) cpu += fmt::format(" ({} {})", machine.value("vendor", ""), uarch);
  const Json caches = machine.value("caches", Json::object());

  std::string text = fmt::format("octavo   {}\n", machine.value("version", ""));
  text += fmt::format("cpu      {}\n", cpu);
  text += fmt::format("cores    {}\n", machine.value("cores", 0));
  text += fmt::format("caches   L1d {}, L2 {}, L3 {}\n", size_text(caches.value("l1d", 0)),
                      size_text(caches.value("l2", 0)), size_text(caches.value("l3", 0)));
  text += fmt::format("threads  {} unless a context asks for more\n", machine.value("threads", 1));
  text += fmt::format("cap      {}\n", machine.value("cap", "none"));
  const Json isas = machine.value("isas", Json::array());
  const Json kernels = machine.value("kernels", Json::array());
  text += fmt::format("kernels  {}\n", kernel_counts(isas, kernels));
  text += '\n' + isa_table(isas, kernels);
  text += '\n' + kernel_table_text(isas, kernels);
  if (!refusal.empty()) text += fmt::format("\nThis machine cannot run octavo: {}\n", refusal);
  return text;
}

}  // namespace

int run_info(const InfoOptions& options) {
  // A context knows OCTAVO_MAX_ISA. Where none can be created, the machine is still described.
  ContextPtr context;
  std::string refusal;
  try {
    context = create_context(Isa::kNone, 1);
  } catch (const LibraryError& error) {
    if (error.status != OCT_UNSUPPORTED_CPU) throw;
    refusal = error.what();
  }
  const Json machine = Json::parse(describe(context.get()));
  write_out("", options.json ? machine.dump(2) + '\n' : info_text(machine, refusal));
  return kExitOk;
}

}  // namespace oct::perf
