// conv_pool_grad: dx, dw, db of y = activation(maxpool(x * w) + b), from the places of the maxima.
//
//   g = dy activation'(y) [N, K, P, Q];  x, dx [N, C, H, W];  w, dw [K, C, R, S];  db [K]
//   dw[k] += g x[patch at the maximum],  dx[patch at the maximum] += g w[k],  db[k] += g
//
// The ladder:
//   argmax_naive   a thread gathers one element of dx, dw or db: dx asks every window near it whether its maximum
//                  reaches so far; dw reads one value of x for every multiply-add, from all over memory.
//   argmax_walk    a warp takes the elements of a patch, 4 a lane, and walks the maxima: one window in a 2 x 2 pool
//                  does a quarter of the dense gradient's arithmetic. 32 maxima are looked at together; a ballot keeps
//                  those with g != 0 (after a ReLU a fifth of them), and only these are visited, each with coalesced
//                  loads. A patch of dx stays in registers while all output channels with their maximum at that
//                  position add to it, and is then added to the tile's piece of dx in shared memory.
//
// One launch does all outputs: the first dw_tiles tiles do dw (and db), which take longest in large
// batches, the others dx. dx: warps that work on the same
// channels have their own copy of the piece, so nothing is added by two warps; dw: the warps' sums, and those of the
// parts of a large batch (in the workspace, added by conv_pool_grad_add), are added in order.
//
// Shared memory of dx: the copies [parts][groups][channels][rows][W + padding], the weights (dx_stage) [K][channels R S],
// g and place [windows][maps, odd].
#include "conv_activation.cuh"

#define PATCH_VALUES 4  // of a patch in each lane

// Where the window's maximum lies in the padded image.
struct ArgmaxPlace {
  int row, col;
};
DEVICE ArgmaxPlace argmax_place_at(const ConvPoolGradTileParams& p, int window, int place) {
  const int cols = pooled_cols(p);
  return {window / cols * p.pool_h + place / p.pool_w, window % cols * p.pool_w + place % p.pool_w};
}

template <class T>
struct PooledGradient {
  Global<const T> y, dy;
  Global<const unsigned char> argmax;
  int activation;

  DEVICE PooledGradient(const ConvPoolGradTileParams& p, const Args& args)
      : y(args.get<const T>(2)),
        dy(args.get<const T>(4)),
        argmax(args.get<const unsigned char>(3)),
        activation(p.activation) {}
  DEVICE T value(ll i) const { return conv_activation_gradient(activation, T(y[i]), T(dy[i])); }
  DEVICE int place(ll i) const {
    const unsigned char a = argmax[i];
    return a;
  }
};

// ---- dx

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
    patch.weight[v] = exists ? channel * window + t : 0;
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
  const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
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

// ---- dw, db

// A maximum of channel k: g, and where its patch begins in x.
template <class T>
struct DwEntry {
  T g;
  ll at;
  int row, col;
};

template <class T>
DEVICE DwEntry<T> dw_entry(const ConvPoolGradTileParams& p, const PooledGradient<T>& g, int k,
                           int first_image, ll i, int positions) {
  const int image = first_image + static_cast<int>(i / positions), position = static_cast<int>(i % positions);
  const ll from = (static_cast<ll>(image) * p.k + k) * positions + position;
  const ArgmaxPlace m = argmax_place_at(p, position, g.place(from));
  const int row = m.row - p.top, col = m.col - p.left;
  return {g.value(from), (static_cast<ll>(image) * p.c * p.h + row) * p.w + col, row, col};
}

// V values a lane of one dw[k], from the maxima of channel k in the images of one part.
template <class T, int V>
DEVICE void conv_pool_dw_tile(const ConvPoolGradTileParams& p, const Args& args, int tile, Shared shared) {
  constexpr int kAtOnce = V == 1 ? 4 : 2;  // maxima: so many loads are under way together
  const int positions = pooled_rows(p) * pooled_cols(p), window = p.r * p.s, kernel = p.c * window;
  const int chunks = (kernel + p.dw_values - 1) / p.dw_values;
  const int chunk = tile % chunks, k = tile / chunks % p.k, part = tile / chunks / p.k;
  const int first_image = static_cast<int>(static_cast<ll>(p.n) * part / p.parts);
  const int images = static_cast<int>(static_cast<ll>(p.n) * (part + 1) / p.parts) - first_image;
  const ll total = static_cast<ll>(images) * positions;
  const int share =
      total < THREADS ? static_cast<int>(total + WARPS - 1) / WARPS : 32;  // of a warp, at a time
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const bool padded = p.top || p.bottom || p.left || p.right;
  Global<const T> x = args.get<const T>(0);
  const PooledGradient<T> g(p, args);

  T sum[V], total_g = 0;
  int offset[V], row[V], col[V];
#pragma unroll
  for (int v = 0; v < V; v++) {
    const int in_chunk = lane + 32 * v, e = chunk * p.dw_values + in_chunk;
    const bool exists = in_chunk < p.dw_values && e < kernel;
    const int t = exists ? e % window : 0;
    row[v] = t / p.s, col[v] = t % p.s;
    offset[v] = ((exists ? e / window : 0) * p.h + row[v]) * p.w + col[v];
    sum[v] = 0;
  }
  ll i = warp * share + lane;
  const DwEntry<T> none{T(0), 0, 0, 0};
  DwEntry<T> next = lane < share && i < total ? dw_entry(p, g, k, first_image, i, positions) : none;
  for (ll first = warp * share; first < total; first += WARPS * share) {
    const DwEntry<T> mine = next;
    i += WARPS * share;
    next = lane < share && i < total ? dw_entry(p, g, k, first_image, i, positions) : none;
    total_g += mine.g;
    unsigned left = __ballot_sync(FULL_MASK, mine.g != 0);
    while (left) {
      T gs[kAtOnce], xs[kAtOnce][V];
      bool exists[kAtOnce];
      int from = 0;
#pragma unroll
      for (int j = 0; j < kAtOnce; j++) {
        exists[j] = left != 0;
        if (left) from = __ffs(left) - 1;
        left &= left - 1;
        gs[j] = __shfl_sync(FULL_MASK, mine.g, from);
        const ll at = __shfl_sync(FULL_MASK, mine.at, from);
        if (padded) {
          const int first_row = __shfl_sync(FULL_MASK, mine.row, from);
          const int first_col = __shfl_sync(FULL_MASK, mine.col, from);
#pragma unroll
          for (int v = 0; v < V; v++) {
            const int h = first_row + row[v], w = first_col + col[v];
            xs[j][v] = 0;
            if (h >= 0 && h < p.h && w >= 0 && w < p.w) xs[j][v] = x[at + offset[v]];
          }
        } else {
#pragma unroll
          for (int v = 0; v < V; v++) xs[j][v] = x[at + offset[v]];
        }
      }
#pragma unroll
      for (int j = 0; j < kAtOnce; j++)
        if (exists[j]) {
#pragma unroll
          for (int v = 0; v < V; v++) sum[v] = fma_of(gs[j], xs[j][v], sum[v]);
        }
    }
  }
  // the warps' sums, in order; the last of the values is db
  constexpr int kValues = 32 * V + 1;
  SharedArray<T> sums = shared.array<T>(0, WARPS * kValues);
#pragma unroll
  for (int v = 0; v < V; v++) sums[warp * kValues + lane + 32 * v] = sum[v];
  total_g = warp_reduce(total_g, Sum());
  if (lane == 0) sums[warp * kValues + 32 * V] = total_g;
  __syncthreads();
  Global<T> dw = args.get<T>(5 + p.need_dx), db = args.get<T>(6 + p.need_dx);
  for (int j = threadIdx.x; j < kValues; j += THREADS) {
    const bool is_db = j == 32 * V;
    const int e = chunk * p.dw_values + j;
    if (is_db ? chunk != 0 : j >= p.dw_values || e >= kernel) continue;
    T value = sums[j];
    for (int other = 1; other < WARPS; other++) value += sums[other * kValues + j];
    if (p.parts > 1)
      args.get<T>(7 + p.need_dx)[(static_cast<ll>(part) * p.k + k) * (kernel + 1) + (is_db ? kernel : e)] =
          value;
    else if (is_db)
      db[k] = value;
    else
      dw[static_cast<ll>(k) * kernel + e] = value;
  }
}

template <class T>
DEVICE void conv_pool_grad_tile(const ConvPoolGradTileParams& p, const Args& args, int tile, Shared shared) {
  if (tile >= p.dw_tiles)
    conv_pool_dx_tile<T>(p, args, tile - p.dw_tiles, shared);
  else if (p.dw_values <= 32)
    conv_pool_dw_tile<T, 1>(p, args, tile, shared);
  else
    conv_pool_dw_tile<T, PATCH_VALUES>(p, args, tile, shared);
}

// The second stage of a large batch: dw and db from [parts][K][C R S + 1] in the workspace.
template <class T>
DEVICE void conv_pool_grad_add_tile(const ConvPoolGradTileParams& p, const Args& args, int tile, Shared) {
  const ll row = static_cast<ll>(p.c) * p.r * p.s + 1, i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= p.k * row) return;
  Global<const T> parts = args.get<const T>(7 + p.need_dx);
  T sum = 0;
  for (int j = 0; j < p.parts; j++) sum += parts[j * p.k * row + i];
  const ll k = i / row, e = i % row;
  if (e == row - 1)
    args.get<T>(6 + p.need_dx)[k] = sum;
  else
    args.get<T>(5 + p.need_dx)[k * (row - 1) + e] = sum;
}

// ---- the naive form

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
          sum = fma_of(value, T(w[((static_cast<ll>(k) * p.c + c) * p.r + r) * p.s + s]), sum);
      }
  return sum;
}

// Element i of dw, or with i < 0 of db, for channel k.
template <class T>
DEVICE T naive_dw(const ConvPoolGradTileParams& p, const Args& args, int k, int i) {
  const int positions = pooled_rows(p) * pooled_cols(p);
  const int s = i % p.s, r = i / p.s % p.r, c = i / p.s / p.r;
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

KERNEL(argmax_walk_f32, ConvPoolGradTileParams, conv_pool_grad_tile<float>)
KERNEL(argmax_walk_f64, ConvPoolGradTileParams, conv_pool_grad_tile<double>)
KERNEL(conv_pool_grad_add_f32, ConvPoolGradTileParams, conv_pool_grad_add_tile<float>)
KERNEL(conv_pool_grad_add_f64, ConvPoolGradTileParams, conv_pool_grad_add_tile<double>)
KERNEL(argmax_naive_f32, ConvPoolGradTileParams, conv_pool_grad_naive_tile<float>)
KERNEL(argmax_naive_f64, ConvPoolGradTileParams, conv_pool_grad_naive_tile<double>)
