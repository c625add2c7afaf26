// 3x3. Registers, of 32: 8 sums, and
//   stride 1   the columns x and x + 1, 4 each; what column x + 2 is loaded into, 6; multipliers, 4
//   stride 2   one column at a time, 9, the last of which is the next pixel's first
// As many weights as fit (stride 2: all twelve), and two temporaries of the epilogue.
//
// What limits it on Zen 4, for 64 channels of a pixel of two output rows with 512-bit vectors: the
// 24 vpdpbusd and 8 multiplications of the epilogue on two 256-bit pipes, 32 cycles; beside 14
// shuffles (34 with stride 2, two of whose three pipes the above leave to them: 44 cycles) and 16
// conversions on others. Measured: about 42 and 53.

#include "kernels/depthwise_window.h"

#include <algorithm>

#include "kernels/depthwise_gather.h"
#include "kernels/depthwise_window_emitter.h"

namespace oct {
namespace {

constexpr int kKernel = 3;

class Window3Emitter : public WindowEmitter {
 public:
  Window3Emitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis)
      : WindowEmitter(as, row, spec, axis), stride(axis.stride), quads(inputs > kSources ? 2 : 1) {
    for (int i = 0; i < (stride == 1 ? kKernel - 1 : 0) * kQuarters; ++i) carried.push_back(take());
    for (int i = 0; i < (quads == 2 ? 9 : 6); ++i) column.push_back(take());
    for (int i = 0; i < spec.outputs * kQuarters; ++i) sums.push_back(take());
    rows.assign(column.begin(), column.begin() + inputs);
  }

 private:
  void body() override {
    if (stride == 1) store.begin_step();
    hold_weights(kKernel * kQuarters * weight_rows());
    load_column();
    if (stride == 1) {
      carry(1);
      load_column();
      carry(1);
    }
    as.loop(rPixels, [&] { pixel(); });
  }

  // Output rows with weights of their own.
  int weight_rows() const { return quads == 2 ? 1 : spec.outputs; }

  // Where a column's quarter q of a quad is.
  const Xmm& loaded(int quad, int q) const {
    static constexpr int kOneQuad[kQuarters] = {1, 4, 3, 0};
    static constexpr int kTwoQuads[2][kQuarters] = {{6, 8, 3, 0}, {7, 1, 5, 2}};
    const int at = quads == 1 ? kOneQuad[q] : kTwoQuads[quad][q];
    return column[static_cast<size_t>(at)];
  }
  std::vector<Xmm> interleaved() const override {
    std::vector<Xmm> v;
    for (int quad = 0; quad < quads; ++quad)
      for (int q = 0; q < kQuarters; ++q) v.push_back(loaded(quad, q));
    return v;
  }

  // Two quads share the interleaved bytes of their common rows.
  void interleave() override {
    const auto& v = column;
    if (quads == 1)
      return interleave_sources(as, v.data(), v.data() + kSources,
                                rows[static_cast<size_t>(std::min(inputs, kSources) - 1)]);
    const Xmm &low01 = v[5], &high01 = v[0], &low23 = v[1], &high23 = v[2], &low44 = v[3],
              &high44 = v[4];
    as.vpunpcklbw(low01, v[0], v[1]);
    as.vpunpckhbw(high01, v[0], v[1]);
    as.vpunpcklbw(low23, v[2], v[3]);
    as.vpunpckhbw(high23, v[2], v[3]);
    as.vpunpcklbw(low44, v[4], v[4]);
    as.vpunpckhbw(high44, v[4], v[4]);
    as.vpunpcklwd(v[6], low01, low23);
    as.vpunpckhwd(v[8], low01, low23);
    as.vpunpcklwd(v[7], low23, low44);
    as.vpunpckhwd(v[1], low23, low44);
    as.vpunpcklwd(v[3], high01, high23);
    as.vpunpckhwd(v[0], high01, high23);
    as.vpunpcklwd(v[5], high23, high44);
    as.vpunpckhwd(v[2], high23, high44);
  }

  // The columns move on: what was loaded becomes column `to` of those that are kept.
  void carry(int to) {
    for (int q = 0; q < kQuarters; ++q) {
      for (int c = 0; c < to; ++c) as.vmovaps(kept(c, q), kept(c + 1, q));
      as.vmovaps(kept(to, q), loaded(0, q));
    }
  }
  const Xmm& kept(int c, int q) const { return carried[static_cast<size_t>(c * kQuarters + q)]; }
  const Xmm& acc(int r, int q) const { return sums[static_cast<size_t>(r * kQuarters + q)]; }

  void pixel() {
    load_init_pointer();
    for (int q = 0; q < kQuarters; ++q) {
      load_init(acc(0, q), q);
      if (spec.outputs > 1) as.vmovaps(acc(1, q), acc(0, q));
    }
    if (stride == 1) {
      load_column();
      for (int q = 0; q < kQuarters; ++q)
        for (int t = 0; t < kKernel; ++t)
          for (int r = 0; r < spec.outputs; ++r)
            tap(r, t, q, t < kKernel - 1 ? kept(t, q) : loaded(0, q));
      carry(kKernel - 2);
    } else {
      for (int t = 0; t < kKernel; ++t) {
        if (t > 0) load_column();
        for (int q = 0; q < kQuarters; ++q)
          for (int r = 0; r < spec.outputs; ++r) tap(r, t, q, loaded(quads == 2 ? r : 0, q));
      }
    }
    for (int r = 0; r < spec.outputs; ++r)
      store_row(r, {acc(r, 0), acc(r, 1), acc(r, 2), acc(r, 3)});
  }

  void tap(int r, int t, int q, const Xmm& a) {
    const int own = weight_rows();
    dot(acc(r, q), a, (q * kKernel + t) * own + (own == 1 ? 0 : r));
  }

  const int stride, quads;
  std::vector<Xmm> carried, column, sums;
};

DepthwiseTaps taps3(int outputs, int stride) {
  DepthwiseTaps taps;
  taps.outputs = stride == 1 ? outputs : 1;
  for (int column = 0; column < kKernel; ++column) {
    TapDot dot{0, column, {}, {}};
    for (int r = 0; r < taps.outputs; ++r) {
      dot.used[r] = true;
      dot.taps[r].fill(-1);
      for (int i = 0; i < kKernel; ++i)
        dot.taps[r][static_cast<size_t>(r + i)] = i * kKernel + column;
    }
    taps.dots.push_back(dot);
  }
  return taps;
}

}  // namespace

bool depthwise_window_fits(const KernelRow& row, const Axis& vertical, const Axis& horizontal) {
  return vector_registers(row.isa) == 32 && row.lanes == 16 && has_vnni(row.isa) &&
         vertical == horizontal && vertical.dilation == 1 &&
         ((vertical.kernel == kKernel && vertical.stride <= 2) ||
          (vertical.kernel == kWindow5 && vertical.stride == 2));
}

DepthwiseTaps depthwise_window_taps(int outputs, const Axis& axis) {
  return axis.kernel == kKernel ? taps3(outputs, axis.stride) : depthwise_window5_taps();
}

bool depthwise_window_has(const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis) {
  if (axis.kernel == kWindow5) return spec.outputs == 1;
  return spec.outputs == 2 || depthwise_window_rows(row, spec) == 1;
}

int depthwise_window_rows(const KernelRow& row, const DepthwiseSpec& spec) {
  return spec.outputs * (row.nr / depthwise_width(row, spec.n));
}

int depthwise_window_inputs(const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis) {
  return axis.kernel + (depthwise_window_rows(row, spec) - 1) * axis.stride;
}

void emit_depthwise_window(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                           const Axis& axis) {
  if (axis.kernel == kWindow5) return emit_depthwise_window5(as, row, spec, axis);
  Window3Emitter(as, row, spec, axis).emit();
}

}  // namespace oct
