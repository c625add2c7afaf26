#include "kernels/table.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "kernels/gemm_vector.h"

namespace oct {
namespace {

constexpr KernelRow vnni512(const char* name, int mr, int nr) {
  return {name, "gemm", Isa::kAvx512Vnni, mr, nr, kKr, AForm::kBytes, BForm::kQuads8,
          kRowAnyData, 16, emit_gemm_vector};
}
constexpr KernelRow avx2_pairs16(const char* name, int mr, int nr) {
  return {name, "gemm", Isa::kAvx2, mr, nr, kKr, AForm::kPairs16, BForm::kPairs16,
          kRowAnyData, 8, emit_gemm_vector};
}
constexpr KernelRow avx2_wide16(const char* name, int mr, int nr) {
  return {name, "gemm", Isa::kAvx2, mr, nr, kKr, AForm::kBytes, BForm::kPairs16,
          kRowAnyData, 8, emit_gemm_vector};
}
constexpr KernelRow avx2_split16(const char* name, int mr, int nr) {
  return {name, "gemm", Isa::kAvx2, mr, nr, kKr, AForm::kBytes, BForm::kQuads8,
          kRowAnyData, 8, emit_gemm_vector};
}
constexpr KernelRow avx2_safe(const char* name, int mr, int nr) {
  return {name, "gemm", Isa::kAvx2, mr, nr, kKr, AForm::kBytes, BForm::kQuads8,
          kRowNeedsSafePairs, 8, emit_gemm_vector};
}

constexpr KernelRow depthwise(const char* name, Isa isa, BForm form, uint32_t flags) {
  const int lanes = isa == Isa::kAvx512Vnni ? 16 : 8;
  return {name, "depthwise", isa, 2, 4 * lanes, kKr, AForm::kBytes, form, flags, lanes, nullptr};
}

// Names: gemm_<A><B><sum>_<mr>x<nr>x<kr>_<isa>. u7: A spans 128 values or the weights are proven.
constexpr KernelRow kTable[] = {
    vnni512("gemm_u8s8s32_6x64x4_avx512vnni", 6, 64),
    vnni512("gemm_u8s8s32_8x48x4_avx512vnni", 8, 48),
    vnni512("gemm_u8s8s32_12x32x4_avx512vnni", 12, 32),
    vnni512("gemm_u8s8s32_16x16x4_avx512vnni", 16, 16),
    avx2_safe("gemm_u7s8s32_6x16x4_avx2", 6, 16),
    avx2_safe("gemm_u7s8s32_4x24x4_avx2", 4, 24),
    avx2_safe("gemm_u7s8s32_12x8x4_avx2", 12, 8),
    avx2_pairs16("gemm_u8s8s32_3x24x4_avx2", 3, 24),
    avx2_pairs16("gemm_u8s8s32_4x16x4_avx2", 4, 16),
    avx2_pairs16("gemm_u8s8s32_6x8x4_avx2", 6, 8),
    avx2_wide16("gemm_u8s8s32_5x16x4_avx2", 5, 16),
    avx2_split16("gemm_u8s8s32_3x16x4_avx2", 3, 16),
    depthwise("depthwise_u8s8s32_2x64x4_avx512vnni", Isa::kAvx512Vnni, BForm::kQuads8, kRowAnyData),
    depthwise("depthwise_u8s8s32_2x32x4_avx2", Isa::kAvx2, BForm::kPairs16, kRowAnyData),
    depthwise("depthwise_u7s8s32_2x32x4_avx2", Isa::kAvx2, BForm::kQuads8, kRowNeedsSafePairs),
};

}  // namespace

std::span<const KernelRow> kernel_table() { return kTable; }

std::span<const KernelRow> kernels_of(std::string_view op) {
  const auto is_op = [&](const KernelRow& row) { return op == row.op; };
  const KernelRow* const first = std::find_if(std::begin(kTable), std::end(kTable), is_op);
  return {first, std::find_if_not(first, std::end(kTable), is_op)};
}

const KernelRow* find_kernel(const char* name) {
  for (const KernelRow& row : kTable)
    if (std::strcmp(row.name, name) == 0) return &row;
  return nullptr;
}

}  // namespace oct
