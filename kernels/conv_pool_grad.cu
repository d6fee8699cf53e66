// conv_pool_grad: dx, dw, db of y = activation(maxpool(x * w) + b), from the places of the maxima.
//
//   g = dy activation'(y) [N, K, P, Q];  x, dx [N, C, H, W];  w, dw [K, C, R, S];  db [K]
//   dw[k] += g x[patch at the maximum],  dx[patch at the maximum] += g w[k],  db[k] += g
//
// The ladder:
//   argmax_naive   conv_pool_grad_naive.cu: a thread gathers one element.
//   argmax_walk    a warp takes the elements of a patch, 4 a lane, and walks the maxima: one window in a 2 x 2 pool
//                  does a quarter of the dense gradient's arithmetic. 32 maxima are looked at together; a ballot keeps
//                  those with g != 0 (after a ReLU a fifth of them), and only these are visited, each with coalesced
//                  loads. A patch of dx stays in registers while all output channels with their maximum at that
//                  position add to it, and is then added to the tile's piece of dx in shared memory.
//
// One launch does all outputs: the first dw_tiles tiles do dw (and db), which take longest in large batches, the others
// dx (conv_pool_dx.cuh). dx: warps that work on the same channels have their own copy of the piece, so nothing is added
// by two warps; dw: the warps' sums, and those of the parts of a large batch (in the workspace, added by
// conv_pool_grad_add), are added in order.
//
// Shared memory of dw: the sums [warps][values + 1].
#include "conv_pool_dx.cuh"

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
  constexpr int kAtOnce = V == 1 ? 8 : 4;  // maxima: so many loads are under way together
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
    const int t = exists ? weight_place(p, e % window) : 0;
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
          for (int v = 0; v < V; v++) {
            xs[j][v] = 0;
            if (exists[j]) xs[j][v] = x[at + offset[v]];
          }
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

KERNEL(argmax_walk_f32, ConvPoolGradTileParams, conv_pool_grad_tile<float>)
KERNEL(argmax_walk_f64, ConvPoolGradTileParams, conv_pool_grad_tile<double>)
KERNEL(conv_pool_grad_add_f32, ConvPoolGradTileParams, conv_pool_grad_add_tile<float>)
KERNEL(conv_pool_grad_add_f64, ConvPoolGradTileParams, conv_pool_grad_add_tile<double>)
