// conv_pool: y = activation(maxpool(x * w) + b), and the place of each maximum in its window.
//
//   x [N, C, H, W] with zeros around it, w [K, C, R, S], b [K]  ->  y, argmax [N, K, P, Q]
//   stride 1, pooling windows that do not overlap; bias and activation come after the pool, on a quarter of the values
//
// The ladder:
//   conv_pool_naive           a thread does one output: every tap is two loads from global memory for one multiply-add.
//   direct_conv_pool_2x2_k*   a thread holds the four sums of a 2 x 2 window for * channels in registers. A tile's
//       patch of x and its weights lie in shared memory, a block of input channels at a time. With R and S known, two
//       rows of S + 1 values of x stay in registers: one value loaded serves up to 2 R S / (S + 1) x * multiply-adds,
//       one weight, broadcast to the warp and loaded 4 at once, serves 4. Small batches leave no room for that many
//       outputs a thread: then several threads share the input channels of the same outputs, and their sums are added
//       in order; the tiling (images, rows, channel groups, splits) is chosen by a model of the time it takes.
//
// Shared memory: x [images][channels][plane], rows of `pitch` values; w [channels][R S][groups x *]. `plane` is half
// way round the banks, so that two splits in a half-warp do not meet. The sums of the splits reuse both.
#include "conv_activation.cuh"

template <class T>
DEVICE void conv_pool_naive_tile(const ConvPoolTileParams& p, const Args& args, int tile, Shared) {
  Global<const T> x = args.get<const T>(0), w = args.get<const T>(1), b = args.get<const T>(2);
  const int rows = pooled_rows(p), cols = pooled_cols(p);
  const ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= static_cast<ll>(p.n) * p.k * rows * cols) return;
  const int col = static_cast<int>(i % cols), row = static_cast<int>(i / cols % rows);
  const ll plane = i / cols / rows;
  const int k = static_cast<int>(plane % p.k);
  x += plane / p.k * p.c * p.h * p.w;
  w += static_cast<ll>(k) * p.c * p.r * p.s;
  T best = 0;
  int place = 0;
  for (int a = 0; a < p.pool_h * p.pool_w; a++) {
    const int top = row * p.pool_h + a / p.pool_w - p.top, left = col * p.pool_w + a % p.pool_w - p.left;
    T sum = 0;
    for (int c = 0; c < p.c; c++)
      for (int r = 0; r < p.r; r++) {
        const int h = top + r;
        if (h < 0 || h >= p.h) continue;
        for (int s = 0; s < p.s; s++) {
          const int v = left + s;
          if (v < 0 || v >= p.w) continue;
          sum = fma_of(T(x[(static_cast<ll>(c) * p.h + h) * p.w + v]),
                       T(w[static_cast<ll>(c) * p.r * p.s + weight_place(p, r * p.s + s)]), sum);
        }
      }
    if (a == 0)
      best = sum;
    else
      fold_maximum(best, place, sum, a);
  }
  args.get<T>(3)[i] = conv_activate(p.activation, best + b[k]);
  args.get<unsigned char>(4)[i] = static_cast<unsigned char>(place);
}

// What a tile computes, in numbers.
struct ConvPoolTile {
  int rows, cols;  // of the pooled output
  int first_image, first_row, first_channel;
  int block;              // output channels of the tile
  int pitch, patch_rows;  // of x in shared memory
  int windows, outputs;   // windows, and windows x channel groups
};

template <int R_, int S_, int KT>
DEVICE ConvPoolTile conv_pool_tile_of(const ConvPoolTileParams& p, int tile) {
  ConvPoolTile t;
  t.rows = (p.h + p.top + p.bottom - p.r + 1) / 2;
  t.cols = (p.w + p.left + p.right - p.s + 1) / 2;
  t.block = p.groups * KT;
  const int rest = tile / p.blocks, image = rest / p.bands;
  t.first_channel = (tile - rest * p.blocks) * t.block;
  t.first_row = (rest - image * p.bands) * p.rows;
  t.first_image = image * p.images;
  t.pitch = (2 * t.cols + (S_ ? S_ : p.s)) & ~1;
  t.patch_rows = 2 * p.rows + (R_ ? R_ : p.r) - 1;
  t.windows = p.images * p.rows * t.cols;
  t.outputs = t.windows * p.groups;
  return t;
}

// xs[image][c][row][col] = x, zeros outside, for `count` channels from `first` on. STAGE_AHEAD at a time.
DEVICE void stage_pool_patch(const ConvPoolTileParams& p, const ConvPoolTile& t, Global<const float> x,
                             int first, int count, SharedArray<float> xs) {
  const int log_lanes = t.pitch > 16  ? 5
                        : t.pitch > 8 ? 4
                                      : 3,
            lanes = 1 << log_lanes, step = THREADS >> log_lanes;
  const int top = 2 * t.first_row - p.top, images = min(p.images, p.n - t.first_image);
  for (int col = threadIdx.x & (lanes - 1); col < t.pitch; col += lanes) {
    const bool in_row = col >= p.left && col < p.left + p.w;
    int row = threadIdx.x >> log_lanes, c = 0, image = 0;
    while (image < p.images) {
      float v[STAGE_AHEAD];
      int to[STAGE_AHEAD];
#pragma unroll
      for (int u = 0; u < STAGE_AHEAD; u++) {
        while (row >= t.patch_rows && image < p.images) {
          row -= t.patch_rows;
          if (++c == count) c = 0, image++;
        }
        const int h = top + row;
        to[u] = image < p.images ? (image * p.channels + c) * p.plane + row * t.pitch + col : -1;
        v[u] = 0;
        if (in_row && image < images && h >= 0 && h < p.h)
          v[u] =
              x[((static_cast<ll>(t.first_image + image) * p.c + first + c) * p.h + h) * p.w - p.left + col];
        row += step;
      }
#pragma unroll
      for (int u = 0; u < STAGE_AHEAD; u++)
        if (to[u] >= 0) xs[to[u]] = v[u];
    }
  }
}

// ws[c][tap][k] = w[first_channel + k][first + c][tap], or that of the reversed window. Four channels by eight taps a warp: whole sectors are read,
// and the banks written differ.
DEVICE void stage_pool_weights(const ConvPoolTileParams& p, const ConvPoolTile& t, Global<const float> w,
                               int first, int count, SharedArray<float> ws) {
  const int taps = p.r * p.s, values = count * taps, step = THREADS / 4;
  for (int k = threadIdx.x & 3; k < t.block; k += 4) {
    const bool exists = t.first_channel + k < p.k;
    const ll from = (static_cast<ll>(t.first_channel + k) * p.c + first) * taps;
    for (int e = threadIdx.x >> 2; e < values; e += STAGE_AHEAD * step) {
      float v[STAGE_AHEAD];
#pragma unroll
      for (int u = 0; u < STAGE_AHEAD; u++) {
        v[u] = 0;
        const int at = e + u * step;
        if (exists && at < values) v[u] = w[from + (p.flip ? at + taps - 1 - 2 * (at % taps) : at)];
      }
#pragma unroll
      for (int u = 0; u < STAGE_AHEAD; u++)
        if (e + u * step < values) ws[(e + u * step) * t.block + k] = v[u];
    }
  }
}

template <int KT>
DEVICE void load_pool_weights(SharedArray<const float> ws, int at, float (&v)[KT]) {
  if constexpr (KT % 4 == 0) {
#pragma unroll
    for (int k = 0; k < KT; k += 4) {
      const float4 four = load_vector<float4>(ws, at + k);
      v[k] = four.x, v[k + 1] = four.y, v[k + 2] = four.z, v[k + 3] = four.w;
    }
  } else {
#pragma unroll
    for (int k = 0; k < KT; k += 2) {
      const float2 two = load_vector<float2>(ws, at + k);
      v[k] = two.x, v[k + 1] = two.y;
    }
  }
}

// The S + 1 values of one row that two neighbouring outputs see (S odd, so that they are whole pairs).
template <int S>
DEVICE void load_pool_row(SharedArray<const float> xs, int at, float (&v)[S + 1]) {
#pragma unroll
  for (int s = 0; s <= S; s += 2) {
    const float2 two = load_vector<float2>(xs, at + s);
    v[s] = two.x, v[s + 1] = two.y;
  }
}

template <int KT>
DEVICE void add_pool_taps(float (&sum)[4][KT], float a, float b, float c, float d, const float (&w)[KT]) {
#pragma unroll
  for (int k = 0; k < KT; k++) {
    sum[0][k] = fmaf(a, w[k], sum[0][k]);
    sum[1][k] = fmaf(b, w[k], sum[1][k]);
    sum[2][k] = fmaf(c, w[k], sum[2][k]);
    sum[3][k] = fmaf(d, w[k], sum[3][k]);
  }
}

// The four sums of a window over one input channel, added for KT output channels.
template <int R_, int S_, int KT>
DEVICE void add_pool_channel(const ConvPoolTileParams& p, const ConvPoolTile& t, SharedArray<const float> xs,
                             int x, SharedArray<const float> ws, int w, float (&sum)[4][KT]) {
  float wv[KT];
  if constexpr (R_ > 0) {
    float upper[S_ + 1], lower[S_ + 1];
    load_pool_row<S_>(xs, x, upper);
#pragma unroll
    for (int r = 0; r < R_; r++) {
      load_pool_row<S_>(xs, x + (r + 1) * t.pitch, lower);
#pragma unroll
      for (int s = 0; s < S_; s++) {
        load_pool_weights<KT>(ws, w + (r * S_ + s) * t.block, wv);
        add_pool_taps<KT>(sum, upper[s], upper[s + 1], lower[s], lower[s + 1], wv);
      }
#pragma unroll
      for (int s = 0; s <= S_; s++) upper[s] = lower[s];
    }
  } else {
    for (int r = 0; r < p.r; r++, x += t.pitch) {
      float a = xs[x], c = xs[x + t.pitch];
      for (int s = 0; s < p.s; s++, w += t.block) {
        const float b = xs[x + s + 1], d = xs[x + t.pitch + s + 1];
        load_pool_weights<KT>(ws, w, wv);
        add_pool_taps<KT>(sum, a, b, c, d, wv);
        a = b, c = d;
      }
    }
  }
}

template <int R_, int S_, int KT>
DEVICE void conv_pool_2x2_tile(const ConvPoolTileParams& p, const Args& args, int tile, Shared shared) {
  const ConvPoolTile t = conv_pool_tile_of<R_, S_, KT>(p, tile);
  const int patch = p.images * p.channels * p.plane, taps = p.r * p.s;
  SharedArray<float> xs = shared.array<float>(0, patch);
  SharedArray<float> ws = shared.array<float>(patch * 4LL, p.channels * taps * t.block);
  stage_pool_patch(p, t, args.get<const float>(0), 0, min(p.channels, p.c), xs);
  stage_pool_weights(p, t, args.get<const float>(1), 0, min(p.channels, p.c), ws);
  // who this thread is, while the loads are under way
  const int thread = threadIdx.x;
  const int split = thread / t.outputs, output = thread - split * t.outputs;
  const int group = output / t.windows, window = output - group * t.windows;
  const int line = window / t.cols, col = window - line * t.cols, image = line / p.rows,
            row = line - image * p.rows;
  float sum[4][KT];
#pragma unroll
  for (int a = 0; a < 4; a++)
#pragma unroll
    for (int k = 0; k < KT; k++) sum[a][k] = 0;
  for (int first = 0; first < p.c; first += p.channels) {
    const int count = min(p.channels, p.c - first);
    if (first) {
      __syncthreads();
      stage_pool_patch(p, t, args.get<const float>(0), first, count, xs);
      stage_pool_weights(p, t, args.get<const float>(1), first, count, ws);
    }
    __syncthreads();
    if (split < p.splits)
      for (int c = split; c < count; c += p.splits)
        add_pool_channel<R_, S_, KT>(p, t, xs, (image * p.channels + c) * p.plane + 2 * (row * t.pitch + col),
                                     ws, c * taps * t.block + group * KT, sum);
  }
  const int n_sums = 4 * KT * t.outputs;
  if (p.splits > 1) {  // sums [split][4 KT][outputs] added in order by as many threads as there are sums
    SharedArray<float> part = shared.array<float>(0, p.splits * n_sums);
    __syncthreads();
    if (split < p.splits) {
#pragma unroll
      for (int a = 0; a < 4; a++)
#pragma unroll
        for (int k = 0; k < KT; k++) part[split * n_sums + (a * KT + k) * t.outputs + output] = sum[a][k];
    }
    __syncthreads();
    for (int i = thread; i < n_sums; i += THREADS) {
      float total = part[i];
      for (int j = 1; j < p.splits; j++) total += part[j * n_sums + i];
      part[i] = total;
    }
    __syncthreads();
    if (split == 0) {
#pragma unroll
      for (int a = 0; a < 4; a++)
#pragma unroll
        for (int k = 0; k < KT; k++) sum[a][k] = part[(a * KT + k) * t.outputs + thread];
    }
  }
  if (split != 0 || t.first_image + image >= p.n || t.first_row + row >= t.rows) return;
  Global<const float> b = args.get<const float>(2);
  Global<float> y = args.get<float>(3);
  Global<unsigned char> argmax = args.get<unsigned char>(4);
#pragma unroll
  for (int k = 0; k < KT; k++) {
    const int channel = t.first_channel + group * KT + k;
    if (channel >= p.k) break;
    float best = sum[0][k];
    int place = 0;
    fold_maximum(best, place, sum[1][k], 1);
    fold_maximum(best, place, sum[2][k], 2);
    fold_maximum(best, place, sum[3][k], 3);
    const ll plane = static_cast<ll>(t.first_image + image) * p.k + channel;
    const ll at = (plane * t.rows + t.first_row + row) * t.cols + col;
    y[at] = conv_activate(p.activation, best + b[channel]);
    argmax[at] = static_cast<unsigned char>(place);
  }
}

KERNEL(conv_pool_naive_f32, ConvPoolTileParams, conv_pool_naive_tile<float>)
KERNEL(conv_pool_naive_f64, ConvPoolTileParams, conv_pool_naive_tile<double>)
KERNEL(direct_conv_pool_2x2_k2_5x5, ConvPoolTileParams, conv_pool_2x2_tile<5, 5, 2>)
KERNEL(direct_conv_pool_2x2_k4_5x5, ConvPoolTileParams, conv_pool_2x2_tile<5, 5, 4>)
KERNEL(direct_conv_pool_2x2_k8_5x5, ConvPoolTileParams, conv_pool_2x2_tile<5, 5, 8>)
KERNEL(direct_conv_pool_2x2_k2_3x3, ConvPoolTileParams, conv_pool_2x2_tile<3, 3, 2>)
KERNEL(direct_conv_pool_2x2_k4_3x3, ConvPoolTileParams, conv_pool_2x2_tile<3, 3, 4>)
KERNEL(direct_conv_pool_2x2_k8_3x3, ConvPoolTileParams, conv_pool_2x2_tile<3, 3, 8>)
KERNEL(direct_conv_pool_2x2_k4, ConvPoolTileParams, conv_pool_2x2_tile<0, 0, 4>)
