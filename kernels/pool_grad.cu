// The gradients of pooling, gathered: every element of dx sums the windows that hold it, so nothing is added twice.
//
//   max: dx[h, w] = sum of dy[i, j] over the windows whose first maximum of x is at (h, w)
//   average: dx[h, w] = sum of dy[i, j] / count(i, j) over the windows that hold (h, w)
//
// The ladder:
//   max_pool_grad        a thread does one element and looks for the maximum of each window that holds it: right for
//                        small windows that do not overlap, where that is one window of a few neighbours.
//   max_pool_grad_tiled  a tile is some rows of one plane: the maxima of the windows over them are found once, by a
//                        thread each or, from 64 elements on, by a warp, and kept with dy in shared memory; then each
//                        element sums those that point at it.
//   avg_pool_grad        a thread does one element.
//
// Shared memory of the tiled form: dy [windows], padded to 8 bytes, then the places of the maxima [windows].
#include "pool.cuh"

template <class T>
DEVICE void max_pool_grad_tile(const PoolTileParams& p, const Args& args, int tile, Shared) {
  const ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= p.planes * p.h * p.w) return;
  const PoolIndex at = pool_index(i, p.h, p.w);
  Global<const T> x = args.get<const T>(0) + at.plane * p.h * p.w;
  Global<const T> dy = args.get<const T>(1) + at.plane * p.p * p.q;
  const PoolSpan rows = outputs_over(at.row, p.window_h, p.stride_h, p.top, p.p);
  const PoolSpan cols = outputs_over(at.col, p.window_w, p.stride_w, p.left, p.q);
  T sum = 0;
  for (int a = rows.begin; a < rows.end; a++)
    for (int b = cols.begin; b < cols.end; b++)
      if (maximum_of_window<T>(p, x, a, b, 0, 1).place == at.row * p.w + at.col) sum += dy[a * p.q + b];
  args.get<T>(2)[i] = sum;
}

// Elements of less than 4 bytes stand in shared memory as ints.
template <class T>
struct PoolShared {
  typedef int type;
};
template <>
struct PoolShared<float> {
  typedef float type;
};
template <>
struct PoolShared<double> {
  typedef double type;
};
template <>
struct PoolShared<ll> {
  typedef ll type;
};

template <class T>
DEVICE void max_pool_grad_tiled_tile(const PoolTileParams& p, const Args& args, int tile, Shared shared) {
  typedef typename PoolShared<T>::type S;
  const int bands = (p.h + p.rows - 1) / p.rows, first_row = tile % bands * p.rows;
  const ll plane = tile / bands;
  const int last_row = min(p.h, first_row + p.rows) - 1;
  const int first = outputs_over(first_row, p.window_h, p.stride_h, p.top, p.p).begin;
  const int windows = (outputs_over(last_row, p.window_h, p.stride_h, p.top, p.p).end - first) * p.q;
  SharedArray<S> share = shared.array<S>(0, p.windows);
  SharedArray<int> place = shared.array<int>((p.windows * static_cast<ll>(sizeof(S)) + 7) / 8 * 8, p.windows);
  Global<const T> x = args.get<const T>(0) + plane * p.h * p.w;
  Global<const T> dy = args.get<const T>(1) + plane * p.p * p.q;
  const int lanes = p.by_warp ? 32 : 1, lane = threadIdx.x % lanes;
  for (int i = threadIdx.x / lanes; i < windows; i += THREADS / lanes) {
    const int at = maximum_of_window<T>(p, x, first + i / p.q, i % p.q, lane, lanes).place;
    if (lane != 0) continue;
    const T value = dy[first * p.q + i];
    place[i] = at;
    share[i] = value;
  }
  __syncthreads();
  Global<T> dx = args.get<T>(2) + plane * p.h * p.w;
  for (int i = first_row * p.w + threadIdx.x; i < (last_row + 1) * p.w; i += THREADS) {
    const PoolSpan rows = outputs_over(i / p.w, p.window_h, p.stride_h, p.top, p.p);
    const PoolSpan cols = outputs_over(i % p.w, p.window_w, p.stride_w, p.left, p.q);
    S sum = 0;
    for (int a = rows.begin; a < rows.end; a++)
      for (int b = cols.begin; b < cols.end; b++) {
        const int j = (a - first) * p.q + b;
        if (place[j] == i) sum += share[j];
      }
    dx[i] = static_cast<T>(sum);
  }
}

// Input dy (and two dimensions), output dx.
template <class T>
DEVICE void avg_pool_grad_tile(const PoolTileParams& p, const Args& args, int tile, Shared) {
  const ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= p.planes * p.h * p.w) return;
  const PoolIndex at = pool_index(i, p.h, p.w);
  Global<const T> dy = args.get<const T>(0) + at.plane * p.p * p.q;
  const PoolSpan rows = outputs_over(at.row, p.window_h, p.stride_h, p.top, p.p);
  const PoolSpan cols = outputs_over(at.col, p.window_w, p.stride_w, p.left, p.q);
  T sum = 0;
  for (int a = rows.begin; a < rows.end; a++) {
    const T row_count = T(window_count(p.mode, a, p.window_h, p.stride_h, p.top, p.bottom, p.h));
    for (int b = cols.begin; b < cols.end; b++) {
      const T col_count = T(window_count(p.mode, b, p.window_w, p.stride_w, p.left, p.right, p.w));
      sum += dy[a * p.q + b] / (row_count * col_count);
    }
  }
  args.get<T>(3)[i] = sum;
}

#define MAX_POOL_GRAD_KERNELS(type, suffix)                                \
  KERNEL(max_pool_grad_##suffix, PoolTileParams, max_pool_grad_tile<type>) \
  KERNEL(max_pool_grad_tiled_##suffix, PoolTileParams, max_pool_grad_tiled_tile<type>)

MAX_POOL_GRAD_KERNELS(float, float32)
MAX_POOL_GRAD_KERNELS(double, float64)
MAX_POOL_GRAD_KERNELS(signed char, int8)
MAX_POOL_GRAD_KERNELS(unsigned char, uint8)
MAX_POOL_GRAD_KERNELS(short, int16)
MAX_POOL_GRAD_KERNELS(int, int32)
MAX_POOL_GRAD_KERNELS(ll, int64)
KERNEL(avg_pool_grad_float32, PoolTileParams, avg_pool_grad_tile<float>)
KERNEL(avg_pool_grad_float64, PoolTileParams, avg_pool_grad_tile<double>)
