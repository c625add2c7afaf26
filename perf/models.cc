#include "perf/models.h"

#include <fmt/format.h>

#include "perf/options.h"
#include "perf/text.h"

namespace oct::perf {
namespace {

// clang-format off: one layer a line.

// Batch 1 throughout. Layers of one shape are one row, named after all of them, whose count is
// their number. Attention's products of two activations have no weights and are not listed.

// Sequence length 384, as in question answering on SQuAD.
constexpr Layer kBertBase[] = {
    {"qkv_out", 384, 768, 768, 12 * 4},
    {"ffn_up", 384, 768, 3072, 12},
    {"ffn_down", 384, 3072, 768, 12},
};

constexpr Layer kBertLarge[] = {
    {"qkv_out", 384, 1024, 1024, 24 * 4},
    {"ffn_up", 384, 1024, 4096, 24},
    {"ffn_down", 384, 4096, 1024, 24},
};

// A 224x224 image in patches of 16x16x3, and the class token.
constexpr Layer kVitB16[] = {
    {"patch", 196, 768, 768, 1},    {"qkv_out", 197, 768, 768, 12 * 4},
    {"ffn_up", 197, 768, 3072, 12}, {"ffn_down", 197, 3072, 768, 12},
    {"head", 1, 768, 1000, 1},
};

// The 1x1 convolutions of ResNet-50 v1.5 (the 3x3 convolution of a stage's first block has the
// stride) as products over all output pixels of a 224x224 image, and the classifier. Names:
// stage, then reduce and expand for the first and last convolution of a block, down for the
// shortcut's; "first" is the first block's, whose input comes from the stage before.
constexpr Layer kResnet50[] = {
    {"1_reduce_first", 3136, 64, 64, 1}, {"1_expand+down", 3136, 64, 256, 3 + 1},
    {"1_reduce", 3136, 256, 64, 2},      {"2_reduce_first", 3136, 256, 128, 1},
    {"2_expand", 784, 128, 512, 4},      {"2_down", 784, 256, 512, 1},
    {"2_reduce", 784, 512, 128, 3},      {"3_reduce_first", 784, 512, 256, 1},
    {"3_expand", 196, 256, 1024, 6},     {"3_down", 196, 512, 1024, 1},
    {"3_reduce", 196, 1024, 256, 5},     {"4_reduce_first", 196, 1024, 512, 1},
    {"4_expand", 49, 512, 2048, 3},      {"4_down", 49, 1024, 2048, 1},
    {"4_reduce", 49, 2048, 512, 2},      {"fc", 1, 2048, 1000, 1},
};

constexpr Layer kSmall[] = {
    {"short_k", 3136, 64, 256, 1}, {"64_cubed", 64, 64, 64, 1},  {"16_rows", 16, 64, 32, 1},
    {"1_row", 1, 64, 32, 1},       {"vector", 1, 1024, 1024, 1}, {"m2", 2, 768, 768, 1},
    {"m3", 3, 768, 768, 1},        {"m4", 4, 768, 768, 1},       {"m5", 5, 768, 768, 1},
    {"m6", 6, 768, 768, 1},        {"m7", 7, 768, 768, 1},       {"m8", 8, 768, 768, 1},
};

constexpr Layer kLarge[] = {
    {"1024_cubed", 1024, 1024, 1024, 1},
    {"tall", 4096, 1024, 1024, 1},
    {"wide", 384, 1024, 4096, 1},
    {"short", 128, 768, 3072, 1},
};

// clang-format on

constexpr bool shapes_differ(std::span<const Layer> layers) {
  for (size_t i = 0; i < layers.size(); ++i)
    for (size_t j = i + 1; j < layers.size(); ++j)
      if (layers[i].m == layers[j].m && layers[i].k == layers[j].k && layers[i].n == layers[j].n)
        return false;
  return true;
}
static_assert(shapes_differ(kBertBase) && shapes_differ(kBertLarge) && shapes_differ(kVitB16) &&
              shapes_differ(kResnet50) && shapes_differ(kSmall) && shapes_differ(kLarge));

constexpr Model kModels[] = {
    {"bert_base", "BERT-base, sequence length 384", kBertBase, true},
    {"bert_large", "BERT-large, sequence length 384", kBertLarge, true},
    {"vit_b16", "ViT-B/16, 197 tokens", kVitB16, true},
    {"resnet50_1x1", "ResNet-50 v1.5, 1x1 convolutions and classifier", kResnet50, true},
    {"small", "few rows, or little work per output", kSmall, false},
    {"large", "products near the machine's peak", kLarge, false},
};

}  // namespace

std::span<const Model> models() { return kModels; }

std::vector<GemmShape> model_problems(std::string_view name) {
  std::vector<std::string> known;
  for (const Model& model : kModels) {
    if (name == model.name) {
      std::vector<GemmShape> shapes;
      for (const Layer& l : model.layers)
        shapes.push_back({fmt::format("{}/{}", model.name, l.name), l.m, l.k, l.n, l.count});
      return shapes;
    }
    known.push_back(model.name);
  }
  throw UsageError(fmt::format("no model '{}' (there are {})", name, joined(known, ", ")));
}

}  // namespace oct::perf
