// Array words: loads and stores of arrays whose length is known only when the code runs.
//
// Elements of 1, 2 or 4 bytes travel in 32-bit lanes. A "part" is the end of an array: fewer
// elements than lanes, their number in a register; nothing beyond them is read or written.
#pragma once

#include "jit/assembler.h"

namespace oct {

struct Element {
  int bytes;  // 1, 2 or 4
  bool is_signed = false;
};

enum class Extent { kWhole, kPart };

class ArrayWords {
 public:
  // `count` holds how many elements a part has; it keeps its value. `scratch` and `mask` are lost.
  ArrayWords(Assembler& as, const Xbyak::Reg64& count, const Xbyak::Reg64& scratch,
             const Xbyak::Xmm& mask)
      : as(as), count(count), scratch(scratch), mask(mask) {}
  virtual ~ArrayWords() = default;

  // Before the parts: `count` has changed.
  virtual void set_part() = 0;

  // body() as long as `count` >= elements, which it loses each time.
  template <class Body>
  void for_blocks(int elements, Body body) {
    Xbyak::Label next, done;
    as.sub(count, elements);
    as.jl(done, as.T_NEAR);
    as.align(32);
    as.L(next);
    body();
    as.sub(count, elements);
    as.jge(next, as.T_NEAR);
    as.L(done);
    as.add(count, elements);
  }

  // set_part() and body(), unless `count` is zero.
  template <class Body>
  void for_part(Body body) {
    Xbyak::Label none;
    as.test(count, count);
    as.jz(none, as.T_NEAR);
    set_part();
    body();
    as.L(none);
  }

  // v = elements from `from` on, widened to lanes; lanes beyond a part are zero.
  void load(const Xbyak::Xmm& v, const Xbyak::RegExp& from, Element e, Extent extent);

  // Stores elements that lie side by side in the low bytes of v, which may be lost.
  void store(const Xbyak::RegExp& to, const Xbyak::Xmm& v, int bytes, Extent extent);

 protected:
  virtual void load_part(const Xbyak::Xmm& v, const Xbyak::RegExp& from, Element e) = 0;
  virtual void store_part(const Xbyak::RegExp& to, const Xbyak::Xmm& v, int bytes) = 0;
  void widen(const Xbyak::Xmm& v, const Xbyak::Operand& from, Element e);

  Assembler& as;
  const Xbyak::Reg64 count, scratch;
  const Xbyak::Xmm mask;
};

// For vectors of that many lanes.
std::unique_ptr<ArrayWords> make_array_words(Assembler& as, int lanes, const Xbyak::Reg64& count,
                                             const Xbyak::Reg64& scratch, const Xbyak::Xmm& mask);

}  // namespace oct
