// What the convolution and pooling kernels share: vectors of either float type, transposes between NCHW and
// channels-last, workspace carving. All in the namespace of the instruction set (see runtime/kernel.h).
#pragma once
#include <string.h>

#include <type_traits>

#include "parallel.h"
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {

template <class T>
struct Lanes {
  using V = typename Vec<T>::type;
  static constexpr int W = Vec<T>::width;
};

// Of arrays that are taken to stay in caches from one kernel to the next.
constexpr long long kCachedBytes = 12LL << 20;

// Keeps a loaded value in a register: the compiler may neither fold nor repeat the load.
#if defined(__x86_64__)
template <class V>
static inline void pin(V& v) {
  asm("" : "+x"(v));
}
#else
template <class V>
static inline void pin(V&) {}
#endif

// The upper and the lower half of the lanes exchanged.
static inline vf swap_halves(vf v) {
#if defined(__AVX512F__)
  return (vf)_mm512_shuffle_f32x4((__m512)v, (__m512)v, 0x4e);
#elif defined(__AVX2__)
  return (vf)_mm256_permute2f128_ps((__m256)v, (__m256)v, 1);
#else
  vf o{};
  for (int i = 0; i < VF_WIDTH; i++) o[i] = v[(i + VF_WIDTH / 2) % VF_WIDTH];
  return o;
#endif
}
static inline vd swap_halves(vd v) {
#if defined(__AVX512F__)
  return (vd)_mm512_shuffle_f64x2((__m512d)v, (__m512d)v, 0x4e);
#elif defined(__AVX2__)
  return (vd)_mm256_permute2f128_pd((__m256d)v, (__m256d)v, 1);
#else
  vd o{};
  for (int i = 0; i < VD_WIDTH; i++) o[i] = v[(i + VD_WIDTH / 2) % VD_WIDTH];
  return o;
#endif
}

// Lanes of the lower half from a, of the upper half from b.
template <class V>
static inline V join_halves(V a, V b) {
  constexpr int W = sizeof(V) / sizeof(a[0]);
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (W == 8) return (V)_mm256_blend_ps((__m256)a, (__m256)b, 0xf0);
#endif
  decltype(a == a) upper;
  for (int i = 0; i < W; i++) upper[i] = i < W / 2 ? 0 : -1;
  return upper ? b : a;
}

// The lower half from one place, the upper one from another; without AVX `high` has half a vector before it.
static inline vf load_halves(const float* low, const float* high) {
#if defined(__AVX512F__)
  return (vf)_mm512_insertf64x4((__m512d)_mm512_castps256_ps512(_mm256_loadu_ps(low)),
                                (__m256d)_mm256_loadu_ps(high), 1);
#elif defined(__AVX2__)
  return (vf)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
#else
  return join_halves(load(low), load(high - VF_WIDTH / 2));
#endif
}

// The first n lanes, or all of them if n is larger; none if n < 1.
static inline void store_part(float* p, vf v, int n) {
  if (n >= VF_WIDTH)
    store(p, v);
  else if (n > 0)
    store_n(p, v, n);
}
static inline void store_part(double* p, vd v, int n) {
  for (int i = 0; i < VD_WIDTH && i < n; i++) p[i] = v[i];
}
static inline vf load_part(const float* p, int n) { return n >= VF_WIDTH ? load(p) : load_n(p, n); }
static inline vd load_part(const double* p, int n) {
  vd v{};
  for (int i = 0; i < VD_WIDTH && i < n; i++) v[i] = p[i];
  return v;
}

static inline long long round_up(long long n, long long multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

static inline int ceil_div(int a, int b) { return (a + b - 1) / b; }
static inline int least(int a, int b) { return a < b ? a : b; }
static inline int most(int a, int b) { return a > b ? a : b; }

// Where share i of `parts` of n things begins.
static inline int share_of(int n, int i, int parts) {
  return static_cast<int>(static_cast<long long>(n) * i / parts);
}

// Calls f with the constant n, which is 1 to MOST.
template <int MOST, class F>
inline void with_constant(int n, F&& f) {
  if constexpr (MOST > 1)
    if (n < MOST) return with_constant<MOST - 1>(n, f);
  f(std::integral_constant<int, MOST>{});
}

// Where the elements of a window lie that are `step` apart, the last one first if it is read backwards.
struct Order {
  long long first, step;
};
static inline Order in_order(long long elements, long long step, bool backwards) {
  return backwards ? Order{(elements - 1) * step, -step} : Order{0, step};
}

// Successive 64-byte aligned pieces of a workspace; with base = nullptr it only counts.
struct Carver {
  char* base;
  size_t used = 0, shared = 0;
  // Called before the pieces of each part of the pool, in order; what was taken before is shared.
  void begin_part(int part) {
    if (part == 0)
      shared = used;
    else
      used = shared + next_slab(used - shared);
  }
  template <class T>
  T* take(long long count) {
    T* p = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += static_cast<size_t>(round_up(count * static_cast<long long>(sizeof(T)), 64));
    return p;
  }
};

// out[j][i] = in[i][j] for an N x N tile.
static inline void transpose_4x4(const float* in, long long ldi, float* out, long long ldo) {
#if defined(__x86_64__)
  __m128 a = _mm_loadu_ps(in), b = _mm_loadu_ps(in + ldi), c = _mm_loadu_ps(in + 2 * ldi),
         d = _mm_loadu_ps(in + 3 * ldi);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(out, a);
  _mm_storeu_ps(out + ldo, b);
  _mm_storeu_ps(out + 2 * ldo, c);
  _mm_storeu_ps(out + 3 * ldo, d);
#else
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) out[j * ldo + i] = in[i * ldi + j];
#endif
}
static inline void transpose_8x8(const float* in, long long ldi, float* out, long long ldo) {
#if defined(__AVX2__)
  __m256 a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_ps(in + i * ldi);
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
    a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(out + i * ldo, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
    _mm256_storeu_ps(out + (i + 4) * ldo, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
  }
#else
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 8; j += 4) transpose_4x4(in + i * ldi + j, ldi, out + j * ldo + i, ldo);
#endif
}
static inline void transpose_4x4(const double* in, long long ldi, double* out, long long ldo) {
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) out[j * ldo + i] = in[i * ldi + j];
}
static inline void transpose_8x8(const double* in, long long ldi, double* out, long long ldo) {
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 8; j += 4) transpose_4x4(in + i * ldi + j, ldi, out + j * ldo + i, ldo);
}

// out[j][i] = in[i][j] for i < rows, j < cols; the leading dimensions are ldi and ldo. Where a line is no multiple of
// the tile, the last tile overlaps the one before it.
template <class T>
static inline void transpose(const T* in, long long ldi, T* out, long long ldo, long long rows,
                             long long cols) {
  long long i = 0;
  while (i < rows) {
    const T* from = in + i * ldi;
    T* to = out + i;
    long long j = 0;
    if (rows - i >= 8) {
      for (; j + 8 <= cols; j += 8) transpose_8x8(from + j, ldi, to + j * ldo, ldo);
      if (cols >= 8 && cols - j > 4) {
        transpose_8x8(from + cols - 8, ldi, to + (cols - 8) * ldo, ldo);
      } else if (cols >= 4) {
        for (; j < cols; j += 4) {
          const long long at = j + 4 <= cols ? j : cols - 4;
          transpose_4x4(from + at, ldi, to + at * ldo, ldo);
          transpose_4x4(from + 4 * ldi + at, ldi, to + at * ldo + 4, ldo);
        }
      }
      for (; j < cols && cols < 4; j++)
        for (int a = 0; a < 8; a++) to[j * ldo + a] = from[a * ldi + j];
      i += 8;
    } else if (rows >= 4) {
      const long long back = rows - i >= 4 ? 0 : 4 - (rows - i);
      from -= back * ldi, to -= back;
      if (cols >= 4)
        for (; j < cols; j += 4) {
          const long long at = j + 4 <= cols ? j : cols - 4;
          transpose_4x4(from + at, ldi, to + at * ldo, ldo);
        }
      for (; j < cols; j++)
        for (int a = 0; a < 4; a++) to[j * ldo + a] = from[a * ldi + j];
      i += 4 - back;
    } else {
      for (; j < cols; j++) to[j * ldo] = from[j];
      i++;
    }
  }
}

// planes[c][h][w] -> out[top + h][left + w][c] in an image of `pitch` x C values a row; the border is
// the caller's.
template <class T>
static inline void to_channels_last(const T* in, T* out, int c, int h, int w, int top, int left, int pitch) {
  const long long plane = static_cast<long long>(h) * w;
  out += (static_cast<long long>(top) * pitch + left) * c;
  if (c == 1 || pitch != w) {
    for (int y = 0; y < h; y++, in += w, out += static_cast<long long>(pitch) * c) {
      if (c == 1)
        memcpy(out, in, static_cast<size_t>(w) * sizeof(T));
      else
        transpose(in, plane, out, c, c, w);
    }
    return;
  }
  transpose(in, plane, out, c, c, plane);
}

// The inverse.
template <class T>
static inline void from_channels_last(const T* in, T* out, int c, int h, int w, int top, int left,
                                      int pitch) {
  const long long plane = static_cast<long long>(h) * w;
  in += (static_cast<long long>(top) * pitch + left) * c;
  if (c == 1 || pitch != w) {
    for (int y = 0; y < h; y++, out += w, in += static_cast<long long>(pitch) * c) {
      if (c == 1)
        memcpy(out, in, static_cast<size_t>(w) * sizeof(T));
      else
        transpose(in, c, out, plane, w, c);
    }
    return;
  }
  transpose(in, c, out, plane, plane, c);
}

// A copy of the planes[h][w] with zeros around: [count][h + top + bottom][w + left + right].
template <class T>
static inline void pad_planes(const T* in, T* out, long long count, int h, int w, int top, int bottom,
                              int left, int right) {
  const size_t row = static_cast<size_t>(w + left + right), above = row * top, below = row * bottom;
  for (long long i = 0; i < count; i++) {
    memset(out, 0, above * sizeof(T));
    out += above;
    for (int y = 0; y < h; y++, in += w, out += row) {
      for (int x = 0; x < left; x++) out[x] = 0;
      memcpy(out + left, in, static_cast<size_t>(w) * sizeof(T));
      for (int x = 0; x < right; x++) out[left + w + x] = 0;
    }
    memset(out, 0, below * sizeof(T));
    out += below;
  }
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
