// conv2d and its gradients, each element by itself: any stride, padding, dilation, groups.
//
//   x [N, C, H, W], w [K, C / groups, R, S], y [N, K, P, Q]
//   y[n, k, p, q] = sum x[n, c, p stride - top + r dilation, ...] w[k, c, r, s]; dx and dw are its adjoints
//
// The ladder:
//   direct_fprop, direct_dgrad   a thread does one element of y or dx; neighbouring threads neighbouring columns, so
//       that loads of images coalesce and weights are broadcast. Every tap is two loads for one multiply-add: right
//       where no channels share a load (depthwise layers, one output channel); conv_implicit.cu tiles the rest.
//   direct_wgrad   a warp adds up four elements of dw, or a whole block one where dw is small, over all images and
//       positions: lanes along the positions, then a tree.
#include "math.cuh"

// What column or row of the output at `i` is, at tap t, in the input: false if none.
DEVICE bool tap_forward(int i, int t, int stride, int before, int dilation, int size, int& at) {
  at = i * stride - before + t * dilation;
  return at >= 0 && at < size;
}
DEVICE bool tap_backward(int i, int t, int stride, int before, int dilation, int size, int& at) {
  const int from = i + before - t * dilation;
  at = from / stride;
  return from >= 0 && at * stride == from && at < size;
}

template <class T>
DEVICE void direct_fprop_tile(const ConvTileParams& p, const Args& args, int tile, Shared) {
  const ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= static_cast<ll>(p.n) * p.k * p.p * p.q) return;
  const int col = static_cast<int>(i % p.q), row = static_cast<int>(i / p.q % p.p);
  const int k = static_cast<int>(i / p.q / p.p % p.k), channels = p.c / p.groups;
  const ll image = i / p.q / p.p / p.k, plane = static_cast<ll>(p.h) * p.w;
  const int group = k / (p.k / p.groups), window = p.r * p.s;
  Global<const T> x = args.get<const T>(0) + (image * p.c + static_cast<ll>(group) * channels) * plane;
  Global<const T> w = args.get<const T>(1) + static_cast<ll>(k) * channels * window;
  T sum = 0;
  for (int c = 0; c < channels; c++)
    for (int r = 0; r < p.r; r++) {
      int h, v;
      if (!tap_forward(row, r, p.stride_h, p.top, p.dilation_h, p.h, h)) continue;
      for (int s = 0; s < p.s; s++)
        if (tap_forward(col, s, p.stride_w, p.left, p.dilation_w, p.w, v))
          sum = fma_of(T(x[c * plane + static_cast<ll>(h) * p.w + v]),
                       T(w[static_cast<ll>(c) * window + r * p.s + s]), sum);
    }
  args.get<T>(2)[i] = sum;
}

// Inputs dy, w and two dimensions; output dx.
template <class T>
DEVICE void direct_dgrad_tile(const ConvTileParams& p, const Args& args, int tile, Shared) {
  const ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= static_cast<ll>(p.n) * p.c * p.h * p.w) return;
  const int col = static_cast<int>(i % p.w), row = static_cast<int>(i / p.w % p.h);
  const int c = static_cast<int>(i / p.w / p.h % p.c), channels = p.c / p.groups, maps = p.k / p.groups;
  const ll image = i / p.w / p.h / p.c, plane = static_cast<ll>(p.p) * p.q;
  const int group = c / channels;
  const ll kernel = static_cast<ll>(channels) * p.r * p.s;
  Global<const T> dy = args.get<const T>(0) + (image * p.k + static_cast<ll>(group) * maps) * plane;
  Global<const T> w =
      args.get<const T>(1) + group * maps * kernel + static_cast<ll>(c % channels) * p.r * p.s;
  T sum = 0;
  for (int r = 0; r < p.r; r++) {
    int h, v;
    if (!tap_backward(row, r, p.stride_h, p.top, p.dilation_h, p.p, h)) continue;
    for (int s = 0; s < p.s; s++) {
      if (!tap_backward(col, s, p.stride_w, p.left, p.dilation_w, p.q, v)) continue;
      const ll at = static_cast<ll>(h) * p.q + v, tap = r * p.s + s;
      for (int k = 0; k < maps; k++) sum = fma_of(T(dy[k * plane + at]), T(w[k * kernel + tap]), sum);
    }
  }
  args.get<T>(4)[i] = sum;
}

// Inputs x, dy and two dimensions; output dw. p.threads threads add up ELEMENTS neighbours of dw: a warp four, which
// share what a position costs, a block one.
template <class T, int ELEMENTS>
DEVICE void add_up_dw(const ConvTileParams& p, const Args& args, int tile, Shared shared) {
  const int channels = p.c / p.groups, maps = p.k / p.groups;
  const ll size = static_cast<ll>(p.k) * channels * p.r * p.s;
  const ll plane = static_cast<ll>(p.h) * p.w, positions = static_cast<ll>(p.p) * p.q;
  const ll first = (static_cast<ll>(tile) * (THREADS / p.threads) + threadIdx.x / p.threads) * ELEMENTS;
  Global<const T> x = args.get<const T>(0), dy = args.get<const T>(1);
  T sum[ELEMENTS];
  int row[ELEMENTS], col[ELEMENTS];
  ll x_at[ELEMENTS], dy_at[ELEMENTS];
#pragma unroll
  for (int e = 0; e < ELEMENTS; e++) {
    const ll i = first + e < size ? first + e : size - 1;
    const int s = static_cast<int>(i % p.s), r = static_cast<int>(i / p.s % p.r);
    const int c = static_cast<int>(i / p.s / p.r % channels), k = static_cast<int>(i / p.s / p.r / channels);
    row[e] = r * p.dilation_h - p.top, col[e] = s * p.dilation_w - p.left;
    x_at[e] = (static_cast<ll>(k / maps) * channels + c) * plane + static_cast<ll>(row[e]) * p.w + col[e];
    dy_at[e] = k * positions;
    sum[e] = 0;
  }
  for (ll j = threadIdx.x % p.threads; j < p.n * positions && first < size; j += p.threads) {
    const ll image = j / positions;
    const int position = static_cast<int>(j - image * positions);
    const int h = position / p.q * p.stride_h, w = position % p.q * p.stride_w;
    const ll x_from = image * p.c * plane + static_cast<ll>(h) * p.w + w,
             dy_from = image * p.k * positions + position;
#pragma unroll
    for (int e = 0; e < ELEMENTS; e++) {
      const int at_row = h + row[e], at_col = w + col[e];
      if (at_row >= 0 && at_row < p.h && at_col >= 0 && at_col < p.w)
        sum[e] = fma_of(T(x[x_from + x_at[e]]), T(dy[dy_from + dy_at[e]]), sum[e]);
    }
  }
#pragma unroll
  for (int e = 0; e < ELEMENTS; e++) {
    sum[e] = ELEMENTS == 1 ? block_reduce(sum[e], Sum(), shared, 0) : warp_reduce(sum[e], Sum());
    if (first + e < size && threadIdx.x % p.threads == 0) args.get<T>(4)[first + e] = sum[e];
  }
}

template <class T>
DEVICE void direct_wgrad_tile(const ConvTileParams& p, const Args& args, int tile, Shared shared) {
  if (p.threads == THREADS)
    add_up_dw<T, 1>(p, args, tile, shared);
  else
    add_up_dw<T, 4>(p, args, tile, shared);
}

KERNEL(direct_fprop_f32, ConvTileParams, direct_fprop_tile<float>)
KERNEL(direct_fprop_f64, ConvTileParams, direct_fprop_tile<double>)
KERNEL(direct_dgrad_f32, ConvTileParams, direct_dgrad_tile<float>)
KERNEL(direct_dgrad_f64, ConvTileParams, direct_dgrad_tile<double>)
KERNEL(direct_wgrad_f32, ConvTileParams, direct_wgrad_tile<float>)
KERNEL(direct_wgrad_f64, ConvTileParams, direct_wgrad_tile<double>)
