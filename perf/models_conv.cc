#include "perf/models_conv.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "perf/network.h"

namespace oct::perf {
namespace {

constexpr ConvShape::Axes kImageNet{224, 224, 1};

// ResNets of bottleneck blocks: stages of 64, 128, 256 and 512 planes, `width` times as many
// channels between the 1x1 convolutions, four times as many behind them.
std::vector<Problem> bottleneck_resnet(int64_t groups, int64_t width) {
  Network net(2, 3, kImageNet);
  net.conv("conv1", 64, square(7, 2));
  net.pool(3, 2);
  constexpr int kBlocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t planes = int64_t{64} << stage;
    for (int block = 0; block < kBlocks[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      const std::string name = fmt::format("layer{}.{}", stage + 1, block);
      if (block == 0) net.side_conv(name + ".downsample", planes * 4, square(1, stride));
      net.conv(name + ".conv1", planes * width, square(1));
      net.conv(name + ".conv2", planes * width, square(3, stride, groups));
      net.conv(name + ".conv3", planes * 4, square(1));
    }
  }
  return net.take();
}

// An inverted residual block: expand to `expanded` channels unless they are there already, filter
// each, and project.
struct Inverted {
  int64_t expanded, out, kernel, stride;
  int64_t squeezed = 0;  // channels of squeeze-and-excite; 0: none
};

void inverted_block(Network& net, const std::string& name, const Inverted& b) {
  if (b.expanded != net.channels()) net.conv(name + ".expand", b.expanded, square(1));
  net.depthwise(name + ".depthwise", square(b.kernel, b.stride));
  if (b.squeezed > 0) net.squeeze_excite(name + ".se", b.squeezed);
  net.conv(name + ".project", b.out, square(1));
}

// `repeats` blocks of which the first has the stride, as MobileNetV2 and EfficientNet stack them.
struct Stage {
  int64_t expansion, kernel, stride, out;
  int repeats;
};

std::vector<Problem> inverted_network(std::span<const Stage> stages, bool squeeze) {
  Network net(2, 3, kImageNet);
  net.conv("first", 32, square(3, 2));
  int number = 0;
  for (const Stage& s : stages)
    for (int i = 0; i < s.repeats; ++i) {
      const int64_t in = net.channels();
      inverted_block(net, fmt::format("block{}", ++number),
                     {in * s.expansion, s.out, s.kernel, i == 0 ? s.stride : 1,
                      squeeze ? std::max<int64_t>(1, in / 4) : 0});
    }
  net.conv("last", 1280, square(1));
  return net.take();
}

}  // namespace

std::vector<Problem> resnet50() { return bottleneck_resnet(1, 1); }

std::vector<Problem> resnext50_32x4d() { return bottleneck_resnet(32, 2); }

std::vector<Problem> mobilenet_v1() {
  constexpr struct {
    int64_t out, stride;
  } kPairs[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
                {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
  Network net(2, 3, kImageNet);
  net.conv("first", 32, square(3, 2));
  int number = 0;
  for (const auto& pair : kPairs) {
    const std::string name = fmt::format("pair{}", ++number);
    net.depthwise(name + ".depthwise", square(3, pair.stride));
    net.conv(name + ".pointwise", pair.out, square(1));
  }
  return net.take();
}

std::vector<Problem> mobilenet_v2() {
  constexpr Stage kStages[] = {{1, 3, 1, 16, 1}, {6, 3, 2, 24, 2}, {6, 3, 2, 32, 3},
                               {6, 3, 2, 64, 4}, {6, 3, 1, 96, 3}, {6, 3, 2, 160, 3},
                               {6, 3, 1, 320, 1}};
  return inverted_network(kStages, false);
}

std::vector<Problem> efficientnet_b0() {
  constexpr Stage kStages[] = {{1, 3, 1, 16, 1}, {6, 3, 2, 24, 2},  {6, 5, 2, 40, 2},
                               {6, 3, 2, 80, 3}, {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4},
                               {6, 3, 1, 320, 1}};
  return inverted_network(kStages, true);
}

std::vector<Problem> mobilenet_v3_large() {
  constexpr struct {
    int64_t kernel, expanded, out;
    bool squeeze;
    int64_t stride;
  } kBlocks[] = {{3, 16, 16, false, 1},  {3, 64, 24, false, 2},  {3, 72, 24, false, 1},
                 {5, 72, 40, true, 2},   {5, 120, 40, true, 1},  {5, 120, 40, true, 1},
                 {3, 240, 80, false, 2}, {3, 200, 80, false, 1}, {3, 184, 80, false, 1},
                 {3, 184, 80, false, 1}, {3, 480, 112, true, 1}, {3, 672, 112, true, 1},
                 {5, 672, 160, true, 2}, {5, 960, 160, true, 1}, {5, 960, 160, true, 1}};
  Network net(2, 3, kImageNet);
  net.conv("first", 16, square(3, 2));
  int number = 0;
  for (const auto& b : kBlocks) {
    const int64_t squeezed = make_divisible(static_cast<double>(b.expanded / 4));
    inverted_block(net, fmt::format("block{}", ++number),
                   {b.expanded, b.out, b.kernel, b.stride, b.squeeze ? squeezed : 0});
  }
  net.conv("last", 960, square(1));
  return net.take();
}

std::vector<Problem> unet() {
  constexpr int64_t kWidth = 32;
  constexpr int kLevels = 4;
  Network net(2, 3, {256, 256, 1});
  const auto stage = [&](const std::string& name, int level) {
    for (const char* conv : {".conv1", ".conv2"}) net.conv(name + conv, kWidth << level, square(3));
  };
  for (int level = 0; level < kLevels; ++level) {
    stage(fmt::format("down{}", level), level);
    net.pool(2, 2);
  }
  stage("bottom", kLevels);
  for (int level = kLevels; level-- > 0;) {
    const std::string name = fmt::format("up{}", level);
    net.conv(name + ".transposed", kWidth << level,
             {.kernel = {2, 2, 1}, .stride = {2, 2, 1}, .transposed = true});
    net.concat(kWidth << level);  // what came down
    stage(name, level);
  }
  net.conv("last", 2, square(1));
  return net.take();
}

std::vector<Problem> wav2vec2_base() {
  constexpr struct {
    int64_t kernel, stride;
  } kLayers[] = {{10, 5}, {3, 2}, {3, 2}, {3, 2}, {3, 2}, {2, 2}, {2, 2}};
  Network net(1, 1, {16000, 1, 1});
  int number = 0;
  for (const auto& layer : kLayers)
    net.conv(fmt::format("encoder{}", number++), 512,
             {.kernel = {layer.kernel, 1, 1}, .stride = {layer.stride, 1, 1}});
  net.linear(768);
  // The output has a frame too many, which the model drops.
  net.conv("positional", 768, {.kernel = {128, 1, 1}, .padding = {64, 0, 0}, .groups = 16});
  return net.take();
}

std::vector<Problem> conv_tasnet() {
  constexpr int64_t kFeatures = 512, kBottleneck = 128, kHidden = 512;
  constexpr int kStacks = 3, kLayers = 8;
  Network net(1, 1, {32000, 1, 1});
  net.conv("encoder", kFeatures, {.kernel = {16, 1, 1}, .stride = {8, 1, 1}, .padding = {8, 0, 0}});
  net.conv("bottleneck", kBottleneck, square(1));
  for (int stack = 0; stack < kStacks; ++stack)
    for (int layer = 0; layer < kLayers; ++layer) {
      const std::string name = fmt::format("block{}.{}", stack, layer);
      net.conv(name + ".in", kHidden, square(1));
      net.depthwise(name + ".depthwise",
                    padded({.kernel = {3, 1, 1}, .dilation = {int64_t{1} << layer, 1, 1}}));
      net.side_conv(name + ".skip", kBottleneck, square(1));
      if (stack < kStacks - 1 || layer < kLayers - 1)
        net.conv(name + ".out", kBottleneck, square(1));
    }
  net.linear(kBottleneck);                     // the sum of all skips goes on
  net.conv("mask", 2 * kFeatures, square(1));  // for two speakers
  net.linear(kFeatures);                       // of each, its part of the encoder's output
  const Filter decoder{
      .kernel = {16, 1, 1}, .stride = {8, 1, 1}, .padding = {8, 0, 0}, .transposed = true};
  for (int speaker = 0; speaker < 2; ++speaker) net.side_conv("decoder", 1, decoder);
  return net.take();
}

std::vector<Problem> r3d_18() {
  Network net(3, 3, {16, 112, 112});
  net.conv("stem", 64, padded({.kernel = {3, 7, 7}, .stride = {1, 2, 2}}));
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t planes = int64_t{64} << stage;
    for (int block = 0; block < 2; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      const std::string name = fmt::format("layer{}.{}", stage + 1, block);
      if (stride != 1) net.side_conv(name + ".downsample", planes, square(1, stride));
      net.conv(name + ".conv1", planes, square(3, stride));
      net.conv(name + ".conv2", planes, square(3));
    }
  }
  return net.take();
}

std::vector<Problem> x3d_s() {
  Network net(3, 3, {13, 160, 160});
  net.conv("stem.xy", 24, padded({.kernel = {1, 3, 3}, .stride = {1, 2, 2}}));
  net.depthwise("stem.t", padded({.kernel = {5, 1, 1}}));
  constexpr int kBlocks[] = {3, 5, 11, 7};
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t out = int64_t{24} << stage, inner = out * 9 / 4;
    for (int block = 0; block < kBlocks[stage]; ++block) {
      const int64_t stride = block == 0 ? 2 : 1;
      const std::string name = fmt::format("stage{}.{}", stage + 2, block);
      const ConvShape::Axes strides{1, stride, stride};
      if (block == 0) net.side_conv(name + ".shortcut", out, {.stride = strides});
      net.conv(name + ".expand", inner, square(1));
      net.depthwise(name + ".depthwise", padded({.kernel = {3, 3, 3}, .stride = strides}));
      // Every other block.
      if (block % 2 == 0)
        net.squeeze_excite(name + ".se", make_divisible(static_cast<double>(inner) / 16));
      net.conv(name + ".project", out, square(1));
    }
  }
  net.conv("head.pre", 432, square(1));
  net.global_pool();
  net.conv("head.post", 2048, square(1));
  return net.take();
}

}  // namespace oct::perf
