#include "jit/assembler.h"

#include <cassert>
#include <stdexcept>

namespace oct {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Xmm;

namespace {

constexpr int kCalleeSaved[] = {Xbyak::Operand::RBX, Xbyak::Operand::RBP, Xbyak::Operand::R12,
                                Xbyak::Operand::R13, Xbyak::Operand::R14, Xbyak::Operand::R15};

}  // namespace

// Uninitialised on purpose: only the pages that are written get touched. The last buffer is kept:
// those pages, as many as the longest code took, fault in once.
Assembler::Line* Assembler::take_lines() {
  Line* const spare = spare_.exchange(nullptr);
  return spare ? spare : new Line[kCapacity / sizeof(Line)];
}

std::atomic<Assembler::Line*> Assembler::spare_;

Assembler::Assembler() : Assembler(std::unique_ptr<Line[]>(take_lines())) {}

Assembler::~Assembler() { delete[] spare_.exchange(buffer_.release()); }

Assembler::Assembler(std::unique_ptr<Line[]> buffer)
    : Xbyak::CodeGenerator(kCapacity, buffer.get()), buffer_(std::move(buffer)) {
  setDefaultJmpNEAR(true);
}

void Assembler::enter(uint32_t used) {
  align(64);
  entries_.push_back(getSize());
  saved_ = used;
  for (int r : kCalleeSaved)
    if (saved_ >> r & 1) push(Xbyak::Reg64(r));
}

void Assembler::leave() {
  for (int i = std::size(kCalleeSaved); i-- > 0;)
    if (saved_ >> kCalleeSaved[i] & 1) pop(Xbyak::Reg64(kCalleeSaved[i]));
  vzeroupper();
  ret();
}

Xbyak::RegRip Assembler::constant_at(std::vector<uint32_t> words) {
  assert(!words.empty() && 16 % words.size() == 0);
  for (auto& c : constants_)
    if (c->words == words) return rip + c->label;
  constants_.push_back(std::make_unique<Constant>());
  constants_.back()->words = std::move(words);
  return rip + constants_.back()->label;
}

Xbyak::Address Assembler::constant(std::vector<uint32_t> words) {
  return ptr[constant_at(std::move(words))];
}

Xbyak::Address Assembler::repeated_constant(uint32_t word) { return ptr_b[constant_at({word})]; }

std::shared_ptr<const Code> Assembler::finish(const std::string& name) {
  align(64);
  for (auto& c : constants_) {
    L(c->label);
    for (size_t i = 0; i < 16; ++i) dd(c->words[i % c->words.size()]);
  }
  return std::make_shared<const Code>(getCode(), getSize(), std::move(entries_), name);
}

bool Assembler::put(VectorOp op, const Xmm& reg, int second, const Operand& rm) {
  if (size_ + kMaxVectorCode > maxSize_) return false;  // Xbyak says so
  const int bytes = encode_vector(op, reg, second, rm, top_ + size_);
  size_ += static_cast<size_t>(bytes);
  return bytes != 0;
}

void Assembler::vaddps(const Xmm& to, const Operand& a, const Operand& b) {
  if (!put({Prefix::kNone, OpMap::k0F, 0x58}, to, a.getIdx(), b)) CodeGenerator::vaddps(to, a, b);
}

void Assembler::vmulps(const Xmm& to, const Operand& a, const Operand& b) {
  if (!put({Prefix::kNone, OpMap::k0F, 0x59}, to, a.getIdx(), b)) CodeGenerator::vmulps(to, a, b);
}

void Assembler::vpaddd(const Xmm& to, const Xmm& a, const Operand& b) {
  if (!put({Prefix::k66, OpMap::k0F, 0xfe}, to, a.getIdx(), b)) CodeGenerator::vpaddd(to, a, b);
}

void Assembler::vpackssdw(const Xmm& to, const Xmm& a, const Operand& b) {
  if (!put({Prefix::k66, OpMap::k0F, 0x6b}, to, a.getIdx(), b)) CodeGenerator::vpackssdw(to, a, b);
}

void Assembler::vpackuswb(const Xmm& to, const Xmm& a, const Operand& b) {
  if (!put({Prefix::k66, OpMap::k0F, 0x67}, to, a.getIdx(), b)) CodeGenerator::vpackuswb(to, a, b);
}

void Assembler::vpmaddwd(const Xmm& to, const Xmm& a, const Operand& b) {
  if (!put({Prefix::k66, OpMap::k0F, 0xf5}, to, a.getIdx(), b)) CodeGenerator::vpmaddwd(to, a, b);
}

void Assembler::vpmaddubsw(const Xmm& to, const Xmm& a, const Operand& b) {
  if (!put({Prefix::k66, OpMap::k0F38, 0x04}, to, a.getIdx(), b))
    CodeGenerator::vpmaddubsw(to, a, b);
}

void Assembler::vpdpbusd(const Xmm& to, const Xmm& a, const Operand& b,
                         Xbyak::PreferredEncoding encoding) {
  const bool evex = to.isZMM() && encoding == Xbyak::DefaultEncoding;
  if (!evex || !put({Prefix::k66, OpMap::k0F38, 0x50}, to, a.getIdx(), b))
    CodeGenerator::vpdpbusd(to, a, b, encoding);
}

void Assembler::vmovaps(const Xmm& to, const Operand& from) {
  if (!put({Prefix::kNone, OpMap::k0F, 0x28}, to, 0, from)) CodeGenerator::vmovaps(to, from);
}

void Assembler::vmovups(const Xmm& to, const Operand& from) {
  if (!put({Prefix::kNone, OpMap::k0F, 0x10}, to, 0, from)) CodeGenerator::vmovups(to, from);
}

void Assembler::vcvtdq2ps(const Xmm& to, const Operand& from) {
  if (!put({Prefix::kNone, OpMap::k0F, 0x5b}, to, 0, from)) CodeGenerator::vcvtdq2ps(to, from);
}

void Assembler::vcvtps2dq(const Xmm& to, const Operand& from) {
  if (!put({Prefix::k66, OpMap::k0F, 0x5b}, to, 0, from)) CodeGenerator::vcvtps2dq(to, from);
}

void Assembler::vpbroadcastd(const Xmm& to, const Operand& from) {
  if (!put({Prefix::k66, OpMap::k0F38, 0x58, 4}, to, 0, from))
    CodeGenerator::vpbroadcastd(to, from);
}

void Assembler::vmovups(const Address& to, const Xmm& from) {
  if (!put({Prefix::kNone, OpMap::k0F, 0x11}, from, 0, to)) CodeGenerator::vmovups(to, from);
}

RegisterPool::Role RegisterPool::take() {
  if (free_ == 0) throw std::logic_error("a tile leaves no register for a role");
  const int index = __builtin_ctz(free_);
  free_ &= free_ - 1;
  return Role(*this, index);
}

}  // namespace oct
