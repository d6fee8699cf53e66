// What a reduction does with its elements: neighbours (contiguous) and rows of columns (columns), for operations
// that stay in one type, for those that widen it, and for float32 sums. Included by reduce.cpp alone.
#pragma once
#include <math.h>

#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

typedef unsigned long long u64;

constexpr long long kBlock = 64;  // float terms that one lane adds before it is emptied into a double

template <class T>
struct Vector {
  static constexpr int kLanes = 4 * VF_WIDTH / sizeof(T);
  typedef T V __attribute__((vector_size(4 * VF_WIDTH)));
  typedef T M __attribute__((vector_size(4 * VF_WIDTH), aligned(1), may_alias));
  static V load(const T* p) { return *reinterpret_cast<const M*>(p); }
  static void store(T* p, V v) { *reinterpret_cast<M*>(p) = v; }
};

// An operation on vectors of its own type: contiguous() over neighbours, columns() down the rows of a tile.
template <class Op, class T>
struct SameType {
  typedef T In;
  typedef T Acc;
  typedef Vector<T> Vec;
  typedef typename Vec::V V;
  static constexpr int kLanes = Vec::kLanes;

  static T identity() { return Op::template identity<T>(); }
  static T combine(T a, T b) { return Op::apply(a, b); }

  static T contiguous(const T* x, long long n) {
    constexpr int kVectors = 4;
    if (n < kLanes) {
      T result = identity();
      for (long long i = 0; i < n; i++) result = Op::apply(result, x[i]);
      return result;
    }
    V all = Vec::load(x);
    long long i = kLanes;
    if (n >= kVectors * kLanes) {
      V acc[kVectors] = {all, Vec::load(x + kLanes), Vec::load(x + 2 * kLanes), Vec::load(x + 3 * kLanes)};
      for (i = kVectors * kLanes; i + kVectors * kLanes <= n; i += kVectors * kLanes)
        for (int k = 0; k < kVectors; k++) acc[k] = Op::apply(acc[k], Vec::load(x + i + k * kLanes));
      all = Op::apply(Op::apply(acc[0], acc[1]), Op::apply(acc[2], acc[3]));
    }
    for (; i + kLanes <= n; i += kLanes) all = Op::apply(all, Vec::load(x + i));
    T rest = identity();
    if (i < n && Op::kTwiceIsOnce)
      all = Op::apply(all, Vec::load(x + n - kLanes));
    else
      for (; i < n; i++) rest = Op::apply(rest, x[i]);
    T lanes[kLanes];
    Vec::store(lanes, all);
    for (int half = kLanes / 2; half > 0; half /= 2)
      for (int k = 0; k < half; k++) lanes[k] = Op::apply(lanes[k], lanes[k + half]);
    return Op::apply(lanes[0], rest);
  }

  static void columns(const T* x, long long rows, long long stride, int n, T* acc) {
    int j = 0;
    for (; j + 2 * kLanes <= n; j += 2 * kLanes) {
      V a = Vec::load(acc + j), b = Vec::load(acc + j + kLanes);
      for (long long r = 0; r < rows; r++) {
        a = Op::apply(a, Vec::load(x + r * stride + j));
        b = Op::apply(b, Vec::load(x + r * stride + j + kLanes));
      }
      Vec::store(acc + j, a);
      Vec::store(acc + j + kLanes, b);
    }
    for (; j < n; j++) {
      T a = acc[j];
      for (long long r = 0; r < rows; r++) a = Op::apply(a, x[r * stride + j]);
      acc[j] = a;
    }
  }
};

// An operation that widens its input: one accumulator of type A.
template <class Op, class T, class A>
struct Widening {
  typedef T In;
  typedef A Acc;
  static A identity() { return Op::template identity<A>(); }
  static A combine(A a, A b) { return Op::apply(a, b); }
  static A contiguous(const T* x, long long n) {
    A a = identity();
    for (long long i = 0; i < n; i++) a = Op::apply(a, static_cast<A>(x[i]));
    return a;
  }
  static void columns(const T* x, long long rows, long long stride, int n, A* acc) {
    for (long long r = 0; r < rows; r++)
      for (int j = 0; j < n; j++) acc[j] = Op::apply(acc[j], static_cast<A>(x[r * stride + j]));
  }
};

struct Add {
  static constexpr bool kTwiceIsOnce = false;  // op(op(a, b), b) = op(a, b)
  template <class A>
  static A identity() {
    return 0;
  }
  template <class A>
  static A apply(A a, A b) {
    return a + b;
  }
};
struct Multiply {
  static constexpr bool kTwiceIsOnce = false;  // op(op(a, b), b) = op(a, b)
  template <class A>
  static A identity() {
    return 1;
  }
  template <class A>
  static A apply(A a, A b) {
    return a * b;
  }
};

template <class T>
constexpr T lowest() {
  if constexpr (T(1) / T(2) != T(0)) return -INFINITY;
  if constexpr (T(-1) > T(0)) return 0;
  return static_cast<T>(u64(1) << (8 * sizeof(T) - 1));
}
template <class T>
constexpr T highest() {
  if constexpr (T(1) / T(2) != T(0)) return INFINITY;
  if constexpr (T(-1) > T(0)) return static_cast<T>(-1);
  return static_cast<T>(~(u64(1) << (8 * sizeof(T) - 1)));
}

// A NaN in either stays.
struct Largest {
  static constexpr bool kTwiceIsOnce = true;
  template <class T>
  static T identity() {
    return lowest<T>();
  }
  template <class T>
  static T apply(T a, T b) {
    return (a > b) | (a != a) ? a : b;
  }
};
struct Smallest {
  static constexpr bool kTwiceIsOnce = true;
  template <class T>
  static T identity() {
    return highest<T>();
  }
  template <class T>
  static T apply(T a, T b) {
    return (a < b) | (a != a) ? a : b;
  }
};

// float32 into float64, by way of blocks of floats.
struct FloatSum {
  typedef float In;
  typedef double Acc;
  static double identity() { return 0; }
  static double combine(double a, double b) { return a + b; }

  static double contiguous(const float* x, long long n) {
    constexpr int kVectors = 8;
    constexpr long long kChunk = kVectors * VF_WIDTH * kBlock;
    if (n <= 2 * VF_WIDTH) {  // a row of a small matrix
      int first = n < VF_WIDTH ? static_cast<int>(n) : VF_WIDTH;
      vf sum = load_n(x, first);
      if (n > VF_WIDTH) sum += load_n(x + VF_WIDTH, static_cast<int>(n - VF_WIDTH));
      return hsum(sum);
    }
    double total = 0;
    while (n > 0) {
      long long m = n < kChunk ? n : kChunk, i = 0;
      vf acc[kVectors] = {};
      for (; i + kVectors * VF_WIDTH <= m; i += kVectors * VF_WIDTH)
        for (int k = 0; k < kVectors; k++) acc[k] += load(x + i + k * VF_WIDTH);
      vf rest = {}, other = {};
      for (; i + 2 * VF_WIDTH <= m; i += 2 * VF_WIDTH) {
        rest += load(x + i);
        other += load(x + i + VF_WIDTH);
      }
      if (i + VF_WIDTH <= m) {
        rest += load(x + i);
        i += VF_WIDTH;
      }
      if (i < m) other += load_n(x + i, static_cast<int>(m - i));
      for (int half = kVectors / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) acc[k] += acc[k + half];
      total += hsum(acc[0] + (rest + other));
      x += m;
      n -= m;
    }
    return total;
  }

  template <int kVectors>
  static void strip(const float* x, long long rows, long long stride, int n, double* acc) {
    int rest = n - (kVectors - 1) * VF_WIDTH;  // columns of the last vector
    for (long long begin = 0; begin < rows; begin += kBlock) {
      long long end = begin + kBlock < rows ? begin + kBlock : rows;
      vf sum[kVectors] = {};
      for (long long r = begin; r < end; r++) {
        const float* row = x + r * stride;
        for (int k = 0; k < kVectors - 1; k++) sum[k] += load(row + k * VF_WIDTH);
        const float* last = row + (kVectors - 1) * VF_WIDTH;
        sum[kVectors - 1] += rest == VF_WIDTH ? load(last) : load_n(last, rest);
      }
      float lanes[kVectors * VF_WIDTH];
      for (int k = 0; k < kVectors; k++) store(lanes + k * VF_WIDTH, sum[k]);
      for (int j = 0; j < n; j++) acc[j] += lanes[j];
    }
  }

  static void columns(const float* x, long long rows, long long stride, int n, double* acc) {
    constexpr int kWide = 4 * VF_WIDTH;
    for (; n > 0; n -= kWide, x += kWide, acc += kWide) {
      if (n > 3 * VF_WIDTH)
        strip<4>(x, rows, stride, n < kWide ? n : kWide, acc);
      else if (n > 2 * VF_WIDTH)
        strip<3>(x, rows, stride, n, acc);
      else if (n > VF_WIDTH)
        strip<2>(x, rows, stride, n, acc);
      else
        strip<1>(x, rows, stride, n, acc);
    }
  }
};

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
