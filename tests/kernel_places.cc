#include "tests/kernel_places.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "dispatch/cpu.h"
#include "tests/emulate/emulate.h"
#include "tests/support.h"

namespace oct::test {
namespace {

constexpr const char* kPlaceNames[] = {"native", "emulated", "nowhere"};

bool runs(Isa isa) { return usable_isas(cpu_facts(), Isa::kNone)[isa]; }

std::set<const KernelRow*>& recorded() {
  static std::set<const KernelRow*> rows;
  return rows;
}

Place recorded_place(const KernelRow& row) {
  return recorded().contains(&row) ? place_of(row.isa) : Place::kNowhere;
}

class Report : public testing::Environment {
  void TearDown() override {
    if (recorded().empty()) return;
    print_counts();
    if (const char* path = std::getenv("OCTAVO_TEST_PLACES")) append_rows(path);
  }

  // Of the operations that this program has run.
  static void print_counts() {
    std::set<std::string> ops;
    for (const KernelRow* row : recorded()) ops.insert(row->op);
    std::map<Isa, std::map<Place, int>> counts;
    for (const KernelRow& row : kernel_table())
      if (ops.contains(row.op)) ++counts[row.isa][recorded_place(row)];
    for (auto& [isa, of] : counts)
      std::printf("kernels %s: %d native, %d emulated, %d nowhere\n", isa_name(isa),
                  of[Place::kNative], of[Place::kEmulated], of[Place::kNowhere]);
  }

  static void append_rows(const char* path) {
    FILE* file = std::fopen(path, "a");
    ASSERT_NE(file, nullptr) << path;
    for (const KernelRow& row : kernel_table())
      std::fprintf(file, "%s %s %s\n", row.name, isa_name(row.isa),
                   kPlaceNames[static_cast<int>(recorded_place(row))]);
    std::fclose(file);
  }
};

[[maybe_unused]] const auto* const g_report = testing::AddGlobalTestEnvironment(new Report);

}  // namespace

Place place_of(Isa isa) {
  if (runs(isa)) return Place::kNative;
  if (!cpu_facts().only_emulated(isa)) return Place::kNowhere;
  emulate::install();
  return emulate::covers(isa) ? Place::kEmulated : Place::kNowhere;
}

std::string why_nowhere(Isa isa) {
  const std::string reason = cpu_facts().reason[static_cast<size_t>(isa)];
  const Isa base = emulated_on(isa);
  if (base == Isa::kNone) return reason;
  return reason + ", and the emulator needs " + isa_name(base);
}

int by_effort_at(Place place, int quick, int normal, int thorough) {
  return place == Place::kEmulated ? quick : by_effort(quick, normal, thorough);
}

void record_place(const KernelRow& row) { recorded().insert(&row); }

}  // namespace oct::test
