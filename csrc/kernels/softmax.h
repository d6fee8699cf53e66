// What softmax.cpp and cross_entropy.cpp share: passes over a row, vectors along it; strips, a vector of columns at a
// time down the rows; and rows of few classes, which are turned so that they can go as strips.
#pragma once
#include <math.h>

#include "conv_common.h"
#include "exp.h"
#include "params.h"
#include "runtime/cpu_count.h"
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
  static V get(const T* p, int n) { return n == width ? load(p) : load_n(p, n); }
  static void put(T* p, V v, int n) { n == width ? store(p, v) : store_n(p, v, n); }
};

// What is known of a row before its exponentials: moderate means that none of them needs care (exp_of_moderates).
template <class T>
struct Reach {
  T largest;
  bool moderate;
};

// Of the vectors of a row that are added, of four running maxima: one takes some cycles, of which another starts in each.
template <class T>
struct Extremes {
  typedef typename Vec<T>::type V;
  V most[4];
  vi size[4] = {};  // of floats, as bits: that of a NaN is above all others

  Extremes() {
    for (V& each : most) each = set1(-static_cast<T>(INFINITY));
  }
  void add(int u, V x) {
    most[u] = max(x, most[u]);
    measure(u, x);
  }
  void add(V x, int n) {
    most[0] = max(select(first_lanes<T>(n), x, most[0]), most[0]);
    measure(0, x);  // lanes beyond the row are 0
  }
  Reach<T> reach() const {
    const T largest = hmax(max(max(most[0], most[1]), max(most[2], most[3])));
    if constexpr (sizeof(T) == 4) {
      const vi limit = as_int(set1(87.0f - __builtin_fabsf(largest)));
      vi beyond = limit < 0;
      for (const vi& each : size) beyond = beyond | (each >= limit);
      return {largest, !any(beyond)};
    }
    return {largest, false};
  }

 private:
  void measure(int u, vf x) {
    const vi bits = as_int(x) & 0x7fffffff;
    size[u] = bits > size[u] ? bits : size[u];
  }
  void measure(int, vd) {}
};

// Of the row x, with beside(i, n) done at each of its vectors.
template <class T, class F>
inline Reach<T> reach_beside(const T* x, long long k, const F& beside) {
  constexpr int W = Vec<T>::width;
  Extremes<T> extremes;
  long long i = 0;
  for (; i + 4 * W <= k; i += 4 * W)
#pragma GCC unroll 4
    for (int u = 0; u < 4; u++) {
      extremes.add(u, load(x + i + u * W));
      beside(i + u * W, W);
    }
  for (; i < k; i += W) {
    const int n = static_cast<int>(k - i < W ? k - i : W);
    extremes.add(Row<T>::get(x + i, n), n);
    beside(i, n);
  }
  return extremes.reach();
}
template <class T>
inline Reach<T> reach_of(const T* x, long long k) {
  return reach_beside(x, k, [](long long, int) {});
}

// Whether rows to come are asked for. With a first cache of 32 KB they are in the way (Zen 4: 8,192 x 1,000 takes 1.35 times as
// long), with 48 KB they have room (Zen 5: 0.55).
inline bool fetches_rows() { return l1_data_bytes() > (32 << 10); }

// How far ahead of a row of n x k those to come are fetched: one row or, where both sides lie in memory, two; 0: they are not.
template <class T>
long long ahead_of(long long n, long long k) {
  if (!fetches_rows()) return 0;
  return 2 * n * k * static_cast<long long>(sizeof(T)) > kCachedBytes ? 2 * k : k;
}

// Exponentials of x less its maximum; returns their sum.
template <class T>
inline T exp_row(const T* x, T* y, long long k, T largest) {
  return Row<T>{k}.sum([&](long long i, int n) {
    auto e = exp(Row<T>::get(x + i, n) - largest);
    Row<T>::put(y + i, e, n);
    return e;
  });
}

template <bool kModerate>
inline float exp_row_by_four(const float* x, float* y, long long k, float largest, long long ahead) {
  constexpr int U = 4, W = VF_WIDTH;
  vf total[U] = {};
  long long i = 0;
  for (; i + U * W <= k; i += U * W) {
    vf d[U], e[U];
    if (ahead) {
#pragma GCC unroll 4
      for (int u = 0; u < U; u++) {
        __builtin_prefetch(x + ahead + i + u * W);
        __builtin_prefetch(y + ahead + i + u * W, 1);
      }
    }
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) d[u] = load(x + i + u * W) - largest;
    if constexpr (kModerate)
      exp_of_moderates<U>(d, e);
    else
      exps<U>(d, e);
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) store(y + i + u * W, e[u]), total[u] += e[u];
  }
  const float rest = exp_row(x + i, y + i, k - i, largest);
  return hsum((total[0] + total[1]) + (total[2] + total[3])) + rest;
}

// The same of rows whose reach is known, while rows `ahead` come to the cache.
inline double exp_row(const double* x, double* y, long long k, Reach<double> reach, long long) {
  return exp_row(x, y, k, reach.largest);
}
inline float exp_row(const float* x, float* y, long long k, Reach<float> reach, long long ahead) {
  return reach.moderate ? exp_row_by_four<true>(x, y, k, reach.largest, ahead)
                        : exp_row_by_four<false>(x, y, k, reach.largest, ahead);
}

template <class T>
inline void scale_row(const T* x, T* y, long long k, T scale) {
  Row<T>{k}.each([&](long long i, int n) { Row<T>::put(y + i, Row<T>::get(x + i, n) * scale, n); });
}

// y *= scale, and what is to be known of the row `next`: loads and maxima have room beside stores.
template <class T>
inline Reach<T> scale_row_before(const T* next, T* y, long long k, T scale) {
  return reach_beside(next, k, [&](long long i, int n) __attribute__((always_inline)) {
    Row<T>::put(y + i, Row<T>::get(y + i, n) * scale, n);
  });
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
