// The transcendental post-operations in scalar form, and the constants that the emitted code shares
// with it: the specification of both, to the bit.
//
// tanh(|x|) is h(|x|). The others are built from a term v(|x|) = e^y h(|x|) that falls to zero
// beyond all bounds, and which has to be right to the last places everywhere, since for negative x
// it is the result:
//
//                                  y                                  h(a)
//   sigmoid    1 - v or v          -a                                 1 / (1 + e^-a)
//   SiLU       max(x, 0) - v       -a                                 a / (1 + e^-a)
//   GELU       max(x, 0) - v       -a^2 / 2                           a Phi(-a) e^(a^2 / 2)
//   tanh form  max(x, 0) - v       -2 sqrt(2/pi) (a + 0.044715 a^3)   a / (1 + e^y)
//
// with a = |x| and Phi the normal distribution. h is a polynomial of degree six in a - c for each
// of sixteen intervals, four to each octave of a + offset: sixteen coefficients are a permutation's
// table. The last of its multiply-adds rounds h once, the others hardly count. In the interval that
// begins at zero, where h(c) = 0, they would: there the slope is taken out, which is exact. Where
// it is 1, or 1/2 and the table holds 2 h, the term is a - c itself, and the greater of it and
// h(c): in other intervals that is h(c).
//
// e^y = 2^n (1 + r p(r)), n = rne(y / ln 2) and r what remains of -a, -2 y or the tanh form's
// a (x1 + a^2), so that no constant gets between the exact product and the subtraction: y's factor
// is in the coefficients of p, which the tanh form has fitted to the first one's rounding. 1 is
// never added to r p(r): fma(h r, p, h) is the product with one rounding less.
//
// Errors stay below 2 ulp for all floats. Single ones come near, which samples do not show: whoever
// changes a constant has to go through all of them between 2^-24 and 128, and to add the farthest
// to tests/test_post_ops.cc. The tables are minimax fits, coefficient after coefficient rounded,
// with centres such that h(c) is nearly a float.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace oct::post_math {

// A sum with this rounds to an integer n and holds n + 254 in its low bits.
inline constexpr float kMagic = 0x1.8p23f + 254;

// The exponential of unit * g: p(r) of the form above, e^(unit r) = 1 + r p(r).
inline constexpr int kExpTerms = 6;
using ExpTerms = std::array<float, kExpTerms>;
constexpr ExpTerms exp_terms(double unit) {
  constexpr double kE[kExpTerms] = {
      1, 0x1.fffffcp-2, 0x1.555492p-3, 0x1.5558bp-5, 0x1.12398ep-7, 0x1.6a4d6ap-10};
  ExpTerms terms{};
  double power = unit;
  for (size_t i = 0; i < terms.size(); ++i, power *= unit)
    terms[i] = static_cast<float>(kE[i] * power);
  return terms;
}
inline constexpr double kLog2E = 0x1.71547652b82fep0;
// What n is multiplied by to be subtracted from g: ln 2 / |unit|, of which the high part has as
// many bits as leave that product exact where g is not one number, but a product, too.
struct Exponential {
  float to_n, step_high, step_low;
  ExpTerms terms;
};
inline constexpr Exponential kExpOfA{-static_cast<float>(kLog2E), 0x1.62e42p-1f, 0x1.fdf474p-22f,
                                     exp_terms(-1)};
inline constexpr Exponential kExpOfSquare{-static_cast<float>(kLog2E / 2), 0x1.62ep0f,
                                          0x1.0bfbe8p-14f, exp_terms(-0.5)};
inline constexpr Exponential kExpOfCubic{-0x1.a5a7dp-4f,
                                         0x1.36d9d6p3f,
                                         -0x1.25115cp-22f,
                                         {-0x1.2444f2p-4f, 0x1.4dad58p-9f, -0x1.fbee98p-15f,
                                          0x1.21f674p-20f, -0x1.09f9ap-26f, 0x1.912p-33f}};
// x1 = 1 / 0.044715.
inline constexpr float kX1High = 0x1.65ep4f, kX1Low = -0x1.b4244cp-9f;

// Per interval, in the order of the low bits of the exponent and the high ones of the mantissa of
// a + offset: c, the slope, and the coefficients of what remains of h.
inline constexpr int kDegree = 6, kIntervals = 16, kIntervalShift = 21;
enum class Slope {
  kNone,
  kUnit,  // h(c) becomes max(h(c), a - c)
  kTable  // or h(c) + slope (a - c)
};
enum TableRow { kCentre, kSlope, kFirst, kTableRows = kFirst + kDegree + 1 };
struct Table {
  float offset;  // 1 or 2
  float high;    // a is bounded by this: beyond, results do not change
  float last;    // in the last interval, which reaches beyond the table
  int exponent;  // h is held times 2^exponent
  Slope slope;
  std::array<std::array<float, kIntervals>, kTableRows> rows;
};

// clang-format off
inline constexpr Table kErf{1, 14.5f, 14.5f, 0, Slope::kTable, {{
    {0x1.40023ap0f, 0x1.c0022ap0f, 0x1.2001e8p1f, 0x1.6000a8p1f, 0x1.c000bep1f, 0x1.200078p2f, 0x1.600016p2f, 0x1.a0020ap2f, 0x1.000186p3f, 0x1.40001p3f, 0x1.8000a4p3f, 0x1.c0001cp3f, 0, 0x1.8000dap-2f, 0x1.4001aep-1f, 0x1.c000e2p-1f},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1p-1f, 0, 0, 0},
    {0x1.27605ep-2f, 0x1.4befdep-2f, 0x1.62041ep-2f, 0x1.701f0ep-2f, 0x1.7d242ep-2f, 0x1.86c634p-2f, 0x1.8c2b8ap-2f, 0x1.8f76f4p-2f, 0x1.926984p-2f, 0x1.948c6ep-2f, 0x1.95bcb6p-2f, 0x1.9676b8p-2f, 0, 0x1.2389cp-3f, 0x1.9de6b2p-3f, 0x1.f559d2p-3f},
    {0x1.7b7616p-4f, 0x1.bd423p-5f, 0x1.15a6bep-5f, 0x1.6c5ccp-6f, 0x1.a29d6ap-7f, 0x1.bfb912p-8f, 0x1.07e3bcp-8f, 0x1.4ea07ep-9f, 0x1.761f9ep-10f, 0x1.8af20cp-11f, 0x1.d0f922p-12f, 0x1.27e7cep-12f, 0, 0x1.222ecap-2f, 0x1.9a43e4p-3f, 0x1.28be4ap-3f},
    {-0x1.aec8cp-5f, -0x1.be0fd6p-6f, -0x1.ee8fc2p-7f, -0x1.22a7e6p-7f, -0x1.1ee036p-8f, -0x1.004bap-9f, -0x1.01ffacp-10f, -0x1.1c8476p-11f, -0x1.092128p-12f, -0x1.c87fd2p-14f, -0x1.c4cc6ap-15f, -0x1.f15824p-16f, -0x1.988446p-2f, -0x1.a0ad22p-3f, -0x1.12ec12p-3f, -0x1.73b6a4p-4f},
    {0x1.8fe6acp-6f, 0x1.7217b8p-7f, 0x1.70bacep-8f, 0x1.87b1c8p-9f, 0x1.4fa322p-10f, 0x1.fa2c4p-12f, 0x1.b6420ap-13f, 0x1.a66beep-14f, 0x1.49aa96p-15f, 0x1.d0de26p-17f, 0x1.8574cp-18f, 0x1.71c8c2p-19f, 0x1.fffa22p-3f, 0x1.dc34ep-4f, 0x1.27b6b8p-4f, 0x1.78a57p-5f},
    {-0x1.446ebcp-7f, -0x1.0eda16p-8f, -0x1.e98abcp-10f, -0x1.d8877ap-11f, -0x1.62f61ap-12f, -0x1.c7c258p-14f, -0x1.5542b2p-15f, -0x1.1ed396p-16f, -0x1.7b93acp-18f, -0x1.b8167cp-20f, -0x1.382b18p-21f, -0x1.035018p-22f, -0x1.0feb4ap-3f, -0x1.d2356ep-5f, -0x1.12232ep-5f, -0x1.4ad8eep-6f},
    {0x1.e14ea6p-9f, 0x1.6c162ap-10f, 0x1.2bf7f4p-11f, 0x1.096b62p-12f, 0x1.647176p-14f, 0x1.86328ap-16f, 0x1.f9147ap-18f, 0x1.771236p-19f, 0x1.ab20a4p-21f, 0x1.947e6ep-23f, 0x1.e3fe38p-25f, 0x1.55947ap-26f, 0x1.f206e8p-5f, 0x1.950a08p-6f, 0x1.c6a762p-7f, 0x1.069b2ep-7f},
    {-0x1.4196b4p-10f, -0x1.c7da3ep-12f, -0x1.308622p-13f, -0x1.381618p-14f, -0x1.4b321ep-16f, -0x1.38bb9ep-18f, -0x1.73c666p-20f, -0x1.9d118p-21f, -0x1.c42e42p-24f, -0x1.5fa5eep-26f, -0x1.624444p-28f, 0x1.5572e2p-34f, -0x1.487494p-6f, -0x1.50e48ep-7f, -0x1.5d855cp-8f, -0x1.7461dp-9f},
}}};
inline constexpr Table kTanhForm{1, 11, 11, 1, Slope::kUnit, {{
    {0x1.4052dcp0f, 0x1.c00048p0f, 0x1.200142p1f, 0x1.5feb72p1f, 0x1.c001aep1f, 0x1.1fc22ep2f, 0x1.600256p2f, 0x1.a00256p2f, 0x1.000256p3f, 0x1.4p3f, 0x1.8p3f, 0x1.cp3f, 0, 0x1.80025p-2f, 0x1.4001b4p-1f, 0x1.c0017ep-1f},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0x1.1e7f88p1f, 0x1.ae0762p1f, 0x1.1c86p2f, 0x1.5eedecp2f, 0x1.bfed7ep2f, 0x1.1fc218p3f, 0x1.600256p3f, 0x1.a00256p3f, 0x1.000256p4f, 0x1.4p4f, 0x1.8p4f, 0x1.cp4f, 0, 0x1.f042bp-2f, 0x1.d5be32p-1f, 0x1.6a7a56p0f},
    {0x1.1f626p1f, 0x1.1c9198p1f, 0x1.0f565p1f, 0x1.05a096p1f, 0x1.009ebap1f, 0x1.0001f6p1f, 0x1p1f, 0x1p1f, 0x1p1f, 0x1p1f, 0x1p1f, 0x1p1f, 0, 0x1.923528p0f, 0x1.e0b974p0f, 0x1.0c031p1f},
    {0x1.49a8aap-4f, -0x1.71c906p-4f, -0x1.92f234p-4f, -0x1.aaffap-5f, -0x1.18156cp-7f, -0x1.506e1ap-13f, -0x1.1e14a6p-20f, -0x1.1d5598p-33f, -0x1.4888d4p-49f, -0x1.708ed2p-93f, 0, 0, 0x1.988452p-1f, 0x1.61c8d8p-1f, 0x1.0e0d84p-1f, 0x1.5793fap-2f},
    {-0x1.7885cap-3f, -0x1.8d518cp-5f, 0x1.886bdap-6f, 0x1.f3a63p-6f, 0x1.1e55b8p-7f, 0x1.14d26p-12f, 0x1.46a68p-19f, 0x1.820e52p-32f, -0x1.41602ap-49f, -0x1.9f90a8p-93f, 0, 0, 0x1.291e22p-19f, -0x1.708ad2p-3f, -0x1.f955aap-3f, -0x1.05c3dp-2f},
    {0x1.15ab42p-4f, 0x1.d13c98p-5f, 0x1.0c6e74p-6f, -0x1.6e181p-8f, -0x1.637d06p-8f, -0x1.3b65b2p-12f, 0x1.5d736p-18f, 0x1.ec1f24p-34f, 0x1.60489ap-47f, 0x1.8d6c2ep-91f, 0, 0, -0x1.11c658p-3f, -0x1.812bb6p-4f, -0x1.361b2ap-5f, 0x1.2da844p-6f},
    {0x1.76a4e2p-7f, -0x1.e7ae12p-7f, -0x1.c2dd94p-7f, -0x1.04556cp-8f, 0x1.b726e8p-10f, 0x1.184c8cp-12f, -0x1.7e2352p-19f, 0x1.52c816p-30f, 0x1.34b31p-48f, 0x1.5750f4p-92f, 0, 0, 0x1.35f45cp-12f, 0x1.413d6cp-5f, 0x1.86da4p-5f, 0x1.4c4edcp-5f},
    {-0x1.aa6e52p-7f, -0x1.e4253cp-9f, 0x1.825e38p-9f, 0x1.5d047ap-9f, 0x1.0fcfc4p-14f, -0x1.3c9206p-13f, -0x1.3778bcp-16f, -0x1.038d66p-28f, -0x1.62785p-47f, -0x1.7e0cf8p-91f, 0, 0, 0x1.40be22p-6f, 0x1.14ab8cp-6f, 0x1.0c2fb6p-15f, -0x1.0677ap-7f},
}}};
inline constexpr Table kSigmoid{2, 120, 29, 0, Slope::kNone, {{
    {0x1.0000dap-2f, 0x1.800156p-1f, 0x1.400238p0f, 0x1.c0003ep0f, 0x1.40015ep1f, 0x1.c00086p1f, 0x1.20001ep2f, 0x1.600158p2f, 0x1.c000f8p2f, 0x1.2000dcp3f, 0x1.600256p3f, 0x1.ap3f, 0x1p4f, 0x1.400256p4f, 0x1.800256p4f, 26},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0x1.1fd5b4p-1f, 0x1.5bbd9ap-1f, 0x1.8dfb04p-1f, 0x1.b43338p-1f, 0x1.d9298p-1f, 0x1.f0fe0cp-1f, 0x1.fa5feep-1f, 0x1.fdea9p-1f, 0x1.ff8898p-1f, 0x1.ffefd4p-1f, 0x1.fffddp-1f, 0x1.ffffb4p-1f, 0x1.fffffcp-1f, 0x1p0f, 0x1p0f, 1},
    {0x1.f81518p-3f, 0x1.be3f5p-3f, 0x1.62830ep-3f, 0x1.024fdep-3f, 0x1.1f2272p-4f, 0x1.d22acap-6f, 0x1.640fe8p-7f, 0x1.09a21ep-8f, 0x1.dd32e2p-11f, 0x1.02b94p-13f, 0x1.181eb2p-16f, 0x1.2f607cp-19f, 0x1.e38832p-24f, 0x1.1a9146p-29f, 0x1.4b39dp-35f, 0},
    {-0x1.f57ac4p-7f, -0x1.3fd60ap-5f, -0x1.893bd6p-5f, -0x1.6ba7acp-5f, -0x1.e7258ep-6f, -0x1.b6d6b6p-7f, -0x1.5c3d48p-8f, -0x1.0778cap-9f, -0x1.dc538p-12f, -0x1.02a898p-14f, -0x1.1c7858p-17f, -0x1.194cacp-20f, -0x1.cdb896p-26f, -0x1.5c449ap-27f, -0x1.983d72p-33f, 0},
    {-0x1.407584p-6f, -0x1.6dc346p-7f, -0x1.23ebe4p-10f, 0x1.4f143cp-8f, 0x1.bbb252p-8f, 0x1.01bfe8p-8f, 0x1.bbcc3ep-10f, 0x1.598edep-11f, 0x1.3c18cep-13f, 0x1.585818p-16f, 0x1.753b4p-19f, 0x1.94366p-22f, 0x1.3e799p-26f, 0x1.7e185ap-32f, 0x1.bfe472p-38f, 0},
    {0x1.468304p-9f, 0x1.584ed4p-8f, 0x1.1aaaccp-8f, 0x1.f20412p-10f, -0x1.9c6b92p-12f, -0x1.816c4ap-11f, -0x1.939a0ap-12f, -0x1.4e1dcep-13f, -0x1.39db44p-15f, -0x1.580dp-18f, -0x1.7a1afep-22f, -0x1.4d9ce4p-22f, -0x1.9d36p-26f, 0x1.962542p-28f, 0x1.dc158cp-34f, 0},
    {0x1.d84098p-10f, 0x1.3553fep-12f, -0x1.c1d3f8p-11f, -0x1.e0044ep-11f, -0x1.4272e2p-12f, 0x1.c8ed92p-15f, 0x1.04ef5ep-14f, 0x1.f5565cp-16f, 0x1.010496p-17f, 0x1.1e6a7cp-20f, 0x1.34e65ep-23f, 0x1.4f682p-26f, 0x1.291406p-30f, 0x1.33a9fep-36f, 0x1.68a4cep-42f, 0},
    {-0x1.5e33f4p-12f, -0x1.1c0868p-11f, -0x1.d8837cp-13f, 0x1.aa8b04p-14f, 0x1.ee40e8p-14f, 0x1.131596p-16f, -0x1.967b08p-18f, -0x1.245296p-18f, -0x1.4aa798p-20f, -0x1.7b5c28p-23f, -0x1.0dcedap-22f, 0x1.2cc93ep-23f, 0x1.a1874ep-29f, -0x1.1181d6p-30f, -0x1.409af8p-36f, 0},
}}};
inline constexpr Table kSilu{2, 120, 29, 0, Slope::kTable, {{
    {0, 0x1.80016ep-1f, 0x1.400238p0f, 0x1.c0005cp0f, 0x1.4001b4p1f, 0x1.c0017ep1f, 0x1.200132p2f, 0x1.60016ep2f, 0x1.c0006ap2f, 0x1.1f47cep3f, 0x1.607c54p3f, 0x1.9fc9d6p3f, 0x1p4f, 0x1.400256p4f, 0x1.800256p4f, 26},
    {0x1p-1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0, 0x1.04cf3p-1f, 0x1.f17d38p-1f, 0x1.7dad26p0f, 0x1.27bb92p1f, 0x1.b2dfd6p1f, 0x1.1cd732p2f, 0x1.5e92bp2f, 0x1.bf97eep2f, 0x1.1f3e86p3f, 0x1.607ad8p3f, 0x1.9fc998p3f, 0x1.fffffcp3f, 0x1.400256p4f, 0x1.800256p4f, 26},
    {0, 0x1.af69ccp-1f, 0x1.fcc4bep-1f, 0x1.129b2p0f, 0x1.197254p0f, 0x1.11fd52p0f, 0x1.09b46ap0f, 0x1.04aa48p0f, 0x1.0165dap0f, 0x1.0041f8p0f, 0x1.000accp0f, 0x1.0001cap0f, 0x1.00001cp0f, 0x1p0f, 0x1p0f, 1},
    {0x1.ffffe2p-3f, 0x1.8246eap-3f, 0x1.cf3f2ap-4f, 0x1.8cd96cp-5f, -0x1.156ef2p-8f, -0x1.2dcdfp-6f, -0x1.ab7586p-7f, -0x1.caec12p-8f, -0x1.297e34p-9f, -0x1.cd72a4p-12f, -0x1.36fdf2p-14f, -0x1.a3b77ap-17f, -0x1.73bafap-22f, -0x1.91f7d8p-23f, -0x1.189af6p-28f, 0},
    {0x1.9fcf5ap-18f, -0x1.8466cep-5f, -0x1.94a63ep-5f, -0x1.226142p-5f, -0x1.a3d8aap-7f, 0x1.875aa4p-12f, 0x1.2e2df2p-9f, 0x1.a76256p-10f, 0x1.3b8ecap-11f, 0x1.077656p-13f, 0x1.70641p-16f, 0x1.f6f00ap-19f, 0x1.294b64p-22f, 0x1.b4028ep-25f, 0x1.37b694p-30f, 0},
    {-0x1.56391cp-6f, -0x1.d943f4p-8f, 0x1.17f59cp-8f, 0x1.1461d8p-7f, 0x1.7b67d8p-8f, 0x1.64ac18p-10f, -0x1.50c19p-15f, -0x1.c7d2dep-13f, -0x1.d2c5d6p-14f, -0x1.b65b3p-16f, -0x1.424ee8p-18f, -0x1.c7d6c6p-21f, -0x1.62c12p-22f, 0x1.ba5da6p-24f, 0x1.31ad68p-29f, 0},
    {0x1.9ccb72p-13f, 0x1.62d89ap-8f, 0x1.a94d5cp-9f, 0x1.66f45p-12f, -0x1.239912p-10f, -0x1.1b384ep-11f, -0x1.cae6b8p-14f, 0x1.d78bfep-19f, 0x1.d89d18p-17f, 0x1.17f6dp-18f, 0x1.c7ef92p-21f, 0x1.94d82ap-23f, 0x1.2b4336p-29f, -0x1.493efep-27f, -0x1.d675bcp-33f, 0},
    {0x1.da5fbap-10f, -0x1.e17512p-14f, -0x1.19babep-10f, -0x1.7040fap-11f, -0x1.49b02p-16f, 0x1.cc5392p-14f, 0x1.381984p-15f, 0x1.ac2bf4p-18f, -0x1.db6906p-21f, -0x1.0bf114p-21f, -0x1.fc9ea6p-24f, -0x1.a27482p-26f, 0x1.6399dap-25f, -0x1.19dc76p-26f, -0x1.84f4a6p-32f, 0},
}}};
inline constexpr Table kTanh{1, 10, 10, 0, Slope::kUnit, {{
    {0x1.40015ep0f, 0x1.c001a8p0f, 0x1.20001ep1f, 0x1.60023p1f, 0x1.c000f8p1f, 0x1.2000dcp2f, 0x1.600256p2f, 0x1.ap2f, 0x1p3f, 0x1.400256p3f, 0x1.800256p3f, 0x1.c00256p3f, 0, 0x1.80002ep-2f, 0x1.400252p-1f, 0x1.c0003ep-1f},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0x1.b253p-1f, 0x1.e1fc5ap-1f, 0x1.f4bfdcp-1f, 0x1.fbd52ep-1f, 0x1.ff113p-1f, 0x1.ffdfa8p-1f, 0x1.fffbap-1f, 0x1.ffff68p-1f, 0x1.fffff8p-1f, 0x1p0f, 0x1p0f, 0x1p0f, 0, 0x1.6ef566p-2f, 0x1.1bf61ap-1f, 0x1.68667p-1f},
    {0x1.1f2272p-2f, 0x1.d226e6p-4f, 0x1.640fe8p-5f, 0x1.099ea8p-6f, 0x1.dd32e2p-9f, 0x1.02b94p-11f, 0x1.181eb2p-14f, 0x1.2f607cp-17f, 0x1.e38832p-22f, 0x1.1a9146p-27f, 0x1.4b39dp-33f, 0x1.844362p-39f, 0, 0x1.be3facp-1f, 0x1.6282fcp-1f, 0x1.024fdep-1f},
    {-0x1.e72588p-3f, -0x1.b6d348p-4f, -0x1.5c3d48p-5f, -0x1.07753ap-6f, -0x1.dc538p-9f, -0x1.02a89ap-11f, -0x1.1c7858p-14f, -0x1.194caep-17f, -0x1.cdb89cp-23f, -0x1.5c449ap-24f, -0x1.983d72p-30f, -0x1.de8a12p-36f, -0x1.26e6ecp-20f, -0x1.3fd568p-2f, -0x1.893be6p-2f, -0x1.6ba7acp-2f},
    {0x1.bbb254p-4f, 0x1.01be8ap-4f, 0x1.bbcc3cp-6f, 0x1.5988bcp-7f, 0x1.3c18dp-9f, 0x1.58581ap-12f, 0x1.753b4p-15f, 0x1.94366p-18f, 0x1.3e799p-22f, 0x1.7e185ap-28f, 0x1.bfe472p-34f, 0x1.06828ap-39f, -0x1.5544c8p-2f, -0x1.6dc314p-3f, -0x1.242e8p-6f, 0x1.4f1442p-4f},
    {-0x1.9c7e4p-7f, -0x1.816abap-6f, -0x1.939a2p-7f, -0x1.4e29a4p-8f, -0x1.39db44p-10f, -0x1.580c48p-13f, -0x1.7a1b0ap-17f, -0x1.4d9ccap-17f, -0x1.9d35fap-21f, 0x1.962542p-23f, 0x1.dc158cp-29f, 0x1.17087cp-34f, -0x1.363b5ap-10f, 0x1.584f22p-3f, 0x1.1ac47p-3f, 0x1.f204c4p-5f},
    {-0x1.427376p-6f, 0x1.c87c6ap-9f, 0x1.04efe8p-8f, 0x1.f6058ep-10f, 0x1.01046ap-11f, 0x1.1e6a5ep-14f, 0x1.34e65ep-17f, 0x1.4f682p-20f, 0x1.291406p-24f, 0x1.33a9fep-30f, 0x1.68a4ccp-36f, 0x1.a6bf34p-42f, 0x1.250836p-3f, 0x1.329b0cp-6f, -0x1.baa1e8p-5f, -0x1.e007ap-5f},
    {0x1.ef1344p-7f, 0x1.12cdf4p-9f, -0x1.9662e8p-11f, -0x1.2096cp-11f, -0x1.4aa752p-13f, -0x1.7b70e2p-16f, -0x1.0dceccp-15f, 0x1.2cc918p-16f, 0x1.a18744p-22f, -0x1.1181d6p-23f, -0x1.409af8p-29f, -0x1.77d05ap-35f, -0x1.2ee0f8p-5f, -0x1.1d18c6p-4f, -0x1.fe3d78p-6f, 0x1.a9c82cp-7f},
}}};
// clang-format on

float sigmoid(float x);
float tanh(float x);
float silu(float x);
float gelu_erf(float x);
float gelu_tanh(float x);

}  // namespace oct::post_math
