// The lists of non-zero gradients that conv_pool_grad walks: g = dy activation'(y), with the pixel of each maximum.
#pragma once
#include "conv_pool_common.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

// The non-zero gradients of one channel, image after image.
template <class T>
struct List {
  T* g;
  int* pixel;
  int count;
};

#if defined(__AVX2__) && !defined(__AVX512F__)
// For each mask of 8 lanes, the lanes that are set, in order.
struct CompressTable {
  uint64_t lanes[256];
  constexpr CompressTable() : lanes{} {
    for (int mask = 0; mask < 256; mask++) {
      int at = 0;
      for (int lane = 0; lane < 8; lane++)
        if (mask >> lane & 1) lanes[mask] |= static_cast<uint64_t>(lane) << (8 * at++);
    }
  }
};
alignas(64) constexpr CompressTable kCompress;
#endif

// Appends the lanes of (g, pixel) with g != 0 behind `count`; may write a whole vector there.
inline int append(vf g, vi pixel, float* values, int* pixels, int count) {
#if defined(__AVX512F__)
  __mmask16 mask = _mm512_cmp_ps_mask((__m512)g, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  _mm512_storeu_ps(values + count, _mm512_maskz_compress_ps(mask, (__m512)g));
  _mm512_storeu_si512(pixels + count, _mm512_maskz_compress_epi32(mask, (__m512i)pixel));
  return count + __builtin_popcount(mask);
#elif defined(__AVX2__)
  __m256 nonzero = _mm256_cmp_ps((__m256)g, _mm256_setzero_ps(), _CMP_NEQ_UQ);
  int mask = _mm256_movemask_ps(nonzero);
  __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(kCompress.lanes[mask])));
  _mm256_storeu_ps(values + count, _mm256_permutevar8x32_ps((__m256)g, order));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(pixels + count),
                      _mm256_permutevar8x32_epi32((__m256i)pixel, order));
  return count + __builtin_popcount(static_cast<unsigned>(mask));
#else
  for (int i = 0; i < VF_WIDTH; i++) {
    values[count] = g[i];
    pixels[count] = pixel[i];
    count += g[i] != 0;
  }
  return count;
#endif
}

// first + base[i] + delta[argmax[i]] is the pixel of maximum i: base[] is the corner of each window, delta[] what a
// place in it adds, first the image's first pixel.
struct PixelTable {
  const int* base;
  int first;
  int places;  // in a window
  int delta[256];
};

// at(row, col): where a pixel stands; base has room for all positions. Places beyond the window, which only a foreign
// argmax has, lie in it too.
template <class At>
PixelTable pixel_table(const ConvPoolParams& p, const PooledShape& shape, const At& at, int* base) {
  PixelTable table{};
  table.base = base;
  table.places = p.pool_h * p.pool_w;
  for (int i = 0, row = 0, col = 0; i < 256; i++) {
    table.delta[i] = at(row, col);
    if (++col == p.pool_w) col = 0, row = row + 1 == p.pool_h ? 0 : row + 1;
  }
  for (int i = 0; i < shape.rows; i++)
    for (int j = 0; j < shape.cols; j++) *base++ = at(i * p.pool_h, j * p.pool_w);
  return table;
}

inline vi pixels_of(const PixelTable& t, const int* base, int first, const uint8_t* argmax) {
#if defined(__AVX512F__)
  if (t.places <= 16) {
    const __m512i place = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(argmax)));
    return first + load(base) + (vi)_mm512_permutexvar_epi32(place, (__m512i)load(t.delta));
  }
#elif defined(__AVX2__)
  if (t.places <= 8) {
    const __m256i place = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(argmax)));
    return first + load(base) + (vi)_mm256_permutevar8x32_epi32((__m256i)load(t.delta), place);
  }
#endif
  vi pixel = first + load(base);
  for (int j = 0; j < VF_WIDTH; j++) pixel[j] += t.delta[argmax[j]];
  return pixel;
}

// The n maxima of one image appended to the list of a channel; the sum of g is added to db, lane by lane.
template <int kActivation>
void gather(const float* y, const float* dy, const uint8_t* argmax, const PixelTable& t, long long n,
            List<float>& list, float* db) {
  const int *const base = t.base, first = t.first;  // the stores below might change t, list, for the compiler
  float* const values = list.g;
  int* const pixels = list.pixel;
  vf sum = load(db);
  int count = list.count;
  long long i = 0;
  for (; i + VF_WIDTH <= n; i += VF_WIDTH) {
    const vf g = activation_gradient(kActivation, load(y + i), load(dy + i));
    sum += g;
    count = append(g, pixels_of(t, base + i, first, argmax + i), values, pixels, count);
  }
  if (const int left = static_cast<int>(n - i); left > 0) {
    const vf g = activation_gradient(kActivation, load_n(y + i, left), load_n(dy + i, left));
    vi pixel{};
    for (int j = 0; j < left; j++) pixel[j] = t.first + t.base[i + j] + t.delta[argmax[i + j]];
    sum += g;
    count = append(g, pixel, values, pixels, count);
  }
  store(db, sum);
  list.count = count;
}

template <int kActivation>
void gather(const double* y, const double* dy, const uint8_t* argmax, const PixelTable& t, long long n,
            List<double>& list, double* db) {
  int count = list.count;
  for (long long i = 0; i < n; i++) {
    vd yv{}, dv{};
    yv[0] = y[i], dv[0] = dy[i];
    const double g = activation_gradient(kActivation, yv, dv)[0];
    db[0] += g;
    list.g[count] = g;
    list.pixel[count] = t.first + t.base[i] + t.delta[argmax[i]];
    count += g != 0;
  }
  list.count = count;
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
