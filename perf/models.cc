#include "perf/models.h"

#include <fmt/format.h>

#include "perf/models_conv.h"
#include "perf/models_gemm.h"
#include "perf/options.h"
#include "perf/text.h"

namespace oct::perf {
namespace {

// clang-format off: one model a line.
constexpr Model kModels[] = {
    {"bert_base", "BERT-base, sequence length 384", bert_base, true},
    {"bert_large", "BERT-large, sequence length 384", bert_large, true},
    {"vit_b16", "ViT-B/16, 197 tokens", vit_b16, true},
    {"resnet50_1x1", "ResNet-50 v1.5, 1x1 convolutions and classifier as products", resnet50_1x1,
     true},
    {"small", "few rows, or little work per output", small_products, false},
    {"large", "products near the machine's peak", large_products, false},
    {"resnet50", "ResNet-50 v1.5, convolutions, 224x224", resnet50, false},
    {"resnext50_32x4d", "ResNeXt-50 32x4d, convolutions, 224x224", resnext50_32x4d, false},
    {"mobilenet_v1", "MobileNet 1.0, convolutions, 224x224", mobilenet_v1, false},
    {"mobilenet_v2", "MobileNetV2 1.0, convolutions, 224x224", mobilenet_v2, false},
    {"mobilenet_v3_large", "MobileNetV3-Large, convolutions, 224x224", mobilenet_v3_large, false},
    {"efficientnet_b0", "EfficientNet-B0, convolutions, 224x224", efficientnet_b0, false},
    {"unet", "U-Net of 32 to 512 channels with transposed convolutions, 256x256", unet, false},
    {"wav2vec2_base", "wav2vec 2.0 base, convolutions (1-D), 1 s of 16 kHz audio", wav2vec2_base,
     false},
    {"conv_tasnet",
     "Conv-TasNet, convolutions (1-D, dilated; the decoder transposed), 4 s of 8 kHz audio",
     conv_tasnet, false},
    {"r3d_18", "ResNet3D-18, convolutions (3-D), 16 frames of 112x112", r3d_18, false},
    {"x3d_s", "X3D-S, convolutions (3-D), 13 frames of 160x160", x3d_s, false},
};
// clang-format on

}  // namespace

std::span<const Model> models() { return kModels; }

std::vector<Problem> model_problems(std::string_view name) {
  std::vector<std::string> known;
  for (const Model& model : kModels) {
    if (name == model.name) {
      std::vector<Problem> problems = model.problems();
      for (Problem& p : problems) p.name = fmt::format("{}/{}", model.name, p.name);
      return problems;
    }
    known.push_back(model.name);
  }
  throw UsageError(fmt::format("no model '{}' (there are {})", name, joined(known, ", ")));
}

}  // namespace oct::perf
