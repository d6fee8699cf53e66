// Philox4x32-10: words of a draw, as symconv/ops/philox.py defines them, and what is made of them. Block b of a draw is
// four words, words 4 b to 4 b + 3; nothing is kept between blocks, so any thread makes any block.
#pragma once

#include "common.cuh"

struct PhiloxDraw {
  unsigned seed_low, seed_high, stream, draw_low, draw_high;
};

struct PhiloxBlock {
  unsigned word[4];

  // The 64-bit draws of the block: words 2 i (low half) and 2 i + 1.
  DEVICE unsigned long long wide(int i) const {
    return word[2 * i] | static_cast<unsigned long long>(word[2 * i + 1]) << 32;
  }
  // The 16-bit draws: half i % 2 of word i / 2.
  DEVICE int half(int i) const { return word[i / 2] >> (i % 2 * 16) & 0xffff; }
};

DEVICE PhiloxDraw philox_draw(ll seed, ll stream, ll draw) {
  return {static_cast<unsigned>(seed), static_cast<unsigned>(static_cast<unsigned long long>(seed) >> 32),
          static_cast<unsigned>(stream), static_cast<unsigned>(draw),
          static_cast<unsigned>(static_cast<unsigned long long>(draw) >> 32)};
}

DEVICE PhiloxBlock philox_block(const PhiloxDraw& d, ll block) {
  unsigned c0 = static_cast<unsigned>(block), c1 = d.stream, c2 = d.draw_low, c3 = d.draw_high;
  unsigned k0 = d.seed_low, k1 = d.seed_high;
#pragma unroll
  for (int round = 0; round < 10; round++) {
    unsigned a_high = __umulhi(c0, 0xD2511F53u), a_low = c0 * 0xD2511F53u;
    unsigned b_high = __umulhi(c2, 0xCD9E8D57u), b_low = c2 * 0xCD9E8D57u;
    c0 = b_high ^ c1 ^ k0;
    c1 = b_low;
    c2 = a_high ^ c3 ^ k1;
    c3 = a_low;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// ---- uniform: multiples of 2^-24 or 2^-53
DEVICE float uniform_of(unsigned word) { return static_cast<float>(static_cast<int>(word >> 8)) * 0x1p-24f; }
DEVICE double uniform_of(unsigned long long wide) {
  return static_cast<double>(static_cast<ll>(wide >> 11)) * 0x1p-53;
}

// ---- normal: philox.py's normal_pairs, operation by operation, no two of them contracted
DEVICE float rounded_mul(float a, float b) { return __fmul_rn(a, b); }
DEVICE double rounded_mul(double a, double b) { return __dmul_rn(a, b); }
DEVICE float rounded_add(float a, float b) { return __fadd_rn(a, b); }
DEVICE double rounded_add(double a, double b) { return __dadd_rn(a, b); }
DEVICE float rounded_div(float a, float b) { return __fdiv_rn(a, b); }
DEVICE double rounded_div(double a, double b) { return __ddiv_rn(a, b); }
DEVICE float rounded_sqrt(float a) { return __fsqrt_rn(a); }
DEVICE double rounded_sqrt(double a) { return __dsqrt_rn(a); }

template <class T>
struct NormalTerms;
template <>
struct NormalTerms<float> {
  typedef int Int;
  static constexpr int bits = 24, mantissa = 23, exponent = 126;
  static constexpr int log_terms = 6, sin_terms = 5, cos_terms = 6;
  static constexpr int mantissa_mask = 0x7fffff, half = 0x3f000000;
  static DEVICE int raw(float x) { return __float_as_int(x); }
  static DEVICE float real(int x) { return __int_as_float(x); }
};
template <>
struct NormalTerms<double> {
  typedef ll Int;
  static constexpr int bits = 53, mantissa = 52, exponent = 1022;
  static constexpr int log_terms = 12, sin_terms = 9, cos_terms = 10;
  static constexpr ll mantissa_mask = 0xfffffffffffffLL, half = 0x3fe0000000000000LL;
  static DEVICE ll raw(double x) { return __double_as_longlong(x); }
  static DEVICE double real(ll x) { return __longlong_as_double(x); }
};

template <int n>
struct Factorial {
  static constexpr double value = n * Factorial<n - 1>::value;
};
template <>
struct Factorial<0> {
  static constexpr double value = 1.0;
};

// Coefficient k of atanh(s) / s * 2, in s^2.
template <int k>
struct LogTerm {
  static constexpr double value = 2.0 / (2 * k + 1);
};
// Coefficient k of sin(a) / a and of cos(a), in a^2.
template <int k>
struct SinTerm {
  static constexpr double value = (k % 2 ? -1.0 : 1.0) / Factorial<2 * k + 1>::value;
};
template <int k>
struct CosTerm {
  static constexpr double value = (k % 2 ? -1.0 : 1.0) / Factorial<2 * k>::value;
};

// c0 + x (c1 + x (c2 + ... ck)).
template <template <int> class Term, int k, int terms, class T>
DEVICE T rounded_series(T x) {
  constexpr T c = static_cast<T>(Term<k>::value);
  if constexpr (k == terms - 1)
    return c;
  else
    return rounded_add(rounded_mul(rounded_series<Term, k + 1, terms>(x), x), c);
}

// Sine and cosine of 2 pi turns / 2^bits: philox.py's sin_cos.
template <class T>
DEVICE void sin_cos(typename NormalTerms<T>::Int turns, T& sin, T& cos) {
  using N = NormalTerms<T>;
  typedef typename N::Int Int;
  constexpr Int quarter = Int{1} << (N::bits - 2);
  constexpr T turn = static_cast<T>(1.57079632679489661923 / static_cast<double>(quarter));
  Int q = (turns + (quarter >> 1)) >> (N::bits - 2);
  T angle = rounded_mul(static_cast<T>(turns - (q << (N::bits - 2))), turn);
  T square = rounded_mul(angle, angle);
  T sine = rounded_mul(angle, rounded_series<SinTerm, 0, N::sin_terms>(square));
  T cosine = rounded_series<CosTerm, 0, N::cos_terms>(square);
  T s = q & 1 ? cosine : sine, c = q & 1 ? sine : cosine;
  sin = q & 2 ? -s : s;
  cos = (q + 1) & 2 ? -c : c;
}

// r cos(2 pi v) and r sin(2 pi v), r = sqrt(-2 log u), from the upper bits a and b of two words.
template <class T>
DEVICE void normal_pair(typename NormalTerms<T>::Int a, typename NormalTerms<T>::Int b, T& x, T& y) {
  using N = NormalTerms<T>;
  typedef typename N::Int Int;
  constexpr T scale = static_cast<T>(1.0 / (Int{1} << N::bits));
  T u = rounded_mul(static_cast<T>(a + 1), scale);
  Int raw = N::raw(u), e = (raw >> N::mantissa) - N::exponent;
  T m = N::real((raw & N::mantissa_mask) | N::half);
  if (m < static_cast<T>(0.70710678118654752440)) {
    m = rounded_add(m, m);
    e -= 1;
  }
  T s = rounded_div(rounded_add(m, T(-1)), rounded_add(m, T(1)));
  T log = rounded_add(rounded_mul(static_cast<T>(e), static_cast<T>(0.69314718055994530942)),
                      rounded_mul(s, rounded_series<LogTerm, 0, N::log_terms>(rounded_mul(s, s))));
  T radius = rounded_sqrt(rounded_mul(-log, T(2)));

  T sin, cos;
  sin_cos<T>(b, sin, cos);
  x = rounded_mul(radius, cos);
  y = rounded_mul(radius, sin);
}

// ---- the elements of one block: 4 floats or 2 doubles
DEVICE void uniform_values(const PhiloxBlock& w, float (&v)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) v[i] = uniform_of(w.word[i]);
}
DEVICE void uniform_values(const PhiloxBlock& w, double (&v)[2]) {
  v[0] = uniform_of(w.wide(0)), v[1] = uniform_of(w.wide(1));
}
DEVICE void normal_values(const PhiloxBlock& w, float (&v)[4]) {
  normal_pair(static_cast<int>(w.word[0] >> 8), static_cast<int>(w.word[1] >> 8), v[0], v[1]);
  normal_pair(static_cast<int>(w.word[2] >> 8), static_cast<int>(w.word[3] >> 8), v[2], v[3]);
}
DEVICE void normal_values(const PhiloxBlock& w, double (&v)[2]) {
  normal_pair(static_cast<ll>(w.wide(0) >> 11), static_cast<ll>(w.wide(1) >> 11), v[0], v[1]);
}
