// Two vectors of values that alternate, and the other way round.
#pragma once
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {

// Values 0, 2, 4, ... and 1, 3, 5, ... of two vectors.
#if defined(__AVX2__)
static inline void split_pairs(__m256 a, __m256 b, __m256& even, __m256& odd) {
  const __m256 lo = _mm256_permute2f128_ps(a, b, 0x20), hi = _mm256_permute2f128_ps(a, b, 0x31);
  even = _mm256_shuffle_ps(lo, hi, 0x88);
  odd = _mm256_shuffle_ps(lo, hi, 0xdd);
}
#endif
#if VF_WIDTH != 8  // else a vf is what stands above
static inline void split_pairs(vf a, vf b, vf& even, vf& odd) {
#if defined(__AVX512F__)
  const __m512i e = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  even = (vf)_mm512_permutex2var_ps((__m512)a, e, (__m512)b);
  odd = (vf)_mm512_permutex2var_ps((__m512)a, _mm512_add_epi32(e, _mm512_set1_epi32(1)), (__m512)b);
#elif defined(__x86_64__)
  even = (vf)_mm_shuffle_ps((__m128)a, (__m128)b, 0x88);
  odd = (vf)_mm_shuffle_ps((__m128)a, (__m128)b, 0xdd);
#else
  for (int i = 0; i < VF_WIDTH / 2; i++) {
    even[i] = a[2 * i], even[i + VF_WIDTH / 2] = b[2 * i];
    odd[i] = a[2 * i + 1], odd[i + VF_WIDTH / 2] = b[2 * i + 1];
  }
#endif
}
#endif
#if VD_WIDTH == 8
#define EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14
#define ODD_LANES 1, 3, 5, 7, 9, 11, 13, 15
#define LOW_PAIRS 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_PAIRS 4, 12, 5, 13, 6, 14, 7, 15
#elif VD_WIDTH == 4
#define EVEN_LANES 0, 2, 4, 6
#define ODD_LANES 1, 3, 5, 7
#define LOW_PAIRS 0, 4, 1, 5
#define HIGH_PAIRS 2, 6, 3, 7
#else
#define EVEN_LANES 0, 2
#define ODD_LANES 1, 3
#define LOW_PAIRS 0, 2
#define HIGH_PAIRS 1, 3
#endif
static inline void split_pairs(vd a, vd b, vd& even, vd& odd) {
  even = __builtin_shufflevector(a, b, EVEN_LANES);
  odd = __builtin_shufflevector(a, b, ODD_LANES);
}

// The inverse of split_pairs.
static inline void join_pairs(vf even, vf odd, vf& a, vf& b) {
#if defined(__AVX512F__)
  const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  a = (vf)_mm512_permutex2var_ps((__m512)even, low, (__m512)odd);
  b = (vf)_mm512_permutex2var_ps((__m512)even, _mm512_add_epi32(low, _mm512_set1_epi32(8)), (__m512)odd);
#elif defined(__AVX2__)
  const __m256 lo = _mm256_unpacklo_ps((__m256)even, (__m256)odd),
               hi = _mm256_unpackhi_ps((__m256)even, (__m256)odd);
  a = (vf)_mm256_permute2f128_ps(lo, hi, 0x20);
  b = (vf)_mm256_permute2f128_ps(lo, hi, 0x31);
#elif defined(__x86_64__)
  a = (vf)_mm_unpacklo_ps((__m128)even, (__m128)odd);
  b = (vf)_mm_unpackhi_ps((__m128)even, (__m128)odd);
#else
  for (int i = 0; i < VF_WIDTH / 2; i++) {
    a[2 * i] = even[i], b[2 * i] = even[i + VF_WIDTH / 2];
    a[2 * i + 1] = odd[i], b[2 * i + 1] = odd[i + VF_WIDTH / 2];
  }
#endif
}
static inline void join_pairs(vd even, vd odd, vd& a, vd& b) {
  a = __builtin_shufflevector(even, odd, LOW_PAIRS);
  b = __builtin_shufflevector(even, odd, HIGH_PAIRS);
}
#undef EVEN_LANES
#undef ODD_LANES
#undef LOW_PAIRS
#undef HIGH_PAIRS

// Values 0, 2, 4, ... of p[0 .. 2W - 2] for a = p[0 .. W - 1] and b = p[W - 1 ..].
static inline vf evens(vf a, vf b) {
#if VF_WIDTH == 16
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
#elif VF_WIDTH == 8
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15);
#else
  return __builtin_shufflevector(a, b, 0, 2, 5, 7);
#endif
}
static inline vd evens(vd a, vd b) {
#if VD_WIDTH == 8
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15);
#elif VD_WIDTH == 4
  return __builtin_shufflevector(a, b, 0, 2, 5, 7);
#else
  return __builtin_shufflevector(a, b, 0, 3);
#endif
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
