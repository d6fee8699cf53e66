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
//   parts             (_parts) few elements of very many terms: blocks take 4096 terms each, and a second launch adds
//                     their sums, which wait in the workspace.
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

// The R x C elements of one unit: the sums of this thread's terms, k from begin + thread on in steps of kLanes.
template <class T, int R, int C, int kLanes>
struct Dots {
  static constexpr int V = R * C;
  typedef WarpSums<T, V> Sums;
  Extents e;
  ll units, member;  // of each member; the one of this unit
  int row0, col0;
  T acc[V];

  DEVICE explicit Dots(const GemmParams& p) : e(extents_of(p)) {
    units = static_cast<ll>((e.m + R - 1) / R) * ((e.n + C - 1) / C);
  }

  DEVICE void locate(ll unit) {
    int rows = (e.m + R - 1) / R;
    member = unit / units;
    unit -= member * units;
    row0 = static_cast<int>(unit % rows) * R, col0 = static_cast<int>(unit / rows) * C;
  }

  DEVICE void add(const Operands<T>& g, int begin, int end) {
#pragma unroll
    for (int i = 0; i < V; i++) acc[i] = 0;
    int thread = threadIdx.x % kLanes, k = begin + thread;
    if (V == 1 && e.m == 1 && e.n == 1 && is_aligned(g.a.at + begin) && is_aligned(g.b.at + begin)) {
      for (k = begin + 4 * thread; k + 4 <= end; k += 4 * kLanes) {
        T x[4], y[4];
        load_whole_four(g.a.at, k, x);
        load_whole_four(g.b.at, k, y);
#pragma unroll
        for (int j = 0; j < 4; j++) acc[0] = fma_of(x[j], y[j], acc[0]);
      }
      k = begin + (end - begin) / 4 * 4 + thread;
    }
#pragma unroll(V > 16 ? 1 : 2)
    for (; k < end; k += kLanes) {
      T x[R], y[C];
      load_term(g.a, !g.a.trans, k, row0, e.m, x);
      load_term(g.b, g.b.trans, k, col0, e.n, y);
#pragma unroll
      for (int i = 0; i < V; i++) acc[i] = fma_of(x[i / C], y[i % C], acc[i]);
    }
    Sums::add(acc);
  }

  // store(row, column, sum) for every element, by some thread. All threads of the block take part.
  template <class F>
  DEVICE void each(Shared shared, const F& store) const {
    int lane = threadIdx.x % 32, first = Sums::held_by(lane), mine = threadIdx.x;
    bool keeper = lane % Sums::kShare == 0;
    if (kLanes == 32) {
#pragma unroll
      for (int j = 0; j < Sums::kKeep; j++) {
        int row = row0 + (first + j) / C, col = col0 + (first + j) % C;
        if (keeper && row < e.m && col < e.n) store(row, col, acc[j]);
      }
      return;
    }
    SharedArray<T> sums = shared.array<T>(0, WARPS * V);
    if (keeper)
#pragma unroll
      for (int j = 0; j < Sums::kKeep; j++) sums[threadIdx.x / 32 * V + first + j] = acc[j];
    __syncthreads();
    int row = row0 + mine / C, col = col0 + mine % C;
    if (mine >= V || row >= e.m || col >= e.n) return;
    T total = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) total += sums[w * V + mine];
    store(row, col, total);
  }
};

template <class T, int R, int C, int kLanes>
DEVICE void gemm_dots(const GemmParams& p, const Args& args, int tile, Shared shared) {
  Dots<T, R, C, kLanes> dots(p);
  dots.locate(static_cast<ll>(tile) * (THREADS / kLanes) + threadIdx.x / kLanes);
  if (dots.member >= batch_count(p)) return;  // whole warps; a block has but one unit
  dots.add(operands_of<T>(p, args, dots.member), 0, dots.e.k);
  const Result<T> result = result_of<T>(p, args, dots.member);
  dots.each(shared, [&](int row, int col, T sum) { store_one(result, row, col, sum); });
}

// ---- in parts of kPart terms. Tile: part * (units of all members) + unit. Workspace [parts][members][m][n].
constexpr int kPart = 4096;

DEVICE int workspace_of(const GemmParams& p) { return p.form == kFormDot ? 3 : p.form == kFormGemm ? 6 : 4; }

template <class T, int R, int C>
DEVICE void gemm_dots_parts(const GemmParams& p, const Args& args, int tile, Shared shared) {
  Dots<T, R, C, THREADS> dots(p);
  ll members = batch_count(p), part = tile / (dots.units * members);
  dots.locate(tile % (dots.units * members));
  int begin = static_cast<int>(part) * kPart;
  dots.add(operands_of<T>(p, args, dots.member), begin, min(begin + kPart, dots.e.k));
  Global<T> sums = args.get<T>(workspace_of(p)) + (part * members + dots.member) * p.m * p.n;
  dots.each(shared, [&](int row, int col, T sum) { sums[static_cast<ll>(row) * dots.e.n + col] = sum; });
}

// A warp an element.
template <class T>
DEVICE void gemm_dots_sum(const GemmParams& p, const Args& args, int tile, Shared) {
  ll unit = static_cast<ll>(tile) * WARPS + threadIdx.x / 32, size = p.m * p.n, all = batch_count(p) * size;
  if (unit >= all) return;
  Global<const T> sums = args.get<const T>(workspace_of(p));
  int parts = static_cast<int>((p.k + kPart - 1) / kPart);
  T total = 0;
  for (int part = threadIdx.x % 32; part < parts; part += 32) total += sums[part * all + unit];
  total = warp_reduce(total, Sum());
  const Result<T> result = result_of<T>(p, args, unit / size);
  int at = static_cast<int>(unit % size);
  if (threadIdx.x % 32 == 0) store_one(result, at / result.n, at % result.n, total);
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
KERNEL(gemm_dots_1x1_parts_f32, GemmParams, gemm_dots_parts<float, 1, 1>)
KERNEL(gemm_dots_1x8_parts_f32, GemmParams, gemm_dots_parts<float, 1, 8>)
KERNEL(gemm_dots_4x4_parts_f32, GemmParams, gemm_dots_parts<float, 4, 4>)
KERNEL(gemm_dots_sum_f32, GemmParams, gemm_dots_sum<float>)
