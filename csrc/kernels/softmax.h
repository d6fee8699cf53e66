// What softmax.cpp and cross_entropy.cpp share: passes over a row, vectors along it; strips, a vector of columns at a
// time down the rows; and rows of few classes, which are turned so that they can go as strips.
#pragma once
#include <math.h>

#include "conv_common.h"
#include "exp.h"
#include "params.h"
#include "vmath.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kShare = 1 << 11;  // elements of a pass over which sharing pays: about 4 us

inline float log_of(float x) { return ::logf(x); }
inline double log_of(double x) { return ::log(x); }
inline vf log_of(vf x) { return log(x); }
inline vd log_of(vd x) {
  for (int i = 0; i < VD_WIDTH; i++) x[i] = ::log(x[i]);
  return x;
}

template <class T>
inline typename Vec<T>::mask first_lanes(int n) {
  return lane_numbers<T>() < n;
}

// ---- a row of k neighbours. each(f): f(offset, n) for every vector, n < width in the last one.
template <class T>
struct Row {
  typedef typename Vec<T>::type V;
  static constexpr int width = Vec<T>::width;
  long long k;

  // Sum over the row of f(vector at i, of n lanes).
  template <class F>
  T sum(const F& f) const {
    V total{};
    long long i = 0;
    for (; i + width <= k; i += width) total += f(i, width);
    if (i < k) {
      int n = static_cast<int>(k - i);
      total += select(first_lanes<T>(n), f(i, n), V{});
    }
    return hsum(total);
  }
  template <class F>
  void each(const F& f) const {
    long long i = 0;
    for (; i + width <= k; i += width) f(i, width);
    if (i < k) f(i, static_cast<int>(k - i));
  }
  T max(const T* x) const {
    V m[4];  // a maximum takes some cycles, of which another starts in each
    for (V& each : m) each = set1(-static_cast<T>(INFINITY));
    long long i = 0;
    for (; i + 4 * width <= k; i += 4 * width)
      for (int u = 0; u < 4; u++) m[u] = SYMCONV_ISA::max(load(x + i + u * width), m[u]);
    for (; i + width <= k; i += width) m[0] = SYMCONV_ISA::max(load(x + i), m[0]);
    if (i < k) {
      int n = static_cast<int>(k - i);
      m[0] = SYMCONV_ISA::max(select(first_lanes<T>(n), load_n(x + i, n), m[0]), m[0]);
    }
    return hmax(SYMCONV_ISA::max(SYMCONV_ISA::max(m[0], m[1]), SYMCONV_ISA::max(m[2], m[3])));
  }
  static V get(const T* p, int n) { return n == width ? load(p) : load_n(p, n); }
  static void put(T* p, V v, int n) { n == width ? store(p, v) : store_n(p, v, n); }
};

// How far ahead of a row of n x k those to come are fetched: one row or, where both sides lie in memory, two.
template <class T>
long long ahead_of(long long n, long long k) {
  return 2 * n * k * static_cast<long long>(sizeof(T)) > kCachedBytes ? 2 * k : k;
}

// Exponentials of x less its maximum, which `shift` gets; returns their sum.
template <class T>
inline T exp_row(const T* x, T* y, long long k, long long, T* shift) {
  Row<T> row{k};
  const T m = row.max(x);
  *shift = m;
  return row.sum([&](long long i, int n) {
    auto e = exp(Row<T>::get(x + i, n) - m);
    Row<T>::put(y + i, e, n);
    return e;
  });
}

// Some vectors at a time, while rows `ahead` come to the cache.
inline float exp_row(const float* x, float* y, long long k, long long ahead, float* shift) {
  constexpr int U = 4;
  const float m = Row<float>{k}.max(x);
  *shift = m;
  vf total[U] = {};
  long long i = 0;
  for (; i + U * VF_WIDTH <= k; i += U * VF_WIDTH) {
    vf d[U], e[U];
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) {
      __builtin_prefetch(x + ahead + i + u * VF_WIDTH);
      __builtin_prefetch(y + ahead + i + u * VF_WIDTH, 1);
    }
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) d[u] = load(x + i + u * VF_WIDTH) - m;
    exps<U>(d, e);
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) store(y + i + u * VF_WIDTH, e[u]), total[u] += e[u];
  }
  const float rest = Row<float>{k - i}.sum([&](long long j, int n) {
    const vf e = exp(Row<float>::get(x + i + j, n) - m);
    Row<float>::put(y + i + j, e, n);
    return e;
  });
  return hsum((total[0] + total[1]) + (total[2] + total[3])) + rest;
}

template <class T>
inline void scale_row(const T* x, T* y, long long k, T scale) {
  Row<T>{k}.each([&](long long i, int n) { Row<T>::put(y + i, Row<T>::get(x + i, n) * scale, n); });
}

// ---- a strip: n <= width columns of one [k, inner] matrix
template <class Type>
struct Strip {
  typedef Type T;
  typedef typename Vec<T>::type V;
  const T* in[2];
  T* out;
  long long k, inner;
  int n;

  V get(int operand, long long i) const { return Row<T>::get(in[operand] + i * inner, n); }
  V own(long long i) const { return Row<T>::get(out + i * inner, n); }
  void put(long long i, V v) const { Row<T>::put(out + i * inner, v, n); }
  template <class F>
  void each(const F& f) const {
    for (long long i = 0; i < k; i++) f(i);
  }
};

// Rows of k <= kFewClasses neighbours, a vector of them at a time, lanes being rows: a maximum, a sum and a logarithm
// then serve all of them. Few rows would leave lanes idle.
constexpr long long kFewClasses = 32;
template <class T>
bool turns(long long rows, long long k) {
  return k <= kFewClasses && k <= 2 * rows && 2 * rows >= Vec<T>::width;
}

template <class T>
struct Turned {
  static constexpr int width = Vec<T>::width;
  T at[kFewClasses * width] = {};  // lanes beyond the rows hold anything

  void read(const T* rows, long long k, int n) { transpose(rows, k, at, width, n, k); }
  void write(T* rows, long long k, int n) const {
    transpose(static_cast<const T*>(at), width, rows, k, k, n);
  }
};

// f(turned, i, n) for the n rows from row i on, a vector of them or what is left; turned: kCount matrices of each thread.
template <class T, int kCount, class F>
void for_turned(ThreadPool* pool, long long rows, long long grain, const F& f) {
  constexpr int width = Turned<T>::width;
  parallel_range(
      pool, rows, grain,
      [&](long long begin, long long end, int) {
        Turned<T> turned[kCount];
        for (long long i = begin; i < end; i += width)
          f(turned, i, static_cast<int>(end - i < width ? end - i : width));
      },
      width);
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
