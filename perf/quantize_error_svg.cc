// A bar for each scheme and observer, as SVG: written by hand, since a picture of rectangles needs
// no library.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "perf/quantize_error.h"

namespace oct::perf {
namespace {

constexpr int kBar = 16, kGap = 6, kLabel = 380, kPlot = 420, kMargin = 20, kTop = 50;

const char* colour_of(const LayerError& e) {
  return e.activations.starts_with("s8")                     ? "#c0683c"
         : e.activations.find("7 bits") != std::string::npos ? "#8a9a3a"
                                                             : "#3a6ea5";
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     text);
}

}  // namespace

std::string layer_errors_svg(const std::vector<LayerError>& errors, const std::string& title) {
  double most = 10;
  for (const LayerError& e : errors) most = std::max(most, e.sqnr_db);
  most = 10 * std::ceil(most / 10);
  const int width = kLabel + kPlot + 4 * kMargin;
  const int bottom = kTop + static_cast<int>(errors.size()) * (kBar + kGap);
  const auto x_of = [&](double db) { return kLabel + kPlot * db / most; };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, bottom + 3 * kMargin);
  svg += text_at(kMargin, kMargin, "start", title);
  for (double db = 0; db <= most; db += 10) {
    svg +=
        fmt::format("<line x1=\"{0:.0f}\" x2=\"{0:.0f}\" y1=\"{1}\" y2=\"{2}\" stroke=\"#ddd\"/>\n",
                    x_of(db), kTop - kGap, bottom);
    svg += text_at(x_of(db), bottom + kMargin, "middle", fmt::format("{:.0f}", db));
  }
  svg += text_at(x_of(most / 2), bottom + 2 * kMargin, "middle", "SQNR of the layer's output, dB");
  int y = kTop;
  for (const LayerError& e : errors) {
    const double length = std::max(0.0, x_of(e.sqnr_db) - kLabel);
    svg += text_at(kLabel - kGap, y + kBar - 4, "end",
                   fmt::format("{}, {}; {}", e.activations, e.observer, e.weights));
    svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"/>\n",
                       kLabel, y, length, kBar, colour_of(e));
    svg += text_at(kLabel + length + kGap, y + kBar - 4, "start", fmt::format("{:.1f}", e.sqnr_db));
    y += kBar + kGap;
  }
  return svg + "</svg>\n";
}

}  // namespace oct::perf
