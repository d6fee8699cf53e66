// The tiles of conv_pool_grad.cu that do dx: a piece of one image's dx in shared memory, in the copies of as many warps as
// work on the same channels.
//
// Shared memory: the copies [parts][groups][channels][rows][W + padding], the weights (dx_stage) [K][channels R S], g and
// place [windows][maps, odd].
#pragma once

#include "conv_pool_grad.cuh"

#define PATCH_VALUES 4  // of a patch in each lane

// The weights of the tile's channels: element `at` of channel k's. In small batches a tile brings them into shared
// memory all at once; in large ones they are found in L1, where the tile before has left them.
template <class Array>
struct DxWeights {
  Array w;
  ll pitch;  // from one output channel to the next

  template <class T>
  DEVICE T get(int k, int at) const {
    return w[k * pitch + at];
  }
};

// The elements of a patch that a lane has: channel, row and column, with an offset into w[k] and into the piece.
template <class T>
struct DxPatch {
  T sum[PATCH_VALUES];
  int row[PATCH_VALUES];  // -1: no such element
  int weight[PATCH_VALUES];
  int piece[PATCH_VALUES];
};

template <class T>
DEVICE void make_dx_patch(const ConvPoolGradTileParams& p, int first_block, int group, int first_value,
                          int pitch, DxPatch<T>& patch) {
  const int window = p.r * p.s;
#pragma unroll
  for (int v = 0; v < PATCH_VALUES; v++) {
    const int e = first_value + 32 * v + threadIdx.x % 32, c = e / window, t = e % window;
    const int channel = group * p.dx_channels + c;  // of the tile
    const bool exists = c < p.dx_channels && first_block + channel < p.c;
    patch.row[v] = exists ? t / p.s : -1;
    patch.weight[v] = exists ? channel * window + weight_place(p, t) : 0;
    patch.piece[v] = exists ? c * p.dx_rows * pitch + t % p.s : 0;
  }
}

// Adds all maxima at element `place` of a window into the piece of dx: gs and places are those of the window. row, col:
// of that element, row counted from the first row of the piece.
template <class T, class W>
DEVICE void add_position(const ConvPoolGradTileParams& p, const W& w, SharedArray<const T> gs,
                         SharedArray<const int> places, int maps, int place, int row, int col, int pitch,
                         DxPatch<T>& patch, SharedArray<T> piece) {
  const int lane = threadIdx.x % 32;
  bool any = false;
#pragma unroll
  for (int v = 0; v < PATCH_VALUES; v++) patch.sum[v] = 0;
  for (int first = 0; first < maps; first += 32) {
    T mine = 0;
    bool here = false;
    if (first + lane < maps) {
      mine = gs[first + lane];
      here = places[first + lane] == place && mine != 0;
    }
    unsigned left = __ballot_sync(FULL_MASK, here);
    any = any || left;
    while (left) {  // two at a time, so that one load does not wait for the other
      const int a = __ffs(left) - 1;
      left &= left - 1;
      const bool two = left != 0;
      const int b = two ? __ffs(left) - 1 : a;
      left &= left - 1;
      const T ga = __shfl_sync(FULL_MASK, mine, a), gb = __shfl_sync(FULL_MASK, mine, b);
#pragma unroll
      for (int v = 0; v < PATCH_VALUES; v++) {
        const T one = w.template get<T>(first + a, patch.weight[v]);
        const T other = w.template get<T>(first + b, patch.weight[v]);
        patch.sum[v] = fma_of(ga, one, patch.sum[v]);
        if (two) patch.sum[v] = fma_of(gb, other, patch.sum[v]);
      }
    }
  }
  if (!any) return;
#pragma unroll
  for (int v = 0; v < PATCH_VALUES; v++) {
    const int at = row + patch.row[v];
    if (patch.row[v] >= 0 && at >= 0 && at < p.dx_rows)
      piece[patch.piece[v] + at * pitch + col] += patch.sum[v];
  }
  __syncwarp();  // the next position's patch overlaps this one
}

// This warp's share of `count` windows, gs and places as staged, from window `first` of the plane on. top: the first
// row of the piece.
template <class T, class W>
DEVICE void add_windows(const ConvPoolGradTileParams& p, const W& w, SharedArray<const T> gs,
                        SharedArray<const int> places, int maps, int first, int count, int first_block,
                        int top, SharedArray<T> piece) {
  const int warp = threadIdx.x / 32, group = warp % p.dx_groups, part = warp / p.dx_groups;
  const int pitch = p.w + p.left + p.right, map_pitch = p.maps | 1;
  for (int value = 0; value < p.dx_channels * p.r * p.s; value += 32 * PATCH_VALUES) {
    DxPatch<T> patch;
    make_dx_patch(p, first_block, group, value, pitch, patch);
    for (int window = part; window < count; window += WARPS / p.dx_groups) {
      const ArgmaxPlace corner = argmax_place_at(p, first + window, 0);
      for (int i = 0; i < p.pool_h; i++)
        for (int j = 0; j < p.pool_w; j++)
          add_position<T>(p, w, gs + window * map_pitch, places + window * map_pitch, maps, i * p.pool_w + j,
                          corner.row + i - p.top - top, corner.col + j, pitch, patch, piece);
    }
  }
}

// ws[k][i] = w[k][i] for i < length and all k, rows `pitch` apart.
template <class T>
DEVICE void stage_dx_weights(const ConvPoolGradTileParams& p, Global<const T> w, int length, int pitch,
                             SharedArray<T> ws) {
  const ll kernel = static_cast<ll>(p.c) * p.r * p.s;
  int k = 0, i = threadIdx.x;
  while (k < p.k) {
    T v[STAGE_AHEAD];
    int to[STAGE_AHEAD];
#pragma unroll
    for (int u = 0; u < STAGE_AHEAD; u++, i += THREADS) {
      while (i >= length && k < p.k) i -= length, k++;
      to[u] = k < p.k ? k * pitch + i : -1;
      v[u] = 0;
      if (k < p.k) v[u] = w[k * kernel + i];
    }
#pragma unroll
    for (int u = 0; u < STAGE_AHEAD; u++)
      if (to[u] >= 0) ws[to[u]] = v[u];
  }
}

// gs[window][m], places[window][m] = g and its place at element from + m positions + window.
template <class T>
DEVICE void stage_gradients(const ConvPoolGradTileParams& p, const PooledGradient<T>& g, ll from,
                            int positions, int count, int maps, SharedArray<T> gs, SharedArray<int> places) {
  const int pitch = p.maps | 1;
  for (int i = threadIdx.x; i < count * maps; i += STAGE_AHEAD * THREADS) {
    T v[STAGE_AHEAD];
    int place[STAGE_AHEAD], to[STAGE_AHEAD];
#pragma unroll
    for (int u = 0; u < STAGE_AHEAD; u++) {
      const int at = i + u * THREADS, m = at / count, window = at - m * count;
      const bool exists = at < count * maps;
      const ll j = from + static_cast<ll>(m) * positions + window;
      to[u] = exists ? window * pitch + m : -1;
      v[u] = 0, place[u] = 0;
      if (exists) v[u] = g.value(j), place[u] = g.place(j);
    }
#pragma unroll
    for (int u = 0; u < STAGE_AHEAD; u++)
      if (to[u] >= 0) gs[to[u]] = v[u], places[to[u]] = place[u];
  }
}

template <class T>
DEVICE void conv_pool_dx_tile(const ConvPoolGradTileParams& p, const Args& args, int tile, Shared shared) {
  const int rows = pooled_rows(p), cols = pooled_cols(p), positions = rows * cols, window = p.r * p.s;
  const int channels = p.dx_groups * p.dx_channels, blocks = (p.c + channels - 1) / channels;
  const int bands = (p.h + p.dx_rows - 1) / p.dx_rows;
  const int first_block = tile % blocks * channels, top = tile / blocks % bands * p.dx_rows;
  const ll image = tile / blocks / bands;
  const int pitch = p.w + p.left + p.right, map_pitch = p.maps | 1;
  const int thread = threadIdx.x, warp = thread / 32;
  const int staged = p.windows * map_pitch, piece = p.dx_channels * p.dx_rows * pitch;
  const int weights = p.dx_stage ? p.k * channels * window : 0;
  SharedArray<T> copies = shared.array<T>(0, WARPS * piece);
  SharedArray<T> ws = shared.array<T>(WARPS * piece * static_cast<ll>(sizeof(T)), weights);
  const ll gs_at = (WARPS * piece + weights) * static_cast<ll>(sizeof(T));
  SharedArray<T> gs = shared.array<T>(gs_at, staged);
  SharedArray<int> places = shared.array<int>(gs_at + staged * static_cast<ll>(sizeof(T)), staged);
  const ll kernel = static_cast<ll>(p.c) * window;
  Global<const T> w = args.get<const T>(1) + first_block * window;
  const PooledGradient<T> g(p, args);

  if (p.dx_stage) stage_dx_weights(p, w, min(channels, p.c - first_block) * window, channels * window, ws);
  for (int i = thread; i < WARPS * piece; i += THREADS) copies[i] = 0;
  // the windows whose maxima may reach the piece
  const int lowest = top + p.top - p.r + 1, highest = top + p.dx_rows - 1 + p.top;
  const int first_row = lowest > 0 ? lowest / p.pool_h : 0, last_row = min(rows - 1, highest / p.pool_h);
  const int first_window = first_row * cols, last_window = (last_row + 1) * cols;
  for (int map = 0; map < p.k; map += p.maps) {
    const int maps = min(p.maps, p.k - map);
    for (int first = first_window; first < last_window; first += p.windows) {
      const int count = min(p.windows, last_window - first);
      if (map || first > first_window) __syncthreads();
      stage_gradients(p, g, (image * p.k + map) * positions + first, positions, count, maps, gs, places);
      __syncthreads();
      if (p.dx_stage)
        add_windows<T>(p, DxWeights<SharedArray<const T>>{ws, channels * window}, gs, places, maps, first,
                       count, first_block, top, copies + warp * piece);
      else
        add_windows<T>(p, DxWeights<Global<const T>>{w + map * kernel, kernel}, gs, places, maps, first,
                       count, first_block, top, copies + warp * piece);
    }
  }
  __syncthreads();
  Global<T> dx = args.get<T>(5);
  const int log_lanes = p.w > 16 ? 5 : p.w > 8 ? 4 : 3, lanes = 1 << log_lanes;
  for (int i = thread >> log_lanes; i < channels * p.dx_rows; i += THREADS >> log_lanes) {
    const int c = i / p.dx_rows, row = i - c * p.dx_rows;
    if (first_block + c >= p.c || top + row >= p.h) continue;
    const ll to = ((image * p.c + first_block + c) * p.h + top + row) * p.w;
    for (int col = thread & (lanes - 1); col < p.w; col += lanes) {
      T sum = copies[i * pitch + p.left + col];
      for (int j = 1; j < WARPS / p.dx_groups; j++)
        sum += copies[j * p.dx_groups * piece + i * pitch + p.left + col];
      dx[to + col] = sum;
    }
  }
}
