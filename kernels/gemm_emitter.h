// The emitter behind emit_gemm_vector: gemm_vector.cc has the tile and its K loops, gemm_finish.cc
// its last steps and epilogue, gemm_runs.cc what is particular to runs, gemm_diagonal.cc K groups
// of block-diagonal B, gemm_mixed.cc those of BForm::kMixed.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "jit/words.h"
#include "kernels/post_operands.h"
#include "kernels/table.h"

namespace oct {

inline constexpr int kMaxUnroll = 4;    // K groups per iteration of the main loop
inline constexpr int kManyDots = 12;    // in a group: two groups hide the loop's own instructions
inline constexpr int kRowsPerBase = 4;  // rows reached from one base: 0, 1, 2 and 3 strides away
inline constexpr int kEpilogueRegisters = 2;
inline constexpr int kMaxBases = (kMaxVectorMr + kRowsPerBase - 1) / kRowsPerBase;

// Words of B that no memory operand can stand for.
inline bool made_in_registers(const DotShape& dot) { return dot.b_loads < dot.b_words; }

// How the register file is shared out.
struct Budget {
  int split = 1;      // sets of sums
  int b_held = 0;     // B words per column vector kept in registers
  int b_columns = 0;  // so many column vectors are kept whole although there is no room for all
  bool fits = false;
};

class GemmEmitter {
 public:
  GemmEmitter(Assembler& as, const KernelRow& row, const GemmSpec& spec, int m);
  void emit();

 private:
  using Address = Xbyak::Address;
  using Operand = Xbyak::Operand;
  using Reg64 = Xbyak::Reg64;
  using Xmm = Xbyak::Xmm;

  // How a K group is computed.
  struct GroupForm {
    Words& w;
    Xmm constant;
    int b_held;  // as in Budget
    int a_step;  // bytes of A from a group to the next; 0 if rA[0] is set for each
  };

  // ---- positional accessors ----
  Xmm acc(int i, int j, int set = 0) const {
    return w.reg(acc_regs[(set * sum_rows + i % sum_rows) * nv + j]);
  }
  Address arg(size_t offset) const { return as.ptr[rArgs + offset]; }
  // Where row i of the current tile begins, less the groups passed.
  Xbyak::RegExp a_row(int i) const { return strides_from(rA[i / kRowsPerBase], i % kRowsPerBase); }
  Xbyak::RegExp strides_from(const Reg64& base, int count) const {
    switch (count) {
      case 0: return base;
      case 1: return base + rAStride;
      case 2: return base + rAStride * 2;
      default: return base + rAStride3;
    }
  }
  int bases() const { return (m + kRowsPerBase - 1) / kRowsPerBase; }
  int b_group_bytes(const Words& of) const { return nv * of.shape.b_loads * w.bytes(); }
  int a_group_bytes() const { return 4 * dot.a_loads; }

  void load(const Xmm& v, const Address& from) { as.vmovups(v, from); }
  Xmm constant() const { return constant_reg.empty() ? Xmm(0) : w.reg(constant_reg[0]); }
  Xmm shift() const { return w.reg(shift_reg[0]); }
  // Counts the tiles left; the number of the tile's first row follows with spec.counts_rows().
  static Xbyak::RegExp rsp_tiles() { return Reg64(Operand::RSP); }
  Address arg_qword(size_t offset) const { return as.qword[rArgs + offset]; }

  GroupForm plain_form() const { return {w, constant(), budget.b_held, a_group_bytes()}; }
  // Of spec.k_last.
  int last_whole_steps() const { return spec.k_last - (spec.k_last && spec.k_tail); }

  int first_last_step() const { return spec.k_fixed ? spec.k_fixed - last_whole_steps() : 0; }

  // Whether the next rows' last steps are woven into the epilogue: dots that need one register,
  // where temporaries of the latter leave the sums in theirs.
  bool weaves() const {
    return spec.k_last && dot.a_words + dot.temporaries == 1 && vector_registers_ == 32 &&
           has_transcendental(spec.epilogue.post);
  }

  // Whether that is a loop over rows, which leaves the code a third as long. Sums lie on the stack
  // meanwhile: what is woven in needs their registers anyway.
  bool loops_rows() const {
    return weaves() && !holds_panel && m > 2 && nv > 2 && !spec.counts_rows();
  }
  // Of all rows but the first.
  int parked_bytes() const { return loops_rows() ? (m - 1) * nv * w.bytes() : 0; }
  Xbyak::RegExp parked_end() const {
    return rsp_tiles() + (8 + operands.pushed_bytes() + parked_bytes());
  }

  // Some rows of the tile.
  struct Rows {
    int begin, end;
  };

  // What the dots of a row use.
  struct RowWords {
    std::vector<RegisterPool::Role> roles;
    std::vector<Xmm> a, t;
  };
  // The words of B of one K group that are in registers, vector by vector, so many of each; the
  // others are memory operands.
  struct HeldB {
    std::vector<RegisterPool::Role> roles;
    std::vector<Xmm> words;
    std::vector<int> held;
  };
  HeldB no_b() const {
    HeldB none;
    none.held.assign(static_cast<size_t>(nv), 0);
    return none;
  }

  // ---- steps: gemm_vector.cc ----
  void tile();
  void load_args();
  void set_bases();
  void init_sums();
  void init_row(int i);
  void whole_k();
  void tap_loop();
  void clipped_k_loops();
  void k_loop(Rows rows) { mixed ? mixed_k_loop(rows) : plain_k_loop(rows); }
  void plain_k_loop(Rows rows);
  void advance(int groups);
  void load_steps();
  void load_iterations();
  bool paces_prefetch() const { return operands.any() && !spec.taps && !spec.k_fixed && !mixed; }
  template <class Iteration>
  void paced_iterations(Iteration iteration);
  void enter_tap();
  void group(Rows rows, const GroupForm& form, int u, int set, std::optional<int> tail);
  RowWords row_words(const GroupForm& form);
  HeldB hold_b(const GroupForm& form, int u);
  void dots(const GroupForm& form, const RowWords& r, const HeldB& b, int i, int u, int set);
  Address b_at(const DotShape& of, int u, int j, int word) const;
  void load_a(const GroupForm& form, const std::vector<Xmm>& a, const Xbyak::RegExp& row, int u,
              std::optional<int> tail);
  void ready_a(const GroupForm& form, const std::vector<Xmm>& a);
  void shift_a(const Xmm& a);
  void load_tail_bytes(const Xbyak::RegExp& from, int count);
  void merge_sets();

  // ---- gemm_finish.cc ----
  void finish_rows();
  void load_epilogue_args();
  std::vector<HeldB> hold_last_steps();
  void last_steps(Rows rows, const std::vector<HeldB>& b);
  void last_step(const GroupForm& form, const RowWords& r, const std::vector<HeldB>& b, int i,
                 int s);
  void listed_rows(const std::vector<HeldB>& b);
  void looped_rows(const std::vector<HeldB>& b);
  void woven_epilogue(Rows rows, Rows next, const std::vector<HeldB>& b);
  void epilogue(Rows rows, const Amid* amid = nullptr);
  void load_row_pointer(size_t argument);
  void add_row_terms(int i, const Xmm* sums, int count);

  // ---- gemm_runs.cc ----
  void run_loop();
  void shared_groups();
  void load_shared(const Xmm& v, const std::vector<Xbyak::RegExp>& tails);
  void hold_panel();
  std::vector<Xmm> take_words(int count);
  void held_tile();
  void held_dots(Rows rows);

  // ---- gemm_mixed.cc ----
  void mixed_k_loop(Rows rows);
  void listed(int numbers, const std::function<void()>& entry);
  void group_pair(Rows rows, const Xmm& ones, const std::optional<Xmm>& second_order);

  // ---- gemm_diagonal.cc ----
  bool broadcasts() const { return spec.group_out % w.lanes() == 0 && spec.group_in % kKr == 0; }
  bool permutes() const {
    return !broadcasts() && w.lanes() == 16 && spec.n == 64 && spec.group_in == spec.group_out &&
           spec.group_in % kKr == 0;
  }
  bool extends() const { return spec.group_in == 1 && spec.group_out == 1; }
  int window() const { return w.lanes() / spec.group_out * spec.group_in; }
  void list_selectors();
  Address selector(int group);
  void load_selectors();
  void diagonal_group(Rows rows, int u, int set);
  void load_diagonal(const Xmm& a, int i, int j, int u, const std::optional<Xmm>& index);
  Address permutation(int j, int u);

  // ---- gemm_lanes.cc ----
  void lane_dots(Rows rows);
  std::vector<uint32_t> lane_bytes() const;

  // ---- general registers, one role each; those of the epilogue have served by then ----
  const Reg64 rArgs{Operand::RDI}, rTile{Operand::RSI}, rK{Operand::RCX}, rB{Operand::RDX},
      rTmp{Operand::RAX}, rAStride{Operand::R8}, rAStride3{Operand::R9}, rOperand{Operand::R12},
      rC{Operand::R13}, rCStride{Operand::R14}, rTap{Operand::R15};
  const Reg64 rA[kMaxBases]{Reg64(Operand::R10), Reg64(Operand::R11), Reg64(Operand::RBX),
                            Reg64(Operand::RBP)};
  // Of these tiles, which are at most 12 rows high.
  const Reg64 &rRowInit = rA[kMaxBases - 1], &rList = rA[kMaxBases - 1];
  const Reg64& rParams = rTap;
  const Reg64& rParked = rA[kMaxBases - 1];  // tiles of three vectors and more are at most 8 high
  const Reg64& mult() const { return holds_panel ? rTile : rA[1]; }
  const Reg64& bias() const { return holds_panel ? rB : rA[2]; }
  static constexpr uint32_t kUsedGprs = 1u << Operand::RBX | 1u << Operand::RBP |
                                        1u << Operand::R12 | 1u << Operand::R13 |
                                        1u << Operand::R14 | 1u << Operand::R15;

  Assembler& as;
  const GemmSpec& spec;
  const int m, nv;
  const bool packed_a, mixed;
  std::unique_ptr<Words> words, exact_words;
  Words& w;
  const DotShape& dot = w.shape;
  const int vector_registers_;
  RegisterPool pool;
  const bool holds_panel;  // all of it, in registers
  const int sum_rows;      // rows whose sums are in registers at a time
  const Budget budget;
  RowOperands operands;
  const int unroll = m * nv >= kManyDots ? 2 : kMaxUnroll;
  std::vector<RegisterPool::Role> roles;                   // held for the whole function
  std::vector<std::vector<RegisterPool::Role>> sum_roles;  // of rows that are not finished
  std::vector<Xmm> panel_words, init_words, mult_words;    // with holds_panel; as far as they fit
  std::vector<int> acc_regs, constant_reg, shift_reg, selector_regs;
};

}  // namespace oct
