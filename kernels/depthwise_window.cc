// 3x3. Registers, of 32: 8 sums, and
//   stride 1   four columns, two of which are new, 4 each; multipliers, 4
//   stride 2   one column at a time, 9, the last of which is the next pixel's first; weights, 12
// and two temporaries of the epilogue.
//
// What limits it, for 64 channels of a pixel of two output rows with 512-bit vectors:
//   Zen 4   the 24 vpdpbusd and 8 multiplications of the epilogue on two 256-bit pipes, 32 cycles;
//           beside 14 shuffles (34 with stride 2, two of whose three pipes the above leave to them:
//           44 cycles) and 16 conversions on others
//   Zen 5   the same on two 512-bit pipes, 16 cycles, beside 12 to 18 shuffles, 6 packs and 16
//           conversions, so that all four pipes are full; and loads, two a cycle of whatever
//           size: stride 1 takes two pixels at a time to load weights half as often

#include "kernels/depthwise_window.h"

#include <algorithm>
#include <cstddef>

#include "kernels/depthwise_gather.h"
#include "kernels/depthwise_window_emitter.h"

namespace oct {
namespace {

constexpr int kKernel = 3;

// What both strides share: quads of sums, and weights.
class Window3Emitter : public WindowEmitter {
 public:
  Window3Emitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis)
      : WindowEmitter(as, row, spec, axis) {
    for (int i = 0; i < 2 * kQuarters; ++i) sums.push_back(take());
  }

 protected:
  // Of quarter q and column t.
  static int weights_of(int q, int t) { return q * kKernel + t; }
  const Xmm& acc(int i, int q) const { return sums[static_cast<size_t>(i * kQuarters + q)]; }
  DepthwiseStore::Quarters quarters(int i) const {
    return {acc(i, 0), acc(i, 1), acc(i, 2), acc(i, 3)};
  }

 private:
  std::vector<Xmm> sums;
};

// Two pixels at a time, one output row after the other.
class Stride1Emitter : public Window3Emitter {
 public:
  Stride1Emitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis)
      : Window3Emitter(as, row, spec, axis) {
    for (int i = 0; i < 2 * kColumns * kQuarters; ++i) columns.push_back(take());
    for (int place = 0; place < kColumns; ++place) {
      // The temporaries are those of the first sums.
      const Xmm v[] = {column(kColumns + place, 3), column(kColumns + place, 0), acc(0, 0),
                       column(kColumns + place, 2)};
      rows[place].assign(v, v + inputs);
    }
  }

 private:
  void begin_block() override {
    if (is_int8(spec.epilogue.c_type)) store.begin_step();
    list_weights(kKernel * kQuarters);
  }

  void step() override {
    load_first_columns(kColumns);
    carry();
    Xbyak::Label top, single, end;
    as.dec(rPixels);
    as.jz(single);
    as.align(32);
    as.L(top);
    pixels(kColumns);
    carry();
    as.sub(rPixels, kColumns);
    as.jg(top);
    as.jl(end);
    as.L(single);
    pixels(1);
    as.L(end);
  }

  void carry() {
    for (int i = 0; i < kColumns; ++i)
      for (int q = 0; q < kQuarters; ++q) as.vmovaps(column(i, q), column(kColumns + i, q));
  }

  // The next one or two, of one output row after the other.
  void pixels(int count) {
    load_columns(0, count);
    as.mov(rWeights, arg(offsetof(DepthwiseWindowArgs, row_weights)));
    as.mov(rC[1], rC[0]);
    begin_rows();
    Xbyak::Label row;
    as.L(row);
    output_row(count);
    next_row();
    as.add(rC[1], arg(offsetof(DepthwiseWindowArgs, c_row_step)));
    if (count == 1) as.add(rC[1], rOutputStep);
    as.add(rWeights, (1 + kKernel) * kQuarters * w.bytes());
    as.cmp(rWeights, arg(offsetof(DepthwiseWindowArgs, row_weights_end)));
    as.jb(row);
    count > 1 ? as.lea(rC[0], as.ptr[rC[0] + rOutputStep * 2]) : as.add(rC[0], rOutputStep);
  }

  void output_row(int count) {
    for (int q = 0; q < kQuarters; ++q) {
      load_init(acc(0, q), q);
      if (count > 1) as.vmovaps(acc(1, q), acc(0, q));
    }
    for (int q = 0; q < kQuarters; ++q)
      for (int t = 0; t < kKernel; ++t) {
        const int index = weights_of(q, t);
        if (count > 1)
          dots(acc(0, q), column(t, q), acc(1, q), column(t + 1, q), index);
        else
          dot(acc(0, q), column(t, q), index);
      }
    for (int i = 0; i < count; ++i) store_pixel(rC[1], quarters(i));
  }

  void interleave(int place) override {
    const Xmm t[] = {column(kColumns + place, 1), acc(0, 1)};
    const auto& v = rows[place];
    const Xmm sources[kSources] = {v[0], v[1], v[2], column(kColumns + place, 2)};
    interleave_sources(as, sources, t, v[static_cast<size_t>(std::min(inputs, kSources) - 1)]);
  }
  std::vector<Xmm> interleaved(int place) const override {
    const auto first = columns.begin() + (kColumns + place) * kQuarters;
    return {first, first + kQuarters};
  }

  // Quarter q of columns 0 and 1, which are kept, and of 2 and 3, which were loaded.
  const Xmm& column(int c, int q) const { return columns[static_cast<size_t>(c * kQuarters + q)]; }

  std::vector<Xmm> columns;
};

class Stride2Emitter : public Window3Emitter {
 public:
  Stride2Emitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis)
      : Window3Emitter(as, row, spec, axis), quads(spec.outputs) {
    for (int i = 0; i < (quads == 2 ? 9 : 6); ++i) column.push_back(take());
    rows[0].assign(column.begin(), column.begin() + inputs);
  }

 private:
  void begin_block() override {
    list_weights(kKernel * kQuarters);
    hold_weights();
  }

  void step() override {
    as.mov(rC[1], rC[0]);
    as.add(rC[1], arg(offsetof(DepthwiseWindowArgs, outputs.c_row_bytes)));
    load_first_columns(1);
    as.loop(rPixels, [&] { pixel(); });
  }

  void pixel() {
    for (int q = 0; q < kQuarters; ++q) {
      load_init(acc(0, q), q);
      if (spec.outputs > 1) as.vmovaps(acc(1, q), acc(0, q));
    }
    for (int t = 0; t < kKernel; ++t) {
      if (t > 0) load_columns(0, 1);
      for (int q = 0; q < kQuarters; ++q)
        for (int r = 0; r < spec.outputs; ++r) dot(acc(r, q), loaded(r, q), weights_of(q, t));
    }
    begin_rows();
    for (int r = 0; r < spec.outputs; ++r) {
      store_pixel(rC[r], quarters(r));
      next_row();
    }
  }

  // Where a column's quarter q of a quad is.
  const Xmm& loaded(int quad, int q) const {
    static constexpr int kOneQuad[kQuarters] = {1, 4, 3, 0};
    static constexpr int kTwoQuads[2][kQuarters] = {{6, 8, 3, 0}, {7, 1, 5, 2}};
    const int at = quads == 1 ? kOneQuad[q] : kTwoQuads[quad][q];
    return column[static_cast<size_t>(at)];
  }
  std::vector<Xmm> interleaved(int) const override {
    std::vector<Xmm> v;
    for (int quad = 0; quad < quads; ++quad)
      for (int q = 0; q < kQuarters; ++q) v.push_back(loaded(quad, q));
    return v;
  }

  // Two quads share the interleaved bytes of their common rows.
  void interleave(int) override {
    const auto& v = column;
    if (quads == 1) return interleave_sources(as, v.data(), v.data() + kSources, v[kKernel - 1]);
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

  const int quads;
  std::vector<Xmm> column;
};

// The kernel's first row meets source `lead` of a quad.
WindowRow row3(int lead) {
  WindowRow row{lead < 0 ? 0 : lead + kKernel > kSources ? kKernel - 1 : -1, {}};
  for (int column = 0; column < kKernel; ++column) {
    auto& taps = row.dots.emplace_back();
    taps.fill(-1);
    for (int i = 0; i < kKernel; ++i)
      if (i != row.padding) taps[static_cast<size_t>(lead + i)] = i * kKernel + column;
  }
  return row;
}

}  // namespace

bool depthwise_window_fits(const KernelRow& row, const Axis& vertical, const Axis& horizontal) {
  return vector_registers(row.isa) == 32 && row.lanes == 16 && has_vnni(row.isa) &&
         vertical == horizontal && vertical.dilation == 1 &&
         ((vertical.kernel == kKernel && vertical.stride <= 2) ||
          (vertical.kernel == kWindow5 && vertical.stride == 2));
}

std::vector<WindowRow> depthwise_window_layout(const Axis& axis) {
  if (axis.kernel == kWindow5) return depthwise_window5_layout();
  if (axis.stride == 2) return {row3(0)};
  return {row3(-1), row3(0), row3(1), row3(2)};
}

bool depthwise_window_has(const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis) {
  if (axis.kernel == kWindow5) return spec.outputs == 1;
  return spec.outputs == 2 || (axis.stride == 2 && depthwise_window_rows(row, spec) == 1);
}

int depthwise_window_rows(const KernelRow& row, const DepthwiseSpec& spec) {
  return spec.outputs * (row.nr / depthwise_width(row, spec.n));
}

int depthwise_window_inputs(const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis) {
  return axis.kernel + (depthwise_window_rows(row, spec) - 1) * axis.stride;
}

int depthwise_window_columns(const Axis& axis) { return axis.stride == 1 ? 2 : 1; }

void emit_depthwise_window(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                           const Axis& axis) {
  if (axis.kernel == kWindow5) return emit_depthwise_window5(as, row, spec, axis);
  if (axis.stride == 1) return Stride1Emitter(as, row, spec, axis).emit();
  Stride2Emitter(as, row, spec, axis).emit();
}

}  // namespace oct
