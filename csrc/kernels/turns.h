// Sine and cosine of parts of a full turn, as sin_cos of symconv/ops/philox.py has them, operation by operation. Who
// includes this must hold the line "symconv: no-contract" (see simd.h).
#pragma once
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {

constexpr double factorial(int n) { return n <= 1 ? 1.0 : n * factorial(n - 1); }

// Terms of sin(a) / a (odd = 1) or cos(a) (odd = 0) in a^2.
template <class V, int terms, int odd>
static inline V trig_series(V x) {
  typedef __typeof__(x[0] + x[0]) T;
  V y = set1(static_cast<T>((terms % 2 ? 1.0 : -1.0) / factorial(2 * terms - 2 + odd)));
  for (int k = terms - 2; k >= 0; k--)
    y = y * x + static_cast<T>((k % 2 ? -1.0 : 1.0) / factorial(2 * k + odd));
  return y;
}

// Of 2 pi turns / 2^bits.
template <class T, int bits, int sin_terms, int cos_terms, class V, class I>
static inline void sin_cos(I turns, V* sin, V* cos) {
  typedef __typeof__(turns[0] + turns[0]) Int;
  constexpr Int quarter = Int{1} << (bits - 2);
  I q = (turns + (quarter >> 1)) >> (bits - 2);
  V angle = __builtin_convertvector(turns - (q << (bits - 2)), V) *
            static_cast<T>(1.57079632679489661923 / static_cast<double>(quarter));
  V square = angle * angle;
  V sine = angle * trig_series<V, sin_terms, 1>(square);
  V cosine = trig_series<V, cos_terms, 0>(square);
  I odd = -(q & 1);
  V s = select(odd, cosine, sine), c = select(odd, sine, cosine);
  *sin = select(static_cast<I>((q & 2) != 0), -s, s);
  *cos = select(static_cast<I>(((q + 1) & 2) != 0), -c, c);
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
