#include "kernels/table.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "jit/words.h"
#include "kernels/gemm_amx.h"
#include "kernels/gemm_vector.h"

namespace oct {
namespace {

constexpr AForm kInPlace = AForm::kBytes, kPackedA = AForm::kPairs16;
constexpr BForm kByteB = BForm::kQuads8, kWordB = BForm::kPairs16, kMixedB = BForm::kMixed;

constexpr uint32_t kS8S8 = kRowSignedA, kS8U8 = kRowSignedA | kRowUnsignedB,
                   kU8U8 = kRowUnsignedA | kRowUnsignedB;

constexpr KernelRow gemm(const char* name, Isa isa, int mr, int nr, AForm a, BForm b,
                         uint32_t flags = kRowAnyData) {
  return {name, "gemm", isa, mr, nr, kKr, a, b, flags, vector_lanes(isa), 1, emit_gemm_vector};
}

constexpr KernelRow gemm_amx(const char* name, int mr, int nr, uint32_t flags) {
  return {name,  "gemm",     Isa::kAmx,     mr,           nr, kTileRowBytes, kInPlace, kByteB,
          flags, kTileLanes, kAmxEntryRows, emit_gemm_amx};
}

// AVX-VNNI-INT8, for types that vpdpbusd does not take.
constexpr KernelRow gemm_int8(const char* name, int mr, int nr, uint32_t flags) {
  return gemm(name, Isa::kAvxVnniInt8, mr, nr, kInPlace, kByteB, flags);
}

// AVX-512 VNNI with ymm registers.
constexpr KernelRow gemm_256(const char* name, int mr, int nr) {
  KernelRow row = gemm(name, Isa::kAvx512Vnni, mr, nr, kInPlace, kByteB);
  row.lanes = 8;
  return row;
}

constexpr KernelRow depthwise(const char* name, Isa isa, BForm form, uint32_t flags) {
  const int lanes = vector_lanes(isa);
  return {name, "depthwise", isa, 2, 4 * lanes, kKr, AForm::kBytes, form, flags, lanes, 1, nullptr};
}

constexpr KernelRow elementwise(const char* name, const char* op, Isa isa) {
  const int lanes = vector_lanes(isa);
  return {name,           op,          isa,   1, 4 * lanes, 1, AForm::kBytes,
          BForm::kQuads8, kRowAnyData, lanes, 1, nullptr};
}

// Names: gemm_<A><B><sum>_<mr>x<nr>x<kr>_<isa>. u7: A spans 128 values or the weights are proven.
// Where predictions do not differ, an earlier row is preferred.
constexpr KernelRow kTable[] = {
    gemm_amx("gemm_u8u8s32_32x32x64_amx", 32, 32, kU8U8),
    gemm_amx("gemm_u8u8s32_16x64x64_amx", 16, 64, kU8U8),
    gemm_amx("gemm_u8u8s32_64x16x64_amx", 64, 16, kU8U8),
    gemm_amx("gemm_s8u8s32_32x32x64_amx", 32, 32, kS8U8),
    gemm_amx("gemm_s8u8s32_16x64x64_amx", 16, 64, kS8U8),
    gemm_amx("gemm_s8u8s32_64x16x64_amx", 64, 16, kS8U8),
    gemm_amx("gemm_u8s8s32_32x32x64_amx", 32, 32, kRowUnsignedA),
    gemm_amx("gemm_u8s8s32_16x64x64_amx", 16, 64, kRowUnsignedA),
    gemm_amx("gemm_u8s8s32_64x16x64_amx", 64, 16, kRowUnsignedA),
    gemm_amx("gemm_s8s8s32_32x32x64_amx", 32, 32, kS8S8),
    gemm_amx("gemm_s8s8s32_16x64x64_amx", 16, 64, kS8S8),
    gemm_amx("gemm_s8s8s32_64x16x64_amx", 64, 16, kS8S8),
    gemm("gemm_u8s8s32_6x64x4_avx512vnni", Isa::kAvx512Vnni, 6, 64, kInPlace, kByteB),
    gemm("gemm_u8s8s32_7x64x4_avx512vnni", Isa::kAvx512Vnni, 7, 64, kInPlace, kByteB),
    gemm("gemm_u8s8s32_8x48x4_avx512vnni", Isa::kAvx512Vnni, 8, 48, kInPlace, kByteB),
    gemm("gemm_u8s8s32_12x32x4_avx512vnni", Isa::kAvx512Vnni, 12, 32, kInPlace, kByteB),
    gemm("gemm_u8s8s32_14x32x4_avx512vnni", Isa::kAvx512Vnni, 14, 32, kInPlace, kByteB),
    gemm("gemm_u8s8s32_16x16x4_avx512vnni", Isa::kAvx512Vnni, 16, 16, kInPlace, kByteB),
    // Half as many columns to a vector: for panels of few columns. Where 512-bit words are cracked
    // they cost half, and elsewhere no more; they never slow the core's clock down.
    gemm_256("gemm_u8s8s32_6x32x4_avx512vnni256", 6, 32),
    gemm_256("gemm_u8s8s32_8x24x4_avx512vnni256", 8, 24),
    gemm_256("gemm_u8s8s32_12x16x4_avx512vnni256", 12, 16),
    gemm_256("gemm_u8s8s32_16x8x4_avx512vnni256", 16, 8),
    gemm_int8("gemm_u8u8s32_6x16x4_avxvnniint8", 6, 16, kU8U8),
    gemm_int8("gemm_u8u8s32_4x24x4_avxvnniint8", 4, 24, kU8U8),
    gemm_int8("gemm_u8u8s32_12x8x4_avxvnniint8", 12, 8, kU8U8),
    gemm_int8("gemm_s8u8s32_6x16x4_avxvnniint8", 6, 16, kS8U8),
    gemm_int8("gemm_s8u8s32_4x24x4_avxvnniint8", 4, 24, kS8U8),
    gemm_int8("gemm_s8u8s32_12x8x4_avxvnniint8", 12, 8, kS8U8),
    gemm_int8("gemm_s8s8s32_6x16x4_avxvnniint8", 6, 16, kS8S8),
    gemm_int8("gemm_s8s8s32_4x24x4_avxvnniint8", 4, 24, kS8S8),
    gemm_int8("gemm_s8s8s32_12x8x4_avxvnniint8", 12, 8, kS8S8),
    gemm("gemm_u8s8s32_6x16x4_avxvnni", Isa::kAvxVnni, 6, 16, kInPlace, kByteB),
    gemm("gemm_u8s8s32_4x24x4_avxvnni", Isa::kAvxVnni, 4, 24, kInPlace, kByteB),
    gemm("gemm_u8s8s32_12x8x4_avxvnni", Isa::kAvxVnni, 12, 8, kInPlace, kByteB),
    gemm("gemm_u7s8s32_6x64x4_avx512bw", Isa::kAvx512bw, 6, 64, kInPlace, kByteB,
         kRowNeedsSafePairs),
    gemm("gemm_u7s8s32_8x48x4_avx512bw", Isa::kAvx512bw, 8, 48, kInPlace, kByteB,
         kRowNeedsSafePairs),
    gemm("gemm_u7s8s32_12x32x4_avx512bw", Isa::kAvx512bw, 12, 32, kInPlace, kByteB,
         kRowNeedsSafePairs),
    gemm("gemm_u7s8s32_16x16x4_avx512bw", Isa::kAvx512bw, 16, 16, kInPlace, kByteB,
         kRowNeedsSafePairs),
    gemm("gemm_u8s8s32_6x64x4_avx512bw", Isa::kAvx512bw, 6, 64, kPackedA, kWordB),
    gemm("gemm_u8s8s32_8x48x4_avx512bw", Isa::kAvx512bw, 8, 48, kPackedA, kWordB),
    gemm("gemm_u8s8s32_12x32x4_avx512bw", Isa::kAvx512bw, 12, 32, kPackedA, kWordB),
    gemm("gemm_u8s8s32_12x16x4_avx512bw", Isa::kAvx512bw, 12, 16, kPackedA, kWordB),
    gemm("gemm_u8s8s32_5x64x4_avx512bw", Isa::kAvx512bw, 5, 64, kInPlace, kWordB),
    gemm("gemm_u8s8s32_11x32x4_avx512bw", Isa::kAvx512bw, 11, 32, kInPlace, kWordB),
    gemm("gemm_u8s8s32_16x16x4_avx512bw", Isa::kAvx512bw, 16, 16, kInPlace, kWordB),
    gemm("gemm_u8s8s32_4x64x4_avx512bw", Isa::kAvx512bw, 4, 64, kInPlace, kByteB),
    gemm("gemm_u7s8s32_6x16x4_avx2", Isa::kAvx2, 6, 16, kInPlace, kByteB, kRowNeedsSafePairs),
    gemm("gemm_u7s8s32_4x24x4_avx2", Isa::kAvx2, 4, 24, kInPlace, kByteB, kRowNeedsSafePairs),
    gemm("gemm_u7s8s32_12x8x4_avx2", Isa::kAvx2, 12, 8, kInPlace, kByteB, kRowNeedsSafePairs),
    gemm("gemm_u7s8s32_10x8x4_avx2", Isa::kAvx2, 10, 8, kInPlace, kMixedB, kRowNeedsSafePairs),
    // For weights most of whose K groups can share int16 sums, as in trained layers of large K.
    gemm("gemm_u8s8s32_10x8x4_avx2", Isa::kAvx2, 10, 8, kInPlace, kMixedB),
    gemm("gemm_u8s8s32_3x24x4_avx2", Isa::kAvx2, 3, 24, kPackedA, kWordB),
    gemm("gemm_u8s8s32_4x16x4_avx2", Isa::kAvx2, 4, 16, kPackedA, kWordB),
    gemm("gemm_u8s8s32_6x8x4_avx2", Isa::kAvx2, 6, 8, kPackedA, kWordB),
    // For what the packed rows of A cannot hold: K beyond the stack buffer, convolutions.
    gemm("gemm_u8s8s32_5x16x4_avx2", Isa::kAvx2, 5, 16, kInPlace, kWordB),
    // For few rows, where the bytes of B are what limits: half of them.
    gemm("gemm_u8s8s32_3x16x4_avx2", Isa::kAvx2, 3, 16, kInPlace, kByteB),
    depthwise("depthwise_u8s8s32_2x64x4_avx512vnni", Isa::kAvx512Vnni, BForm::kQuads8, kRowAnyData),
    depthwise("depthwise_s8s8s32_2x32x4_avxvnniint8", Isa::kAvxVnniInt8, kByteB, kS8S8),
    depthwise("depthwise_u8s8s32_2x32x4_avxvnni", Isa::kAvxVnni, kByteB, kRowAnyData),
    depthwise("depthwise_u8s8s32_2x64x4_avx512bw", Isa::kAvx512bw, kWordB, kRowAnyData),
    depthwise("depthwise_u7s8s32_2x64x4_avx512bw", Isa::kAvx512bw, kByteB, kRowNeedsSafePairs),
    depthwise("depthwise_u8s8s32_2x32x4_avx2", Isa::kAvx2, BForm::kPairs16, kRowAnyData),
    depthwise("depthwise_u7s8s32_2x32x4_avx2", Isa::kAvx2, BForm::kQuads8, kRowNeedsSafePairs),
    elementwise("quantize_f32u8_1x64x1_avx512bw", "quantize", Isa::kAvx512bw),
    elementwise("quantize_f32u8_1x32x1_avx2", "quantize", Isa::kAvx2),
    elementwise("dequantize_u8f32_1x64x1_avx512bw", "dequantize", Isa::kAvx512bw),
    elementwise("dequantize_u8f32_1x32x1_avx2", "dequantize", Isa::kAvx2),
    elementwise("requantize_u8u8_1x64x1_avx512bw", "requantize", Isa::kAvx512bw),
    elementwise("requantize_u8u8_1x32x1_avx2", "requantize", Isa::kAvx2),
    elementwise("minmax_f32f32_1x64x1_avx512bw", "minmax", Isa::kAvx512bw),
    elementwise("minmax_f32f32_1x32x1_avx2", "minmax", Isa::kAvx2),
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
