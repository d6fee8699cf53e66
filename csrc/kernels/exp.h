// exp of vectors of double, to 2 units in the last place over the whole range, subnormal results included; that of
// floats is in vmath.h.
//
//   exp(x) = 2^n exp(r),  n = round(x / ln 2),  r = x - n ln 2 in two steps,  |r| <= 0.3466, exp(r) by its Taylor
//   series, whose remainder is below half a unit. 2^n is applied as two factors, since n may lie below -1022.
// NaN stays NaN; -inf gives 0, +inf gives inf.
#pragma once
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {

static inline vd exp(vd x) {
  x = min(set1(710.0), max(set1(-746.0), x));
  const double magic = 0x1.8p52;  // adding it rounds to a whole number, which is then in the low bits
  vd n = x * 1.44269504088896341 + magic - magic;
  vd r = fma(n, set1(-0x1.62e42fefap-1), x);
  r = fma(n, set1(-0x1.cf79abc9e3b3ap-40), r);
  vd y = set1(1.0 / 6227020800);
  const double terms[] = {
      1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
      1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
  for (double term : terms) y = fma(y, r, set1(term));
  vd first = n * 0.5 + magic, half = first - magic;
  vl low = reinterpret_cast<vl>(first), high = reinterpret_cast<vl>(n - half + magic);
  return y * reinterpret_cast<vd>((low + 1023) << 52) * reinterpret_cast<vd>((high + 1023) << 52);
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
