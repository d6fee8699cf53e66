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
// One launch does all outputs: the first dx_tiles tiles do dx, the others dw (and db). dx: warps that work on the same
// channels have their own copy of the piece, so nothing is added by two warps; dw: the warps' sums, and those of the
// parts of a large batch (in the workspace, added by conv_pool_grad_add), are added in order.
//
// Shared memory of dx: g and place [windows][maps, odd], then the copies [parts][groups][channels][rows][W + padding].
#include "conv_activation.cuh"

#define PATCH_VALUES 4  // of a patch in each lane

// Where the window's maximum lies in the padded image.
struct Maximum {
  int row, col;
};
DEVICE Maximum maximum_at(const ConvPoolGradTileParams& p, int window, int place) {
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

// The elements of a patch that a lane has: channel, row and column, with an offset into w[k] and into the piece.
template <class T>
struct DxPatch {
  T sum[PATCH_VALUES];
  int row[PATCH_VALUES];  // -1: no such element
  int weight[PATCH_VALUES];
  int piece[PATCH_VALUES];
};

template <class T>
DEVICE void make_dx_patch(const ConvPoolGradTileParams& p, int first_channel, int first_value, int pitch,
                          DxPatch<T>& patch) {
  const int window = p.r * p.s;
#pragma unroll
  for (int v = 0; v < PATCH_VALUES; v++) {
    const int e = first_value + 32 * v + threadIdx.x % 32, c = e / window, t = e % window;
    const bool exists = c < p.dx_channels && first_channel + c < p.c;
    patch.row[v] = exists ? t / p.s : -1;
    patch.weight[v] = exists ? (first_channel + c) * window + t : 0;
    patch.piece[v] = exists ? c * p.dx_rows * pitch + t % p.s : 0;
  }
}

// Adds all maxima at element `place` of window `window` (the index in gs) into the piece of dx. row, col: of that
// element, row counted from the first row of the piece.
template <class T>
DEVICE void add_position(const ConvPoolGradTileParams& p, Global<const T> w, SharedArray<const T> gs,
                         SharedArray<const int> places, int maps, int place, int row, int col, int pitch,
                         DxPatch<T>& patch, SharedArray<T> piece) {
  const ll kernel = static_cast<ll>(p.c) * p.r * p.s;
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
      const ll wa = (first + a) * kernel, wb = (first + b) * kernel;
#pragma unroll
      for (int v = 0; v < PATCH_VALUES; v++) {
        const T one = w[wa + patch.weight[v]], other = w[wb + patch.weight[v]];
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

template <class T>
DEVICE void conv_pool_dx_tile(const ConvPoolGradTileParams& p, const Args& args, int tile, Shared shared) {
  const int rows = pooled_rows(p), cols = pooled_cols(p), positions = rows * cols;
  const int channels = p.dx_groups * p.dx_channels, blocks = (p.c + channels - 1) / channels;
  const int bands = (p.h + p.dx_rows - 1) / p.dx_rows;
  const int first_block = tile % blocks * channels, top = tile / blocks % bands * p.dx_rows;
  const ll image = tile / blocks / bands;
  const int pitch = p.w + p.left + p.right, map_pitch = p.maps | 1;
  const int warp = threadIdx.x / 32, parts = WARPS / p.dx_groups, group = warp % p.dx_groups,
            part = warp / p.dx_groups;
  const int staged = p.windows * map_pitch, piece = p.dx_channels * p.dx_rows * pitch;
  SharedArray<T> gs = shared.array<T>(0, staged);
  SharedArray<int> places = shared.array<int>(staged * static_cast<ll>(sizeof(T)), staged);
  const ll copies_at = (staged * static_cast<ll>(sizeof(T) + sizeof(int)) + 15) / 16 * 16;
  SharedArray<T> copies = shared.array<T>(copies_at, WARPS * piece);
  Global<const T> w = args.get<const T>(1);
  const PooledGradient<T> g(p, args);

  // the windows whose maxima may reach the piece
  const int lowest = top + p.top - p.r + 1, highest = top + p.dx_rows - 1 + p.top;
  const int first_row = lowest > 0 ? lowest / p.pool_h : 0, last_row = min(rows - 1, highest / p.pool_h);
  const int first_window = first_row * cols, last_window = (last_row + 1) * cols;
  for (int i = threadIdx.x; i < WARPS * piece; i += THREADS) copies[i] = 0;
  for (int map = 0; map < p.k; map += p.maps) {
    const int maps = min(p.maps, p.k - map);
    for (int first = first_window; first < last_window; first += p.windows) {
      const int count = min(p.windows, last_window - first);
      __syncthreads();
      for (int i = threadIdx.x; i < count * maps; i += THREADS) {
        const int window = i % count, m = i / count;
        const ll at = (image * p.k + map + m) * positions + first + window;
        gs[window * map_pitch + m] = g.value(at);
        places[window * map_pitch + m] = g.place(at);
      }
      __syncthreads();
      for (int value = 0; value < p.dx_channels * p.r * p.s; value += 32 * PATCH_VALUES) {
        DxPatch<T> patch;
        make_dx_patch(p, first_block + group * p.dx_channels, value, pitch, patch);
        for (int window = part; window < count; window += parts)
          for (int place = 0; place < p.pool_h * p.pool_w; place++) {
            const Maximum m = maximum_at(p, first + window, place);
            add_position<T>(p, w + static_cast<ll>(map) * p.c * p.r * p.s, gs + window * map_pitch,
                            places + window * map_pitch, maps, place, m.row - p.top - top, m.col, pitch,
                            patch, copies + warp * piece);
          }
      }
    }
  }
  __syncthreads();
  Global<T> dx = args.get<T>(5);
  for (int i = threadIdx.x; i < channels * p.dx_rows * p.w; i += THREADS) {
    const int col = i % p.w, row = i / p.w % p.dx_rows, c = i / p.w / p.dx_rows;
    if (first_block + c >= p.c || top + row >= p.h) continue;
    const int at = c * p.dx_rows * pitch + row * pitch + col + p.left;
    T sum = copies[at];
    for (int j = 1; j < parts; j++) sum += copies[j * p.dx_groups * piece + at];
    dx[((image * p.c + first_block + c) * p.h + top + row) * p.w + col] = sum;
  }
}

// ---- dw, db

// V values a lane of one dw[k], from the maxima of channel k in the images of one part.
template <class T, int V>
DEVICE void conv_pool_dw_tile(const ConvPoolGradTileParams& p, const Args& args, int tile, Shared shared) {
  const int positions = pooled_rows(p) * pooled_cols(p), window = p.r * p.s, kernel = p.c * window;
  const int chunks = (kernel + p.dw_values - 1) / p.dw_values;
  const int chunk = tile % chunks, k = tile / chunks % p.k, part = tile / chunks / p.k;
  const int first_image = static_cast<int>(static_cast<ll>(p.n) * part / p.parts);
  const int images = static_cast<int>(static_cast<ll>(p.n) * (part + 1) / p.parts) - first_image;
  const ll total = static_cast<ll>(images) * positions;
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
  for (ll first = 32 * warp; first < total; first += THREADS) {
    T mine = 0;
    ll at = 0;
    Maximum m{0, 0};
    if (first + lane < total) {
      const int i = static_cast<int>((first + lane) / positions), position = (first + lane) % positions;
      const ll image = first_image + i, from = (image * p.k + k) * positions + position;
      mine = g.value(from);
      m = maximum_at(p, position, g.place(from));
      m.row -= p.top, m.col -= p.left;
      at = (image * p.c * p.h + m.row) * p.w + m.col;
      total_g += mine;
    }
    unsigned left = __ballot_sync(FULL_MASK, mine != 0);
    while (left) {
      const int a = __ffs(left) - 1;
      left &= left - 1;
      const bool two = left != 0;
      const int b = two ? __ffs(left) - 1 : a;
      left &= left - 1;
      const T ga = __shfl_sync(FULL_MASK, mine, a), gb = __shfl_sync(FULL_MASK, mine, b);
      const ll xa = __shfl_sync(FULL_MASK, at, a), xb = __shfl_sync(FULL_MASK, at, b);
      if (!padded) {
#pragma unroll
        for (int v = 0; v < V; v++) {
          const T one = x[xa + offset[v]], other = x[xb + offset[v]];
          sum[v] = fma_of(ga, one, sum[v]);
          if (two) sum[v] = fma_of(gb, other, sum[v]);
        }
      } else {
        const int row_a = __shfl_sync(FULL_MASK, m.row, a), row_b = __shfl_sync(FULL_MASK, m.row, b);
        const int col_a = __shfl_sync(FULL_MASK, m.col, a), col_b = __shfl_sync(FULL_MASK, m.col, b);
#pragma unroll
        for (int v = 0; v < V; v++) {
          const int ra = row_a + row[v], rb = row_b + row[v], ca = col_a + col[v], cb = col_b + col[v];
          if (ra >= 0 && ra < p.h && ca >= 0 && ca < p.w) sum[v] = fma_of(ga, T(x[xa + offset[v]]), sum[v]);
          if (two && rb >= 0 && rb < p.h && cb >= 0 && cb < p.w)
            sum[v] = fma_of(gb, T(x[xb + offset[v]]), sum[v]);
        }
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
  for (int i = threadIdx.x; i < kValues; i += THREADS) {
    const bool is_db = i == 32 * V;
    const int e = chunk * p.dw_values + i;
    if (is_db ? chunk != 0 : i >= p.dw_values || e >= kernel) continue;
    T value = sums[i];
    for (int j = 1; j < WARPS; j++) value += sums[j * kValues + i];
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
  if (tile < p.dx_tiles)
    conv_pool_dx_tile<T>(p, args, tile, shared);
  else if (p.dw_values <= 32)
    conv_pool_dw_tile<T, 1>(p, args, tile - p.dx_tiles, shared);
  else
    conv_pool_dw_tile<T, PATCH_VALUES>(p, args, tile - p.dx_tiles, shared);
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
        const Maximum m = maximum_at(p, a * cols + b, g.place(at));
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
      const Maximum m = maximum_at(p, position, g.place(at));
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
