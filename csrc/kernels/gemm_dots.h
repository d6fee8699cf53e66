// Dot products of contiguous rows, out[r, q] = alpha sum_j a[r, j] b[q, j] + beta c[r, q]: a tile of them (3 x 4, with
// AVX-512 5 x 4) shares its loads, each sum lies across the lanes of one vector, and four are folded at once.
#pragma once
#include "gemm.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

typedef float f4 __attribute__((vector_size(16)));
typedef double d4 __attribute__((vector_size(32)));

template <class V4>
V4 fold_four(V4 a, V4 b, V4 c, V4 d) {
  V4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  V4 cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

// Lane i of the result: the sum over the lanes of v[i].
#if VF_WIDTH == 16
// Side by side within groups of four lanes; the groups are added last.
inline f4 fold(const vf* v) {
  auto low = [](vf a, vf b) { return (vf)_mm512_unpacklo_ps((__m512)a, (__m512)b); };
  auto high = [](vf a, vf b) { return (vf)_mm512_unpackhi_ps((__m512)a, (__m512)b); };
  const vf ab = low(v[0], v[1]) + high(v[0], v[1]), cd = low(v[2], v[3]) + high(v[2], v[3]);
  const __m512 sum = (__m512)((vf)_mm512_shuffle_ps((__m512)ab, (__m512)cd, 0x44) +
                              (vf)_mm512_shuffle_ps((__m512)ab, (__m512)cd, 0xee));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps(sum, 1));
  return (f4)_mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
#else
inline f4 fold(const vf* v) {
#if VF_WIDTH == 8
  auto quarter = [](vf x) {
    return __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);
  };
  return fold_four(quarter(v[0]), quarter(v[1]), quarter(v[2]), quarter(v[3]));
#else
  return fold_four(v[0], v[1], v[2], v[3]);
#endif
}
#endif

inline d4 fold(const vd* v) {
#if VD_WIDTH >= 4
  auto quarter = [](vd x) {
#if VD_WIDTH == 8
    return __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);
#else
    return x;
#endif
  };
  return fold_four(quarter(v[0]), quarter(v[1]), quarter(v[2]), quarter(v[3]));
#else
  return d4{v[0][0] + v[0][1], v[1][0] + v[1][1], v[2][0] + v[2][1], v[3][0] + v[3][1]};
#endif
}

template <class T>
struct Dots {
  const T* a;
  const T* b;
  ll lda, ldb, depth;
  const T* c;
  T* out;
  ll ld;
  T alpha, beta;
};

// Elements [r, r + RR) x [q, q + QQ); QQ is 1 or a multiple of 4.
template <class T, int RR, int QQ>
void dots_tile(const Dots<T>& p, ll r, ll q) {
  typedef typename Vec<T>::type V;
  constexpr int W = Vec<T>::width, kSums = QQ == 1 ? 4 : QQ;
  const T* a = p.a + r * p.lda;
  const T* b = p.b + q * p.ldb;
  V acc[RR][kSums];  // which stay in registers if the loops over them are unrolled
#pragma GCC unroll 5
  for (int i = 0; i < RR; i++)
#pragma GCC unroll 8
    for (int k = 0; k < kSums; k++) acc[i][k] = V{};
  auto step = [&](auto get, ll j) __attribute__((always_inline)) {
    V x[RR];
#pragma GCC unroll 5
    for (int i = 0; i < RR; i++) x[i] = get(a + i * p.lda + j);
#pragma GCC unroll 8
    for (int k = 0; k < QQ; k++) {
      V y = get(b + k * p.ldb + j);
#pragma GCC unroll 5
      for (int i = 0; i < RR; i++) acc[i][k] = fma(x[i], y, acc[i][k]);
    }
  };
  ll j = 0;
  for (; j + W <= p.depth; j += W) step([](const T* from) { return load(from); }, j);
  const int rest = static_cast<int>(p.depth - j);
  if (rest) step([rest](const T* from) { return load_n(from, rest); }, j);
#pragma GCC unroll 5
  for (int i = 0; i < RR; i++) {
    const ll at = (r + i) * p.ld + q;
#pragma GCC unroll 2
    for (int k = 0; k < QQ; k += 4) {
      auto sum = p.alpha * fold(acc[i] + k);
      if (QQ == 1) {
        p.out[at] = p.beta == T(0) ? sum[0] : sum[0] + p.beta * p.c[at];
        continue;
      }
      decltype(sum) c;
      if (p.beta != T(0)) {
        __builtin_memcpy(&c, p.c + at + k, sizeof c);
        sum += p.beta * c;
      }
      __builtin_memcpy(p.out + at + k, &sum, sizeof sum);
    }
  }
}

// RR rows of out, columns [q0, q1).
template <class T, int RR>
void strip(const Dots<T>& p, ll r, ll q0, ll q1) {
  constexpr int QQ = RR == 1 ? 8 : 4;
  ll q = q0;
  for (; q + QQ <= q1; q += QQ) dots_tile<T, RR, QQ>(p, r, q);
  if (QQ == 8 && q + 4 <= q1) {
    dots_tile<T, RR, 4>(p, r, q);
    q += 4;
  }
  for (; q < q1; q++) dots_tile<T, RR, 1>(p, r, q);
}

// RR rows at a time, as many as there are registers for; the rows left over are shared out evenly.
template <class T>
void strips(const Dots<T>& p, ll m, ll q0, ll q1) {
  for (ll r = 0; r < m;) {
    const ll left = m - r;
#if VF_WIDTH == 16
    if (left == 5 || left >= 9) {
      strip<T, 5>(p, r, q0, q1), r += 5;
      continue;
    }
    if (left >= 4 && left != 6) {  // 4, 7 = 4 + 3, 8
      strip<T, 4>(p, r, q0, q1), r += 4;
      continue;
    }
#endif
    if (left == 1)
      strip<T, 1>(p, r, q0, q1), r += 1;
    else if (left == 2 || left == 4)
      strip<T, 2>(p, r, q0, q1), r += 2;
    else
      strip<T, 3>(p, r, q0, q1), r += 3;
  }
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
