// prod_of_others: out[o, t] = product of x[o, s] over all s other than t, the gradient of a product, also where x
// holds zeros. Rungs: 1. a product for every element: n^2 multiplications; 2. (here) what stands before t times what
// stands behind it: a warp takes an output's terms 32 at a time, with a scan by shuffles, forward into out, then
// backward. Each lane reads back only what it wrote.
#include "reduce.cuh"

template <class T>
DEVICE void prod_of_others_tile(const ReduceTileParams& p, const Args& args, int tile, Shared) {
  Global<const T> x = args.get<const T>(0);
  Global<T> out = args.get<T>(1);
  ll o = static_cast<ll>(tile) * WARPS + threadIdx.x / 32;
  if (o >= p.outputs) return;
  int lane = threadIdx.x % 32;
  ll base = kept_at(p, o), last = (p.terms - 1) / 32 * 32;
  T before = 1;  // of all chunks passed
  for (ll chunk = 0; chunk <= last; chunk += 32) {
    bool live = chunk + lane < p.terms;
    ll at = live ? base + reduced_at(p, chunk + lane) : 0;
    T v = live ? T(x[at]) : T(1);
    for (int n = 1; n < 32; n <<= 1) {
      T other = __shfl_up_sync(FULL_MASK, v, n);
      if (lane >= n) v *= other;
    }
    T others = __shfl_up_sync(FULL_MASK, v, 1);
    if (live) out[at] = lane > 0 ? before * others : before;
    before *= __shfl_sync(FULL_MASK, v, 31);
  }
  T behind = 1;
  for (ll chunk = last; chunk >= 0; chunk -= 32) {
    bool live = chunk + lane < p.terms;
    ll at = live ? base + reduced_at(p, chunk + lane) : 0;
    T v = live ? T(x[at]) : T(1);
    for (int n = 1; n < 32; n <<= 1) {
      T other = __shfl_down_sync(FULL_MASK, v, n);
      if (lane + n < 32) v *= other;
    }
    T others = __shfl_down_sync(FULL_MASK, v, 1);
    if (live) out[at] *= lane < 31 ? behind * others : behind;
    behind *= __shfl_sync(FULL_MASK, v, 0);
  }
}

KERNEL(prod_of_others_f32, ReduceTileParams, prod_of_others_tile<float>)
KERNEL(prod_of_others_f64, ReduceTileParams, prod_of_others_tile<double>)
