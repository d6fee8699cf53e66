// Matrix products of float32 by tiles on the tensor cores, operands rounded to TF32 (10 bits of mantissa), see gemm.cuh:
// gemm_tf32_BMxBN. Only where config.tf32 asks for it.
//
//   shared memory: two panels a[BK][BM + 8], b[BK][BN + 8], twice
//   a warp: WM x WN elements of the tile as 16 x 8 products; the padding of 8 puts the 32 elements that its lanes read for
//   a share, 4 terms of 8 rows, on 32 banks
//
// Ladder
//   registers    gemm_128x128 of gemm_tiled.cu: at best the rate of the multiply-add units.
//   mma          m16n8k8: 2048 flops an instruction. Operands are rounded on their way into shared memory, once.
//   two buffers  as there: the next panels are on their way while the current ones are multiplied.
#include "gemm_panel.cuh"
#include "mma.cuh"

template <int BM, int BN, int BK, int WM, int WN>
struct TensorGemm {
  typedef Panel<float, BM, BK, 8> PanelA;
  typedef Panel<float, BN, BK, 8> PanelB;
  static constexpr int kBuffer = PanelA::kElements + PanelB::kElements;
  static constexpr int kWarpsN = BN / WN;
  static_assert(BM / WM * kWarpsN == WARPS && WM % 16 == 0 && WN % 8 == 0, "the warps hold the tile once");

  float acc[WM / 16][WN / 8][4];
  int row, col;  // of the warp in the tile

  template <class P>
  static DEVICE void round(P& panel) {
#pragma unroll
    for (int u = 0; u < P::kFours; u++)
#pragma unroll
      for (int j = 0; j < 4; j++) panel.staged[u][j] = tf32_of(panel.staged[u][j]);
  }

  DEVICE void multiply(SharedArray<float> a, SharedArray<float> b) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int k = 0; k < BK; k += 8) {
      float x[WM / 16][4], y[WN / 8][2];
#pragma unroll
      for (int i = 0; i < WM / 16; i++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          x[i][e] = a[(k + t + e / 2 * 4) * PanelA::kStride + row + i * 16 + g + e % 2 * 8];
#pragma unroll
      for (int j = 0; j < WN / 8; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) y[j][e] = b[(k + t + e * 4) * PanelB::kStride + col + j * 8 + g];
#pragma unroll
      for (int i = 0; i < WM / 16; i++)
#pragma unroll
        for (int j = 0; j < WN / 8; j++) mma_tf32(acc[i][j], x[i], y[j]);
    }
  }

  DEVICE void run(const GemmParams& p, const Args& args, int tile, Shared shared) {
    Extents e = extents_of(p);
    TilePlace place = tile_place(tile, (e.m + BM - 1) / BM, (e.n + BN - 1) / BN);
    const Operands<float> g = operands_of<float>(p, args, place.member);
    int row0 = place.row * BM, col0 = place.col * BN, warp = threadIdx.x / 32;
    row = warp / kWarpsN * WM, col = warp % kWarpsN * WN;
    SharedArray<float> panels = shared.array<float>(0, 2 * kBuffer);
#pragma unroll
    for (int i = 0; i < WM / 16; i++)
#pragma unroll
      for (int j = 0; j < WN / 8; j++)
#pragma unroll
        for (int v = 0; v < 4; v++) acc[i][j][v] = 0;

    PanelA a;
    PanelB b;
    auto fetch = [&](int k0) {
      a.fetch(g.a, !g.a.trans, row0, e.m, k0, e.k);
      b.fetch(g.b, g.b.trans, col0, e.n, k0, e.k);
    };
    auto put = [&](SharedArray<float> to) {
      round(a);
      round(b);
      a.put(to, !g.a.trans);
      b.put(to + PanelA::kElements, g.b.trans);
    };
    fetch(0);
    put(panels);
    __syncthreads();
    int now = 0;
    for (int k0 = 0; k0 < e.k; k0 += BK) {
      bool more = k0 + BK < e.k;
      if (more) fetch(k0 + BK);
      SharedArray<float> current = panels + now * kBuffer;
      multiply(current, current + PanelA::kElements);
      now ^= 1;
      if (more) put(panels + now * kBuffer);
      __syncthreads();
    }
    const Result<float> result = result_of<float>(p, args, place.member);
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < WM / 16; i++)
#pragma unroll
      for (int j = 0; j < WN / 8; j++)
#pragma unroll
        for (int v = 0; v < 4; v++) {
          int r = row0 + row + i * 16 + lane / 4 + v / 2 * 8, c = col0 + col + j * 8 + lane % 4 * 2 + v % 2;
          if (r < e.m && c < e.n) store_one(result, r, c, acc[i][j][v]);
        }
  }
};

template <int BM, int BN, int BK, int WM, int WN>
DEVICE void gemm_tf32(const GemmParams& p, const Args& args, int tile, Shared shared) {
  TensorGemm<BM, BN, BK, WM, WN> block;
  block.run(p, args, tile, shared);
}

KERNEL_ALONE(gemm_tf32_128x128_f32, GemmParams, gemm_tf32<128, 128, 16, 32, 64>)
KERNEL(gemm_tf32_64x64_f32, GemmParams, gemm_tf32<64, 64, 32, 16, 32>)
