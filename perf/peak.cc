#include "perf/peak.h"

#include <xbyak/xbyak.h>

#include <chrono>
#include <string>

#include "jit/tiles.h"

namespace oct::perf {
namespace {

constexpr double kSampleSeconds = 50e-6;

// Twelve accumulators hide a latency of 5 cycles at two instructions per cycle, and leave AVX2's
// sixteen registers room for operands and temporaries.
constexpr int kAccumulators = 12;
constexpr int kRepeats = 8;  // of all accumulators in one pass, so that the branch costs nothing

// Registers: 0..11 accumulate, 12 and 13 are the operands, 14 holds ones, 15 is a temporary.
// void loop(int64_t passes)
template <class Vec>
class PeakCode : public Xbyak::CodeGenerator {
 public:
  explicit PeakCode(bool vnni, bool vex)
      : Xbyak::CodeGenerator(Xbyak::DEFAULT_MAX_CODE_SIZE, Xbyak::DontSetProtectRWE) {
    constexpr bool is_zmm = Vec().isZMM();
    for (int i = 0; i < 16; ++i) {
      if (is_zmm)
        vpxord(Vec(i), Vec(i), Vec(i));
      else
        vpxor(Vec(i), Vec(i), Vec(i));
    }
    fill_words(Xbyak::Xmm(12), 0x0305);
    fill_words(Xbyak::Xmm(13), 0x0702);
    fill_words(Xbyak::Xmm(14), 0x0001);
    Xbyak::Label again;
    L(again);
    for (int i = 0; i < kRepeats * kAccumulators; ++i) {
      const Vec acc(i % kAccumulators), a(12), b(13), ones(14), t(15);
      if (vnni) {
        vpdpbusd(acc, a, b, vex ? Xbyak::VexEncoding : Xbyak::EvexEncoding);
      } else {
        vpmaddubsw(t, a, b);
        vpmaddwd(t, t, ones);
        vpaddd(acc, acc, t);
      }
    }
    dec(rdi);
    jnz(again, T_NEAR);
    vzeroupper();
    ret();
  }

 private:
  void fill_words(const Xbyak::Xmm& x, int value) {
    mov(eax, value);
    vmovd(x, eax);
    vpbroadcastw(Vec(x.getIdx()), x);
  }
};

template <class Vec>
std::shared_ptr<const Code> generate(Isa isa, bool vnni) {
  const bool vex = isa < Isa::kAvx512bw;
  PeakCode<Vec> code(vnni, vex);
  return std::make_shared<Code>(code.getCode(), code.getSize(), std::vector<size_t>{0},
                                std::string("peak_") + isa_name(isa));
}

// Six tiles hide a product's latency of 52 cycles at one in 16; the last two are the operands.
// Tiles are switched on for the loop only.
constexpr int kSumTiles = kTileCount - 2;
constexpr double kTileProduct = 2.0 * kTileRows * kTileLanes * kTileRowBytes;

class AmxPeakCode : public Xbyak::CodeGenerator {
 public:
  AmxPeakCode() : Xbyak::CodeGenerator(Xbyak::DEFAULT_MAX_CODE_SIZE, Xbyak::DontSetProtectRWE) {
    Xbyak::Label again, configuration;
    ldtilecfg(ptr[rip + configuration]);
    for (int t = 0; t < kTileCount; ++t) tilezero(Xbyak::Tmm(t));
    L(again);
    for (int i = 0; i < kRepeats * kSumTiles; ++i)
      tdpbusd(Xbyak::Tmm(i % kSumTiles), Xbyak::Tmm(kSumTiles), Xbyak::Tmm(kSumTiles + 1));
    dec(rdi);
    jnz(again, T_NEAR);
    tilerelease();
    ret();
    align(64);
    L(configuration);
    TileConfig config;
    for (int t = 0; t < kTileCount; ++t) config.set(t, kTileRows, kTileRowBytes);
    db(reinterpret_cast<const uint8_t*>(&config), sizeof config);
  }
};

std::shared_ptr<const Code> generate_amx() {
  AmxPeakCode code;
  return std::make_shared<Code>(code.getCode(), code.getSize(), std::vector<size_t>{0}, "peak_amx");
}

}  // namespace

std::unique_ptr<PeakLoop> PeakLoop::create(Isa isa) {
  const double ymm_operations = 2.0 * 32 * kAccumulators * kRepeats;
  std::shared_ptr<const Code> code;
  double operations = ymm_operations;
  switch (isa) {
    case Isa::kAvx2: code = generate<Xbyak::Ymm>(isa, false); break;
    case Isa::kAvxVnni:
    case Isa::kAvxVnniInt8: code = generate<Xbyak::Ymm>(isa, true); break;
    case Isa::kAvx512bw:
    case Isa::kAvx512Vnni:
      code = generate<Xbyak::Zmm>(isa, isa == Isa::kAvx512Vnni);
      operations = 2 * ymm_operations;
      break;
    case Isa::kAmx:
      code = generate_amx();
      operations = kTileProduct * kRepeats * kSumTiles;
      break;
    case Isa::kNone: return nullptr;
  }
  return std::unique_ptr<PeakLoop>(new PeakLoop(std::move(code), operations));
}

PeakLoop::PeakLoop(std::shared_ptr<const Code> code, double operations_per_pass)
    : code_(std::move(code)), operations_per_pass_(operations_per_pass), passes_(100) {
  sample_gops();  // wakes up the wide units
  const double passes_per_second = sample_gops() * 1e9 / operations_per_pass_;
  passes_ = static_cast<int64_t>(passes_per_second * kSampleSeconds) + 1;
}

double PeakLoop::sample_gops() const {
  using Clock = std::chrono::steady_clock;
  const auto loop = reinterpret_cast<void (*)(int64_t)>(const_cast<void*>(code_->entry(0)));
  const auto start = Clock::now();
  loop(passes_);
  const std::chrono::duration<double> time = Clock::now() - start;
  return operations_per_pass_ * static_cast<double>(passes_) / time.count() / 1e9;
}

}  // namespace oct::perf
