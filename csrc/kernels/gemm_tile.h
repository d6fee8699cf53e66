// The innermost part of a packed product, shared by all that pack panels as gemm_packed.cpp does: a kMR x kNR tile
// of out stays in registers while kc steps of a panel of a (kMR rows) and of b (kNR = kVectors vectors) stream by.
#pragma once
#include "ahead.h"
#include "gemm.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kMR = 12;  // 24 accumulators of 32 registers
#elif defined(__AVX2__)
constexpr int kMR = 6;  // 12 of 16
#else
constexpr int kMR = 4;  // 8 of 16, two-operand instructions need spare ones
#endif
constexpr int kVectors = 2;
constexpr ll kKC = 256, kMC = 144;

template <class T>
constexpr int tile_columns() {
  return kVectors * Vec<T>::width;
}

// Where a tile goes: out = alpha acc + beta c.
template <class T>
struct Target {
  T* out;
  const T* c;
  ll ld;
  T alpha, beta;
  int last;  // columns in the last vector
  Ahead<T> ahead{};
};

// The rows of a: element (i, p) is at[i * row + p * col]; a packed panel has row 1 and col kMR.
template <class T>
struct Rows {
  Rows(const T* panel) : at(panel), row(1), col(kMR) {}
  Rows(const T* a, ll row, ll col) : at(a), row(row), col(col) {}
  const T* at;
  ll row, col;
};

// The columns of b: the vectors of step p start at at[p * step]; those of a packed panel lie one behind the other.
template <class T>
struct Columns {
  Columns(const T* panel) : at(panel), step(0) {}
  Columns(const T* b, ll step) : at(b), step(step) {}
  const T* at;
  ll step;
};

template <class T, int MR, int NV, bool kPacked>
void tile(ll kc, const Rows<T>& rows, const Columns<T>& columns, const Target<T>& t) {
  typedef typename Vec<T>::type V;
  constexpr int W = Vec<T>::width;
  const T* __restrict a = rows.at;
  const T* __restrict b = columns.at;
  const ll row = kPacked ? 1 : rows.row, col = kPacked ? kMR : rows.col;
  const ll step = columns.step ? columns.step : NV * W;
  for (int i = 0; i < MR; i++) {  // these lines come while the sums are made
    if (t.beta != T(0)) __builtin_prefetch(t.c + i * t.ld);
    __builtin_prefetch(t.out + i * t.ld, 1);
  }
  V acc[MR][NV];
  for (int i = 0; i < MR; i++)
    for (int v = 0; v < NV; v++) acc[i][v] = V{};
  // t.ahead.fetch(), of which the compiler keeps too much in memory here.
  const T* ahead = t.ahead.at;
  ll left = t.ahead.left;
  int done = 0;
  auto add = [&]() __attribute__((always_inline)) {
    V y[NV];
    for (int v = 0; v < NV; v++) y[v] = load(b + v * W);
    for (int i = 0; i < MR; i++) {
      V x = set1(a[i * row]);
      for (int v = 0; v < NV; v++) acc[i][v] = fma(x, y[v], acc[i][v]);
    }
    a += col;
    b += step;
  };
  ll p = 0;
  for (; left > 0 && p + 2 <= kc; left--, p += 2) {
    __builtin_prefetch(ahead, 0, 2);
    ahead += Ahead<T>::kLine;
    if (++done == t.ahead.run) done = 0, ahead += t.ahead.step - t.ahead.run * Ahead<T>::kLine;
    add();
    add();
  }
#pragma GCC unroll 4
  for (; p < kc; p++) add();
  // The sums stay in registers if these loops are unrolled.
  if (t.last == W) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
      for (int v = 0; v < NV; v++) {
        V sum = t.alpha * acc[i][v];
        if (t.beta != T(0)) sum = fma(set1(t.beta), load(t.c + i * t.ld + v * W), sum);
        store(t.out + i * t.ld + v * W, sum);
      }
    return;
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++) {
    const T* c = t.c + i * t.ld;
    T* out = t.out + i * t.ld;
#pragma GCC unroll 2
    for (int v = 0; v < NV; v++) {
      const bool whole = v < NV - 1;
      V sum = t.alpha * acc[i][v];
      if (t.beta != T(0)) sum = fma(set1(t.beta), whole ? load(c + v * W) : load_n(c + v * W, t.last), sum);
      if (whole)
        store(out + v * W, sum);
      else
        store_n(out + v * W, sum, t.last);
    }
  }
}

template <class T>
using Tile = void (*)(ll, const Rows<T>&, const Columns<T>&, const Target<T>&);

template <class T, int NV, bool kPacked = true, int MR = kMR>
Tile<T> pick_tile(int rows) {
  if constexpr (MR > 1) {
    if (rows < MR) return pick_tile<T, NV, kPacked, MR - 1>(rows);
  }
  return tile<T, MR, NV, kPacked>;
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
