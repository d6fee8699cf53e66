// conv_pool_grad where a row of dx does not fit into shared memory; conv_pool_grad.cu has the formulas.
//
// The ladder begins here:
//   argmax_naive   a thread gathers one element of dx, dw or db. dx asks every window near it whether its maximum reaches
//                  so far; dw reads one value of x for every multiply-add, from all over memory.
//   argmax_walk    conv_pool_grad.cu.
#include "conv_pool_grad.cuh"

template <class T>
DEVICE T naive_dx(const ConvPoolGradTileParams& p, const Args& args, ll i) {
  const int rows = pooled_rows(p), cols = pooled_cols(p), positions = rows * cols;
  const int col = static_cast<int>(i % p.w) + p.left, row = static_cast<int>(i / p.w % p.h) + p.top;
  const int c = static_cast<int>(i / p.w / p.h % p.c);
  const ll image = i / p.w / p.h / p.c;
  const int first_row = max(0, row - p.r + 1) / p.pool_h, last_row = min(rows - 1, row / p.pool_h);
  const int first_col = max(0, col - p.s + 1) / p.pool_w, last_col = min(cols - 1, col / p.pool_w);
  Global<const T> w = args.get<const T>(1);
  const PooledGradient<T> g(p, args);
  T sum = 0;
  for (int k = 0; k < p.k; k++)
    for (int a = first_row; a <= last_row; a++)
      for (int b = first_col; b <= last_col; b++) {
        const ll at = (image * p.k + k) * positions + a * cols + b;
        const ArgmaxPlace m = argmax_place_at(p, a * cols + b, g.place(at));
        const int r = row - m.row, s = col - m.col;
        const T value = g.value(at);
        if (r >= 0 && r < p.r && s >= 0 && s < p.s && value != 0)
          sum = fma_of(value, T(w[(static_cast<ll>(k) * p.c + c) * p.r * p.s + weight_place(p, r * p.s + s)]),
                       sum);
      }
  return sum;
}

// Element i of dw, or with i < 0 of db, for channel k.
template <class T>
DEVICE T naive_dw(const ConvPoolGradTileParams& p, const Args& args, int k, int i) {
  const int positions = pooled_rows(p) * pooled_cols(p);
  const int window = p.r * p.s, tap = weight_place(p, i % window), c = i / window;
  const int s = tap % p.s, r = tap / p.s;
  Global<const T> x = args.get<const T>(0);
  const PooledGradient<T> g(p, args);
  T sum = 0;
  for (int image = 0; image < p.n; image++)
    for (int position = 0; position < positions; position++) {
      const ll at = (static_cast<ll>(image) * p.k + k) * positions + position;
      const T value = g.value(at);
      if (i < 0) {
        sum += value;
        continue;
      }
      const ArgmaxPlace m = argmax_place_at(p, position, g.place(at));
      const int h = m.row + r - p.top, v = m.col + s - p.left;
      if (value != 0 && h >= 0 && h < p.h && v >= 0 && v < p.w)
        sum = fma_of(value, T(x[((static_cast<ll>(image) * p.c + c) * p.h + h) * p.w + v]), sum);
    }
  return sum;
}

template <class T>
DEVICE void conv_pool_grad_naive_tile(const ConvPoolGradTileParams& p, const Args& args, int tile, Shared) {
  ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  const ll size = p.need_dx ? static_cast<ll>(p.n) * p.c * p.h * p.w : 0,
           kernel = static_cast<ll>(p.c) * p.r * p.s;
  if (i < size) {
    args.get<T>(5)[i] = naive_dx<T>(p, args, i);
    return;
  }
  i -= size;
  if (i < p.k * kernel)
    args.get<T>(5 + p.need_dx)[i] =
        naive_dw<T>(p, args, static_cast<int>(i / kernel), static_cast<int>(i % kernel));
  else if (i < p.k * kernel + p.k)
    args.get<T>(6 + p.need_dx)[i - p.k * kernel] =
        naive_dw<T>(p, args, static_cast<int>(i - p.k * kernel), -1);
}

KERNEL(argmax_naive_f32, ConvPoolGradTileParams, conv_pool_grad_naive_tile<float>)
KERNEL(argmax_naive_f64, ConvPoolGradTileParams, conv_pool_grad_naive_tile<double>)
