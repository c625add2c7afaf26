// The base of every generator: Xbyak plus what all of them need.
//
// An Assembler writes position-independent code into plain memory, never into an executable page;
// finish() turns it into Code. The memory is kept for the next one. One Assembler may hold several
// functions (entry points); their constants share one pool behind the last of them.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <xbyak/xbyak.h>

#include "jit/code_cache.h"
#include "jit/vector_code.h"

namespace oct {

class Assembler : public Xbyak::CodeGenerator {
 public:
  Assembler();
  ~Assembler();

  // A function of the System V ABI: saves the callee-saved registers that `used` names (a mask of
  // Xbyak register indices). leave() restores them, clears the upper vector halves and returns.
  void enter(uint32_t used);
  void leave();

  // body() `count` times, count in a register that ends at zero. enter with count >= 1.
  template <class Body>
  void loop(const Xbyak::Reg64& count, Body body) {
    align(32);
    const uint8_t* const top = getCurr();
    body();
    dec(count);
    jnz(top);
  }

  // As loop(), skipped when count is zero.
  template <class Body>
  void loop_if_any(const Xbyak::Reg64& count, Body body) {
    Xbyak::Label done;
    test(count, count);
    jz(done, T_NEAR);
    loop(count, body);
    L(done);
  }

  // The address of a 64-byte constant made of `words`, repeated to fill it. Equal constants are
  // stored once.
  Xbyak::Address constant(std::vector<uint32_t> words);
  // One of them broadcast to every lane by an EVEX instruction.
  Xbyak::Address repeated_constant(uint32_t word);

  // What most of the code is made of: as Xbyak has it, but faster where operands are plain
  // (jit/vector_code.h).
  void vaddps(const Xbyak::Xmm& to, const Xbyak::Operand& a, const Xbyak::Operand& b);
  void vmulps(const Xbyak::Xmm& to, const Xbyak::Operand& a, const Xbyak::Operand& b);
  void vpaddd(const Xbyak::Xmm& to, const Xbyak::Xmm& a, const Xbyak::Operand& b);
  void vpackssdw(const Xbyak::Xmm& to, const Xbyak::Xmm& a, const Xbyak::Operand& b);
  void vpackuswb(const Xbyak::Xmm& to, const Xbyak::Xmm& a, const Xbyak::Operand& b);
  void vpmaddwd(const Xbyak::Xmm& to, const Xbyak::Xmm& a, const Xbyak::Operand& b);
  void vpmaddubsw(const Xbyak::Xmm& to, const Xbyak::Xmm& a, const Xbyak::Operand& b);
  void vpdpbusd(const Xbyak::Xmm& to, const Xbyak::Xmm& a, const Xbyak::Operand& b,
                Xbyak::PreferredEncoding encoding = Xbyak::DefaultEncoding);
  using CodeGenerator::vmovaps;
  void vmovaps(const Xbyak::Xmm& to, const Xbyak::Operand& from);
  using CodeGenerator::vmovups;
  void vmovups(const Xbyak::Xmm& to, const Xbyak::Operand& from);
  using CodeGenerator::vcvtdq2ps;
  void vcvtdq2ps(const Xbyak::Xmm& to, const Xbyak::Operand& from);
  using CodeGenerator::vcvtps2dq;
  void vcvtps2dq(const Xbyak::Xmm& to, const Xbyak::Operand& from);
  using CodeGenerator::vpbroadcastd;
  void vpbroadcastd(const Xbyak::Xmm& to, const Xbyak::Operand& from);
  void vmovups(const Xbyak::Address& to, const Xbyak::Xmm& from);

  // Emits the constants and returns the finished code. `name` labels it for profilers.
  std::shared_ptr<const Code> finish(const std::string& name);

 private:
  static constexpr size_t kCapacity = 1 << 20;

  // Aligned as the code's final mapping is, or align() would be off by the difference.
  struct alignas(64) Line {
    uint8_t bytes[64];
  };

  static std::atomic<Line*> spare_;
  static Line* take_lines();

  explicit Assembler(std::unique_ptr<Line[]> buffer);

  struct Constant {
    std::vector<uint32_t> words;
    Xbyak::Label label;
  };
  Xbyak::RegRip constant_at(std::vector<uint32_t> words);
  bool put(VectorOp op, const Xbyak::Xmm& reg, int second, const Xbyak::Operand& rm);

  std::unique_ptr<Line[]> buffer_;
  std::vector<size_t> entries_;
  std::vector<std::unique_ptr<Constant>> constants_;
  uint32_t saved_ = 0;
};

// Vector registers handed out for a role and taken back at the end of its scope, so that two
// names never stand for one register at the same time.
class RegisterPool {
 public:
  explicit RegisterPool(int count)
      : registers_(count), free_(count == 32 ? ~0u : (1u << count) - 1) {}

  class Role {
   public:
    Role(RegisterPool& pool, int index) : pool_(&pool), index_(index) {}
    Role(Role&& o) noexcept : pool_(std::exchange(o.pool_, nullptr)), index_(o.index_) {}
    Role& operator=(Role&&) = delete;
    ~Role() {
      if (pool_) pool_->free_ |= 1u << index_;
    }
    int index() const { return index_; }

   private:
    RegisterPool* pool_;
    int index_;
  };

  Role take();
  int registers() const { return registers_; }
  int available() const { return std::popcount(free_); }

 private:
  int registers_;
  uint32_t free_;
};

}  // namespace oct
