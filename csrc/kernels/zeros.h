// Where arrays are zero: masks of lanes, words of bits, shares.
#pragma once
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {

// Bit i is the sign of lane i.
static inline unsigned mask_bits(vi m) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)m);
#elif defined(__AVX2__)
  return static_cast<unsigned>(_mm256_movemask_ps((__m256)m));
#elif defined(__SSE2__)
  return static_cast<unsigned>(_mm_movemask_ps((__m128)m));
#else
  unsigned bits = 0;
  for (int i = 0; i < VF_WIDTH; i++) bits |= static_cast<unsigned>(m[i] < 0) << i;
  return bits;
#endif
}
static inline unsigned mask_bits(vl m) {
#if defined(__AVX512F__)
  return _mm512_movepi64_mask((__m512i)m);
#elif defined(__AVX2__)
  return static_cast<unsigned>(_mm256_movemask_pd((__m256d)m));
#elif defined(__SSE2__)
  return static_cast<unsigned>(_mm_movemask_pd((__m128d)m));
#else
  unsigned bits = 0;
  for (int i = 0; i < VD_WIDTH; i++) bits |= static_cast<unsigned>(m[i] < 0) << i;
  return bits;
#endif
}

// Bit i is set unless p[i] is exactly zero (NaN counts as non-zero); count <= 64.
template <class T>
static inline uint64_t nonzero_bits(const T* p, int count) {
  constexpr int W = Vec<T>::width;
  uint64_t bits = 0;
  int i = 0;
  for (; i + W <= count; i += W) bits |= static_cast<uint64_t>(mask_bits(load(p + i) != T(0))) << i;
  if (i < count) bits |= static_cast<uint64_t>(mask_bits(load_n(p + i, count - i) != T(0))) << i;
  return bits;
}

// Share of non-zeros among about 1024 of count elements, in [0, 1]: runs of 64, each at another place of its part, or
// all could lie in the same columns of a matrix, at the empty margins of images.
template <class T>
static inline double sampled_density(const T* p, long long count) {
  constexpr long long kChunks = 16, kChunk = 64;
  long long seen = 0, found = 0;
  for (long long i = 0; i < kChunks; i++) {
    const long long first = count * i / kChunks, limit = count * (i + 1) / kChunks,
                    room = limit - first - kChunk;
    const long long begin = first + (room > 0 ? room * (i * 39 % 64) / 64 : 0);  // 39 / 64: the golden ratio
    const long long end = begin + kChunk < limit ? begin + kChunk : limit;
    found += __builtin_popcountll(nonzero_bits(p + begin, static_cast<int>(end - begin)));
    seen += end - begin;
  }
  return seen ? static_cast<double>(found) / static_cast<double>(seen) : 0.0;
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
