// gemm_outer_Rx4: out = finish(op(a) op(b)) for few terms, see gemm.cuh: updates w - eta x^T dy of a small batch.
//
//   a thread owns R x 4 elements, neighbouring threads neighbouring columns; no shared memory, no barriers.
// With K terms an element costs K products and, in place, one load and one store of w: memory decides. So w is read
// and written once, as 16-byte vectors, and the loads of a whole chunk of terms go out at once; the rows of the operands, a few KB, stay in L1.
//
// Ladder
//   1x4   fills the GPU even with a 784 x 100 matrix: 77 blocks of one vector a thread.
//   4x4   for large matrices: each vector of b serves four rows, so that L1 is not what limits.
#include "gemm.cuh"

// Terms k ... k + kChunk - 1.
template <class T, int R, int kChunk>
DEVICE void outer_terms(const Operands<T>& g, const Extents& e, int k, int row, int col, T (&acc)[R][4]) {
  T x[kChunk][4], y[kChunk][4];
  int rows = e.m - row, columns = e.n - col;
#pragma unroll
  for (int t = 0; t < kChunk; t++) {
    if (!g.b.trans) {
      load_four(g.b.at, static_cast<ll>(k + t) * g.b.ld + col, columns, g.b.vector, y[t]);
    } else {
#pragma unroll
      for (int j = 0; j < 4; j++)
        y[t][j] = j < columns ? T(g.b.at[static_cast<ll>(col + j) * g.b.ld + k + t]) : T(0);
    }
    if (g.a.trans && R == 4) {
      load_four(g.a.at, static_cast<ll>(k + t) * g.a.ld + row, rows, g.a.vector, x[t]);
    } else {
#pragma unroll
      for (int i = 0; i < R; i++)
        x[t][i] = i >= rows ? T(0)
                            : T(g.a.at[g.a.trans ? static_cast<ll>(k + t) * g.a.ld + row + i
                                                 : static_cast<ll>(row + i) * g.a.ld + k + t]);
    }
  }
#pragma unroll
  for (int t = 0; t < kChunk; t++)
#pragma unroll
    for (int i = 0; i < R; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) acc[i][j] = fma_of(x[t][i], y[t][j], acc[i][j]);
}

template <class T, int R, int kChunk>
DEVICE void gemm_outer(const GemmParams& p, const Args& args, int tile, Shared) {
  Extents e = extents_of(p);
  int fours = (e.n + 3) / 4;
  ll each = static_cast<ll>((e.m + R - 1) / R) * fours;
  ll unit = static_cast<ll>(tile) * THREADS + threadIdx.x, member = unit / each;
  if (member >= batch_count(p)) return;
  const Operands<T> g = operands_of<T>(p, args, member);
  const Result<T> result = result_of<T>(p, args, member);
  unit -= member * each;
  int row = static_cast<int>(unit / fours) * R, col = static_cast<int>(unit % fours) * 4;
  T other[4], acc[R][4];
  if (R == 1) load_other(result, row, col, other);  // ahead of the products
#pragma unroll
  for (int i = 0; i < R; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) acc[i][j] = 0;
  }
  int k = 0;
  for (; k + kChunk <= e.k; k += kChunk) outer_terms<T, R, kChunk>(g, e, k, row, col, acc);
  for (; k < e.k; k++) outer_terms<T, R, 1>(g, e, k, row, col, acc);
#pragma unroll
  for (int i = 0; i < R; i++) {
    if (row + i >= e.m) continue;
    if (R > 1) load_other(result, row + i, col, other);
    finish_four(result, row + i, col, acc[i], other);
  }
}

KERNEL(gemm_outer_1x4_f32, GemmParams, gemm_outer<float, 1, 10>)
KERNEL(gemm_outer_4x4_f32, GemmParams, gemm_outer<float, 4, 5>)
KERNEL(gemm_outer_1x4_f64, GemmParams, gemm_outer<double, 1, 5>)
