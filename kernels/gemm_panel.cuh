// A panel of an operand on its way from global to shared memory, through registers.
//
//   panel[k][i], k < BK, i < B, rows of B + kPad elements: whichever way the operand lies, the products then read
//   runs of i. Where it lies along k, four terms of a lane go to four rows: lanes 2 i and 2 i + 1 take two
//   neighbouring fours of one line (a whole sector), and with kPad = 4 their 32 stores meet 32 banks.
#pragma once

#include "gemm.cuh"

template <class T, int B, int BK, int kPad>
struct Panel {
  static constexpr int kFours = B * BK / 4 / THREADS;  // of a thread
  static constexpr int kStride = B + kPad;
  static constexpr int kElements = BK * kStride;
  static_assert(kFours * 4 * THREADS == B * BK, "a whole number of fours for each thread");
  static_assert(BK % 8 == 0 && B % 16 == 0, "lanes take pairs of fours of 16 lines");

  T staged[kFours][4];

  static DEVICE void place(int unit, bool along_k, int& i, int& k) {
    if (along_k) {
      int rest = unit / 32;
      k = (rest % (BK / 8) * 2 + unit % 2) * 4;
      i = rest / (BK / 8) * 16 + unit / 2 % 16;
    } else {
      i = unit % (B / 4) * 4;
      k = unit / (B / 4);
    }
  }

  // Elements i0 + i < limit_i, k0 + k < limit_k; zeros beyond.
  DEVICE void fetch(const Stored<T>& x, bool along_k, int i0, int limit_i, int k0, int limit_k) {
#pragma unroll
    for (int u = 0; u < kFours; u++) {
      int i, k;
      place(threadIdx.x + u * THREADS, along_k, i, k);
      i += i0, k += k0;
      int line = along_k ? i : k, from = along_k ? k : i;
      int valid = along_k ? (i < limit_i ? limit_k - k : 0) : (k < limit_k ? limit_i - i : 0);
      load_four(x.at, static_cast<ll>(line) * x.ld + from, valid, x.vector, staged[u]);
    }
  }

  DEVICE void put(SharedArray<T> to, bool along_k) const {
#pragma unroll
    for (int u = 0; u < kFours; u++) {
      int i, k;
      place(threadIdx.x + u * THREADS, along_k, i, k);
      if (along_k) {
#pragma unroll
        for (int j = 0; j < 4; j++) to[(k + j) * kStride + i] = staged[u][j];
      } else {
        store_whole_four(to, k * kStride + i, staged[u]);
      }
    }
  }
};

// Tile number `tile` of member after member, each of tiles_m x tiles_n; bands of 8 rows of tiles, down the columns of a
// band, so that blocks which run at the same time share operands in L2.
struct TilePlace {
  ll member;
  int row, col;
};
DEVICE TilePlace tile_place(int tile, int tiles_m, int tiles_n) {
  ll member = tile / (tiles_m * tiles_n);
  int t = tile % (tiles_m * tiles_n), band = t / (8 * tiles_n);
  int rows = min(8, tiles_m - band * 8), within = t - band * 8 * tiles_n;
  return {member, band * 8 + within % rows, within / rows};
}
