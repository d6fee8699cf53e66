// Matrix products by tiles, see gemm.cuh: gemm_BMxBN computes BM x BN elements of out in one block.
//
//   shared memory: two panels a[BK][BM + 4], b[BK][BN + 4], twice
//   a warp: 4 x 8 lanes, a lane TM x TN elements in registers, in fours that stand 16 rows or 32 columns apart
//   reads of a panel: 4 (a) or 8 (b) different fours of neighbouring banks a warp
//
// Ladder
//   naive        a thread an element: two loads a multiply-add.
//   shared       tiles of both operands in shared memory: each global load serves BM or BN products.
//   registers    TM x TN elements a thread: TM + TN shared loads serve TM * TN products.
//   transposed   panels lie along the tile, not along k, for every layout of the operands: all inner loads are
//                16-byte ones. The padding of 4 keeps the transposing stores on different banks.
//   two buffers  the next panels are fetched into registers while the current ones are multiplied, and stored into
//                the other buffer: one barrier a step, loads in flight all the time.
//   split        small tiles leave fewer than 256 threads x 4 x 4 elements: groups of threads take different terms of
//                each step, and their sums meet in shared memory at the end, in a fixed order.
// gemm_128x128 has the most products a load; gemm_64x64, gemm_32x32 and gemm_16x32 fill a GPU with smaller outputs.
#include "gemm_panel.cuh"

template <class T, int BM, int BN, int BK, int TM, int TN>
struct TiledGemm {
  typedef Panel<T, BM, BK, 4> PanelA;
  typedef Panel<T, BN, BK, 4> PanelB;
  static constexpr int kGroup = BM * BN / (TM * TN);  // threads that hold the tile once
  static constexpr int kSplit = THREADS / kGroup;
  static constexpr int kTerms = BK / kSplit;  // of a step, for one group
  static constexpr int kBuffer = PanelA::kElements + PanelB::kElements;
  static constexpr int kWarpsN = BN / (8 * TN);
  static_assert(kSplit * kGroup == THREADS && kTerms * kSplit == BK && kGroup % 32 == 0,
                "groups of whole warps");
  static_assert((kSplit - 1) * BM * BN <= 2 * kBuffer, "the sums fit where the panels were");

  T acc[TM][TN];
  int row, col, group;  // of the thread's first element in the tile

  DEVICE void locate() {
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    group = threadIdx.x / kGroup;
    warp %= kGroup / 32;
    row = warp / kWarpsN * 4 * TM + lane / 8 * 4;
    col = warp % kWarpsN * 8 * TN + lane % 8 * 4;
  }

  DEVICE void multiply(SharedArray<T> a, SharedArray<T> b) {
#pragma unroll(8)
    for (int t = 0; t < kTerms; t++) {
      int k = group * kTerms + t;
      T x[TM / 4][4], y[TN / 4][4];
#pragma unroll
      for (int i = 0; i < TM / 4; i++) load_whole_four(a, k * PanelA::kStride + row + i * 16, x[i]);
#pragma unroll
      for (int j = 0; j < TN / 4; j++) load_whole_four(b, k * PanelB::kStride + col + j * 32, y[j]);
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) acc[i][j] = fma_of(x[i / 4][i % 4], y[j / 4][j % 4], acc[i][j]);
    }
  }

  // The sums of all groups, in the registers of group 0.
  DEVICE void combine(Shared shared) {
    if (kSplit == 1) return;
    SharedArray<T> sums = shared.array<T>(0, (kSplit - 1) * BM * BN + 1);
    int thread = threadIdx.x % kGroup;
    if (group > 0) {
#pragma unroll
      for (int e = 0; e < TM * TN; e++)
        sums[((group - 1) * TM * TN + e) * kGroup + thread] = acc[e / TN][e % TN];
    }
    __syncthreads();
    if (group > 0) return;
#pragma unroll
    for (int e = 0; e < TM * TN; e++)
#pragma unroll
      for (int s = 0; s < kSplit - 1; s++) acc[e / TN][e % TN] += sums[(s * TM * TN + e) * kGroup + thread];
  }

  DEVICE void run(const GemmParams& p, const Args& args, int tile, Shared shared) {
    Extents e = extents_of(p);
    TilePlace place = tile_place(tile, (e.m + BM - 1) / BM, (e.n + BN - 1) / BN);
    const Operands<T> g = operands_of<T>(p, args, place.member);
    int row0 = place.row * BM, col0 = place.col * BN;
    SharedArray<T> panels = shared.array<T>(0, 2 * kBuffer);
    locate();
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
      for (int j = 0; j < TN; j++) acc[i][j] = 0;

    PanelA a;
    PanelB b;
    a.fetch(g.a, !g.a.trans, row0, e.m, 0, e.k);
    b.fetch(g.b, g.b.trans, col0, e.n, 0, e.k);
    a.put(panels, !g.a.trans);
    b.put(panels + PanelA::kElements, g.b.trans);
    __syncthreads();
    int now = 0;
    for (int k0 = 0; k0 < e.k; k0 += BK) {
      bool more = k0 + BK < e.k;
      if (more) {
        a.fetch(g.a, !g.a.trans, row0, e.m, k0 + BK, e.k);
        b.fetch(g.b, g.b.trans, col0, e.n, k0 + BK, e.k);
      }
      SharedArray<T> current = panels + now * kBuffer;
      multiply(current, current + PanelA::kElements);
      now ^= 1;
      if (more) {
        a.put(panels + now * kBuffer, !g.a.trans);
        b.put(panels + now * kBuffer + PanelA::kElements, g.b.trans);
      }
      __syncthreads();
    }
    combine(shared);
    if (group > 0) return;
    locate();  // where we are once more, rather than kept in registers all the way
    e = extents_of(p);
    place = tile_place(tile, (e.m + BM - 1) / BM, (e.n + BN - 1) / BN);
    row0 = place.row * BM, col0 = place.col * BN;
    const Result<T> result = result_of<T>(p, args, place.member);
#pragma unroll
    for (int i = 0; i < TM; i++) {
      int r = row0 + row + i / 4 * 16 + i % 4;
      if (r >= e.m) continue;
#pragma unroll
      for (int j = 0; j < TN / 4; j++) {
        int c = col0 + col + j * 32;
        if (c >= e.n) continue;
        T sum[4] = {acc[i][j * 4], acc[i][j * 4 + 1], acc[i][j * 4 + 2], acc[i][j * 4 + 3]}, other[4];
        load_other(result, r, c, other);
        finish_four(result, r, c, sum, other);
      }
    }
  }
};

template <class T, int BM, int BN, int BK, int TM, int TN>
DEVICE void gemm_tiled(const GemmParams& p, const Args& args, int tile, Shared shared) {
  TiledGemm<T, BM, BN, BK, TM, TN> block;
  block.run(p, args, tile, shared);
}

KERNEL_ALONE(gemm_128x128_f32, GemmParams, gemm_tiled<float, 128, 128, 8, 8, 8>)
KERNEL(gemm_64x64_f32, GemmParams, gemm_tiled<float, 64, 64, 16, 4, 4>)
KERNEL(gemm_32x32_f32, GemmParams, gemm_tiled<float, 32, 32, 32, 4, 4>)
KERNEL(gemm_16x32_f32, GemmParams, gemm_tiled<float, 16, 32, 64, 4, 4>)
KERNEL(gemm_64x64_f64, GemmParams, gemm_tiled<double, 64, 64, 16, 4, 4>)
KERNEL(gemm_32x32_f64, GemmParams, gemm_tiled<double, 32, 32, 32, 4, 4>)
