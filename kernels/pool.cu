// Pooling forward: maximum, average (or sum), Lp; and the element of another image at the place of each maximum.
//
//   x [planes, H, W] -> y [planes, P, Q]; y[i, j] from the window at (i stride - top, j stride - left), clipped to x
//
// The ladder has one rung:
//   max_pool, max_pool_pick, avg_pool, lp_pool   a thread does one output, neighbouring threads neighbouring ones: their
//       windows lie in the same lines of x, which come from memory once. From 64 elements on (global pooling) a warp does
//       an output, lanes along the window's elements, and the lanes' results are joined by a tree; threads would each
//       stride through an image of their own.
// A NaN in a window makes its maximum NaN; among equal maxima the first, in row-major order, is picked.
#include "pool.cuh"

DEVICE float pow_of(float x, float p) { return powf(x, p); }
DEVICE double pow_of(double x, double p) { return pow(x, p); }

// do_output(output, plane, row, col, lane, lanes) for the outputs of this tile.
template <class F>
DEVICE void for_outputs(const PoolTileParams& p, int tile, F do_output) {
  const int lanes = p.by_warp ? 32 : 1;
  const ll i = (static_cast<ll>(tile) * THREADS + threadIdx.x) / lanes;
  if (i >= p.planes * p.p * p.q) return;
  const PoolIndex at = pool_index(i, p.p, p.q);
  do_output(i, at, threadIdx.x % lanes, lanes);
}

template <class T>
DEVICE void max_pool_tile(const PoolTileParams& p, const Args& args, int tile, Shared) {
  for_outputs(p, tile, [&](ll i, const PoolIndex& at, int lane, int lanes) {
    Global<const T> x = args.get<const T>(0) + at.plane * p.h * p.w;
    const PoolMaximum<T> best = maximum_of_window<T>(p, x, at.row, at.col, lane, lanes);
    if (lane == 0) args.get<T>(1)[i] = best.value;
  });
}

// Inputs x, v: y = v at the maximum of x.
template <class T>
DEVICE void max_pool_pick_tile(const PoolTileParams& p, const Args& args, int tile, Shared) {
  for_outputs(p, tile, [&](ll i, const PoolIndex& at, int lane, int lanes) {
    const ll plane = at.plane * p.h * p.w;
    const PoolMaximum<T> best =
        maximum_of_window<T>(p, args.get<const T>(0) + plane, at.row, at.col, lane, lanes);
    if (lane == 0) args.get<T>(2)[i] = args.get<const T>(1)[plane + best.place];
  });
}

template <class T, class F>
DEVICE T sum_of_window(const PoolTileParams& p, Global<const T> x, int i, int j, int lane, int lanes, F f) {
  T sum = 0;
  for_window(p, i, j, lane, lanes, [&](int at) { sum += f(T(x[at])); });
  return lanes == 1 ? sum : warp_reduce(sum, Sum());
}

template <class T>
DEVICE void avg_pool_tile(const PoolTileParams& p, const Args& args, int tile, Shared) {
  for_outputs(p, tile, [&](ll i, const PoolIndex& at, int lane, int lanes) {
    Global<const T> x = args.get<const T>(0) + at.plane * p.h * p.w;
    const T sum = sum_of_window<T>(p, x, at.row, at.col, lane, lanes, [](T v) { return v; });
    const T rows = T(window_count(p.mode, at.row, p.window_h, p.stride_h, p.top, p.bottom, p.h));
    const T cols = T(window_count(p.mode, at.col, p.window_w, p.stride_w, p.left, p.right, p.w));
    if (lane == 0) args.get<T>(1)[i] = sum / (rows * cols);
  });
}

template <class T>
DEVICE void lp_pool_tile(const PoolTileParams& p, const Args& args, int tile, Shared) {
  for_outputs(p, tile, [&](ll i, const PoolIndex& at, int lane, int lanes) {
    Global<const T> x = args.get<const T>(0) + at.plane * p.h * p.w;
    const T e = static_cast<T>(p.exponent);
    const bool square = p.exponent == 2;
    const T sum = sum_of_window<T>(p, x, at.row, at.col, lane, lanes,
                                   [&](T v) { return square ? v * v : pow_of(v < 0 ? -v : v, e); });
    if (lane == 0) args.get<T>(1)[i] = square ? sqrt_of(sum) : pow_of(sum, 1 / e);
  });
}

#define MAX_POOL_KERNELS(type, suffix)                           \
  KERNEL(max_pool_##suffix, PoolTileParams, max_pool_tile<type>) \
  KERNEL(max_pool_pick_##suffix, PoolTileParams, max_pool_pick_tile<type>)

MAX_POOL_KERNELS(float, float32)
MAX_POOL_KERNELS(double, float64)
MAX_POOL_KERNELS(signed char, int8)
MAX_POOL_KERNELS(unsigned char, uint8)
MAX_POOL_KERNELS(short, int16)
MAX_POOL_KERNELS(int, int32)
MAX_POOL_KERNELS(ll, int64)
KERNEL(avg_pool_float32, PoolTileParams, avg_pool_tile<float>)
KERNEL(avg_pool_float64, PoolTileParams, avg_pool_tile<double>)
KERNEL(lp_pool_float32, PoolTileParams, lp_pool_tile<float>)
KERNEL(lp_pool_float64, PoolTileParams, lp_pool_tile<double>)
