// With OCTAVO_PERF_MAP=1, profilers find each kernel under its name from the table. A program of
// its own, because the variable is read once per process.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "dispatch/cpu.h"
#include "kernels/gemm.h"

namespace oct {
namespace {

TEST(PerfMap, NamesEveryKernel) {
  setenv("OCTAVO_PERF_MAP", "1", 1);
  const std::string path = "/tmp/perf-" + std::to_string(getpid()) + ".map";
  CodeCache cache;
  int kernels = 0;
  for (const KernelRow& row : kernels_of("gemm")) {
    if (!cpu_facts().runs[static_cast<int>(row.isa)]) continue;
    GemmSpec spec;
    spec.n = row.nr;
    const GemmCode code = gemm_code(cache, row, spec);
    std::ifstream map(path);
    std::string start, size, name;
    while (map >> start >> size && std::getline(map >> std::ws, name))
      if (name == row.name) break;
    EXPECT_EQ(name, row.name);
    const auto entry = reinterpret_cast<uintptr_t>(code.code->entry(0));
    EXPECT_EQ(std::stoull(size, nullptr, 16), code.code->size());
    EXPECT_LT(entry - std::stoull(start, nullptr, 16), code.code->size());
    ++kernels;
  }
  std::remove(path.c_str());
  if (kernels == 0) GTEST_SKIP() << "this CPU runs no kernel";
}

}  // namespace
}  // namespace oct
