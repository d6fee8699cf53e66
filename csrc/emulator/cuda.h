// CUDA C++ for the host compiler: what a kernel of kernels/*.cu may use of the language, on the scheduler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>

// Without the special functions of libstdc++, the greater part of what would be compiled with every kernel.
#undef _GLIBCXX_USE_STD_SPEC_FUNCS
#include <cmath>

#include "memory.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __restrict__ __restrict

#define threadIdx (emulator::current->thread->index)
#define blockIdx (emulator::Index3{static_cast<unsigned>(emulator::current->block_number), 0, 0})
#define blockDim (emulator::Index3{static_cast<unsigned>(emulator::current->launch->threads), 1, 1})
#define gridDim (emulator::Index3{static_cast<unsigned>(emulator::current->launch->blocks), 1, 1})

#define EMULATOR_SITE (emulator::Site{__FILE__, __LINE__})
#define __syncthreads() ((void)emulator::current->barrier(EMULATOR_SITE, false))
#define __syncthreads_count(p) (emulator::current->barrier(EMULATOR_SITE, (p) != 0))
#define __syncthreads_or(p) (emulator::current->barrier(EMULATOR_SITE, (p) != 0) != 0)
#define __syncthreads_and(p) (emulator::current->barrier(EMULATOR_SITE, (p) == 0) == 0)
#define __syncwarp(...) ((void)emulator::ballot(EMULATOR_SITE, emulator::mask_of(__VA_ARGS__), true))
#define __ballot_sync(mask, p) (emulator::ballot(EMULATOR_SITE, mask, (p) != 0))
#define __any_sync(mask, p) (emulator::ballot(EMULATOR_SITE, mask, (p) != 0) != 0)
#define __all_sync(mask, p) (emulator::ballot(EMULATOR_SITE, mask, (p) == 0) == 0)
#define __shfl_sync(mask, v, lane) (emulator::shuffle(EMULATOR_SITE, mask, v, (lane) & 31))
#define __shfl_xor_sync(mask, v, bits) (emulator::shuffle(EMULATOR_SITE, mask, v, emulator::lane() ^ (bits)))
#define __shfl_down_sync(mask, v, n) (emulator::shuffle(EMULATOR_SITE, mask, v, emulator::lane() + (n)))
#define __shfl_up_sync(mask, v, n) (emulator::shuffle(EMULATOR_SITE, mask, v, emulator::lane() - (n)))
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)

namespace emulator {

inline int lane() { return current->thread->number % kWarp; }
inline uint32_t mask_of(uint32_t mask = ~0u) { return mask; }

inline uint32_t ballot(Site site, uint32_t mask, bool p) {
  int mine = p;
  uint32_t result = current->exchange(mask, &mine, sizeof mine, site).nonzero;
  current->release();
  return result;
}

// The value of lane `from`; one's own where that lane does not exist.
template <class T>
T shuffle(Site site, uint32_t mask, T mine, int from) {
  static_assert(sizeof(T) <= kPayload);
  const char (*values)[kPayload] = current->exchange(mask, &mine, sizeof mine, site).value;
  T result = mine;
  if (from >= 0 && from < kWarp) {
    if (!(mask >> from & 1))
      current->fail(site, "shuffle from lane %d, which is not in mask %08x", from, mask);
    std::memcpy(&result, values[from], sizeof result);
  }
  current->release();
  return result;
}

}  // namespace emulator

// ---- types and functions that CUDA has built in
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }

namespace emulator {
// x as it is rounded: the compiler must not contract the operation with the next one.
template <class T>
inline T rounded(T x) {
  asm("" : "+m"(x));
  return x;
}
}  // namespace emulator
inline float __fmul_rn(float a, float b) { return emulator::rounded(a * b); }
inline float __fadd_rn(float a, float b) { return emulator::rounded(a + b); }
inline float __fdiv_rn(float a, float b) { return emulator::rounded(a / b); }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline double __dmul_rn(double a, double b) { return emulator::rounded(a * b); }
inline double __dadd_rn(double a, double b) { return emulator::rounded(a + b); }
inline double __ddiv_rn(double a, double b) { return emulator::rounded(a / b); }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline int __float_as_int(float x) {
  int i;
  std::memcpy(&i, &x, sizeof i);
  return i;
}
inline unsigned __float_as_uint(float x) { return static_cast<unsigned>(__float_as_int(x)); }
inline float __int_as_float(int i) {
  float x;
  std::memcpy(&x, &i, sizeof x);
  return x;
}
inline float __uint_as_float(unsigned i) { return __int_as_float(static_cast<int>(i)); }
inline long long __double_as_longlong(double x) {
  long long i;
  std::memcpy(&i, &x, sizeof i);
  return i;
}
inline double __longlong_as_double(long long i) {
  double x;
  std::memcpy(&x, &i, sizeof x);
  return x;
}
// Fibers of one OS thread never run at once, so plain code is atomic.
template <class T>
T atomicAdd(T* p, T v) {
  T old = *p;
  *p = old + v;
  return old;
}
template <class T>
T atomicCAS(T* p, T expected, T v) {
  T old = *p;
  if (old == expected) *p = v;
  return old;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<unsigned long long>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }
inline long long max(long long a, long long b) { return a > b ? a : b; }
