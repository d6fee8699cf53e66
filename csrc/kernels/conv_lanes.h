// Loads of some lanes of a vector: where rows of an image begin and end.
#pragma once
#include "conv_common.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

#if defined(__AVX512F__)
using LaneMask = __mmask16;
#else
using LaneMask = vi;
#endif

// Lanes [begin, end) of a vector of floats; any integers.
inline LaneMask lanes_between(int begin, int end) {
#if defined(__AVX512F__)
  const __m512i lane = (__m512i)iota();
  return _mm512_mask_cmplt_epi32_mask(_mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(begin)), lane,
                                      _mm512_set1_epi32(end));
#else
  return (vi)((iota() >= begin) & (iota() < end));
#endif
}

// Those lanes of the vector at p, 0 in the others; nothing else is touched.
inline vf load_lanes(const float* p, LaneMask lanes) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps(lanes, p);
#elif defined(__AVX2__)
  return (vf)_mm256_maskload_ps(p, (__m256i)lanes);
#else
  vf v{};
  for (int i = 0; i < VF_WIDTH; i++)
    if (lanes[i]) v[i] = p[i];
  return v;
#endif
}
inline vf load_lanes(const float* p, int begin, int end) { return load_lanes(p, lanes_between(begin, end)); }
inline vd load_lanes(const double* p, int begin, int end) {
  vd v{};
  for (int i = 0; i < VD_WIDTH; i++)
    if (i >= begin && i < end) v[i] = p[i];
  return v;
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
