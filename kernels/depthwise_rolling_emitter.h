// The emitter of kernels/depthwise_rolling.h: kernels/depthwise_rolling.cc walks through a row and
// stores pixels, kernels/depthwise_rolling_column.cc adds a column to the pixels in flight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "jit/words.h"
#include "kernels/depthwise_rolling.h"

namespace oct {

class RollingEmitter {
 public:
  RollingEmitter(Assembler& as, const KernelRow& row, const DepthwiseSpec& spec,
                 const Axis& vertical, const Axis& horizontal);
  void emit();

 private:
  using Xmm = Xbyak::Xmm;
  using Reg64 = Xbyak::Reg64;

  struct Padding {
    Xbyak::Label begin, end;
    int tap, left;
  };
  struct Scratch;
  struct Product;
  // Some of the pixels in flight, from the oldest on.
  struct Flight {
    int begin, end;
  };

  // Whether a pixel is stored amid the next one's columns: from registers of its own or, with
  // stride 1, before the youngest pixel takes them.
  bool late() const { return sets > flight || late_in_place(); }
  bool late_in_place() const { return h.stride == 1 && flight > 1; }
  Xmm take() { return w.reg(roles.emplace_back(pool.take()).index()); }
  Xbyak::Address arg(size_t offset) const { return as.ptr[rArgs + offset]; }
  Xbyak::Address arg(size_t offset, int i) const {
    return arg(offset + 8 * static_cast<size_t>(i));
  }
  int element() const { return static_cast<int>(dtype_bytes(spec.epilogue.c_type)); }
  void load_args();

  int64_t init(int v) const { return layout.init + v * w.bytes(); }
  // Where sums start and weights, which follow, stay in what registers there are.
  int64_t held_offset(size_t i) const { return layout.init + static_cast<int64_t>(i) * w.bytes(); }
  template <class Emit>
  void with_packed(int64_t offset, Emit emit) const {
    const auto i = static_cast<size_t>((offset - layout.init) / w.bytes());
    i < held.size() ? emit(held[i]) : emit(as.ptr[rPacked + offset]);
  }

  // Sums of a pixel: of the i-th set of registers; of the f-th oldest pixel, output row and vector.
  const Xmm* set(int i) const { return &sums[static_cast<size_t>(i * spec.outputs * vectors)]; }
  const Xmm& acc(int f, int r, int v) const { return set((oldest + f) % sets)[r * vectors + v]; }

  // ---- the walk through a row ----
  void begin_block();
  void end_block();
  void first_columns();
  void pixels();
  void inner_pixels();
  void turns_of_rows();
  void turns();
  void pixel(int left, bool sides);
  void move_on(int left);
  void columns(int left, bool sides, const std::function<void()>& amid);
  void store_pixel(int i);
  void store(const std::vector<Xmm>& v);
  void order_channels(const Xmm* v);
  void store_bytes(const Xmm& v);
  Xbyak::Address to(int r, int offset) const {
    return r == 0 ? as.ptr[rC + offset] : as.ptr[rC + rCRow + offset];
  }

  // ---- a column ----
  void across(int left);
  void column(int tap, int left, bool sides, const std::function<void()>& before_youngest);
  void emit_padding(Padding& p);
  void advance(int i) { as.add(rRow[i], arg(offsetof(DepthwiseRollingArgs, step_bytes), i)); }
  // Pairs of columns end with the last under a kernel.
  bool high_half(int tap) const { return (h.kernel - 1 - tap) % 2 == 0; }
  void load_row(const Xmm& v, int i);
  void load_from(const Xmm& v, const Xbyak::RegExp& from);
  void load_pair(int i, const Scratch& s);
  void load_across(const Scratch& s);
  void load_half(bool high, const Scratch& s);
  void pair_up(const Scratch& s, const Xmm& even, const Xmm& odd);
  std::vector<uint32_t> indices_of_pairs() const;
  void add_pair(int i, int tap, Flight pixels, const Scratch& s);
  void add_across(int left, const Scratch& s);
  void add_half(int tap, int left, const Scratch& s);
  void add_products(int tap, Flight pixels, const Scratch& s,
                    const std::function<Product(int, int)>& product);

  // ---- general registers ----
  const Reg64 rArgs{Xbyak::Operand::RDI}, rC{Xbyak::Operand::RSI}, rCRow{Xbyak::Operand::RBX},
      rPixels{Xbyak::Operand::RBP},
      rOffset = rPixels,  // of the rows, in turns that share it
      rPacked{Xbyak::Operand::RDX}, rColumn{Xbyak::Operand::RCX}, rParams{Xbyak::Operand::R15},
      rax{Xbyak::Operand::RAX};
  const Reg64 rRow[kMaxRollingRows]{Reg64(Xbyak::Operand::R8),  Reg64(Xbyak::Operand::R9),
                                    Reg64(Xbyak::Operand::R10), Reg64(Xbyak::Operand::R11),
                                    Reg64(Xbyak::Operand::R12), Reg64(Xbyak::Operand::R13),
                                    Reg64(Xbyak::Operand::R14)};

  Assembler& as;
  const DepthwiseSpec& spec;
  const Axis& h;
  const RollingLayout layout;
  std::unique_ptr<Words> words;
  Words& w;
  RegisterPool pool;
  const int vectors, flight, inputs;
  // Registers for sums of so many pixels: those in flight and, with stride 2 and where there is
  // room, one that is complete. And which are the oldest's.
  int sets, oldest = 0;
  bool shared = false;
  std::vector<RegisterPool::Role> roles;
  std::vector<Xmm> sums;
  std::vector<Xmm> held;  // the first of with_packed's vectors
  Xmm pair_bytes;         // of one vector
  std::vector<std::unique_ptr<Padding>> padding_code;
};

}  // namespace oct
