// Elementary functions on vectors of floats, within 4 ulp of the exact result over the whole range, denormals,
// infinities and NaN included (tests/test_elementwise_kernel.py holds them to it). The polynomials are minimax
// fits made for this file: least squares on Chebyshev nodes, reweighted until the error is level.
#pragma once
#include <math.h>

#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {

static inline bool any(vi mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask) != 0;
#else
  int32_t m = 0;
  for (int i = 0; i < VF_WIDTH; i++) m |= mask[i];
  return m != 0;
#endif
}

static inline bool any_nan(vf x) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q) != 0;
#else
  return any(x != x);
#endif
}

// A vector in two halves, each of which is as long as a vector of doubles.
typedef float half_float __attribute__((vector_size(4 * VD_WIDTH)));
typedef int32_t half_int __attribute__((vector_size(4 * VD_WIDTH)));
union Halves {
  vf f;
  vi i;
  half_float half_f[2];
  half_int half_i[2];
};

static inline vf copy_sign(vf magnitude, vf sign) {
  return as_float((as_int(magnitude) & 0x7fffffff) | (as_int(sign) & (int32_t)0x80000000));
}

// 2^n for -126 <= n <= 127.
static inline vf power_of_two(vi n) { return as_float((n + 127) << 23); }

// y 2^k by two factors: k may be 128, or as low as -150, where the result is denormal.
static inline vf scaled(vf y, vi k) {
  vi half = k >> 1;
  return y * power_of_two(half) * power_of_two(k - half);
}

// x = n ln 2 + r with |r| <= ln 2 / 2; gives r, `bits` with n in its low bits, and q of e^r = 1 + r + r^2 q. |x| < 2^15, or
// NaN (then n is arbitrary). Of U vectors step by step, so that none waits for the last step of another.
template <int U>
static inline void exp_series(const vf* x, vf* r, vf* q, vi* bits) {
  const vf shift =
      set1(12582912.0f);  // 1.5 * 2^23: adding it leaves the nearest whole number in the low bits
  vf k[U];
  // ln 2 in two parts; the first has 15 bits, so k times it is exact
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) k[u] = fma(x[u], set1(1.44269504f), shift);
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) bits[u] = as_int(k[u]), k[u] = k[u] - shift;
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) r[u] = fma(k[u], set1(-0.693145752f), x[u]);
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) r[u] = fma(k[u], set1(-1.42860677e-6f), r[u]);
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) q[u] = fma(r[u], set1(1.39475951e-3f), set1(8.36724695e-3f));
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) q[u] = fma(q[u], r[u], set1(4.16662656e-2f));
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) q[u] = fma(q[u], r[u], set1(0.166665375f));
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) q[u] = fma(q[u], r[u], set1(0.5f));
}

static inline vi n_of(vi bits) { return bits - 0x4b400000; }

// e^r - 1, and n.
static inline vf exp_reduced(vf x, vi& n) {
  vf r, q;
  exp_series<1>(&x, &r, &q, &n);
  n = n_of(n);
  return fma(r * r, q, r);
}

// Whether some lane is so far from 0, or NaN, that e^x or e^-x may not be a normal number.
static inline vi extreme(vf x) { return ~(abs(x) < 87.0f); }
static inline bool any_extreme(vf x) { return any(extreme(x)); }

// e^r of U vectors, and `bits` with n in its low bits.
template <int U>
static inline void exp_of_rests(const vf* x, vf* y, vi* bits) {
  vf r[U];
  exp_series<U>(x, r, y, bits);
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) y[u] = fma(y[u], r[u], set1(1.0f));
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) y[u] = fma(y[u], r[u], set1(1.0f));
}

// e^x of U vectors, |x| < 87: n is added to the exponent, which stays within bounds.
template <int U>
static inline void exp_of_moderates(const vf* x, vf* y) {
  vi bits[U];
  exp_of_rests<U>(x, y, bits);
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) y[u] = as_float(as_int(y[u]) + (bits[u] << 23));
}
static inline vf exp_of_moderate(vf x) {
  vf y;
  exp_of_moderates<1>(&x, &y);
  return y;
}

// Far out, both ends are clamped so that the scale is right and results still round to inf and 0; a NaN stays,
// because min and max give their second operand for it.
static inline vf exp(vf x) {
  if (!any_extreme(x)) return exp_of_moderate(x);
  vi bits;
  vf y;
  x = min(set1(89.0f), max(set1(-104.0f), x));
  exp_of_rests<1>(&x, &y, &bits);
  return scaled(y, n_of(bits));
}

// Whether one of U vectors has such a lane.
template <int U>
static inline bool any_extreme(const vf* x) {
  vi found = extreme(x[0]);
  for (int u = 1; u < U; u++) found = found | extreme(x[u]);
  return any(found);
}

// e^x of U vectors.
template <int U>
static inline void exps(const vf* x, vf* y) {
  if (!any_extreme<U>(x)) return exp_of_moderates<U>(x, y);
  for (int u = 0; u < U; u++) y[u] = exp(x[u]);
}

// e^x for -87 <= x <= 0, or NaN.
static inline vf exp_of_negative(vf x) {
  vi bits;
  vf y;
  exp_of_rests<1>(&x, &y, &bits);
  return y * power_of_two(n_of(bits));
}

static inline vf expm1(vf x) {
  vi n;
  vf clamped = min(set1(89.0f), max(set1(-20.0f), x));
  vf p = exp_reduced(clamped, n);
  vf scale = power_of_two(n - 1);  // half of 2^n, which would overflow for n = 128
  vf y = fma(p, scale, scale - 0.5f) * 2.0f;
  return select(abs(x) < 1e-8f, x, y);  // also keeps -0
}

// a - b modulo 2^32: of a negative number's or a NaN's bits there may be an overflow.
static inline vi wrapping_difference(vi a, vi b) {
  typedef uint32_t vu __attribute__((vector_size(4 * VF_WIDTH)));
  return reinterpret_cast<vi>(reinterpret_cast<vu>(a) - reinterpret_cast<vu>(b));
}

// log(m) of m = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); m positive and normal. low is added at the end, where
// it is still small beside the rest.
static inline vf log_normal(vf m, vi e_extra, vf low) {
  vi bits = as_int(m);
  vi e = wrapping_difference(bits, set1(0x3f3504f3)) >> 23;
  vf f = as_float(wrapping_difference(bits, e << 23)) - 1.0f;
  vf k = to_float(e + e_extra);
  vf p = fma(f, set1(-7.85954595e-2f), set1(0.128816217f));
  p = fma(p, f, set1(-0.131287679f));
  p = fma(p, f, set1(0.141811967f));
  p = fma(p, f, set1(-0.166245535f));
  p = fma(p, f, set1(0.200022861f));
  p = fma(p, f, set1(-0.250008106f));
  p = fma(p, f, set1(0.333333164f));
  vf square = f * f;
  vf y = fma(p * square, f, fma(k, set1(1.42860677e-6f), low));
  y = fma(square, set1(-0.5f), y);
  return fma(k, set1(0.693145752f), f + y);
}

static inline vf log(vf x) {
  vi tiny = x < 1.17549435e-38f;
  vf m = select(tiny, x * 8388608.0f, x);
  vf y = log_normal(m, tiny & -23, vf{});
  y = select(x < INFINITY, y, x);  // inf and NaN
  y = select(x > 0.0f, y, select(x == 0.0f, set1(-INFINITY), select(x < 0.0f, set1(NAN), x)));
  return y;
}

// log(u) + c/u with u = 1 + x rounded and c what the rounding lost.
static inline vf log1p(vf x) {
  vf u = x + 1.0f;
  vf lost = select(x < 1.0f, x - (u - 1.0f), 1.0f - (u - x));
  vf y = log_normal(u, vi{}, lost / u);
  y = select(x < INFINITY, y, x);  // inf and NaN
  y = select(x > -1.0f, y, select(x == -1.0f, set1(-INFINITY), select(x < -1.0f, set1(NAN), x)));
  return select(abs(x) < 1e-8f, x, y);
}

// 1 / (1 + e^-x); where e^-x may overflow or the result be denormal, e / (e + 1) with e = e^-|x|. Both are exact in
// relative terms on both sides.
static inline vf sigmoid(vf x) {
  if (!any_extreme(x)) return 1.0f / (exp_of_moderate(-x) + 1.0f);
  vf t = exp(-abs(x));
  return select(x < 0.0f, t, set1(1.0f)) / (t + 1.0f);
}

// That of U vectors.
template <int U>
static inline void sigmoids(const vf* x, vf* y) {
  if (any_extreme<U>(x)) {
    for (int u = 0; u < U; u++) y[u] = sigmoid(x[u]);
    return;
  }
  vf back[U];
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) back[u] = -x[u];
  exp_of_moderates<U>(back, y);
#pragma GCC unroll 4
  for (int u = 0; u < U; u++) y[u] = 1.0f / (y[u] + 1.0f);
}

static inline vf softplus(vf x) {
  vf t = exp(-abs(x));
  vf u = t + 1.0f;
  vf y = log_normal(u, vi{}, (t - (u - 1.0f)) / u);
  y = select(t < 1e-8f, t, y);
  return max(vf{}, x) + y;
}

// m / (m + 2) with m = e^(2|x|) - 1.
static inline vf tanh(vf x) {
  vi n;
  vf a = min(set1(10.0f), abs(x));
  vf p = exp_reduced(a + a, n);
  vf scale = power_of_two(n);
  vf m = fma(p, scale, scale - 1.0f);
  vf y = m / (m + 2.0f);
  return select(abs(x) < 1e-4f, x, copy_sign(y, x));
}

// 2^r for |r| <= 1/2.
static inline vd exp2_reduced(vd r) {
  vd y = fma(r, set1(0.00015478012116590278), set1(0.0013400431672778656));
  y = fma(y, r, set1(0.009617994552263136));
  y = fma(y, r, set1(0.05550327215748605));
  y = fma(y, r, set1(0.2402265150469806));
  y = fma(y, r, set1(0.693147206709657));
  return fma(y, r, set1(0.9999999999191154));
}

// Below 1 a polynomial in x^2; above 1 - e^-g with a polynomial for g = -log(1 - erf).
static inline vf erf(vf x) {
  vf a = min(set1(4.0f), abs(x));
  vf z = x * x;
  vf s = fma(z, set1(7.8891193e-5f), set1(-8.02084105e-4f));
  s = fma(s, z, set1(5.18953521e-3f));
  s = fma(s, z, set1(-2.68544443e-2f));
  s = fma(s, z, set1(0.112836003f));
  s = fma(s, z, set1(-0.37612626f));
  s = fma(s, z, set1(0.128379107f));
  s = fma(s, x, x);
  vf g = fma(a, set1(8.66421851e-6f), set1(-2.97391438e-4f));
  g = fma(g, a, set1(3.54037178e-3f));
  g = fma(g, a, set1(-2.35489737e-2f));
  g = fma(g, a, set1(0.105993018f));
  g = fma(g, a, set1(0.635296464f));
  g = fma(g, a, set1(1.12861335f));
  vf tail = copy_sign(1.0f - exp_of_negative(g * -a), x);
  return select(abs(x) < 1.0f, s, select(x == x, tail, x));
}

// 1 - erf, in doubles: for a = |x| e^(-a^2) / (1 + 2a) times a polynomial in (a - 3) / (a + 3), which keeps all its
// digits in the tail; below 0 that from 2.
static inline vf erfc(vf x) {
  const vi number = x == x;
  Halves a, out, scale;
  a.f = select(number, min(set1(10.3f), abs(x)), vf{});
  for (int i = 0; i < 2; i++) {
    vd d = __builtin_convertvector(a.half_f[i], vd), s = (d - 3.0) / (d + 3.0);
    vd p = fma(s, set1(-0.00026623452711862415), set1(-0.00077267608785941411));
    p = fma(p, s, set1(0.0020048464898112933));
    p = fma(p, s, set1(0.0025657158249970946));
    p = fma(p, s, set1(-0.023799539436461389));
    p = fma(p, s, set1(0.068295745658043985));
    p = fma(p, s, set1(-0.11927061373073791));
    p = fma(p, s, set1(0.12964645151276777));
    p = fma(p, s, set1(-0.047562420141337797));
    p = fma(p, s, set1(-0.13562114093735947));
    p = fma(p, s, set1(1.2530080593126276));
    vd t = d * d * -1.4426950408889634;
    vd k = (t + 6755399441055744.0) - 6755399441055744.0;
    vd y = exp2_reduced(t - k) * p / (d * 2.0 + 1.0);
    out.half_f[i] = __builtin_convertvector(y, half_float);
    scale.half_i[i] = __builtin_convertvector(k, half_int);
  }
  vf y = scaled(out.f, scale.i);
  return select(number, select(x < 0.0f, 2.0f - y, y), x);
}

// n and r with x = n pi/2 + r, |r| <= pi/4, for |x| <= 2^20 (kTrigonometricRange). The reduction
// is in doubles; pi/2 is cut into parts of 33 bits, so that n times a part is exact.
constexpr float kTrigonometricRange = 1048576.0f;

static inline vf reduce_half_pi(vf x, vi& n) {
  Halves in, out, quadrant;
  in.f = x;
  for (int i = 0; i < 2; i++) {
    vd d = __builtin_convertvector(in.half_f[i], vd);
    vd k = (d * 0.63661977236758134308 + 6755399441055744.0) - 6755399441055744.0;
    d = fma(k, set1(-1.5707963267341256142), d);
    d = fma(k, set1(-6.0771005065061922e-11), d);
    out.half_f[i] = __builtin_convertvector(d, half_float);
    quadrant.half_i[i] = __builtin_convertvector(k, half_int);
  }
  n = quadrant.i;
  return out.f;
}

static inline void sin_cos_reduced(vf r, vf& sine, vf& cosine) {
  vf z = r * r;
  vf s = fma(z, set1(-1.95108703e-4f), set1(8.33213143e-3f));
  s = fma(s, z, set1(-0.166666538f));
  sine = fma(s * z, r, r);
  vf c = fma(z, set1(2.44312396e-5f), set1(-1.3887306e-3f));
  c = fma(c, z, set1(4.16666456e-2f));
  cosine = fma(c * z, z, fma(z, set1(-0.5f), set1(1.0f)));
}

template <class F>
static inline vf lane_by_lane(vf x, F f) {
  for (int i = 0; i < VF_WIDTH; i++) x[i] = f(x[i]);
  return x;
}

static inline vf sin(vf x) {
  if (any(abs(x) > kTrigonometricRange)) return lane_by_lane(x, [](float v) { return sinf(v); });
  vi n;
  vf s, c;
  sin_cos_reduced(reduce_half_pi(x, n), s, c);
  vf y = select((n & 1) == 0, s, c);
  return as_float(as_int(y) ^ ((n & 2) << 30));
}

static inline vf cos(vf x) {
  if (any(abs(x) > kTrigonometricRange)) return lane_by_lane(x, [](float v) { return cosf(v); });
  vi n;
  vf s, c;
  sin_cos_reduced(reduce_half_pi(x, n), s, c);
  vf y = select((n & 1) == 0, c, s);
  return as_float(as_int(y) ^ (((n + 1) & 2) << 30));
}

static inline vf tan(vf x) {
  if (any(abs(x) > kTrigonometricRange)) return lane_by_lane(x, [](float v) { return tanf(v); });
  vi n;
  vf s, c;
  sin_cos_reduced(reduce_half_pi(x, n), s, c);
  return select((n & 1) == 0, s / c, -c / s);
}

// 2^(b log2 a) in doubles, log2(m (1 + f)) by atanh(f / (2 + f)), for a > 0 and both finite; other lanes take the
// C library's. Integer powers below 2^24 are exact.
static inline vf pow(vf base, vf exponent) {
  const vi regular = (base > 0.0f) & (base < INFINITY) & (abs(exponent) < INFINITY);
  const vf a = select(regular, base, set1(1.0f));
  vi tiny = a < 1.17549435e-38f;
  vi bits = as_int(select(tiny, a * 8388608.0f, a));
  vi e = (bits - 0x3f3504f3) >> 23;
  Halves octave, mantissa, power, out, scale;
  octave.f = to_float(e + (tiny & -23));
  mantissa.i = bits - (e << 23);
  power.f = select(regular, exponent, vf{});
  for (int i = 0; i < 2; i++) {
    vd f = __builtin_convertvector(mantissa.half_f[i], vd) - 1.0;
    vd s = f / (f + 2.0), z = s * s;
    vd log2 = fma(z, set1(0.3407593621809472), set1(0.41167113437163744));
    log2 = fma(log2, z, set1(0.5770836115829973));
    log2 = fma(log2, z, set1(0.9617966732000247));
    log2 = fma(log2, z, set1(2.8853900817902027));
    log2 = fma(log2, s, __builtin_convertvector(octave.half_f[i], vd));
    vd t = __builtin_convertvector(power.half_f[i], vd) * log2;
    t = min(set1(129.0), max(set1(-160.0), t));
    vd k = (t + 6755399441055744.0) - 6755399441055744.0, r = t - k;
    out.half_f[i] = __builtin_convertvector(exp2_reduced(r), half_float);
    scale.half_i[i] = __builtin_convertvector(k, half_int);
  }
  vf y = scaled(out.f, scale.i);
  if (any(~regular))
    for (int i = 0; i < VF_WIDTH; i++)
      if (!regular[i]) y[i] = powf(base[i], exponent[i]);
  return y;
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
