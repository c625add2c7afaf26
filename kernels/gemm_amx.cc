// C[m x n] = epilogue(A[m x K] . B[K x n]) for one panel of B, in `tiles` steps of m rows, on AMX.
//
//                 | B(0)    B(1)   |   one step of K: k_step bytes of A's rows, tiles of up to
//     A(0)  16 m  | C(0,0)  C(0,1) |   k_step / 4 rows of 16 columns of quads
//     A(1)  16 m  | C(1,0)  C(1,1) |
//
// Eight tile registers: up to four of C; A and B share the others. 2x2 needs two of each. A single
// row of four tiles of C has three for B, a single column three for A, used in turn.
//
// A is read in place, k_step bytes of every row. What is left of K is copied to 64-byte rows of the
// scratch: nothing beyond A is read, and what B has there is zero. So are the rows of A of a tap
// that leaves some out, which are zeros there. Missing rows are left out by the tile configuration,
// so one entry point serves sixteen row counts; missing columns are zero in B.
//
// Sums start as the column's init, which is loaded with a row stride of zero. They leave through
// the scratch: stored as tiles, and read again as rows of vectors for the common epilogue. That is
// not done at once but `rows_per_step` rows in each step of the next tile, between its products:
//
//     tile i     | load C | step step ...  step | store C |
//     tile i + 1                                | load C | step rows, step rows, ... | store C |
//
// The panel of B is read by every tile and belongs in L1. A streams past it from L2: its loads
// carry the T1 hint, so as not to displace B (K = 1024: 32 KiB each, of 48). Several taps see A
// several times, and load it plainly. No machine with AMX was at hand to measure this.
//
// Products are issued one in 16 cycles, tile loads take 8, so a step of 2x2 is bound by its
// products (64 cycles beside 32). The epilogue of a row of 32 columns is some 25 instructions, 10
// of them on the two vector ports: two rows a step, which K = 1024 needs, take a sixth of those. By
// the model of tests/amx_pipeline.h the product unit is then busy 98 % of the time (K = 256: 83 %);
// 87 % (62 %) with a tile's rows after its products, for the window of the core holds no more than
// half of them.

#include "kernels/gemm_amx.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <vector>

#include "jit/words.h"
#include "kernels/post_operands.h"
#include "kernels/row_terms.h"

namespace oct {
namespace {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::Tmm;
using Xbyak::Xmm;

constexpr int kMaxRowsPerStep = 16;

constexpr int tiles_of(int n, int size) { return (n + size - 1) / size; }

// Which tile register is what.
class TileMap {
 public:
  TileMap(int m, int n) : rows(tiles_of(m, kTileRows)), columns(tiles_of(n, kTileLanes)) {
    assert(rows * columns <= kMaxSumTiles);
    const int others = kTileCount - rows * columns;
    b_count_ = rows == 1 ? std::min(columns, others - 1) : columns;
    a_count_ = std::min(rows, others - b_count_);
  }

  int c(int i, int j) const { return i * columns + j; }
  // The last row of tiles, which may be lower, has a register of its own.
  int a(int i) const {
    const int last = a_count_ - 1;
    return rows * columns + (i == rows - 1 || last == 0 ? last : i % last);
  }
  int b(int j) const { return rows * columns + a_count_ + j % b_count_; }

  const int rows, columns;  // of tiles of C

 private:
  int a_count_, b_count_;
};

class AmxEmitter {
 public:
  AmxEmitter(Assembler& as, const KernelRow& row, const GemmSpec& spec, int m)
      : as(as), spec(spec), signed_a(row.flags & kRowSignedA),
        unsigned_b(row.flags & kRowUnsignedB), map(m, spec.n),
        words(make_words(as, Isa::kAvx512Vnni, kTileLanes, Dot::kVnni)), w(*words),
        operands(as, w, spec.epilogue.post, spec.n,
                 {rArgs, offsetof(GemmArgs, post), kLocals * 8 + kReturnAddress}, rOperand) {
    for (int j = 0; j < map.columns; ++j)
      acc.push_back(w.reg(roles.emplace_back(pool.take()).index()));
  }

  void emit() {
    as.enter(kUsedGprs);
    load_args();
    Xbyak::Label next_tile;
    as.L(next_tile);
    load_sums();
    spec.taps ? tap_loop() : whole_k();
    finish_rows();
    store_sums();
    as.mov(rTmp, arg(offsetof(GemmArgs, m)));
    as.imul(rTmp, rAStride);
    as.add(local(kTile), rTmp);
    as.dec(local(kTiles));
    as.jnz(next_tile);
    finish_rows();
    as.add(as.rsp, kLocals * 8);
    operands.pop();
    as.leave();
    as.L(row);
    finish_row();
    as.ret();
  }

 private:
  static constexpr int kReturnAddress = 8;

  // What is kept on the stack: the current tile's first row of A, tiles to go, where the sums in
  // the scratch end, steps of a clipped tap to go, and where the second, third and fourth tile of
  // rows of A begin. Row numbers are counted in bytes from the first row of all, by `row`.
  enum Local { kTile, kTiles, kSumsEnd, kSteps, kRows16, kRows32, kRows48, kRowNumber, kLocals };
  Address local(Local l) const { return as.qword[as.rsp + 8 * l]; }
  Address rows_of(int i) const { return local(static_cast<Local>(kRows16 + i - 1)); }
  Address arg(size_t offset) const { return as.qword[rArgs + offset]; }
  int sum_row_bytes() const { return map.columns * kTileRowBytes; }
  // Packed B is K groups of rows: a tile's rows are as far apart as those of the sums.
  const Reg64& rSumStride() const { return rBStride; }

  // ---- steps ----
  void load_args() {
    operands.push();
    as.sub(as.rsp, kLocals * 8);
    as.mov(rTmp, arg(offsetof(GemmArgs, a)));
    as.mov(local(kTile), rTmp);
    as.mov(rTmp, arg(offsetof(GemmArgs, tiles)));
    as.mov(local(kTiles), rTmp);
    if (spec.counts_rows()) as.mov(local(kRowNumber), 0);
    as.mov(rAStride, arg(offsetof(GemmArgs, a_stride_bytes)));
    for (int i = 1; i < map.rows; ++i) {
      as.imul(rTmp, rAStride, i * kTileRows);
      as.mov(rows_of(i), rTmp);
    }
    as.mov(rBStride.cvt32(), sum_row_bytes());
    as.imul(rSums, arg(offsetof(GemmArgs, m)), sum_row_bytes());
    as.add(rSums, arg(offsetof(GemmArgs, scratch)));
    as.mov(local(kSumsEnd), rSums);  // none to finish yet
    as.mov(rC, arg(offsetof(GemmArgs, c)));
    if (spec.epilogue.c_type != DType::kS32) {
      as.mov(rMult, arg(offsetof(GemmArgs, mult)));
      as.mov(rBias, arg(offsetof(GemmArgs, bias)));
      as.mov(rParams, arg(offsetof(GemmArgs, epilogue)));
    }
    if (const int bytes = epilogue_partial_bytes(spec.epilogue, spec.n, w.lanes()))
      w.announce_partial(bytes);
    set_mask(kTailMask, spec.k_tail);
    if (spec.clip) set_mask(kStepMask, spec.k_step);
  }

  void set_mask(const Xbyak::Opmask& mask, int bytes) {
    if (bytes == 0) return;
    as.mov(rTmp, ~uint64_t{0} >> (kTileRowBytes - bytes));
    as.kmovq(mask, rTmp);
  }

  void load_sums() {
    as.mov(rTmp, arg(offsetof(GemmArgs, init)));
    if (spec.clip)
      as.mov(rOther, arg(offsetof(GemmArgs, init_stride_bytes)));
    else
      as.xor_(rOther.cvt32(), rOther.cvt32());
    for (int i = 0; i < map.rows; ++i) {
      for (int j = 0; j < map.columns; ++j)
        as.tileloadd(Tmm(map.c(i, j)), as.ptr[rTmp + rOther + j * kTileRowBytes]);
      if (!spec.clip || i == map.rows - 1) continue;
      as.imul(rK, rOther, kTileRows);
      as.add(rTmp, rK);
    }
  }

  void store_sums() {
    as.mov(rSums, arg(offsetof(GemmArgs, scratch)));
    for (int i = 0; i < map.rows; ++i)
      for (int j = 0; j < map.columns; ++j)
        as.tilestored(
            as.ptr[rSums + rSumStride() + (i * kTileRows * map.columns + j) * kTileRowBytes],
            Tmm(map.c(i, j)));
  }

  void whole_k() {
    as.mov(rA, local(kTile));
    as.mov(rB, arg(offsetof(GemmArgs, b)));
    k_loop();
  }

  void tap_loop() {
    Xbyak::Label next, done;
    as.mov(rTap, arg(offsetof(GemmArgs, taps)));
    as.cmp(rTap, arg(offsetof(GemmArgs, taps_end)));
    as.je(done);
    as.L(next);
    as.mov(rA, local(kTile));
    as.mov(rB, arg(offsetof(GemmArgs, b)));
    as.add(rA, as.ptr[rTap + offsetof(Tap, a_offset)]);
    as.add(rB, as.ptr[rTap + offsetof(Tap, b_offset)]);
    Xbyak::Label clipped, done_tap;
    if (spec.clip) {
      as.cmp(as.qword[rTap + offsetof(Tap, clip)], 0);
      as.jne(clipped);
    }
    k_loop();
    if (spec.clip) {
      as.jmp(done_tap);
      as.L(clipped);
      clipped_k_loop();
      as.L(done_tap);
    }
    as.add(rTap, sizeof(Tap));
    as.cmp(rTap, arg(offsetof(GemmArgs, taps_end)));
    as.jb(next);
    as.L(done);
  }

  void k_loop() {
    as.mov(rK, arg(offsetof(GemmArgs, k_groups)));
    as.loop_if_any(rK, [&] {
      step(false);
      advance();
    });
    if (spec.k_tail) {
      copy_rows(kTailMask, false);
      step(true);
    }
  }

  // All of A by way of the scratch.
  void clipped_k_loop() {
    as.mov(rK, arg(offsetof(GemmArgs, k_groups)));
    as.loop_if_any(rK, [&] {
      as.mov(local(kSteps), rK);
      copy_rows(kStepMask, true);
      step(true);
      advance();
      as.mov(rK, local(kSteps));
    });
    if (spec.k_tail) {
      copy_rows(kTailMask, true);
      step(true);
    }
  }

  void advance() {
    as.add(rA, spec.k_step);
    as.add(rB, spec.k_step / kKr * sum_row_bytes());
  }

  // The products of a step, with rows of the previous tile's epilogue spread among them.
  void step(bool copied) {
    const int products = map.rows * map.columns;
    int done = 0;
    for (int i = 0; i < map.rows; ++i) {
      load_a(i, copied);
      for (int j = 0; j < map.columns; ++j) {
        if (i == 0) as.tileloadd(Tmm(map.b(j)), as.ptr[rB + rBStride + j * kTileRowBytes]);
        product(Tmm(map.c(i, j)), Tmm(map.a(i)), Tmm(map.b(j)));
        const int due = spec.rows_per_step * (map.c(i, j) + 1) / products;
        for (; done < due; ++done) finish_row_if_any();
      }
    }
  }

  void load_a(int i, bool copied) {
    if (copied) {
      as.mov(rTmp, arg(offsetof(GemmArgs, scratch)));
      as.mov(rOther.cvt32(), kTileRowBytes);
      as.tileloadd(Tmm(map.a(i)), as.ptr[rTmp + rOther + (kCopyOffset + i * kTileBytes)]);
      return;
    }
    if (i > 0) {
      as.mov(rTmp, rows_of(i));
      as.add(rTmp, rA);
    }
    const Address from = as.ptr[(i > 0 ? rTmp : rA) + rAStride];
    spec.a_once ? as.tileloaddt1(Tmm(map.a(i)), from) : as.tileloadd(Tmm(map.a(i)), from);
  }

  void product(const Tmm& c, const Tmm& a, const Tmm& b) {
    if (signed_a)
      unsigned_b ? as.tdpbsud(c, a, b) : as.tdpbssd(c, a, b);
    else
      unsigned_b ? as.tdpbuud(c, a, b) : as.tdpbusd(c, a, b);
  }

  // The bytes in `mask` of every row of A, at rA, to the scratch, zeros behind them; zeros alone
  // for the rows that the tap leaves out.
  void copy_rows(const Xbyak::Opmask& mask, bool clipped) {
    const Xbyak::Zmm bytes(kCopyRegister);
    as.mov(rTmp, rA);
    as.mov(rOther, arg(offsetof(GemmArgs, scratch)));
    if (clipped) {
      as.vpxord(bytes, bytes, bytes);
      for (int i = 0; i < map.rows * kTileRows; ++i)
        as.vmovdqa64(as.ptr[rOther + (kCopyOffset + i * kTileRowBytes)], bytes);
      skip_first_rows();
    } else {
      as.mov(rK, arg(offsetof(GemmArgs, m)));
    }
    as.loop(rK, [&] {
      as.vmovdqu8(bytes | mask | as.T_z, as.ptr[rTmp]);
      as.vmovdqa64(as.ptr[rOther + kCopyOffset], bytes);
      as.add(rTmp, rAStride);
      as.add(rOther, kTileRowBytes);
    });
  }

  // rTmp and rOther move on to the first row that the tap sees; rK = how many it sees, at least
  // one.
  void skip_first_rows() {
    Xbyak::Label last_rows, done;
    as.mov(rK, as.ptr[rTap + offsetof(Tap, clip)]);
    as.test(rK, rK);
    as.js(last_rows);
    as.imul(rK, rAStride);
    as.add(rTmp, rK);
    as.mov(rK, as.ptr[rTap + offsetof(Tap, clip)]);
    as.shl(rK, std::countr_zero(unsigned{kTileRowBytes}));
    as.add(rOther, rK);
    as.mov(rK, arg(offsetof(GemmArgs, m)));
    as.sub(rK, as.ptr[rTap + offsetof(Tap, clip)]);
    as.jmp(done);
    as.L(last_rows);
    as.add(rK, arg(offsetof(GemmArgs, m)));
    as.L(done);
  }

  void finish_row_if_any() {
    Xbyak::Label none;
    as.cmp(rSums, local(kSumsEnd));
    as.jae(none);
    as.call(row);
    as.L(none);
  }

  void finish_rows() {
    Xbyak::Label next, done;
    as.cmp(rSums, local(kSumsEnd));
    as.jae(done);
    as.L(next);
    as.call(row);
    as.cmp(rSums, local(kSumsEnd));
    as.jb(next);
    as.L(done);
  }

  // The epilogue of the row of sums at rSums; a function of its own, since a chain of
  // post-operations may be long.
  void finish_row() {
    for (int j = 0; j < map.columns; ++j) as.vmovups(acc[j], as.ptr[rSums + j * kTileRowBytes]);
    const Address row_number = as.qword[as.rsp + (8 * kRowNumber + kReturnAddress)];
    for (int t = 0; t < spec.row_terms; ++t) {
      as.mov(rTmp, row_number);
      as.add(rTmp, arg(offsetof(GemmArgs, row_factor) + 8 * static_cast<size_t>(t)));
      emit_row_term(as, {w, pool, rArgs, rTmp, t}, 0, acc.data(), map.columns);
    }
    if (spec.epilogue.row_scale) {
      as.mov(rTmp, row_number);
      as.add(rTmp, arg(offsetof(GemmArgs, row_scale)));
    }
    if (spec.counts_rows()) as.add(row_number, 4);
    emit_epilogue_rows(
        as, {w, pool, spec.epilogue, spec.n, rC, rMult, rBias, rParams, nullptr, &operands, &rTmp},
        acc.data(), map.columns, 1);
    as.add(rSums, sum_row_bytes());
    as.add(rC, arg(offsetof(GemmArgs, c_stride_bytes)));
    operands.next_row();
  }

  static constexpr int kCopyOffset = kMaxSumTiles * kTileBytes;  // in the scratch
  static constexpr int kCopyRegister = 31;

  // ---- general registers, one role each; rTmp and rOther are lost everywhere ----
  const Reg64 rArgs{Operand::RDI}, rTmp{Operand::RAX}, rOther{Operand::RSI}, rA{Operand::R8},
      rAStride{Operand::R9}, rB{Operand::R10}, rBStride{Operand::R11}, rK{Operand::RCX},
      rTap{Operand::R15}, rSums{Operand::RDX}, rC{Operand::R13}, rOperand{Operand::R12},
      rMult{Operand::R14}, rBias{Operand::RBX}, rParams{Operand::RBP};
  static constexpr uint32_t kUsedGprs = 1u << Operand::RBX | 1u << Operand::RBP |
                                        1u << Operand::R12 | 1u << Operand::R13 |
                                        1u << Operand::R14 | 1u << Operand::R15;

  const Xbyak::Opmask kTailMask{3}, kStepMask{4};

  Assembler& as;
  const GemmSpec& spec;
  const bool signed_a, unsigned_b;
  const TileMap map;
  std::unique_ptr<Words> words;
  Words& w;
  RegisterPool pool{32};
  std::vector<RegisterPool::Role> roles;
  std::vector<Xmm> acc;
  RowOperands operands;
  Xbyak::Label row;  // the function finish_row()
};

}  // namespace

TileConfig amx_tile_config(const GemmSpec& spec, int m) {
  const TileMap map(m, spec.n);
  TileConfig config;
  for (int j = 0; j < map.columns; ++j) config.set(map.b(j), spec.k_step / kKr, kTileRowBytes);
  for (int i = 0; i < map.rows; ++i) {
    const int rows = std::min(kTileRows, m - i * kTileRows);
    config.set(map.a(i), rows, spec.k_step);
    for (int j = 0; j < map.columns; ++j) config.set(map.c(i, j), rows, kTileRowBytes);
  }
  return config;
}

// Enough for all rows of a tile; where K is too short for that, the rest follows after its steps.
int amx_rows_per_step(const KernelRow& row, int64_t steps) {
  return static_cast<int>(std::min<int64_t>(kMaxRowsPerStep, (row.mr + steps - 1) / steps));
}

AmxOps amx_ops(int m, int n) {
  const int rows = tiles_of(m, kTileRows), columns = tiles_of(n, kTileLanes);
  return {rows * columns, rows + columns};
}

void emit_gemm_amx(Assembler& as, const KernelRow& row, const GemmSpec& spec, int m) {
  assert(m <= row.mr && spec.n <= row.nr && !spec.a_shift);
  AmxEmitter(as, row, spec, m).emit();
}

}  // namespace oct
