// Vector words: the vocabulary in which generators are written, one dictionary per ISA.
//
// A generator never names an instruction that exists in one width only; it says zero, load_part,
// narrow16 or dot, and the word set emits it. Registers are passed as Xbyak::Xmm, which keeps
// its width, so one generator serves ymm and zmm without templates.
//
// A dot word multiplies bytes of A, unsigned unless the form says otherwise, by signed bytes of B
// and adds them up in int32. Per group of four k it takes `a_words` registers of each row and
// `b_words` of each column vector (kernels/pack.h draws what they are loaded from); all forms are
// exact on the data they accept.
#pragma once

#include <bit>

#include "jit/assembler.h"
#include "jit/isa.h"

namespace oct {

// How int32 sums are formed.
enum class Dot {
  kVnni,       // vpdpbusd: one instruction per vector
  kVnniSS,     // vpdpbssd: the same for signed bytes of A
  kVnniSU,     // vpdpbsud: for signed bytes of A and unsigned ones of B
  kVnniUU,     // vpdpbuud: for unsigned bytes of both
  kSafePairs,  // vpmaddubsw, vpmaddwd, vpaddd: exact where no pair sum leaves int16
  kPairs16,    // Winograd's form on s16 pairs: two vpaddw, one vpmaddwd, one vpaddd
  kWide16,     // s16 pairs of A split from its bytes on the fly: two vpmaddwd, two vpaddd
  kSplit16     // the same, with those of B split from its bytes, too: half the memory
};

// Per K group: what one row, one column vector and one dot take.
struct DotShape {
  int a_words, b_words;  // registers of a row and of a column vector
  int a_loads, b_loads;  // broadcasts and vectors that they are made from
  int temporaries;       // vector registers
  uint32_t constant;     // a vector of this dword is kept in a register, unless 0
  int multiplies, adds;  // instructions of one dot that do and do not need a multiplier
  int latency;           // cycles from a sum to itself, at least
};
constexpr DotShape dot_shape(Dot dot) {
  switch (dot) {
    case Dot::kVnni:
    case Dot::kVnniSS:
    case Dot::kVnniSU:
    case Dot::kVnniUU: return {1, 1, 1, 1, 0, 0, 1, 0, 5};
    case Dot::kSafePairs: return {1, 1, 1, 1, 1, 0x00010001, 2, 1, 1};
    case Dot::kPairs16: return {2, 2, 2, 2, 2, 0, 1, 3, 1};
    case Dot::kWide16: return {2, 2, 1, 2, 1, 0x00ff00ff, 2, 2, 1};
    case Dot::kSplit16: break;
  }
  return {2, 2, 1, 1, 1, 0x00ff00ff, 2, 2, 1};
}

// Of the ISA's widest vectors. Rows of the kernel table may be narrower.
constexpr int vector_lanes(Isa isa) { return isa >= Isa::kAvx512bw ? 16 : 8; }
constexpr int vector_registers(Isa isa) { return isa >= Isa::kAvx512bw ? 32 : 16; }

class Words {
 public:
  Words(Assembler& as, Dot dot) : shape(dot_shape(dot)), as(as), dot_(dot) {}
  virtual ~Words() = default;

  virtual int lanes() const = 0;  // of 32 bits
  virtual Xbyak::Xmm reg(int index) const = 0;
  int bytes() const { return 4 * lanes(); }

  // Memory operands of instructions on dwords: a vector of that dword, and of the one at `at`,
  // which memory repeats over 64 bytes. Where instructions can, they read no more than one: Zen 4
  // loads one zmm vector in a cycle, but two dwords that are broadcast.
  virtual Xbyak::Address constant(uint32_t dword) const { return as.constant({dword}); }
  virtual Xbyak::Address repeated(const Xbyak::RegExp& at) const { return as.ptr[at]; }

  virtual void zero(const Xbyak::Xmm& v) = 0;
  virtual void broadcast_gpr(const Xbyak::Xmm& v, const Xbyak::Reg32& r) = 0;
  // The low half of v becomes its dwords narrowed to words.
  virtual void narrow16(const Xbyak::Xmm& v) = 0;
  // Undoes the lane order that packing four vectors of dwords to bytes leaves behind.
  virtual void unzip_lanes(const Xbyak::Xmm& v, const Xbyak::Xmm& index) = 0;
  virtual void load_unzip_index(const Xbyak::Xmm& index) = 0;
  // Lane l of v becomes what lane (l + by) % lanes() held; `by` is a multiple of lanes() / 4.
  virtual void rotate_lanes(const Xbyak::Xmm& v, int by) = 0;
  // v = the `count` <= lanes() bytes at `from`, widened to dwords; nothing beyond them is touched,
  // and the other lanes are arbitrary.
  virtual void load_bytes(const Xbyak::Xmm& v, const Xbyak::Address& from, int count,
                          bool is_signed) = 0;
  // v = the `count` <= lanes() dwords at `from`; the other lanes are zero, and nothing beyond them
  // is touched. Clobbers rax.
  virtual void load_dwords(const Xbyak::Xmm& v, const Xbyak::Address& from, int count) = 0;
  // v = table[index % 16] for a table of sixteen dwords: any number of times for an index that was
  // prepared, while t is what begin_lookup left or the last look-up of that table. None of the
  // registers may be equal.
  virtual void prepare_lookup(const Xbyak::Xmm& index, const Xbyak::Xmm& t) = 0;
  virtual void begin_lookup(const std::vector<uint32_t>& table, const Xbyak::Xmm& t) = 0;
  virtual void lookup(const Xbyak::Xmm& v, const std::vector<uint32_t>& table,
                      const Xbyak::Xmm& index, const Xbyak::Xmm& t) = 0;
  // to = v * 2^n, rounded once. n holds whole reals of at most 253; it is lost as t is.
  virtual void scale(const Xbyak::Xmm& to, const Xbyak::Xmm& v, const Xbyak::Xmm& n,
                     const Xbyak::Xmm& t) = 0;
  // v = min(bound, |x|); arbitrary where x is a NaN. The bound is positive, and not v.
  virtual void min_magnitude(const Xbyak::Xmm& v, const Xbyak::Xmm& x, const Xbyak::Xmm& bound) = 0;
  // Every 128-bit lane of v = the bytes at `from`, a power of two up to 16, repeated to fill it.
  virtual void broadcast_bytes(const Xbyak::Xmm& v, const Xbyak::Address& from, int bytes);
  // Stores the low `count` bytes of v, which may be lost. One partial count (not a power of two
  // multiple of 16) may be used per function, announced beforehand.
  virtual void announce_partial(int count) = 0;
  virtual void store_part(const Xbyak::Address& to, const Xbyak::Xmm& v, int count) = 0;
  // Whether store_part leaves v as it is.
  virtual bool keeps_stored(int count) const = 0;

  const DotShape shape;

  // acc += a . b. `a` holds shape.a_words registers, which may be lost when `last`; `b`
  // shape.b_words registers or memory; t shape.temporaries registers; constant holds
  // shape.constant.
  void dot(const Xbyak::Xmm& acc, const Xbyak::Xmm* a, const Xbyak::Operand* const* b,
           const Xbyak::Xmm* t, const Xbyak::Xmm& constant, bool last);
  // Once a row's dwords (shape.a_loads) are in place: makes the remaining words from them.
  void prepare_a(const Xbyak::Xmm* a, const Xbyak::Xmm& constant);
  // Likewise for a column vector, where shape.b_loads is below shape.b_words.
  void prepare_b(const Xbyak::Xmm* b);

 protected:
  virtual void dot_vnni(const Xbyak::Xmm& acc, const Xbyak::Xmm& a, const Xbyak::Operand& b);
  // kVnniSS, kVnniSU or kVnniUU.
  virtual void dot_int8(Dot dot, const Xbyak::Xmm& acc, const Xbyak::Xmm& a,
                        const Xbyak::Operand& b);

  Assembler& as;

 private:
  Dot dot_;
};

// 16 ymm registers, no masks: AVX2.
class WordsAvx2 : public Words {
 public:
  using Words::Words;
  int lanes() const override { return 8; }
  Xbyak::Xmm reg(int index) const override { return Xbyak::Ymm(index); }
  void zero(const Xbyak::Xmm& v) override;
  void broadcast_gpr(const Xbyak::Xmm& v, const Xbyak::Reg32& r) override;
  void narrow16(const Xbyak::Xmm& v) override;
  void unzip_lanes(const Xbyak::Xmm& v, const Xbyak::Xmm& index) override;
  void load_unzip_index(const Xbyak::Xmm& index) override;
  void rotate_lanes(const Xbyak::Xmm& v, int by) override;
  void load_bytes(const Xbyak::Xmm& v, const Xbyak::Address& from, int count,
                  bool is_signed) override;
  void load_dwords(const Xbyak::Xmm& v, const Xbyak::Address& from, int count) override;
  void prepare_lookup(const Xbyak::Xmm& index, const Xbyak::Xmm& t) override;
  void begin_lookup(const std::vector<uint32_t>& table, const Xbyak::Xmm& t) override;
  void lookup(const Xbyak::Xmm& v, const std::vector<uint32_t>& table, const Xbyak::Xmm& index,
              const Xbyak::Xmm& t) override;
  void scale(const Xbyak::Xmm& to, const Xbyak::Xmm& v, const Xbyak::Xmm& n,
             const Xbyak::Xmm& t) override;
  void min_magnitude(const Xbyak::Xmm& v, const Xbyak::Xmm& x, const Xbyak::Xmm& bound) override;
  void announce_partial(int) override {}
  void store_part(const Xbyak::Address& to, const Xbyak::Xmm& v, int count) override;
  bool keeps_stored(int count) const override { return std::has_single_bit(unsigned(count)); }
};

// AVX2 and the VEX form of vpdpbusd.
class WordsAvxVnni : public WordsAvx2 {
 public:
  using WordsAvx2::WordsAvx2;

 protected:
  void dot_vnni(const Xbyak::Xmm& acc, const Xbyak::Xmm& a, const Xbyak::Operand& b) override;
};

// And vpdpbssd, vpdpbsud and vpdpbuud.
class WordsAvxVnniInt8 : public WordsAvxVnni {
 public:
  using WordsAvxVnni::WordsAvxVnni;

 protected:
  void dot_int8(Dot dot, const Xbyak::Xmm& acc, const Xbyak::Xmm& a,
                const Xbyak::Operand& b) override;
};

// 32 zmm or, with 8 lanes, ymm registers and masks: AVX-512 F, BW, DQ, VL; with kVnni also VNNI.
class WordsAvx512 : public Words {
 public:
  WordsAvx512(Assembler& as, Dot dot, int lanes) : Words(as, dot), lanes_(lanes) {}
  int lanes() const override { return lanes_; }
  Xbyak::Xmm reg(int index) const override;
  Xbyak::Address constant(uint32_t dword) const override { return as.repeated_constant(dword); }
  Xbyak::Address repeated(const Xbyak::RegExp& at) const override { return as.ptr_b[at]; }
  void zero(const Xbyak::Xmm& v) override;
  void broadcast_gpr(const Xbyak::Xmm& v, const Xbyak::Reg32& r) override;
  void narrow16(const Xbyak::Xmm& v) override;
  void unzip_lanes(const Xbyak::Xmm& v, const Xbyak::Xmm& index) override;
  void load_unzip_index(const Xbyak::Xmm& index) override;
  void rotate_lanes(const Xbyak::Xmm& v, int by) override;
  void load_bytes(const Xbyak::Xmm& v, const Xbyak::Address& from, int count,
                  bool is_signed) override;
  void load_dwords(const Xbyak::Xmm& v, const Xbyak::Address& from, int count) override;
  void prepare_lookup(const Xbyak::Xmm& index, const Xbyak::Xmm& t) override;
  void begin_lookup(const std::vector<uint32_t>& table, const Xbyak::Xmm& t) override;
  void lookup(const Xbyak::Xmm& v, const std::vector<uint32_t>& table, const Xbyak::Xmm& index,
              const Xbyak::Xmm& t) override;
  void scale(const Xbyak::Xmm& to, const Xbyak::Xmm& v, const Xbyak::Xmm& n,
             const Xbyak::Xmm& t) override;
  void min_magnitude(const Xbyak::Xmm& v, const Xbyak::Xmm& x, const Xbyak::Xmm& bound) override;
  void broadcast_bytes(const Xbyak::Xmm& v, const Xbyak::Address& from, int bytes) override;
  void announce_partial(int count) override;
  void store_part(const Xbyak::Address& to, const Xbyak::Xmm& v, int count) override;
  bool keeps_stored(int) const override { return true; }

 protected:
  void dot_vnni(const Xbyak::Xmm& acc, const Xbyak::Xmm& a, const Xbyak::Operand& b) override;

 private:
  const int lanes_;
};

// The word set for `isa` with vectors of `lanes` and the given dot form.
std::unique_ptr<Words> make_words(Assembler& as, Isa isa, int lanes, Dot dot);

}  // namespace oct
