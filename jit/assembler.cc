#include "jit/assembler.h"

#include <cassert>
#include <stdexcept>

namespace oct {
namespace {

constexpr int kCalleeSaved[] = {Xbyak::Operand::RBX, Xbyak::Operand::RBP, Xbyak::Operand::R12,
                                Xbyak::Operand::R13, Xbyak::Operand::R14, Xbyak::Operand::R15};

}  // namespace

// Uninitialised on purpose: only the pages that are written get touched.
Assembler::Assembler() : Assembler(std::unique_ptr<Line[]>(new Line[kCapacity / sizeof(Line)])) {}

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

RegisterPool::Role RegisterPool::take() {
  if (free_ == 0) throw std::logic_error("a tile leaves no register for a role");
  const int index = __builtin_ctz(free_);
  free_ &= free_ - 1;
  return Role(*this, index);
}

}  // namespace oct
