#include "perf/models_gemm.h"

#include <span>

namespace oct::perf {
namespace {

struct Product {
  const char* name;
  int64_t m, k, n;
  int64_t count;  // occurrences in one forward pass
};

// clang-format off: one layer a line.

// Attention's products of two activations have no weights and are not listed.

// Sequence length 384, as in question answering on SQuAD.
constexpr Product kBertBase[] = {
    {"qkv_out", 384, 768, 768, 12 * 4},
    {"ffn_up", 384, 768, 3072, 12},
    {"ffn_down", 384, 3072, 768, 12},
};

constexpr Product kBertLarge[] = {
    {"qkv_out", 384, 1024, 1024, 24 * 4},
    {"ffn_up", 384, 1024, 4096, 24},
    {"ffn_down", 384, 4096, 1024, 24},
};

// A 224x224 image in patches of 16x16x3, and the class token.
constexpr Product kVitB16[] = {
    {"patch", 196, 768, 768, 1},    {"qkv_out", 197, 768, 768, 12 * 4},
    {"ffn_up", 197, 768, 3072, 12}, {"ffn_down", 197, 3072, 768, 12},
    {"head", 1, 768, 1000, 1},
};

// The 1x1 convolutions of ResNet-50 v1.5 (the 3x3 convolution of a stage's first block has the
// stride) as products over all output pixels of a 224x224 image, and the classifier. Names:
// stage, then reduce and expand for the first and last convolution of a block, down for the
// shortcut's; "first" is the first block's, whose input comes from the stage before.
constexpr Product kResnet50[] = {
    {"1_reduce_first", 3136, 64, 64, 1}, {"1_expand+down", 3136, 64, 256, 3 + 1},
    {"1_reduce", 3136, 256, 64, 2},      {"2_reduce_first", 3136, 256, 128, 1},
    {"2_expand", 784, 128, 512, 4},      {"2_down", 784, 256, 512, 1},
    {"2_reduce", 784, 512, 128, 3},      {"3_reduce_first", 784, 512, 256, 1},
    {"3_expand", 196, 256, 1024, 6},     {"3_down", 196, 512, 1024, 1},
    {"3_reduce", 196, 1024, 256, 5},     {"4_reduce_first", 196, 1024, 512, 1},
    {"4_expand", 49, 512, 2048, 3},      {"4_down", 49, 1024, 2048, 1},
    {"4_reduce", 49, 2048, 512, 2},      {"fc", 1, 2048, 1000, 1},
};

constexpr Product kSmall[] = {
    {"short_k", 3136, 64, 256, 1}, {"64_cubed", 64, 64, 64, 1},  {"16_rows", 16, 64, 32, 1},
    {"1_row", 1, 64, 32, 1},       {"vector", 1, 1024, 1024, 1}, {"m2", 2, 768, 768, 1},
    {"m3", 3, 768, 768, 1},        {"m4", 4, 768, 768, 1},       {"m5", 5, 768, 768, 1},
    {"m6", 6, 768, 768, 1},        {"m7", 7, 768, 768, 1},       {"m8", 8, 768, 768, 1},
};

constexpr Product kLarge[] = {
    {"1024_cubed", 1024, 1024, 1024, 1},
    {"tall", 4096, 1024, 1024, 1},
    {"wide", 384, 1024, 4096, 1},
    {"short", 128, 768, 3072, 1},
};

// clang-format on

constexpr bool shapes_differ(std::span<const Product> layers) {
  for (size_t i = 0; i < layers.size(); ++i)
    for (size_t j = i + 1; j < layers.size(); ++j)
      if (layers[i].m == layers[j].m && layers[i].k == layers[j].k && layers[i].n == layers[j].n)
        return false;
  return true;
}
static_assert(shapes_differ(kBertBase) && shapes_differ(kBertLarge) && shapes_differ(kVitB16) &&
              shapes_differ(kResnet50) && shapes_differ(kSmall) && shapes_differ(kLarge));

std::vector<Problem> problems_of(std::span<const Product> products) {
  std::vector<Problem> problems;
  for (const Product& p : products) problems.push_back({p.name, GemmShape{p.m, p.k, p.n}, p.count});
  return problems;
}

}  // namespace

std::vector<Problem> bert_base() { return problems_of(kBertBase); }
std::vector<Problem> bert_large() { return problems_of(kBertLarge); }
std::vector<Problem> vit_b16() { return problems_of(kVitB16); }
std::vector<Problem> resnet50_1x1() { return problems_of(kResnet50); }
std::vector<Problem> small_products() { return problems_of(kSmall); }
std::vector<Problem> large_products() { return problems_of(kLarge); }

}  // namespace oct::perf
