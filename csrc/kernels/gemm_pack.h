// Copies of a panel of a matrix in the order in which gemm_packed reads it:
//   to[p * kWidth + i] = from[i * across + p * along],  i < width, p < count; zeros for i in [width, kWidth).
// One of the two strides is 1: either each p is a run of contiguous elements, or 4 x 4 blocks are transposed.
#pragma once
#include "gemm.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

template <class T>
struct Four {
  typedef T type __attribute__((vector_size(4 * sizeof(T))));
};

template <class T>
inline typename Four<T>::type load_four(const T* p) {
  typename Four<T>::type v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// Columns of the 4 x 4 matrix whose rows are r.
template <class V>
inline void transpose_four(V r[4]) {
  V low0 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5),
    high0 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  V low1 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5),
    high1 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(low0, low1, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(low0, low1, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(high0, high1, 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(high0, high1, 2, 3, 6, 7);
}

// kRows rows, at most 4, of the transposition of 4 columns.
template <class T, int kWidth, int kRows>
inline void transpose_block(T* to, const T* from, ll across) {
  typename Four<T>::type r[4] = {};
  for (int k = 0; k < kRows; k++) r[k] = load_four(from + k * across);
  transpose_four(r);
  for (int k = 0; k < 4; k++) __builtin_memcpy(to + k * kWidth, &r[k], kRows * sizeof(T));
}

template <class T, int kWidth>
void pack_transposed(T* __restrict to, const T* __restrict from, ll across, ll count) {
  constexpr int kWhole = kWidth / 4 * 4;
  ll p = 0;
  for (; p + 4 <= count; p += 4, from += 4, to += 4 * kWidth) {
    for (int i = 0; i < kWhole; i += 4) transpose_block<T, kWidth, 4>(to + i, from + i * across, across);
    if constexpr (kWhole < kWidth)
      transpose_block<T, kWidth, kWidth - kWhole>(to + kWhole, from + kWhole * across, across);
  }
  for (; p < count; p++, from++, to += kWidth)
    for (int i = 0; i < kWidth; i++) to[i] = from[i * across];
}

template <class T, int kWidth>
void pack_panel(T* __restrict to, const T* __restrict from, ll across, ll along, int width, ll count) {
  if (width < kWidth) {
    for (ll p = 0; p < count; p++)
      for (int i = 0; i < kWidth; i++) to[p * kWidth + i] = i < width ? from[i * across + p * along] : T(0);
  } else if (across == 1) {
    for (ll p = 0; p < count; p++) __builtin_memcpy(to + p * kWidth, from + p * along, kWidth * sizeof(T));
  } else {
    pack_transposed<T, kWidth>(to, from, across, count);
  }
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
