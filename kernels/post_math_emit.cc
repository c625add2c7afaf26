// Some 45 instructions a vector, half of them on the multipliers. The dependence chain is longer
// than that, but other vectors' chains and the next tile's dots run beside it.

#include "kernels/post_math_emit.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <vector>

#include "kernels/post_math.h"

namespace oct {
namespace {

using namespace post_math;
using Xbyak::Address;
using Xbyak::Xmm;

// `count` registers for a scope: free ones, and others than `kept` saved below the stack pointer,
// which moves.
class Temporaries {
 public:
  Temporaries(Assembler& as, Words& w, RegisterPool& pool, int count, int kept) : as(as), w(w) {
    while (count > 0 && pool.available() > 0) {
      registers.push_back(roles.emplace_back(pool.take()).index());
      --count;
    }
    std::vector<int> held(registers);
    held.push_back(kept);
    for (int i = 0; count > 0; ++i) {
      if (std::find(held.begin(), held.end(), i) != held.end()) continue;
      saved.push_back(i);
      registers.push_back(i);
      --count;
    }
    if (!saved.empty()) as.sub(as.rsp, bytes());
    for (size_t i = 0; i < saved.size(); ++i) as.vmovups(slot(i), w.reg(saved[i]));
  }
  ~Temporaries() {
    for (size_t i = 0; i < saved.size(); ++i) as.vmovups(w.reg(saved[i]), slot(i));
    if (!saved.empty()) as.add(as.rsp, bytes());
  }
  Temporaries(const Temporaries&) = delete;
  Temporaries& operator=(const Temporaries&) = delete;

  Xmm operator[](size_t i) const { return w.reg(registers[i]); }

 private:
  int bytes() const { return static_cast<int>(saved.size()) * w.bytes(); }
  Address slot(size_t i) const { return as.ptr[as.rsp + static_cast<int>(i) * w.bytes()]; }

  Assembler& as;
  Words& w;
  std::vector<RegisterPool::Role> roles;
  std::vector<int> registers, saved;
};

class Emitter {
 public:
  Emitter(Assembler& as, Words& w, RegisterPool& pool, const Xmm& x)
      : as(as), w(w), x(x), temps(as, w, pool, kTemporaries, x.getIdx()), h(temps[0]), a(temps[1]),
        t(temps[2]), u(temps[3]), v(temps[4]), s(temps[5]), r(temps[6]), q(temps[7]) {}

  void sigmoid() {
    bounded(kSigmoid);
    polynomial(kSigmoid);
    as.vxorps(a, a, bits(0x80000000));
    times_exponential(a, nullptr);
    as.vpsrad(t, x, 31);
    as.vandnps(t, t, number(1));
    as.vsubps(t, t, h);
    as.vandps(x, t, bits(0x7fffffff));
  }

  void tanh() {
    bounded(kTanh);
    polynomial(kTanh);
    as.vandps(h, h, bits(0x7fffffff));
    as.vandps(t, x, bits(0x80000000));
    as.vorps(x, h, t);
  }

  void silu() {
    bounded(kSilu);
    polynomial(kSilu);
    as.vxorps(a, a, bits(0x80000000));
    times_exponential(a, nullptr);
    below_relu();
  }

  void gelu_erf() {
    bounded(kErf);
    polynomial(kErf);
    as.vmulps(t, a, number(-0.5f));
    as.vmulps(u, a, t);       // y
    as.vfmsub213ps(a, t, u);  // y_low
    times_exponential(u, &a);
    below_relu();
  }

  void gelu_tanh() {
    bounded(kTanhForm);
    polynomial(kTanhForm);
    tanh_form_argument();
    times_exponential(u, &t);
    below_relu();
  }

 private:
  static constexpr int kTemporaries = 8;

  Address bits(uint32_t word) const { return as.constant({word}); }
  Address number(float value) const { return bits(std::bit_cast<uint32_t>(value)); }

  // a = min(high, |x|)
  void bounded(const Table& table) {
    as.vandps(a, x, bits(0x7fffffff));
    as.vmovups(t, number(table.high));
    as.vminps(a, t, a);
  }

  void lookup(const Xmm& to, const Table& table, int row) {
    const auto& values = table.rows[static_cast<size_t>(row)];
    std::vector<uint32_t> words(values.size());
    std::transform(values.begin(), values.end(), words.begin(),
                   [](float f) { return std::bit_cast<uint32_t>(f); });
    w.lookup(to, words, t, u, r);
  }

  // h = the table's polynomial at a, which is kept.
  void polynomial(const Table& table) {
    as.vmovups(t, number(table.last));
    as.vminps(t, t, a);
    as.vaddps(t, t, number(table.offset));
    as.vpsrld(t, t, kIntervalShift);
    w.prepare_lookup(t, u);
    const Xmm& d = v;
    lookup(d, table, kCentre);
    as.vsubps(d, a, d);
    lookup(h, table, kFirst + kDegree);
    for (int k = kDegree - 1; k > 0; --k) {
      lookup(q, table, kFirst + k);
      as.vfmadd213ps(h, d, q);
    }
    lookup(q, table, kSlope);
    lookup(s, table, kFirst);
    as.vfmadd213ps(q, d, s);
    as.vfmadd213ps(h, d, q);
  }

  // u, t = y, y_low of the tanh form.
  void tanh_form_argument() {
    const Xmm &p = t, &p_low = u, &s_low = v;
    as.vmulps(s, a, a);
    as.vmovaps(s_low, a);
    as.vfmsub213ps(s_low, a, s);
    as.vmovups(r, number(kZ3High));
    as.vmulps(p, s, r);
    as.vmovaps(p_low, s);
    as.vfmsub213ps(p_low, r, p);
    as.vfmadd213ps(s_low, r, p_low);  // what p lacks, s_low's share included
    as.vmovups(q, number(kZ1High));
    as.vminps(r, q, p);  // the larger one
    as.vmaxps(q, q, p);
    const Xmm &w_high = p, &w_low = q;
    as.vaddps(w_high, r, q);
    as.vsubps(r, w_high, r);
    as.vsubps(w_low, q, r);
    as.vaddps(w_low, w_low, s_low);
    as.vmovups(r, number(kZ3Low));
    as.vfmadd213ps(s, r, number(kZ1Low));
    as.vaddps(w_low, w_low, s);
    as.vmulps(u, a, w_high);
    as.vfmsub213ps(w_high, a, u);
    as.vfmadd231ps(w_high, a, w_low);  // in t
  }

  // h *= e^(y + *y_low), or of y alone.
  void times_exponential(const Xmm& y, const Xmm* y_low) {
    const Xmm &k = s, &n = v;
    as.vmovups(k, number(kLog2E));
    as.vfmadd213ps(k, y, number(kMagic));
    as.vsubps(n, k, number(kMagic));
    as.vfmadd231ps(y, n, number(-kLn2High));
    as.vfmadd231ps(y, n, number(-kLn2Low));
    if (y_low) as.vaddps(y, y, *y_low);
    as.vmovups(q, number(kExp[std::size(kExp) - 1]));
    for (size_t i = std::size(kExp) - 1; i-- > 0;) as.vfmadd213ps(q, y, number(kExp[i]));
    as.vmulps(r, y, y);
    as.vfmadd213ps(q, r, y);
    as.vfmadd213ps(q, h, h);
    w.scale(h, q, n, k, r);
  }

  // x = max(0, x) - h
  void below_relu() {
    w.zero(t);
    as.vmaxps(t, t, x);
    as.vsubps(x, t, h);
  }

  Assembler& as;
  Words& w;
  const Xmm& x;
  Temporaries temps;
  const Xmm h, a, t, u, v, s, r, q;
};

}  // namespace

void emit_post_math(Assembler& as, Words& words, RegisterPool& pool, PostKind kind, const Xmm& x) {
  Emitter emitter(as, words, pool, x);
  switch (kind) {
    case PostKind::kSigmoid: emitter.sigmoid(); break;
    case PostKind::kTanh: emitter.tanh(); break;
    case PostKind::kSilu: emitter.silu(); break;
    case PostKind::kGeluErf: emitter.gelu_erf(); break;
    case PostKind::kGeluTanh: emitter.gelu_tanh(); break;
    default: break;
  }
}

}  // namespace oct
