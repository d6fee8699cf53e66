// The instructions of elementwise_ops.h as functions ew_NAME of numbers. Bools are bytes of 0 or 1; the generator
// takes `or` and `and` for their sums and products.
#pragma once

#include "math.cuh"

// Arithmetic that may overflow is done without sign, at least as wide as int.
template <class T>
struct Wide {
  typedef unsigned int type;
  static constexpr bool kIsFloat = false;
};
template <>
struct Wide<ll> {
  typedef unsigned long long type;
  static constexpr bool kIsFloat = false;
};
template <>
struct Wide<float> {
  typedef float type;
  static constexpr bool kIsFloat = true;
};
template <>
struct Wide<double> {
  typedef double type;
  static constexpr bool kIsFloat = true;
};

// DEFINE_EW(name, T result of T operands): one function for every type, `W` its Wide type.
#define EW_UNARY(name, ...)             \
  template <class T>                    \
  DEVICE T ew_##name(T a) {             \
    typedef typename Wide<T>::type W;   \
    (void)sizeof(W);                    \
    return static_cast<T>(__VA_ARGS__); \
  }
#define EW_BINARY(name, ...)            \
  template <class T>                    \
  DEVICE T ew_##name(T a, T b) {        \
    typedef typename Wide<T>::type W;   \
    (void)sizeof(W);                    \
    return static_cast<T>(__VA_ARGS__); \
  }
#define EW_COMPARE(name, ...)                \
  template <class T>                         \
  DEVICE unsigned char ew_##name(T a, T b) { \
    return __VA_ARGS__;                      \
  }

// ---- all dtypes
EW_UNARY(copy, a)
EW_BINARY(add, W(a) + W(b))
EW_BINARY(sub, W(a) - W(b))
EW_BINARY(mul, W(a) * W(b))
EW_BINARY(maximum, max_of(a, b))
EW_BINARY(minimum, min_of(a, b))
EW_UNARY(neg, -W(a))
EW_UNARY(square, W(a) * W(a))
EW_UNARY(relu, a < T(0) ? T(0) : a)
EW_COMPARE(eq, a == b)
EW_COMPARE(neq, a != b)
EW_COMPARE(lt, a < b)
EW_COMPARE(le, a <= b)
EW_COMPARE(gt, a > b)
EW_COMPARE(ge, a >= b)

template <class T>
DEVICE T ew_where(unsigned char c, T a, T b) {
  return c ? a : b;
}
template <class T>
DEVICE T ew_abs(T a) {
  if constexpr (sizeof(T) == 4 && Wide<T>::kIsFloat) return fabsf(a);
  if constexpr (sizeof(T) == 8 && Wide<T>::kIsFloat) return fabs(a);
  return a < T(0) ? ew_neg(a) : a;
}
template <class T>
DEVICE T ew_sign(T a) {
  return a != a ? a : static_cast<T>((a > T(0)) - (a < T(0)));
}

// ---- bools and the bits of integers
template <class T>
DEVICE T ew_and(T a, T b) {
  return T(a & b);
}
template <class T>
DEVICE T ew_or(T a, T b) {
  return T(a | b);
}
template <class T>
DEVICE T ew_xor(T a, T b) {
  return T(a ^ b);
}
DEVICE unsigned char ew_not(unsigned char a) { return a ^ 1; }
// By a negative number, or by all bits and more: 0, or -1 of a negative number shifted right.
template <class T>
DEVICE T ew_shift_left(T a, T b) {
  constexpr long long bits = 8 * sizeof(T);
  return (unsigned long long)b < bits ? T((unsigned long long)a << b) : T(0);
}
template <class T>
DEVICE T ew_shift_right(T a, T b) {
  constexpr long long bits = 8 * sizeof(T);
  return (unsigned long long)b < bits ? T(a >> b) : T(a < T(0) ? -1 : 0);
}

// ---- division
DEVICE float fmod_of(float a, float b) { return fmodf(a, b); }
DEVICE double fmod_of(double a, double b) { return fmod(a, b); }
DEVICE float floor_of(float a) { return floorf(a); }
DEVICE double floor_of(double a) { return floor(a); }
DEVICE float copysign_of(float a, float b) { return copysignf(a, b); }
DEVICE double copysign_of(double a, double b) { return copysign(a, b); }

// Integers: towards minus infinity; 0 where b is 0; the least number by -1 wraps.
template <class T>
DEVICE T ew_floor_div(T a, T b) {
  if constexpr (Wide<T>::kIsFloat) {
    if (b == T(0)) return a / b;
    T r = fmod_of(a, b), q = (a - r) / b;
    if (r != T(0) && (b < T(0)) != (r < T(0))) q -= T(1);
    if (q == T(0)) return copysign_of(T(0), a / b);
    T down = floor_of(q);
    return q - down > T(0.5) ? down + T(1) : down;  // (a - r) / b is whole but for its rounding
  } else {
    if (b == T(0)) return T(0);
    if (T(-1) < T(0) && b == T(-1)) return ew_neg(a);
    T q = static_cast<T>(a / b);
    return static_cast<T>(q - (a % b != 0 && (a < T(0)) != (b < T(0))));
  }
}

// The remainder has the sign of b.
template <class T>
DEVICE T ew_mod(T a, T b) {
  if constexpr (Wide<T>::kIsFloat) {
    if (b == T(0)) return static_cast<T>(NAN);
    T r = fmod_of(a, b);
    if (r == T(0)) return copysign_of(T(0), b);
    return (b < T(0)) != (r < T(0)) ? r + b : r;
  } else {
    if (b == T(0)) return T(0);
    if (T(-1) < T(0) && b == T(-1)) return T(0);
    T r = static_cast<T>(a % b);
    return static_cast<T>(r != 0 && (r < T(0)) != (b < T(0)) ? r + b : r);
  }
}

// Integers: by squaring; a negative power is truncated like a division: 1 and -1 stay, the others give 0.
template <class T>
DEVICE T ew_pow(T a, T b) {
  if constexpr (Wide<T>::kIsFloat) {
    if constexpr (sizeof(T) == 4)
      return powf(a, b);
    else
      return pow(a, b);
  } else {
    if (b < T(0)) return a == T(1) ? T(1) : a == T(-1) ? (b % 2 == 0 ? T(1) : T(-1)) : T(0);
    typedef typename Wide<T>::type W;
    W base = static_cast<W>(a), result = 1;
    for (W n = static_cast<W>(b); n; n >>= 1) {
      if (n & 1) result *= base;
      base *= base;
    }
    return static_cast<T>(result);
  }
}

// ---- casts. A float outside the range of int or int64, or NaN, gives their least number, as the CPU's instruction
// does; smaller integers take the low bits of an int.
template <class To, class T>
DEVICE To ew_cast(T a) {
  if constexpr (!Wide<T>::kIsFloat || Wide<To>::kIsFloat) {
    return static_cast<To>(a);
  } else if constexpr (sizeof(To) == 8) {
    constexpr T kLimit = static_cast<T>(9223372036854775808.0);
    return a >= -kLimit && a < kLimit ? static_cast<To>(a) : static_cast<To>(1ull << 63);
  } else {
    constexpr T kLimit = static_cast<T>(2147483648.0);
    return static_cast<To>(a > -kLimit - T(1) && a < kLimit ? static_cast<int>(a)
                                                            : static_cast<int>(1u << 31));
  }
}
template <class T>
DEVICE unsigned char ew_to_bool(T a) {
  return a != T(0);
}

// ---- floats
EW_BINARY(div, a / b)
EW_UNARY(reciprocal, T(1) / a)
EW_UNARY(sqrt, sqrt_of(a))
EW_UNARY(floor, floor_of(a))
EW_UNARY(exp, exp_of(a))
EW_UNARY(log, log_of(a))
EW_UNARY(tanh, tanh_of(a))
EW_UNARY(sigmoid, sigmoid_of(a))

#define EW_LIBRARY(name, single, full)                  \
  DEVICE float ew_##name(float a) { return single(a); } \
  DEVICE double ew_##name(double a) { return full(a); }

EW_LIBRARY(ceil, ceilf, ceil)
EW_LIBRARY(trunc, truncf, trunc)
EW_LIBRARY(round, rintf, rint)
EW_LIBRARY(expm1, expm1f, expm1)
EW_LIBRARY(log1p, log1pf, log1p)
EW_LIBRARY(sin, sinf, sin)
EW_LIBRARY(cos, cosf, cos)
EW_LIBRARY(tan, tanf, tan)
EW_LIBRARY(erf, erff, erf)
EW_LIBRARY(erfc, erfcf, erfc)
EW_LIBRARY(arcsin, asinf, asin)
EW_LIBRARY(arccos, acosf, acos)
EW_LIBRARY(arctan, atanf, atan)
DEVICE float ew_arctan2(float y, float x) { return atan2f(y, x); }
DEVICE double ew_arctan2(double y, double x) { return atan2(y, x); }

template <class T>
DEVICE unsigned char ew_isnan(T a) {
  return a != a;
}
template <class T>
DEVICE unsigned char ew_isinf(T a) {
  return a == T(INFINITY) || a == T(-INFINITY);
}
template <class T>
DEVICE unsigned char ew_isfinite(T a) {
  return a < T(INFINITY) && a > T(-INFINITY);
}
template <class T>
DEVICE T ew_softplus(T a) {
  return (a < T(0) ? T(0) : a) + ew_log1p(exp_of(a < T(0) ? a : -a));
}
template <class T>
DEVICE T ew_leaky_relu(T a, double slope) {
  return a > T(0) ? a : a * static_cast<T>(slope);
}
template <class T>
DEVICE T ew_elu(T a, double alpha) {
  return a > T(0) ? a : static_cast<T>(alpha) * ew_expm1(a);
}
