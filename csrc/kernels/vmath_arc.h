// Inverse trigonometric functions on vectors of floats, within 2 ulp over the whole range, denormals, infinities and
// NaN included (tests/test_elementwise_kernel.py holds them to it). Polynomials as in vmath.h.
#pragma once
#include "vmath.h"

namespace symconv {
namespace SYMCONV_ISA {

constexpr float kHalfPi = 1.57079637f, kHalfPiRest = -4.37113883e-8f;  // their sum is pi / 2

// atan(t) for 0 <= t <= 1, or NaN.
static inline vf arctan_reduced(vf t) {
  vf z = t * t;
  vf p = fma(z, set1(-1.79362274e-3f), set1(1.09146107e-2f));
  p = fma(p, z, set1(-3.11778542e-2f));
  p = fma(p, z, set1(5.79576008e-2f));
  p = fma(p, z, set1(-8.403451e-2f));
  p = fma(p, z, set1(0.109521858f));
  p = fma(p, z, set1(-0.142642424f));
  p = fma(p, z, set1(0.199985489f));
  p = fma(p, z, set1(-0.333332986f));
  return fma(p * z, t, t);
}

// pi/2 - y.
static inline vf complement(vf y) { return (set1(kHalfPi) - y) + kHalfPiRest; }

// Beyond 1: pi/2 - atan(1 / x).
static inline vf arctan(vf x) {
  vf a = abs(x);
  vi beyond = a > 1.0f;
  vf y = arctan_reduced(select(beyond, 1.0f / a, a));
  return copy_sign(select(beyond, complement(y), y), x);
}

// The angle of (|x|, |y|) by the smaller over the larger; then the quadrant's.
static inline vf arctan2(vf y, vf x) {
  vf a = abs(x), b = abs(y);
  vi steep = b > a;
  vf small = select(steep, a, b), large = select(steep, b, a);
  vf t = small / large;
  t = select(large == 0.0f, vf{}, select(small == INFINITY, set1(1.0f), t));
  vf angle = arctan_reduced(t);
  angle = select(steep, complement(angle), angle);
  angle = select(as_int(x) < 0, (set1(2 * kHalfPi) - angle) + 2 * kHalfPiRest, angle);
  return select((x == x) & (y == y), copy_sign(angle, y), x + y);
}

// asin(t) / t - 1 for z = t^2 <= 1/4.
static inline vf arcsin_series(vf z) {
  vf p = fma(z, set1(4.21663038e-2f), set1(2.41795164e-2f));
  p = fma(p, z, set1(4.54703756e-2f));
  p = fma(p, z, set1(7.49529749e-2f));
  p = fma(p, z, set1(0.166667521f));
  return p * z;
}

// Above 1/2: with s = sqrt((1 - |x|) / 2), of which 1 - |x| is exact, acos |x| = 2 asin s. NaN outside -1..1.
static inline vf arcsin(vf x) {
  vf a = abs(x);
  vi outer = a > 0.5f;
  vf z = select(outer, (1.0f - a) * 0.5f, a * a);
  vf t = select(outer, sqrt(z), a);
  vf y = fma(arcsin_series(z), t, t);
  return copy_sign(select(outer, complement(y + y), y), x);
}

static inline vf arccos(vf x) {
  vf a = abs(x);
  vi outer = a > 0.5f;
  vf z = select(outer, (1.0f - a) * 0.5f, a * a);
  vf t = select(outer, sqrt(z), x);
  vf y = fma(arcsin_series(z), t, t);
  vf twice = y + y;
  vf wide = select(x < 0.0f, (set1(2 * kHalfPi) - twice) + 2 * kHalfPiRest, twice);
  return select(outer, wide, complement(y));
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
