// gemm_dots_RxC: out = finish(op(a) op(b)) with the terms shared among the threads, see gemm.cuh: small batches,
// matrix times vector, sums of two vectors.
//
//   32 lanes (_warp) or 256 threads (_block) own R x C elements; thread t takes the terms t, t + 32 (256), ...
// An output of 10 x 100 has too few tiles for a GPU, but 784 terms for each: here 75 blocks share it. Operands are
// read where they lie, along k by neighbouring lanes or in fours across it, once for R (or C) elements; nothing goes
// through shared memory but the sums of the warps, which are added in a fixed order.
//
// Ladder
//   one dot a warp    every operand is read for each element: K (M N + M N) loads.
//   4x4, 8x8          R + C loads for R * C products; 1x8 for vectors; 1x1 takes four terms at once.
//   scattered sums    V sums over 32 lanes take V + 1 shuffles if each step halves the sums that a lane keeps, not 5 V.
#include "gemm.cuh"

// Sums of v over the lanes of the warp, each in one lane or, of fewer than 32 sums, in several: v[j], j < V / 32 (or 1),
// is then sum number held_by(lane) + j.
template <class T, int V>
struct WarpSums {
  static constexpr int kKeep = V < 32 ? 1 : V / 32;
  static constexpr int kShare = V < 32 ? 32 / V : 1;  // lanes with the same sum

  static DEVICE int held_by(int lane) { return lane / kShare * kKeep; }

  // One step for each bit of the lane: half of the sums that are left go to the neighbour, half stay.
  template <int kBits, int kLeft>
  static DEVICE void step(T (&v)[V]) {
    if constexpr (kBits > 0) {
      if constexpr (kLeft == 1) {
        v[0] += __shfl_xor_sync(FULL_MASK, v[0], kBits);
        step<kBits / 2, 1>(v);
      } else {
        bool upper = threadIdx.x & kBits;
#pragma unroll
        for (int j = 0; j < kLeft / 2; j++) {
          T given = upper ? v[j] : v[j + kLeft / 2], kept = upper ? v[j + kLeft / 2] : v[j];
          v[j] = kept + __shfl_xor_sync(FULL_MASK, given, kBits);
        }
        step<kBits / 2, kLeft / 2>(v);
      }
    }
  }
  static DEVICE void add(T (&v)[V]) { step<16, V>(v); }
};

// Elements first ... first + count - 1 of term k of an operand that lies along_k (or across it, in fours); those at
// `limit` and beyond repeat the last one or are zero.
template <class T, int kCount>
DEVICE void load_term(const Stored<T>& x, bool along_k, int k, int first, int limit, T (&v)[kCount]) {
  if (along_k || kCount < 4) {
#pragma unroll
    for (int i = 0; i < kCount; i++) {
      int at = min(first + i, limit - 1);
      v[i] = x.at[along_k ? static_cast<ll>(at) * x.ld + k : static_cast<ll>(k) * x.ld + at];
    }
    return;
  }
#pragma unroll
  for (int q = 0; q < kCount / 4; q++) {
    T four[4];
    load_four(x.at, static_cast<ll>(k) * x.ld + first + q * 4, limit - first - q * 4, x.vector, four);
#pragma unroll
    for (int j = 0; j < 4; j++) v[q * 4 + j] = four[j];
  }
}

template <class T, int R, int C, int kLanes>
DEVICE void gemm_dots(const GemmParams& p, const Args& args, int tile, Shared shared) {
  constexpr int V = R * C;
  Extents e = extents_of(p);
  int tiles_m = (e.m + R - 1) / R, tiles_n = (e.n + C - 1) / C;
  ll unit = static_cast<ll>(tile) * (THREADS / kLanes) + threadIdx.x / kLanes;
  ll each = static_cast<ll>(tiles_m) * tiles_n, member = unit / each;
  if (member >= batch_count(p)) return;
  const Operands<T> g = operands_of<T>(p, args, member);
  unit -= member * each;
  int row0 = static_cast<int>(unit % tiles_m) * R, col0 = static_cast<int>(unit / tiles_m) * C;
  T acc[V];
#pragma unroll
  for (int i = 0; i < V; i++) acc[i] = 0;
  int k = threadIdx.x % kLanes;
  if (V == 1 && e.m * e.n == 1 && is_aligned(g.a.at) &&
      is_aligned(g.b.at)) {  // two vectors, four terms at a time
    for (k *= 4; k + 4 <= e.k; k += 4 * kLanes) {
      T x[4], y[4];
      load_whole_four(g.a.at, k, x);
      load_whole_four(g.b.at, k, y);
#pragma unroll
      for (int j = 0; j < 4; j++) acc[0] = fma_of(x[j], y[j], acc[0]);
    }
    k = e.k / 4 * 4 + threadIdx.x % kLanes;
  }
#pragma unroll(V > 16 ? 1 : 2)
  for (; k < e.k; k += kLanes) {
    T x[R], y[C];
    load_term(g.a, !g.a.trans, k, row0, e.m, x);
    load_term(g.b, g.b.trans, k, col0, e.n, y);
#pragma unroll
    for (int i = 0; i < V; i++) acc[i] = fma_of(x[i / C], y[i % C], acc[i]);
  }
  typedef WarpSums<T, V> Sums;
  Sums::add(acc);
  int lane = threadIdx.x % 32, first = Sums::held_by(lane);
  const Result<T> result = result_of<T>(p, args, member);
  bool keeper = lane % Sums::kShare == 0;
  if (kLanes == 32) {
#pragma unroll
    for (int j = 0; j < Sums::kKeep; j++) {
      int row = row0 + (first + j) / C, col = col0 + (first + j) % C;
      if (keeper && row < e.m && col < e.n) store_one(result, row, col, acc[j]);
    }
    return;
  }
  SharedArray<T> sums = shared.array<T>(0, WARPS * V);
  if (keeper)
#pragma unroll
    for (int j = 0; j < Sums::kKeep; j++) sums[threadIdx.x / 32 * V + first + j] = acc[j];
  __syncthreads();
  int mine = threadIdx.x, row = row0 + mine / C, col = col0 + mine % C;
  if (mine >= V || row >= e.m || col >= e.n) return;
  T total = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++) total += sums[w * V + mine];
  store_one(result, row, col, total);
}

KERNEL(gemm_dots_1x1_block_f32, GemmParams, gemm_dots<float, 1, 1, THREADS>)
KERNEL(gemm_dots_1x8_block_f32, GemmParams, gemm_dots<float, 1, 8, THREADS>)
KERNEL(gemm_dots_1x8_warp_f32, GemmParams, gemm_dots<float, 1, 8, 32>)
KERNEL(gemm_dots_4x4_block_f32, GemmParams, gemm_dots<float, 4, 4, THREADS>)
KERNEL(gemm_dots_4x4_warp_f32, GemmParams, gemm_dots<float, 4, 4, 32>)
KERNEL(gemm_dots_8x8_block_f32, GemmParams, gemm_dots<float, 8, 8, THREADS>)
KERNEL(gemm_dots_8x8_warp_f32, GemmParams, gemm_dots<float, 8, 8, 32>)
KERNEL(gemm_dots_1x8_block_f64, GemmParams, gemm_dots<double, 1, 8, THREADS>)
KERNEL(gemm_dots_4x4_block_f64, GemmParams, gemm_dots<double, 4, 4, THREADS>)
KERNEL(gemm_dots_4x4_warp_f64, GemmParams, gemm_dots<double, 4, 4, 32>)
