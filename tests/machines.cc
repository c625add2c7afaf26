#include "tests/machines.h"

#include <cstdlib>

namespace oct::test {
namespace {

// What comes with an ISA in all CPUs that have it.
std::vector<Isa> lower_isas(Isa isa) {
  switch (isa) {
    case Isa::kAvxVnni:
    case Isa::kAvx512bw: return {Isa::kAvx2};
    case Isa::kAvxVnniInt8: return {Isa::kAvx2, Isa::kAvxVnni};
    case Isa::kAvx512Vnni: return {Isa::kAvx2, Isa::kAvx512bw};
    case Isa::kAmx: return {Isa::kAvx2, Isa::kAvx512bw, Isa::kAvx512Vnni};
    default: return {};
  }
}

UsableIsas isas_of(Isa best) {
  UsableIsas isas;
  isas.reason.fill("not on this machine");
  const auto add = [&](Isa isa) {
    isas.usable[static_cast<size_t>(isa)] = true;
    isas.reason[static_cast<size_t>(isa)].clear();
  };
  add(best);
  for (Isa isa : lower_isas(best)) add(isa);
  return isas;
}

}  // namespace

std::vector<Machine> machines() {
  const char* env = std::getenv("OCTAVO_MAX_ISA");
  const Isa limit = env && *env ? isa_from_name(env) : Isa::kAmx;
  std::vector<Machine> all;
  for (int i = 1; i <= static_cast<int>(limit); ++i) {
    const Isa isa = static_cast<Isa>(i);
    const Place place = place_of(isa);
    if (place != Place::kNowhere) all.push_back({isa, place, isas_of(isa)});
  }
  return all;
}

}  // namespace oct::test
