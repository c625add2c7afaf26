// 5x5 of stride 2: one output row, the sums of three pixels roll through registers.
//
// Two columns, even and odd, make a step. Rows 0 to 3 of each are a quad; the last rows of both are
// another, so that 25 taps take 8 dots:
//
//                        oldest pixel x        pixel x + 1           newest pixel x + 2
//   [r0 r1 r2 r3] even   column 4              column 2              column 0
//   [r0 r1 r2 r3] odd                          column 3              column 1
//   [r4 r4' -  -]        [w4,4 0]              [w4,2 w4,3]           [w4,0 w4,1]
//
// The oldest is then complete, and the others move up. Registers, of 32: 12 sums, 6 for a quad, 2
// for last rows, 4 multipliers, 2 temporaries of the epilogue, and some weights.
//
// What limits it on Zen 4, for 64 channels with 512-bit vectors: 32 vpdpbusd, 4 multiplications and
// 25 shuffles on three 256-bit pipes, 41 cycles.

#include <algorithm>
#include <cstddef>

#include "kernels/depthwise_gather.h"
#include "kernels/depthwise_window_emitter.h"

namespace oct {
namespace {

constexpr int kFlight = 3;  // pixels
constexpr int kDots = 8;    // kWindow5 of quads, then kFlight of last rows

class Window5Emitter : public WindowEmitter {
 public:
  Window5Emitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis)
      : WindowEmitter(as, row, spec, axis) {
    for (int i = 0; i < kFlight * kQuarters; ++i) sums.push_back(take());
    for (int i = 0; i < kSources + 2; ++i) column.push_back(take());
    for (Xmm& v : last_rows) v = take();
    for (int odd = 0; odd < kColumns; ++odd) {
      rows[odd].assign(column.begin(), column.begin() + kSources);
      rows[odd].push_back(last_rows[odd]);
    }
  }

 private:
  void begin_block() override {
    store.begin_step();
    list_weights(kQuarters * kDots);
    hold_weights();
  }

  void step() override {
    for (int first = kFlight - 1; first > 0; --first) {
      columns(first, kFlight);
      move_up(kFlight);
    }
    Xbyak::Label all, end;
    const auto is_short = [&](const Xbyak::Label& to) {
      as.cmp(as.qword[rArgs + offsetof(DepthwiseWindowArgs, pixels)], kFlight);
      as.jl(to);
    };
    is_short(all);
    as.sub(rPixels, kFlight - 1);
    as.L(all);
    as.loop(rPixels, [&] { pixel(kFlight); });
    is_short(end);
    for (int left = kFlight - 1; left > 0; --left) pixel(left);
    as.L(end);
  }

  // The oldest of `left` pixels.
  void pixel(int left) {
    columns(0, left);
    begin_rows();
    store_pixel(rC[0], {acc(0, 0), acc(0, 1), acc(0, 2), acc(0, 3)});
    move_up(left);
  }

  void move_up(int left) {
    for (int f = 0; f + 1 < left; ++f)
      for (int q = 0; q < kQuarters; ++q) as.vmovaps(acc(f, q), acc(f + 1, q));
  }

  // The next two columns, for the pixels in [first, left) of those in flight.
  void columns(int first, int left) {
    if (left == kFlight)
      for (int q = 0; q < kQuarters; ++q) load_init(acc(kFlight - 1, q), q);
    for (int odd = 0; odd < (left > 1 ? 2 : 1); ++odd) {
      load_columns(odd, 1);
      for (int q = 0; q < kQuarters; ++q)
        for (int f = std::max(first, odd); f < left; ++f)
          dot(acc(f, q), quarter(q), q * kDots + kWindow5 - 1 + odd - 2 * f);
    }
    interleave_last_rows(last_rows[left > 1 ? 1 : 0]);
    for (int q = 0; q < kQuarters; ++q)
      for (int f = first; f < left; ++f)
        dot(acc(f, q), column[static_cast<size_t>(2 + q)], q * kDots + kWindow5 + kFlight - 1 - f);
  }

  // Quarter q of a column's quad.
  const Xmm& quarter(int q) const {
    static constexpr int kPlaces[kQuarters] = {1, 4, 3, 0};
    return column[static_cast<size_t>(kPlaces[q])];
  }
  void interleave(int) override {
    interleave_sources(as, column.data(), column.data() + kSources, column[kSources - 1]);
  }
  std::vector<Xmm> interleaved(int odd) const override {
    return {quarter(0), quarter(1), quarter(2), quarter(3), last_rows[odd]};
  }

  // Quarter q ends up in column[2 + q].
  void interleave_last_rows(const Xmm& odd) {
    const Xmm &low = column[0], &high = column[1];
    as.vpunpcklbw(low, last_rows[0], odd);
    as.vpunpckhbw(high, last_rows[0], odd);
    as.vpunpcklwd(column[2], low, low);
    as.vpunpckhwd(column[3], low, low);
    as.vpunpcklwd(column[4], high, high);
    as.vpunpckhwd(column[5], high, high);
  }

  const Xmm& acc(int f, int q) const { return sums[static_cast<size_t>(f * kQuarters + q)]; }

  std::vector<Xmm> sums, column;
  Xmm last_rows[kColumns];
};

}  // namespace

std::vector<WindowRow> depthwise_window5_layout() {
  constexpr int k = kWindow5;
  WindowRow row{-1, {}};
  for (int t = 0; t < k; ++t) row.dots.push_back({t, k + t, 2 * k + t, 3 * k + t});
  for (int t = 0; t < k; t += 2)
    row.dots.push_back({4 * k + t, t + 1 < k ? 4 * k + t + 1 : -1, -1, -1});
  return {row};
}

void emit_depthwise_window5(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                            const Axis& axis) {
  Window5Emitter(as, row, spec, axis).emit();
}

}  // namespace oct
