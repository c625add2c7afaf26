// Some 45 instructions a vector, half of them on the multipliers. The dependence chain is longer
// than that, but other vectors' chains, what is woven in, and the next tile's dots run beside it.

#include "kernels/post_math_emit.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <iterator>
#include <utility>
#include <vector>

#include "kernels/post_math.h"

namespace oct {
namespace {

using namespace post_math;

constexpr int kInterleaved = 2;  // vectors

using Xbyak::Address;
using Xbyak::Xmm;

// `count` registers for a scope: free ones, and others than `held` saved below the stack pointer,
// which moves.
class Temporaries {
 public:
  Temporaries(Assembler& as, Words& w, RegisterPool& pool, int count, std::vector<int> held)
      : as(as), w(w) {
    while (count > 0 && pool.available() > 0) {
      registers.push_back(roles.emplace_back(pool.take()).index());
      --count;
    }
    held.insert(held.end(), registers.begin(), registers.end());
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

// A vector, and registers of its own: |x|, which the exponential's polynomial takes over; for the
// table's polynomial, of which the argument of the former uses the last two before it starts; for
// the exponential; and a slope.
struct Lane {
  Xmm x, a;
  Xmm index, c, h, p;
  Xmm t, n;
  Xmm slope;
};
constexpr int own_registers(PostKind kind) {
  return kind == PostKind::kGeluErf || kind == PostKind::kSilu ? 8 : 7;
}

class Emitter {
 public:
  // The vectors x are one of so many parts.
  struct Part {
    int index, of;
    const Amid* amid;
  };

  Emitter(Assembler& as, Words& w, const Temporaries& temps, size_t own, std::span<const Xmm> x,
          Part part)
      : as(as), w(w), shared(temps[0]), part(part) {
    for (size_t i = 0; i < x.size(); ++i) {
      const auto reg = [&](size_t r) { return temps[1 + own * i + r]; };
      lanes.push_back({x[i], reg(0), reg(1), reg(2), reg(3), reg(4), reg(5), reg(6), reg(own - 1)});
    }
  }

  void emit(PostKind kind) {
    switch (kind) {
      case PostKind::kSigmoid: return sigmoid();
      case PostKind::kTanh: return tanh();
      case PostKind::kSilu: return below_relu(kSilu, kExpOfA, of_a());
      case PostKind::kGeluErf: return below_relu(kErf, kExpOfSquare, of_square());
      case PostKind::kGeluTanh: return below_relu(kTanhForm, kExpOfCubic, of_cubic());
      default: break;
    }
  }

 private:
  // An instruction or two for every vector.
  using Step = std::function<void()>;
  using Steps = std::vector<Step>;

  template <class One>
  void each(One one) {
    for (const Lane& v : lanes) one(v);
  }
  template <class One>
  Step step(One one) {
    return [this, one] { each(one); };
  }

  Address bits(uint32_t word) const { return w.constant(word); }
  Address number(float value) const { return bits(std::bit_cast<uint32_t>(value)); }
  void load(float value) { as.vmovups(shared, as.constant({std::bit_cast<uint32_t>(value)})); }

  void sigmoid() {
    bounded(kSigmoid);
    product(kSigmoid, kExpOfA, of_a());
    each([&](const Lane& v) { as.vpsrad(v.t, v.x, 31); });
    load(1);
    each([&](const Lane& v) { as.vandnps(v.t, v.t, shared); });
    each([&](const Lane& v) { as.vsubps(v.t, v.t, v.h); });
    each([&](const Lane& v) { as.vandps(v.x, v.t, bits(0x7fffffff)); });
  }

  void tanh() {
    bounded(kTanh);
    weave(place(kTanh), {}, 0);
    weave(polynomial(kTanh), {}, 1);
    finish_polynomial(kTanh);
    each([&](const Lane& v) { as.vandps(v.h, v.h, bits(0x7fffffff)); });
    each([&](const Lane& v) { as.vandps(v.t, v.x, bits(0x80000000)); });
    each([&](const Lane& v) { as.vorps(v.x, v.h, v.t); });
  }

  // x = max(0, x) - h e^y
  void below_relu(const Table& table, const Exponential& e, const Steps& argument) {
    load(table.high);
    each([&](const Lane& v) { w.min_magnitude(v.a, v.x, shared); });  // NaNs are in max(0, x), too
    product(table, e, argument);
    w.zero(shared);
    each([&](const Lane& v) { as.vmaxps(v.t, shared, v.x); });
    each([&](const Lane& v) { as.vsubps(v.x, v.t, v.h); });
  }

  // a = min(high, |x|)
  void bounded(const Table& table) {
    each([&](const Lane& v) { as.vandps(v.a, v.x, bits(0x7fffffff)); });
    load(table.high);
    each([&](const Lane& v) { as.vminps(v.a, shared, v.a); });
  }

  // Chains that do not depend on each other; they are half of all.
  void weave(const Steps& one, const Steps& other, int half) {
    const auto count = static_cast<int>(one.size());
    size_t done = 0;
    for (int i = 0; i < count; ++i) {
      one[static_cast<size_t>(i)]();
      for (; done * one.size() < static_cast<size_t>(i + 1) * other.size(); ++done) other[done]();
      if (part.amid)
        part.amid->continue_to((2 * part.index + half) * count + i + 1, 2 * part.of * count);
    }
  }

  // h = the table's polynomial at a times 2^n e^(unit r).
  void product(const Table& table, const Exponential& e, const Steps& argument) {
    weave(argument, place(table), 0);
    weave(power_terms(e), polynomial(table), 1);
    finish_polynomial(table);
    each([&](const Lane& v) { as.vmulps(v.t, v.t, v.h); });
    each([&](const Lane& v) { as.vfmadd213ps(v.a, v.t, v.h); });
    if (table.exponent)
      each([&](const Lane& v) { as.vsubps(v.n, v.n, number(static_cast<float>(table.exponent))); });
    each([&](const Lane& v) { w.scale(v.h, v.a, v.n, v.t); });
  }

  // `to` = that row of the table.
  void lookup(Xmm Lane::*to, const Table& table, int row) {
    const auto& values = table.rows[static_cast<size_t>(row)];
    std::vector<uint32_t> words(values.size());
    std::transform(values.begin(), values.end(), words.begin(),
                   [](float f) { return std::bit_cast<uint32_t>(f); });
    w.begin_lookup(words, shared);
    each([&](const Lane& v) { w.lookup(v.*to, words, v.index, shared); });
  }
  Step looked_up(Xmm Lane::*to, const Table& table, int row) {
    return [this, to, &table, row] { lookup(to, table, row); };
  }

  // index and c = the interval and the place in it.
  Steps place(const Table& table) {
    Steps s;
    if (table.last < table.high)
      s.push_back([this, &table] {
        load(table.last);
        each([&](const Lane& v) { as.vminps(v.index, shared, v.a); });
      });
    s.push_back(step([&](const Lane& v) {
      as.vaddps(v.index, table.last < table.high ? v.index : v.a, number(table.offset));
    }));
    s.push_back(step([&](const Lane& v) { as.vpsrld(v.index, v.index, kIntervalShift); }));
    s.push_back(step([&](const Lane& v) { w.prepare_lookup(v.index, v.c); }));
    s.push_back(looked_up(&Lane::c, table, kCentre));
    s.push_back(step([&](const Lane& v) { as.vsubps(v.c, v.a, v.c); }));
    return s;
  }

  // h = the polynomial without its last term.
  Steps polynomial(const Table& table) {
    Steps s;
    s.push_back(looked_up(&Lane::h, table, kFirst + kDegree));
    for (int k = kDegree - 1; k > 0; --k) {
      s.push_back(looked_up(&Lane::p, table, kFirst + k));
      s.push_back(step([&](const Lane& v) { as.vfmadd213ps(v.h, v.c, v.p); }));
    }
    return s;
  }

  void finish_polynomial(const Table& table) {
    lookup(&Lane::p, table, kFirst);
    if (table.slope == Slope::kUnit) each([&](const Lane& v) { as.vmaxps(v.p, v.p, v.c); });
    if (table.slope == Slope::kTable) {
      lookup(&Lane::slope, table, kSlope);
      each([&](const Lane& v) { as.vfmadd231ps(v.p, v.c, v.slope); });
    }
    each([&](const Lane& v) { as.vfmadd213ps(v.h, v.c, v.p); });
  }

  // t, n = the argument's r and n.
  Steps of_a() {
    const Exponential& e = kExpOfA;
    Steps s{step([&](const Lane& v) { as.vmovaps(v.t, v.a); })};
    split(s, e);
    s.push_back(step([&](const Lane& v) { as.vmovaps(v.t, v.a); }));
    s.push_back(step([&](const Lane& v) { as.vfmadd231ps(v.t, v.n, number(e.step_high)); }));
    s.push_back(step([&](const Lane& v) { as.vfmadd231ps(v.t, v.n, number(e.step_low)); }));
    return s;
  }

  Steps of_square() {
    const Exponential& e = kExpOfSquare;
    Steps s{step([&](const Lane& v) { as.vmulps(v.t, v.a, v.a); })};
    split(s, e);
    s.push_back(step([&](const Lane& v) { as.vmulps(v.t, v.n, number(e.step_high)); }));
    s.push_back(step([&](const Lane& v) { as.vfmadd231ps(v.t, v.a, v.a); }));
    s.push_back(step([&](const Lane& v) { as.vfmadd231ps(v.t, v.n, number(e.step_low)); }));
    return s;
  }

  Steps of_cubic() {
    const Exponential& e = kExpOfCubic;
    constexpr auto w = &Lane::p, low = &Lane::h;
    Steps s{step([&](const Lane& v) { as.vmovaps(v.*w, v.a); }),
            step([&](const Lane& v) { as.vfmadd213ps(v.*w, v.a, number(kX1High)); }),
            step([&](const Lane& v) { as.vsubps(v.*low, v.*w, number(kX1High)); }),
            step([&](const Lane& v) { as.vmulps(v.t, v.a, v.*w); }),  // g
            step([&](const Lane& v) { as.vfmsub231ps(v.*low, v.a, v.a); }),
            step([&](const Lane& v) { as.vmovaps(v.n, v.t); })};
    split(s, e, &Lane::n);
    const Steps rest{
        step([&](const Lane& v) { as.vaddps(v.*low, v.*low, number(kX1Low)); }),  // w_low
        step([&](const Lane& v) { as.vfmsub213ps(v.*w, v.a, v.t); }),
        step([&](const Lane& v) { as.vfmadd213ps(v.*low, v.a, v.*w); }),  // g_low
        step([&](const Lane& v) { as.vfmadd231ps(v.t, v.n, number(e.step_high)); }),
        step([&](const Lane& v) { as.vfmadd231ps(v.*low, v.n, number(e.step_low)); }),
        step([&](const Lane& v) { as.vaddps(v.t, v.t, v.*low); })};
    s.insert(s.end(), rest.begin(), rest.end());
    return s;
  }

  // n = that of what is in `from`, which is lost.
  void split(Steps& s, const Exponential& e, Xmm Lane::*from = &Lane::t) {
    s.push_back([this, &e, from] {
      load(e.to_n);
      each([&](const Lane& v) { as.vfmadd213ps(v.*from, shared, number(kMagic)); });
    });
    s.push_back(step([&, from](const Lane& v) { as.vsubps(v.n, v.*from, number(kMagic)); }));
  }

  // a = p(t)
  Steps power_terms(const Exponential& e) {
    const auto last = std::bit_cast<uint32_t>(e.terms[kExpTerms - 1]);
    Steps s{step([&, last](const Lane& v) { as.vbroadcastss(v.a, as.constant({last})); })};
    for (size_t i = kExpTerms - 1; i-- > 0;)
      s.push_back(step([&, i](const Lane& v) { as.vfmadd213ps(v.a, v.t, number(e.terms[i])); }));
    return s;
  }

  Assembler& as;
  Words& w;
  const Xmm shared;
  const Part part;
  std::vector<Lane> lanes;
};

}  // namespace

void emit_post_math(Assembler& as, Words& words, RegisterPool& pool, PostKind kind,
                    std::span<const Xmm> x, const Amid* amid) {
  const int most = pool.registers() == 32 ? kInterleaved : 1, count = static_cast<int>(x.size()),
            together = std::min(most, count), parts = (count + together - 1) / together;
  const int own = own_registers(kind);
  std::vector<int> held;
  for (const Xmm& v : x) held.push_back(v.getIdx());
  if (amid)
    for (const Xmm& v : amid->registers) held.push_back(v.getIdx());
  const Temporaries temps(as, words, pool, own * together + 1, std::move(held));
  for (int i = 0; i < parts; ++i) {
    const int first = i * together, vectors = std::min(together, count - first);
    Emitter(as, words, temps, static_cast<size_t>(own),
            x.subspan(static_cast<size_t>(first), static_cast<size_t>(vectors)), {i, parts, amid})
        .emit(kind);
  }
}

}  // namespace oct
