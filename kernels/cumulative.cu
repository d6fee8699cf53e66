// cumsum, cumprod: running sums and products along n of x [outer, n, inner].
//
//   y[o, i, c] = x[o, 0, c] op ... op x[o, i, c], or from the end where reverse
// Floats are summed and multiplied in float64, integers in int64, which wraps. Rungs:
//   1. a thread a row: where inner is 1 nothing coalesces, and few rows leave the GPU empty
//   2. inner 1: as many threads a row as it needs (1 to 32 lanes, or the block), PER_THREAD neighbours each: a thread
//      adds up its own, the totals meet in a scan of shuffles, log2(lanes) steps; the warps of a block meet in shared
//      memory, in two halves by turns, so that a round takes one barrier; what came before is carried to the next round
//   3. inner > 1: a thread a column, neighbouring threads on neighbouring columns; PER_THREAD loads in flight
//   4. few long rows: groups of elements with a tile (or thread) each. One launch makes the groups' totals, the second
//      adds those before it to each group's start. No tile waits for another, no atomics: the same bits on any grid
// A thread reads its elements before it writes them, so y may lie in the memory of x.
#include "divide.cuh"
#include "math.cuh"

#define PER_THREAD 4

template <class Input, class Accumulator, class Output>
struct RunningSum {
  typedef Input In;
  typedef Accumulator Acc;
  typedef Output Out;
  DEVICE static Acc identity() { return static_cast<Acc>(-0.0); }  // of floats; 0 would lose the sign of -0
  DEVICE Acc operator()(Acc a, Acc b) const { return a + b; }
};
template <class Input, class Accumulator, class Output>
struct RunningProduct {
  typedef Input In;
  typedef Accumulator Acc;
  typedef Output Out;
  DEVICE static Acc identity() { return 1; }
  DEVICE Acc operator()(Acc a, Acc b) const { return a * b; }
};

// Where the i-th element from the beginning, or the end, of a row lies.
DEVICE ll running_at(const CumulativeTileParams& p, ll i) { return p.reverse ? p.n - 1 - i : i; }

// ---- inner = 1
template <class K>
DEVICE void cumulative_rows_tile(const CumulativeTileParams& p, const Args& args, int tile, Shared shared) {
  typedef typename K::Acc Acc;
  K combine;
  int lanes = 1 << p.lane_bits, span = lanes < 32 ? lanes : 32;
  int lane = threadIdx.x & (lanes - 1), in_warp = lane & (span - 1), warp = threadIdx.x / 32;
  ll block = quotient(tile, p.groups), g = tile - block * p.groups;
  ll row = block * (THREADS >> p.lane_bits) + (threadIdx.x >> p.lane_bits);
  bool valid = row < p.outer;
  ll begin = g * p.per_group, end = begin + p.per_group < p.n ? begin + p.per_group : p.n;
  Global<const typename K::In> x = args.get<const typename K::In>(0) + (valid ? row : 0) * p.n;
  if (p.stage == 1) {  // the whole block is on one row
    Acc total = K::identity();
    for (ll i = begin + lane; i < end; i += THREADS) {
      typename K::In v = x[running_at(p, i)];
      total = combine(total, static_cast<Acc>(v));
    }
    total = block_reduce(total, combine, shared, 0);
    if (threadIdx.x == 0) args.get<Acc>(2)[row * p.groups + g] = total;
    return;
  }
  Acc carry = K::identity();
  if (p.stage == 2) {
    Global<const Acc> totals = args.get<const Acc>(2) + row * p.groups;
    for (ll i = lane; i < g; i += THREADS) {
      Acc v = totals[i];
      carry = combine(carry, v);
    }
    carry = block_reduce(carry, combine, shared, 0);
    __syncthreads();  // its shared memory is used again below
  }
  Global<typename K::Out> y = args.get<typename K::Out>(1) + (valid ? row : 0) * p.n;
  SharedArray<Acc> part = shared.array<Acc>(0, lanes > 32 ? 2 * WARPS : 0);
  int half = 0;
#pragma unroll 1
  for (ll base = begin; base < end; base += lanes * PER_THREAD, half ^= WARPS) {
    ll first = base + lane * PER_THREAD;
    Acc v[PER_THREAD];
    for (int j = 0; j < PER_THREAD; j++) {
      v[j] = K::identity();
      if (valid && first + j < end) {
        typename K::In e = x[running_at(p, first + j)];
        v[j] = static_cast<Acc>(e);
      }
    }
    for (int j = 1; j < PER_THREAD; j++) v[j] = combine(v[j - 1], v[j]);
    Acc inclusive = v[PER_THREAD - 1];
    for (int d = 1; d < span; d <<= 1) {
      Acc other = __shfl_up_sync(FULL_MASK, inclusive, d);
      if (in_warp >= d) inclusive = combine(other, inclusive);
    }
    Acc before = __shfl_up_sync(FULL_MASK, inclusive, 1);
    if (in_warp == 0) before = K::identity();
    Acc total = __shfl_sync(FULL_MASK, inclusive, static_cast<int>(threadIdx.x) | (span - 1));
    Acc start = carry;
    if (lanes > 32) {
      if (in_warp == 31) part[half + warp] = inclusive;
      __syncthreads();
      total = K::identity();
      for (int w = 0; w < WARPS; w++) {
        Acc other = part[half + w];
        if (w < warp) start = combine(start, other);
        total = combine(total, other);
      }
    }
    carry = combine(carry, total);
    start = combine(start, before);
    for (int j = 0; j < PER_THREAD; j++)
      if (valid && first + j < end)
        y[running_at(p, first + j)] = static_cast<typename K::Out>(combine(start, v[j]));
  }
}

// ---- inner > 1
template <class K>
DEVICE void cumulative_columns_tile(const CumulativeTileParams& p, const Args& args, int tile, Shared) {
  typedef typename K::Acc Acc;
  K combine;
  ll t = static_cast<ll>(tile) * THREADS + threadIdx.x, strip = quotient(t, p.inner), c = t - strip * p.inner;
  ll o = quotient(strip, p.groups), g = strip - o * p.groups;
  if (o >= p.outer) return;
  ll begin = g * p.per_group, end = begin + p.per_group < p.n ? begin + p.per_group : p.n;
  ll base = o * p.n * p.inner + c;
  Global<const typename K::In> x = args.get<const typename K::In>(0) + base;
  Global<typename K::Out> y = args.get<typename K::Out>(1) + base;
  Acc running = K::identity();
  if (p.stage == 2) {
    Global<const Acc> totals = args.get<const Acc>(2) + o * p.groups * p.inner + c;
    for (ll i = 0; i < g; i++) {
      Acc v = totals[i * p.inner];
      running = combine(running, v);
    }
  }
#pragma unroll 1
  for (ll i = begin; i < end; i += PER_THREAD) {
    typename K::In v[PER_THREAD];
    for (int j = 0; j < PER_THREAD; j++)
      if (i + j < end) v[j] = x[running_at(p, i + j) * p.inner];
    for (int j = 0; j < PER_THREAD; j++)
      if (i + j < end) {
        running = combine(running, static_cast<Acc>(v[j]));
        if (p.stage != 1) y[running_at(p, i + j) * p.inner] = static_cast<typename K::Out>(running);
      }
  }
  if (p.stage == 1) args.get<Acc>(2)[(o * p.groups + g) * p.inner + c] = running;
}

typedef unsigned long long Sum64;  // wraps

#define CUMULATIVE_KERNELS(dtype, T, Acc, Out)                                                           \
  KERNEL(cumsum_rows_##dtype, CumulativeTileParams, cumulative_rows_tile<RunningSum<T, Acc, Out>>)       \
  KERNEL(cumsum_columns_##dtype, CumulativeTileParams, cumulative_columns_tile<RunningSum<T, Acc, Out>>) \
  KERNEL(cumprod_rows_##dtype, CumulativeTileParams, cumulative_rows_tile<RunningProduct<T, Acc, Out>>)  \
  KERNEL(cumprod_columns_##dtype, CumulativeTileParams, cumulative_columns_tile<RunningProduct<T, Acc, Out>>)

CUMULATIVE_KERNELS(int8, signed char, Sum64, ll)
CUMULATIVE_KERNELS(uint8, unsigned char, Sum64, ll)
CUMULATIVE_KERNELS(int16, short, Sum64, ll)
CUMULATIVE_KERNELS(int32, int, Sum64, ll)
CUMULATIVE_KERNELS(int64, ll, Sum64, ll)
CUMULATIVE_KERNELS(float32, float, double, float)
CUMULATIVE_KERNELS(float64, double, double, double)
