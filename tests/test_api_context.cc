// Contexts: bad descriptions, the instruction-set cap from caller and environment, and
// oct_describe.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "dispatch/cpu.h"
#include "kernels/table.h"
#include "tests/api_support.h"

namespace oct::test {
namespace {

using nlohmann::json;

json describe(const oct_context* context) {
  size_t needed = 0;
  EXPECT_EQ(oct_describe(context, nullptr, 0, &needed), OCT_OK) << oct_last_error();
  std::string text(needed, '\0');
  EXPECT_EQ(oct_describe(context, text.data(), text.size(), nullptr), OCT_OK) << oct_last_error();
  return json::parse(text.c_str());
}

class ApiContext : public testing::Test {
  void SetUp() override {
    if (distinct_caps().empty()) GTEST_SKIP() << "this CPU has no usable instruction set";
  }
};

// Creation must fail with `status`, a message that contains `mention`, and *context unchanged.
void expect_refused(const oct_context_desc& desc, oct_status status, const std::string& mention) {
  auto* const untouched = reinterpret_cast<oct_context*>(0x1234);
  oct_context* context = untouched;
  EXPECT_EQ(oct_context_create(&desc, &context), status);
  EXPECT_EQ(context, untouched);
  EXPECT_NE(std::string(oct_last_error()).find(mention), std::string::npos) << oct_last_error();
}

oct_parallel_for some_pool() {
  return [](void*, size_t count, void (*task)(void*, size_t), void* arg) {
    for (size_t i = 0; i < count; ++i) task(arg, i);
  };
}

TEST_F(ApiContext, RefusesBadDescriptions) {
  EXPECT_EQ(oct_context_create(nullptr, nullptr), OCT_INVALID_ARGUMENT);
  EXPECT_STREQ(oct_last_error(), "context is null");

  const oct_context_desc good = OCT_CONTEXT_DESC_INIT;
  oct_context_desc d = good;
  d.struct_size = 0;
  expect_refused(d, OCT_VERSION_MISMATCH, "struct_size is 0;");
  d.struct_size = sizeof d + 8;
  expect_refused(d, OCT_VERSION_MISMATCH, std::to_string(sizeof d + 8));
  for (int threads : {-1, 1025, INT32_MIN, INT32_MAX}) {
    d = good;
    d.threads = threads;
    expect_refused(d, OCT_INVALID_ARGUMENT, std::to_string(threads));
  }
  for (int isa : {-1, 7}) {
    d = good;
    d.max_isa = static_cast<oct_isa>(isa);
    expect_refused(d, OCT_INVALID_ARGUMENT, std::to_string(isa));
  }
  d = good;
  d.parallel_for = some_pool();
  d.threads = 0;
  expect_refused(d, OCT_INVALID_ARGUMENT, "threads is 0");
}

TEST_F(ApiContext, TakesDefaults) {
  oct_context* context = nullptr;
  ASSERT_EQ(oct_context_create(nullptr, &context), OCT_OK);
  EXPECT_EQ(describe(context)["threads"], 1);
  oct_context_destroy(context);
  oct_context_destroy(nullptr);
}

TEST_F(ApiContext, ZeroThreadsMeansOnePerCore) {
  const Context context(OCT_ISA_NONE, 0);
  EXPECT_EQ(describe(context)["threads"], cpu_facts().cores);
}

TEST_F(ApiContext, RefusesAnUnknownIsaInTheEnvironment) {
  const oct_context_desc good = OCT_CONTEXT_DESC_INIT;
  for (const char* name : {"avx", "AVX2", "avx512", "none", "avx2,amx"}) {
    const ScopedEnv env("OCTAVO_MAX_ISA", name);
    expect_refused(good, OCT_INVALID_ARGUMENT, std::string("\"") + name + "\"");
  }
}

// The cap of a context: the lower one of the two.
TEST_F(ApiContext, TheLowerCapCounts) {
  struct {
    oct_isa from_caller;
    const char* from_env;
    const char* cap;
  } const cases[] = {
      {OCT_ISA_NONE, nullptr, "none"},       {OCT_ISA_NONE, "", "none"},
      {OCT_ISA_AVX2, nullptr, "avx2"},       {OCT_ISA_NONE, "avx2", "avx2"},
      {OCT_ISA_AVX512VNNI, "avx2", "avx2"},  {OCT_ISA_AVX2, "avx512vnni", "avx2"},
      {OCT_ISA_AMX, "avx512bw", "avx512bw"}, {OCT_ISA_AVXVNNI, "avxvnniint8", "avxvnni"},
  };
  for (const auto& c : cases) {
    const ScopedEnv env("OCTAVO_MAX_ISA", c.from_env);
    const Context context(c.from_caller);
    const json d = describe(context);
    EXPECT_EQ(d["cap"], c.cap);
    const int limit =
        c.cap == std::string("none") ? kIsaCount : static_cast<int>(isa_from_name(c.cap));
    for (const json& isa : d["isas"]) {
      const int i = static_cast<int>(isa_from_name(isa["name"].get<std::string>()));
      EXPECT_EQ(isa["usable"], i <= limit && cpu_facts().runs[static_cast<size_t>(i)]) << isa;
    }
    for (const json& kernel : d["kernels"]) {
      const int i = static_cast<int>(isa_from_name(kernel["isa"].get<std::string>()));
      EXPECT_EQ(kernel["usable"], i <= limit && cpu_facts().runs[static_cast<size_t>(i)]) << kernel;
    }
  }
}

// Read when the context is created, not at the first use of the library.
TEST_F(ApiContext, ReadsTheEnvironmentEachTime) {
  for (const char* name : {"avx2", "amx", "avx2"}) {
    const ScopedEnv env("OCTAVO_MAX_ISA", name);
    const Context context;
    EXPECT_EQ(describe(context)["cap"], name);
  }
}

TEST(Describe, HasTheDocumentedFields) {
  const json d = describe(nullptr);
  EXPECT_EQ(d["version"], oct_version());
  EXPECT_TRUE(d["cpu"].is_string());
  EXPECT_EQ(d["cores"], cpu_facts().cores);
  EXPECT_TRUE(d.contains("caches"));
  EXPECT_EQ(d["cap"], "none");
  ASSERT_EQ(d["isas"].size(), static_cast<size_t>(kIsaCount - 1));
  for (size_t i = 0; i < d["isas"].size(); ++i) {
    const json& isa = d["isas"][i];
    EXPECT_EQ(isa["name"], kIsaNames[i + 1]);
    EXPECT_EQ(isa["usable"].get<bool>(), isa["reason"].get<std::string>().empty()) << isa;
    EXPECT_FALSE(isa["usable"].get<bool>() && isa["emulated"].get<bool>()) << isa;
  }
  ASSERT_EQ(d["kernels"].size(), kernel_table().size());
  for (size_t i = 0; i < d["kernels"].size(); ++i) {
    const json& kernel = d["kernels"][i];
    const KernelRow& row = kernel_table()[i];
    EXPECT_EQ(kernel["name"], row.name);
    EXPECT_EQ(kernel["isa"], isa_name(row.isa));
    EXPECT_EQ(kernel["mr"], row.mr);
    EXPECT_EQ(kernel["nr"], row.nr);
    EXPECT_EQ(kernel["kr"], row.kr);
  }
}

TEST(Version, MatchesTheHeader) {
  EXPECT_EQ(std::string(oct_version()), std::to_string(OCT_VERSION_MAJOR) + "." +
                                            std::to_string(OCT_VERSION_MINOR) + "." +
                                            std::to_string(OCT_VERSION_PATCH));
}

TEST(StatusNames, CoverEveryStatus) {
  EXPECT_STREQ(oct_status_name(OCT_OK), "OCT_OK");
  EXPECT_STREQ(oct_status_name(OCT_INVALID_ARGUMENT), "OCT_INVALID_ARGUMENT");
  EXPECT_STREQ(oct_status_name(OCT_UNSUPPORTED), "OCT_UNSUPPORTED");
  EXPECT_STREQ(oct_status_name(OCT_UNSUPPORTED_CPU), "OCT_UNSUPPORTED_CPU");
  EXPECT_STREQ(oct_status_name(OCT_OUT_OF_MEMORY), "OCT_OUT_OF_MEMORY");
  EXPECT_STREQ(oct_status_name(OCT_VERSION_MISMATCH), "OCT_VERSION_MISMATCH");
  EXPECT_STREQ(oct_status_name(OCT_INTERNAL), "OCT_INTERNAL");
  EXPECT_STREQ(oct_status_name(static_cast<oct_status>(7)), "unknown");
  EXPECT_STREQ(oct_status_name(static_cast<oct_status>(-1)), "unknown");
}

// Each thread has its own last error, which success leaves alone.
TEST(LastError, BelongsToTheThread) {
  std::thread([] {
    EXPECT_STREQ(oct_last_error(), "");
    EXPECT_EQ(oct_qgemm_run(nullptr, nullptr), OCT_INVALID_ARGUMENT);
    EXPECT_STREQ(oct_last_error(), "plan is null");
    std::thread([] { EXPECT_STREQ(oct_last_error(), ""); }).join();
    size_t needed;
    EXPECT_EQ(oct_describe(nullptr, nullptr, 0, &needed), OCT_OK);
    EXPECT_STREQ(oct_last_error(), "plan is null");
  }).join();
}

}  // namespace
}  // namespace oct::test
