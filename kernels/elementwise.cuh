// Element-wise kernels: what their generated texts (symconv/ops/elementwise_cuda.py) are made of.
//
//   out[i] = f(a[i], b[i], ...) for every i of the output shape; f is a program of the instructions of
//   elementwise_ops.h, in NumPy's sense: integers wrap, division by zero gives 0, a NaN stays.
//
// A thread does kPer neighbours; a tile is THREADS * kPer elements, so the grid follows from the size alone. Rungs:
//   1. one op a kernel, one element a thread: every op reads and writes memory
//   2. one kernel a program: what lies between two ops stays in registers, inputs are read once
//   3. four elements a thread, read and written as vectors of 16 bytes (4 for bytes): a quarter of the memory
//      instructions, four independent loads in flight. Arrays that fill the GPU only so take kPer = 1
//   4. broadcast inputs: one set of coordinates for all inputs that are broadcast alike, found with multiplications
//      instead of divisions, and once for four elements where the last dimension allows it
// Arrays that are not aligned to 16 bytes are read element by element.
#pragma once

#include "common.cuh"

// ---- which elements
template <int kPer>
DEVICE ll elementwise_first(int tile) {
  return (static_cast<ll>(tile) * THREADS + threadIdx.x) * kPer;
}

// Where the elements i to i + kPer - 1 lie in inputs that are broadcast in kWays ways. kWide: there may be 2^31
// elements or more.
template <int kPer, int kWays, bool kWide>
struct Offsets {
  ll at[kPer][kWays];

  DEVICE Offsets(const ElementwiseLoopParams& p, ll i) {
    int computed = p.quad ? 1 : kPer;
    for (int j = 0; j < kPer; j++) {
      if (j < computed) {
        place(p, i + j < p.count ? i + j : i, at[j]);
      } else {
        for (int w = 0; w < kWays; w++) at[j][w] = at[j - 1][w] + p.stride[8 * w + p.ndim - 1];
      }
    }
  }

  DEVICE static void place(const ElementwiseLoopParams& p, ll i, ll* at) {
    for (int w = 0; w < kWays; w++) at[w] = 0;
    for (int d = p.ndim - 1; d > 0; d--) {
      ll outer = divided(p, i, d), index = i - outer * p.shape[d];
      for (int w = 0; w < kWays; w++) at[w] += index * p.stride[8 * w + d];
      i = outer;
    }
    for (int w = 0; w < kWays; w++) at[w] += i * p.stride[8 * w];
  }

  DEVICE static ll divided(const ElementwiseLoopParams& p, ll i, int d) {
    if (kWide) return i / p.shape[d];
    unsigned n = static_cast<unsigned>(i);
    return (__umulhi(n, static_cast<unsigned>(p.multiplier[d])) + n) >> p.shift[d];
  }
};

// ---- memory
template <int kBytes>
struct VectorOf;
template <>
struct VectorOf<4> {
  typedef int type;
};
template <>
struct VectorOf<8> {
  typedef int2 type;
};
template <>
struct VectorOf<16> {
  typedef int4 type;
};

// kPer elements of an input or output.
template <class T, int kPer>
struct Elements {
  static constexpr int kBytes = sizeof(T) * kPer < 16 ? sizeof(T) * kPer : 16;
  static constexpr int kLength = kBytes / sizeof(T);  // of a vector
  T e[kPer];

  DEVICE void load(Global<const T> x, ll i, ll count) {
    if constexpr (kPer > 1) {
      if (i + kPer <= count && is_aligned(x)) {
        typedef typename VectorOf<kBytes>::type V;
        union {
          V v[kPer / kLength];
          T e[kPer];
        } bits;
        for (int k = 0; k < kPer / kLength; k++) bits.v[k] = load_vector<V>(x, i + k * kLength);
        for (int j = 0; j < kPer; j++) e[j] = bits.e[j];
        return;
      }
    }
    for (int j = 0; j < kPer; j++) e[j] = i + j < count ? T(x[i + j]) : T(0);
  }

  DEVICE void store(Global<T> y, ll i, ll count) const {
    if constexpr (kPer > 1) {
      if (i + kPer <= count && is_aligned(y)) {
        typedef typename VectorOf<kBytes>::type V;
        union {
          V v[kPer / kLength];
          T e[kPer];
        } bits;
        for (int j = 0; j < kPer; j++) bits.e[j] = e[j];
        for (int k = 0; k < kPer / kLength; k++) store_vector(y, i + k * kLength, bits.v[k]);
        return;
      }
    }
    for (int j = 0; j < kPer; j++)
      if (i + j < count) y[i + j] = e[j];
  }

  template <class O>
  DEVICE void broadcast(Global<const T> x, const O& offsets, int way) {
    for (int j = 0; j < kPer; j++) e[j] = x[offsets.at[j][way]];
  }

  DEVICE void single(Global<const T> x) {
    T v = x[0];
    for (int j = 0; j < kPer; j++) e[j] = v;
  }
};

#include "elementwise_functions.cuh"
