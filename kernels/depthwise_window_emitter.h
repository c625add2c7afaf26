// What the emitters of kernels/depthwise_window.h share: the call's arguments, the input rows of
// all groups, columns and rows that are padding, weights and stores.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "jit/words.h"
#include "kernels/depthwise_store.h"
#include "kernels/depthwise_window.h"

namespace oct {

class WindowEmitter {
 public:
  WindowEmitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec, const Axis& axis);
  virtual ~WindowEmitter() = default;
  void emit();

 protected:
  using Xmm = Xbyak::Xmm;
  using Reg64 = Xbyak::Reg64;
  static constexpr int kQuarters = kDepthwiseQuarters;
  static constexpr int kColumns = 2;

  // What the steps of a block share, and a step: all pixels of its output rows, of which there are
  // rPixels.
  virtual void begin_block() = 0;
  virtual void step() = 0;
  // Columns have places. Once the input rows of a column are in rows[place]; and the registers it
  // leaves them in, all of which hold the padding instead in columns outside the image.
  virtual void interleave(int place) = 0;
  virtual std::vector<Xmm> interleaved(int place) const = 0;

  Xmm take() { return w.reg(roles.emplace_back(pool.take()).index()); }
  Xbyak::Address arg(size_t offset) const { return as.ptr[rArgs + offset]; }
  // `count` vectors of weights, and as many of the first as there are registers for to keep there.
  void list_weights(int count);
  void hold_weights();
  // The next `count` columns, of the image or of padding, into places from `first` on. The first
  // ones of a row begin with padding as a rule, others end with it at the end of a row.
  void load_columns(int first, int count);
  void load_first_columns(int count);
  void load_init(const Xmm& v, int q);
  void dot(const Xmm& acc, const Xmm& a, int weights_index);
  // Of two pixels, whose weights are loaded once.
  void dots(const Xmm& acc0, const Xmm& a0, const Xmm& acc1, const Xmm& a1, int weights_index);
  // Before the output rows of a position, and behind each.
  void begin_rows();
  void next_row();
  // Its sums in all groups are stored at `c`, which moves on by a pixel.
  void store_pixel(const Reg64& c, const DepthwiseStore::Quarters& sums);

  Assembler& as;
  const DepthwiseSpec& spec;
  const KernelRow& row;
  const Axis& axis;
  std::unique_ptr<Words> words;
  Words& w;
  RegisterPool pool;
  DepthwiseStore store;
  const int width, groups, inputs;  // of a position; pairs of rows or rows; input rows of a group
  std::vector<Xmm> rows[kColumns];  // where a column's input rows of a group are put

  // General registers, beside the store's.
  const Reg64 rArgs{Xbyak::Operand::RDI}, rPixels{Xbyak::Operand::RBP},
      rWeights{Xbyak::Operand::RDX}, rOutputStep{Xbyak::Operand::R12};
  // Output rows: both of a step, or the first and the one at hand.
  const Reg64 rC[kMaxOutputRows]{Reg64(Xbyak::Operand::R9), Reg64(Xbyak::Operand::R10)};

 private:
  struct Edge {
    int first, count;
    bool leads_here = false;  // to `begin`
    Xbyak::Label begin, end, any[kColumns];
  };

  Xbyak::Address output(size_t offset) const {
    return arg(offsetof(DepthwiseWindowArgs, outputs) + offset);
  }
  void load_args();
  void emit_edges();
  void begin_step();
  void next_block();
  Edge& new_edge(int first, int count);
  void usual_edge(const Edge& edge, int padding);
  void load_inside(int place);
  void load_padding(int place);
  void any_column(int place);
  void finish_column(int place);
  void next_column();
  void load_row(int place, int i, const Xbyak::Address& from);
  void load_group(const Xmm& v, const Xbyak::Address& from, int g);
  void append_group(const Xmm& v, const Xbyak::Address& from, const Xmm& others);
  void insert(const Xmm& v, const Xbyak::Operand& from, int g);
  Xmm part(const Xmm& v) const;

  const Reg64 rColumn{Xbyak::Operand::RSI}, rRowBytes{Xbyak::Operand::R8}, rax{Xbyak::Operand::RAX};
  // Of one group; with several, output rows that are left of a position.
  const Reg64 rRowBytes3{Xbyak::Operand::RCX}, rRowsLeft{Xbyak::Operand::RCX};
  // With one group the store does not use these. Where the next column of the first input row is,
  // and what it moves by: Zen 5, 2026-11-29, stride 2 takes 3 to 7 % less time than with the sum of
  // base and rColumn, stride 1 at 7x7 2 % more.
  const Reg64 rPixel{Xbyak::Operand::R11}, rPixelStep{Xbyak::Operand::RBX};

  const bool running;  // rPixel and rPixelStep are in use
  std::deque<RegisterPool::Role> roles;
  Xmm shift;
  std::deque<Xbyak::Address> memory;  // deques: weights points into them
  std::deque<Xmm> held;
  std::vector<const Xbyak::Operand*> weights;
  std::vector<std::unique_ptr<Edge>> edges;
};

// 5x5 of stride 2.
void emit_depthwise_window5(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                            const Axis& axis);

}  // namespace oct
