// The last columns of a product where they fill at most a quarter of a vector, and a is read where it lies: a tile would
// spend a whole vector on them. Here the lanes lie along k (a stored [M, K]) or along the rows of out ([K, M]).
#pragma once
#include "gemm_dots.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr ll kSlimTerms = 64;  // fewer do not repay the folding of sums
constexpr int kSlimVectors = 4;

// How many of `columns` columns go this way.
template <class T>
int slim_columns(ll rows, ll columns, ll terms) {
  constexpr int W = Vec<T>::width;
  const int rest = static_cast<int>(columns % W);
  return rest <= W / 4 && columns > W && rows >= W && terms >= kSlimTerms ? rest : 0;
}

// Rows [m0, m1), columns [n0, n1), terms [k0, k1) of out = alpha op(a) op(b) + beta c; `scratch`: (n1 - n0) (k1 - k0)
// elements.
template <class T>
void slim_dots(const Product<T>& g, ll m0, ll m1, ll n0, ll n1, ll k0, ll k1, T* scratch) {
  const T* b = scratch;
  ll ldb = k1 - k0;
  if (g.trans_b) {
    b = g.b + n0 * g.ldb + k0, ldb = g.ldb;
  } else {
    for (ll k = k0; k < k1; k++)
      for (ll n = n0; n < n1; n++) scratch[(n - n0) * ldb + k - k0] = g.b[k * g.ldb + n];
  }
  const ll at = m0 * g.n + n0;
  const Dots<T> p{g.a + m0 * g.lda + k0, b, g.lda, ldb, k1 - k0, g.c + at, g.out + at, g.n, g.alpha, g.beta};
  strips(p, m1 - m0, 0, n1 - n0);
}

// NV vectors of rows from m on, the last of `last` lanes, by kColumns columns from n on.
template <class T, int NV, int kColumns>
void slim_block(const Product<T>& g, ll m, int last, ll n, ll k0, ll k1) {
  typedef typename Vec<T>::type V;
  constexpr int W = Vec<T>::width;
  const ll row = g.trans_b ? 1 : g.ldb, col = g.trans_b ? g.ldb : 1;
  const T* a = g.a + k0 * g.lda + m;
  const T* b = g.b + k0 * row + n * col;
  V acc[NV][kColumns];
  for (int v = 0; v < NV; v++)
    for (int c = 0; c < kColumns; c++) acc[v][c] = V{};
  for (ll k = k0; k < k1; k++, a += g.lda, b += row) {
    V x[NV];
    for (int v = 0; v < NV - 1; v++) x[v] = load(a + v * W);
    x[NV - 1] = last == W ? load(a + (NV - 1) * W) : load_n(a + (NV - 1) * W, last);
    for (int c = 0; c < kColumns; c++) {
      const V y = set1(b[c * col]);
      for (int v = 0; v < NV; v++) acc[v][c] = fma(x[v], y, acc[v][c]);
    }
  }
  for (int v = 0; v < NV; v++) {
    T sums[kColumns][W];
    for (int c = 0; c < kColumns; c++) store(sums[c], acc[v][c]);
    const int rows = v == NV - 1 ? last : W;
    for (int i = 0; i < rows; i++) {
      const ll at = (m + v * W + i) * g.n + n;
      for (int c = 0; c < kColumns; c++)
        g.out[at + c] = g.alpha * sums[c][i] + (g.beta == T(0) ? T(0) : g.beta * g.c[at + c]);
    }
  }
}

// The same where a is stored [K, M].
template <class T>
void slim_outer(const Product<T>& g, ll m0, ll m1, ll n0, ll n1, ll k0, ll k1) {
  constexpr int W = Vec<T>::width;
  auto columns = [&](auto count, ll n) {
    ll m = m0;
    for (; m + kSlimVectors * W <= m1; m += kSlimVectors * W)
      slim_block<T, kSlimVectors, count.value>(g, m, W, n, k0, k1);
    for (; m < m1; m += W)
      slim_block<T, 1, count.value>(g, m, static_cast<int>(m1 - m < W ? m1 - m : W), n, k0, k1);
  };
  ll n = n0;
  for (; n + 4 <= n1; n += 4) columns(std::integral_constant<int, 4>{}, n);
  for (; n < n1; n++) columns(std::integral_constant<int, 1>{}, n);
}

template <class T>
void slim(const Product<T>& g, ll m0, ll m1, ll n0, ll n1, ll k0, ll k1, T* scratch) {
  if (g.trans_a)
    slim_outer(g, m0, m1, n0, n1, k0, k1);
  else
    slim_dots(g, m0, m1, n0, n1, k0, k1, scratch);
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
