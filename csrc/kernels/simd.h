// Vectors of the instruction set being compiled, with GCC/Clang vector extensions: +, -, *, / and comparisons
// work as written, a scalar mixes in by set1(). Everything is static inline in the namespace of the
// instruction set (see runtime/kernel.h for why).
//
//   vf  VF_WIDTH floats     vd  VD_WIDTH = VF_WIDTH / 2 doubles    vi  VF_WIDTH int32 (also masks: -1 or 0)
//   load / store            unaligned; load_n / store_n touch only the first n < width lanes (others read as
//   0) fma(a, b, c)            a * b + c in one rounding where the machine has it. A plain a * b + c is
//   contracted
//                           too, unless the file holds the line "// symconv: no-contract".
//   max(a, b), min(a, b)    as x86: a > b ? a : b, so a NaN in a gives b, and a NaN in b stays
//   select(m, a, b)         lanes of a where m is -1, of b where it is 0
//   hsum, hmax              over the lanes, always in the same order
#pragma once
#include <cstddef>
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VF_WIDTH 16
#elif defined(__AVX2__)
#define VF_WIDTH 8
#else
#define VF_WIDTH 4
#endif
#define VD_WIDTH (VF_WIDTH / 2)

namespace symconv {
namespace SYMCONV_ISA {

typedef float vf __attribute__((vector_size(4 * VF_WIDTH)));
typedef double vd __attribute__((vector_size(4 * VF_WIDTH)));
typedef int32_t vi __attribute__((vector_size(4 * VF_WIDTH)));
typedef int64_t vl __attribute__((vector_size(4 * VF_WIDTH)));  // masks of vd

typedef float vf_mem __attribute__((vector_size(4 * VF_WIDTH), aligned(4), may_alias));
typedef double vd_mem __attribute__((vector_size(4 * VF_WIDTH), aligned(8), may_alias));
typedef int32_t vi_mem __attribute__((vector_size(4 * VF_WIDTH), aligned(4), may_alias));

// The vectors of a float type: comparisons give `mask`, of which each lane is a `lane`.
template <class T>
struct Vec;
template <>
struct Vec<float> {
  typedef vf type;
  typedef vi mask;
  typedef int32_t lane;
  static constexpr int width = VF_WIDTH;
};
template <>
struct Vec<double> {
  typedef vd type;
  typedef vl mask;
  typedef int64_t lane;
  static constexpr int width = VD_WIDTH;
};

static inline vf load(const float* p) { return *reinterpret_cast<const vf_mem*>(p); }
static inline vd load(const double* p) { return *reinterpret_cast<const vd_mem*>(p); }
static inline vi load(const int32_t* p) { return *reinterpret_cast<const vi_mem*>(p); }
static inline void store(float* p, vf v) { *reinterpret_cast<vf_mem*>(p) = v; }
static inline void store(double* p, vd v) { *reinterpret_cast<vd_mem*>(p) = v; }
static inline void store(int32_t* p, vi v) { *reinterpret_cast<vi_mem*>(p) = v; }

static inline vf set1(float x) { return x - vf{}; }  // x - 0 keeps the sign of -0
static inline vd set1(double x) { return x - vd{}; }
static inline vi set1(int32_t x) { return x - vi{}; }

// Same bits, another lane type.
static inline vi as_int(vf v) { return reinterpret_cast<vi>(v); }
static inline vf as_float(vi v) { return reinterpret_cast<vf>(v); }

// Lane values converted: to_int truncates towards zero.
static inline vi to_int(vf v) { return __builtin_convertvector(v, vi); }
static inline vf to_float(vi v) { return __builtin_convertvector(v, vf); }

// Plain loops over lanes, which the compiler unrolls: also the fallback where there is no intrinsic.
template <class T>
static inline typename Vec<T>::mask lane_numbers() {
  typename Vec<T>::mask v{};
  for (int i = 0; i < Vec<T>::width; i++) v[i] = i;
  return v;
}
static inline vi iota() { return lane_numbers<float>(); }

static inline vf select(vi mask, vf a, vf b) { return mask ? a : b; }
static inline vd select(vl mask, vd a, vd b) { return mask ? a : b; }
static inline vi select(vi mask, vi a, vi b) { return mask ? a : b; }

#if defined(__AVX512F__)

static inline vf fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline vd fma(vd a, vd b, vd c) { return (vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
static inline vf max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
static inline vd max(vd a, vd b) { return (vd)_mm512_max_pd((__m512d)a, (__m512d)b); }
static inline vf min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
static inline vd min(vd a, vd b) { return (vd)_mm512_min_pd((__m512d)a, (__m512d)b); }
static inline vf sqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }
static inline vd sqrt(vd a) { return (vd)_mm512_sqrt_pd((__m512d)a); }
static inline vf round_even(vf a) { return (vf)_mm512_roundscale_ps((__m512)a, 8); }
static inline vf floor(vf a) { return (vf)_mm512_roundscale_ps((__m512)a, 9); }
static inline vf ceil(vf a) { return (vf)_mm512_roundscale_ps((__m512)a, 10); }
static inline vf load_n(const float* p, int n) {
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline void store_n(float* p, vf v, int n) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
static inline vd load_n(const double* p, int n) {
  return (vd)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
}
static inline void store_n(double* p, vd v, int n) {
  _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
}

#elif defined(__AVX2__)

static inline vf fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline vd fma(vd a, vd b, vd c) { return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
static inline vf max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
static inline vd max(vd a, vd b) { return (vd)_mm256_max_pd((__m256d)a, (__m256d)b); }
static inline vf min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
static inline vd min(vd a, vd b) { return (vd)_mm256_min_pd((__m256d)a, (__m256d)b); }
static inline vf sqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
static inline vd sqrt(vd a) { return (vd)_mm256_sqrt_pd((__m256d)a); }
static inline vf round_even(vf a) { return (vf)_mm256_round_ps((__m256)a, 8); }
static inline vf floor(vf a) { return (vf)_mm256_round_ps((__m256)a, 9); }
static inline vf ceil(vf a) { return (vf)_mm256_round_ps((__m256)a, 10); }
static inline vf load_n(const float* p, int n) { return (vf)_mm256_maskload_ps(p, (__m256i)(iota() < n)); }
// By parts: masked stores take some twenty cycles on AMD's processors.
static inline void store_n(float* p, vf v, int n) {
  __m128 rest = _mm256_castps256_ps128((__m256)v);
  if (n & 4) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps((__m256)v, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
    rest = _mm_movehl_ps(rest, rest);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, rest);
}
static inline vd load_n(const double* p, int n) {
  return (vd)_mm256_maskload_pd(p, (__m256i)(vl{0, 1, 2, 3} < n));
}
static inline void store_n(double* p, vd v, int n) {
  __m128d rest = _mm256_castpd256_pd128((__m256d)v);
  if (n & 2) {
    _mm_storeu_pd(p, rest);
    rest = _mm256_extractf128_pd((__m256d)v, 1);
    p += 2;
  }
  if (n & 1) _mm_store_sd(p, rest);
}

#else

static inline vf fma(vf a, vf b, vf c) { return a * b + c; }
static inline vd fma(vd a, vd b, vd c) { return a * b + c; }
static inline vf max(vf a, vf b) { return a > b ? a : b; }
static inline vd max(vd a, vd b) { return a > b ? a : b; }
static inline vf min(vf a, vf b) { return a < b ? a : b; }
static inline vd min(vd a, vd b) { return a < b ? a : b; }
static inline vf sqrt(vf a) {
  for (int i = 0; i < VF_WIDTH; i++) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
static inline vd sqrt(vd a) {
  for (int i = 0; i < VD_WIDTH; i++) a[i] = __builtin_sqrt(a[i]);
  return a;
}
static inline vf round_even(vf a) {
  for (int i = 0; i < VF_WIDTH; i++) a[i] = __builtin_rintf(a[i]);
  return a;
}
static inline vf floor(vf a) {
  for (int i = 0; i < VF_WIDTH; i++) a[i] = __builtin_floorf(a[i]);
  return a;
}
static inline vf ceil(vf a) {
  for (int i = 0; i < VF_WIDTH; i++) a[i] = __builtin_ceilf(a[i]);
  return a;
}
static inline vf load_n(const float* p, int n) {
  vf v{};
  for (int i = 0; i < n; i++) v[i] = p[i];
  return v;
}
static inline void store_n(float* p, vf v, int n) {
  for (int i = 0; i < n; i++) p[i] = v[i];
}
static inline vd load_n(const double* p, int n) {
  vd v{};
  for (int i = 0; i < n; i++) v[i] = p[i];
  return v;
}
static inline void store_n(double* p, vd v, int n) {
  for (int i = 0; i < n; i++) p[i] = v[i];
}

#endif

static inline vf abs(vf a) { return as_float(as_int(a) & 0x7fffffff); }

#if defined(__x86_64__)

// The sum, or the maximum, of the halves of the lanes, down to the last pair.
#if defined(__AVX2__)
static inline __m128 sum_to_four(__m256 v) {
  return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}
static inline __m128d sum_to_two(__m256d v) {
  return _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
}
static inline __m128 max_of_four(__m256 v) {
  return _mm_max_ps(_mm256_extractf128_ps(v, 1), _mm256_castps256_ps128(v));
}
static inline __m128d max_of_two(__m256d v) {
  return _mm_max_pd(_mm256_extractf128_pd(v, 1), _mm256_castpd256_pd128(v));
}
#else
static inline __m128 sum_to_four(__m128 v) { return v; }
static inline __m128d sum_to_two(__m128d v) { return v; }
static inline __m128 max_of_four(__m128 v) { return v; }
static inline __m128d max_of_two(__m128d v) { return v; }
#endif
#if defined(__AVX512F__)
static inline __m256 lower_half(vf v) { return _mm512_castps512_ps256((__m512)v); }
static inline __m256 upper_half(vf v) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd((__m512)v), 1));
}
static inline __m256d lower_half(vd v) { return _mm512_castpd512_pd256((__m512d)v); }
static inline __m256d upper_half(vd v) { return _mm512_extractf64x4_pd((__m512d)v, 1); }
static inline __m128 sum_to_four(vf v) { return sum_to_four(_mm256_add_ps(lower_half(v), upper_half(v))); }
static inline __m128d sum_to_two(vd v) { return sum_to_two(_mm256_add_pd(lower_half(v), upper_half(v))); }
static inline __m128 max_of_four(vf v) { return max_of_four(_mm256_max_ps(upper_half(v), lower_half(v))); }
static inline __m128d max_of_two(vd v) { return max_of_two(_mm256_max_pd(upper_half(v), lower_half(v))); }
#endif
static inline float hsum(vf v) {
  const __m128 four = sum_to_four(v), two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
static inline double hsum(vd v) {
  const __m128d two = sum_to_two(v);
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
static inline float hmax(vf v) {
  const __m128 four = max_of_four(v), two = _mm_max_ps(_mm_movehl_ps(four, four), four);
  return _mm_cvtss_f32(_mm_max_ss(_mm_shuffle_ps(two, two, 1), two));
}
static inline double hmax(vd v) {
  const __m128d two = max_of_two(v);
  return _mm_cvtsd_f64(_mm_max_sd(_mm_unpackhi_pd(two, two), two));
}

#else

static inline float hsum(vf v) {
  float s[VF_WIDTH];
  store(s, v);
  for (int half = VF_WIDTH / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) s[i] += s[i + half];
  return s[0];
}
static inline double hsum(vd v) {
  double s[VD_WIDTH];
  store(s, v);
  for (int half = VD_WIDTH / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) s[i] += s[i + half];
  return s[0];
}
static inline float hmax(vf v) {
  float m = v[0];
  for (int i = 1; i < VF_WIDTH; i++) m = v[i] > m ? v[i] : m;
  return m;
}
static inline double hmax(vd v) {
  double m = v[0];
  for (int i = 1; i < VD_WIDTH; i++) m = v[i] > m ? v[i] : m;
  return m;
}

#endif

}  // namespace SYMCONV_ISA
}  // namespace symconv
