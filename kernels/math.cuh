// Functions by one name for float and double, and sums over the lanes of a warp and the warps of a block.
#pragma once

#include "common.cuh"

DEVICE float exp_of(float x) { return expf(x); }
DEVICE double exp_of(double x) { return exp(x); }
DEVICE float log_of(float x) { return logf(x); }
DEVICE double log_of(double x) { return log(x); }
DEVICE float sqrt_of(float x) { return sqrtf(x); }
DEVICE double sqrt_of(double x) { return sqrt(x); }
DEVICE float tanh_of(float x) { return tanhf(x); }
DEVICE double tanh_of(double x) { return tanh(x); }
DEVICE float fma_of(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE double fma_of(double a, double b, double c) { return fma(a, b, c); }

// NaN wins, as in numpy.maximum.
template <class T>
DEVICE T max_of(T a, T b) {
  return a > b || a != a ? a : b;
}
template <class T>
DEVICE T min_of(T a, T b) {
  return a < b || a != a ? a : b;
}

// 1 / (1 + e^-x), without overflow on either side.
template <class T>
DEVICE T sigmoid_of(T x) {
  T e = exp_of(x < 0 ? x : -x);
  return (x < 0 ? e : T(1)) / (T(1) + e);
}

struct Sum {
  template <class T>
  DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <class T>
  DEVICE T operator()(T a, T b) const {
    return max_of(a, b);
  }
};

// f over the values of all 32 lanes, in every lane, always in the same order.
template <class T, class F>
DEVICE T warp_reduce(T v, F f) {
  for (int bits = 16; bits > 0; bits >>= 1) v = f(v, __shfl_xor_sync(FULL_MASK, v, bits));
  return v;
}

// f over the values of all threads of the block, in every thread. Takes WARPS elements of T of shared memory from
// byte `offset` on, and two barriers.
template <class T, class F>
DEVICE T block_reduce(T v, F f, Shared shared, ll offset) {
  SharedArray<T> part = shared.array<T>(offset, WARPS);
  v = warp_reduce(v, f);
  __syncthreads();  // whoever used these bytes before is done
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  T total = part[0];
  for (int w = 1; w < WARPS; w++) total = f(total, T(part[w]));
  return total;
}
