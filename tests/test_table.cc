// The kernel table: rows are data, and data can contradict itself.
#include "kernels/table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "jit/words.h"

namespace oct {
namespace {

TEST(KernelTable, NamesAreUniqueAndFound) {
  std::set<std::string> names;
  for (const KernelRow& row : kernel_table()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name << " appears twice";
    EXPECT_EQ(find_kernel(row.name), &row);
  }
  EXPECT_GE(names.size(), 2u);
  EXPECT_EQ(find_kernel("gemm"), nullptr);
  EXPECT_EQ(find_kernel(""), nullptr);
}

// The types of the operands: products of bytes, or what an elementwise kernel is named after.
std::string types_of(const KernelRow& row) {
  const std::map<std::string, std::string> elementwise{
      {"quantize", "f32u8"}, {"dequantize", "u8f32"}, {"requantize", "u8u8"}, {"minmax", "f32f32"}};
  const auto found = elementwise.find(row.op);
  if (found != elementwise.end()) return found->second;
  const char* a = row.flags & kRowNeedsSafePairs ? "u7" : row.flags & kRowSignedA ? "s8" : "u8";
  return a + std::string(row.flags & kRowUnsignedB ? "u8s32" : "s8s32");
}
bool multiplies(const KernelRow& row) {
  return row.op == std::string("gemm") || row.op == std::string("depthwise");
}

TEST(KernelTable, NamesSayWhatTheFieldsSay) {
  for (const KernelRow& row : kernel_table()) {
    const std::string tile =
        std::to_string(row.mr) + "x" + std::to_string(row.nr) + "x" + std::to_string(row.kr);
    const std::string bits =
        row.lanes < vector_lanes(row.isa) ? std::to_string(32 * row.lanes) : "";
    EXPECT_EQ(row.name,
              row.op + ("_" + types_of(row)) + "_" + tile + "_" + isa_name(row.isa) + bits);
  }
}

TEST(KernelTable, FieldsAreWithinBounds) {
  for (const KernelRow& row : kernel_table()) {
    EXPECT_TRUE(row.mr >= 1 && row.mr <= kMaxMr) << row.name;
    EXPECT_TRUE(row.nr >= 1 && row.nr <= kMaxNr) << row.name;
    EXPECT_TRUE(row.op != std::string("gemm") || row.mr * row.nr <= kMaxSums) << row.name;
    EXPECT_EQ(row.kr, !multiplies(row) ? 1 : row.isa == Isa::kAmx ? 64 : kKr) << row.name;
    EXPECT_TRUE(row.entry_rows >= 1 && row.mr % row.entry_rows == 0) << row.name;
    EXPECT_TRUE(row.lanes == vector_lanes(row.isa) || row.lanes == 8) << row.name;
    EXPECT_EQ(row.nr % row.lanes, 0) << row.name;
    EXPECT_NE(row.isa, Isa::kNone) << row.name;
    EXPECT_TRUE(row.a_form != AForm::kPairs16 || row.b_form == BForm::kPairs16) << row.name;
    EXPECT_EQ(row.emit != nullptr, row.op == std::string("gemm")) << row.name;
    EXPECT_TRUE(!(row.flags & kRowUnsignedB) || row.b_form == BForm::kQuads8) << row.name;
  }
}

// AVX2 must serve data of any range: it is the least that the library asks of a CPU.
TEST(KernelTable, Avx2IsComplete) {
  bool any_data = false;
  for (const KernelRow& row : kernel_table())
    any_data |= row.isa == Isa::kAvx2 && row.flags == kRowAnyData;
  EXPECT_TRUE(any_data);
}

TEST(IsaNames, RoundTrip) {
  for (int i = 1; i < kIsaCount; ++i)
    EXPECT_EQ(isa_from_name(isa_name(static_cast<Isa>(i))), static_cast<Isa>(i));
  for (const char* name : {"none", "", "avx", "AVX2", "avx2 ", "avx512"})
    EXPECT_EQ(isa_from_name(name), Isa::kNone) << name;
}

}  // namespace
}  // namespace oct
