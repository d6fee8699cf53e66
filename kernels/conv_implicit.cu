// conv2d and its gradients as one matrix product whose right side is never stored.
//
//   out[m, j] = sum over i of a[m, i] b[i, j],   b[i, j] = image[offset(i) + offset(j)], 0 outside the image
//
//                 m              i                       j                          a       image
//   fprop         k of a group   (c, r, s)               (n, p, q)                  w       x
//   dgrad         c of a group   (k, r, s)               (n, h, w) of one phase     w       dy
//   wgrad         k of a group   (n, p, q) of one part   (c, r, s)                  dy      x
//
// The row in the image is row(i) + row(j), likewise the column: for a dgrad with stride t the positions are split
// into t x t phases, in each of which the taps that meet it are evenly spaced, so no product with a zero is computed.
//
// The ladder:
//   direct_*            conv_direct.cu: two loads a multiply-add.
//   implicit_*_64x64    tiles of a and b in shared memory, 16 deep; a thread has 4 x 4 sums: 8 values loaded (two
//                       vectors) for 16 multiply-adds. What i means is worked out once a tile of 16, by 16 threads,
//                       what j means once for the whole kernel. The next tiles are on their way, in registers,
//                       while these are multiplied; two buffers, so one barrier a step.
//   implicit_*_32x128   the same for few channels.
//   implicit_*_128x64   8 x 4 sums: 12 values for 32 multiply-adds; for layers with enough tiles of that size.
//                       (8 x 8 sums spill: the addresses of both operands take the registers that a plain product has
//                       left.)
// wgrad: long sums, few outputs: the positions are cut into `parts`, whose sums meet in the workspace and are added in
// order by implicit_wgrad_add.
//
// Shared memory: a [2][16][BM + 4], b [2][16][BN], then for each i of two steps: offsets into a and image, row, column.
#include "math.cuh"

#define IMPLICIT_DEPTH 16  // the parts of a wgrad are multiples of it

enum ImplicitMode { kImplicitFprop, kImplicitDgrad, kImplicitWgrad };

// One axis: output o = first_out + j out_step (j < count) meets tap first_tap + t tap_step (t < taps) at the input's
// j in_step + shift + t in_tap.
struct GatherAxis {
  int first_out, out_step, count;
  int first_tap, tap_step, taps;
  int in_step, shift, in_tap;
};

DEVICE GatherAxis forward_axis(int out, int window, int stride, int before, int dilation) {
  return {0, 1, out, 0, 1, window, stride, -before, dilation};
}

// Phase `first`, below the stride, of the adjoint.
DEVICE GatherAxis backward_axis(int first, int out, int window, int stride, int before, int dilation) {
  int tap = 0, step = 1;
  while (tap < window && (first + before - tap * dilation) % stride) tap++;
  while (step * dilation % stride) step++;
  const int taps = tap < window ? (window - 1 - tap) / step + 1 : 0;
  const int count = first < out ? (out - first - 1) / stride + 1 : 0;
  return {first,
          stride,
          count,
          tap,
          step,
          taps,
          1,
          (first + before - tap * dilation) / stride,
          -(step * dilation / stride)};
}

// The product of one tile: what does not depend on the thread.
struct ImplicitProblem {
  GatherAxis h, w;
  int m, group, part;
  int image_h, image_w;
  ll columns, first, depth;    // of out; of the sum: from `first` on
  ll a_row, a_start, out_row;  // from one m to the next in a and in out
};

template <int MODE>
DEVICE ImplicitProblem implicit_problem(const ConvTileParams& p, int phase, int group, int part) {
  const int channels = p.c / p.groups, maps = p.k / p.groups;
  const ll window = static_cast<ll>(p.r) * p.s, positions = static_cast<ll>(p.p) * p.q;
  ImplicitProblem g;
  g.group = group;
  g.part = part;
  g.first = 0;
  if (MODE == kImplicitDgrad) {
    g.h = backward_axis(phase / p.stride_w, p.h, p.r, p.stride_h, p.top, p.dilation_h);
    g.w = backward_axis(phase % p.stride_w, p.w, p.s, p.stride_w, p.left, p.dilation_w);
    g.m = channels, g.image_h = p.p, g.image_w = p.q;
    g.columns = static_cast<ll>(p.n) * g.h.count * g.w.count;
    g.depth = static_cast<ll>(maps) * g.h.taps * g.w.taps;
    g.a_row = window, g.a_start = static_cast<ll>(group) * maps * channels * window;
    g.out_row = static_cast<ll>(p.h) * p.w;
    return g;
  }
  g.h = forward_axis(p.p, p.r, p.stride_h, p.top, p.dilation_h);
  g.w = forward_axis(p.q, p.s, p.stride_w, p.left, p.dilation_w);
  g.m = maps, g.image_h = p.h, g.image_w = p.w;
  if (MODE == kImplicitFprop) {
    g.columns = p.n * positions;
    g.depth = channels * window;
    g.a_row = channels * window, g.a_start = group * maps * g.a_row;
    g.out_row = positions;
  } else {
    const ll total = p.n * positions;
    const ll length =
        ((total + p.parts - 1) / p.parts + IMPLICIT_DEPTH - 1) / IMPLICIT_DEPTH * IMPLICIT_DEPTH;
    g.first = part * length;
    g.columns = channels * window;
    g.depth = total - g.first < length ? total - g.first : length;
    g.a_row = positions, g.a_start = group * maps * positions;
    g.out_row = channels * window;
  }
  return g;
}

// A place in the image: by tap and channel, or by position.
struct ImagePlace {
  ll offset;
  int row, col;
};

DEVICE ImagePlace place_of_tap(const ConvTileParams& p, const ImplicitProblem& g, bool dgrad, ll i,
                               int& channel, int& tap) {
  const int t_w = static_cast<int>(i % g.w.taps), t_h = static_cast<int>(i / g.w.taps % g.h.taps);
  channel = static_cast<int>(i / g.w.taps / g.h.taps);
  tap = (g.h.first_tap + t_h * g.h.tap_step) * p.s + g.w.first_tap + t_w * g.w.tap_step;
  const int row = g.h.shift + t_h * g.h.in_tap, col = g.w.shift + t_w * g.w.in_tap;
  const int channels = (dgrad ? p.k : p.c) / p.groups;
  const ll plane = static_cast<ll>(g.image_h) * g.image_w;
  return {(static_cast<ll>(g.group) * channels + channel) * plane + static_cast<ll>(row) * g.image_w + col,
          row, col};
}

// out: the element of [N, channels, ...] that it is in the output, channel 0.
DEVICE ImagePlace place_of_position(const ConvTileParams& p, const ImplicitProblem& g, bool dgrad, ll j,
                                    ll& image, ll& out) {
  const int col = static_cast<int>(j % g.w.count), row = static_cast<int>(j / g.w.count % g.h.count);
  image = j / g.w.count / g.h.count;
  out = static_cast<ll>(g.h.first_out + row * g.h.out_step) * (dgrad ? p.w : p.q) + g.w.first_out +
        col * g.w.out_step;
  const int at_row = row * g.h.in_step, at_col = col * g.w.in_step;
  return {image * (dgrad ? p.k : p.c) * g.image_h * g.image_w + static_cast<ll>(at_row) * g.image_w + at_col,
          at_row, at_col};
}

DEVICE void load_implicit_four(SharedArray<const float> s, int at, float* v) {
  const float4 four = load_vector<float4>(s, at);
  v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
}
DEVICE void load_implicit_four(SharedArray<const double> s, int at, double* v) {
  const double2 a = load_vector<double2>(s, at), b = load_vector<double2>(s, at + 2);
  v[0] = a.x, v[1] = a.y, v[2] = b.x, v[3] = b.y;
}

// Sums m0 + 4 thread_m ... in blocks of four, BM / (TM / 4) apart, so that the vectors of a warp are neighbours.
template <class T, int MODE, int BM, int BN, int TM, int TN>
DEVICE void implicit_tile(const ConvTileParams& p, const Args& args, int tile, Shared shared) {
  constexpr int kDepth = IMPLICIT_DEPTH, kColumns = BN / TN;
  constexpr int kALoads = BM * kDepth / THREADS, kBLoads = BN * kDepth / THREADS, kBRows = THREADS / BN;
  constexpr int kAPitch = BM + 4;
  static_assert(BM / TM * kColumns == THREADS && kALoads >= 1 && kBRows >= 1, "256 threads");
  constexpr bool kDgrad = MODE == kImplicitDgrad, kWgrad = MODE == kImplicitWgrad;
  const int thread = threadIdx.x;

  // tile -> part, group, phase, rows, columns
  const int phases = kDgrad ? p.stride_h * p.stride_w : 1;
  const int row_tiles = ((kDgrad ? p.c : p.k) / p.groups + BM - 1) / BM;
  const int m0 = tile % row_tiles * BM;
  tile /= row_tiles;
  const int group = tile % p.groups;
  tile /= p.groups;
  const int phase = tile % phases;
  tile /= phases;
  const int part = kWgrad ? tile % p.parts : 0;
  const ImplicitProblem g = implicit_problem<MODE>(p, phase, group, part);
  const ll n0 = static_cast<ll>(kWgrad ? tile / p.parts : tile) * BN;
  if (n0 >= g.columns) return;  // phases differ in size

  constexpr ll kA = 0, kB = 2 * kDepth * kAPitch * sizeof(T), kTable = kB + 2 * kDepth * BN * sizeof(T);
  SharedArray<T> as = shared.array<T>(kA, 2 * kDepth * kAPitch), bs = shared.array<T>(kB, 2 * kDepth * BN);
  SharedArray<ll> a_at = shared.array<ll>(kTable, 2 * kDepth);
  SharedArray<ll> image_at = shared.array<ll>(kTable + 16 * kDepth, 2 * kDepth);
  SharedArray<int> row_at = shared.array<int>(kTable + 32 * kDepth, 2 * kDepth);
  SharedArray<int> col_at = shared.array<int>(kTable + 40 * kDepth, 2 * kDepth);
  Global<const T> a = args.get<const T>(1), image = args.get<const T>(0);

  auto make_table = [&](ll step) {  // of elements step * kDepth ... of the sum
    const ll i = step * kDepth + thread;
    if (thread >= kDepth || i >= g.depth) return;
    const int to = static_cast<int>(step % 2) * kDepth + thread;
    ImagePlace place;
    ll at;
    if (kWgrad) {
      ll n, position;
      place = place_of_position(p, g, false, g.first + i, n, position);
      at = n * p.k * p.p * p.q + position;
    } else {
      int channel, tap;
      place = place_of_tap(p, g, kDgrad, i, channel, tap);
      at =
          channel * (kDgrad ? static_cast<ll>(p.c / p.groups) * p.r * p.s : static_cast<ll>(p.r) * p.s) + tap;
    }
    a_at[to] = at, image_at[to] = place.offset, row_at[to] = place.row, col_at[to] = place.col;
  };

  // this thread's part of the loads: row a_depth of a for kALoads of m; column b_col of b
  const int a_depth = thread % kDepth, a_m = thread / kDepth, b_col = thread % BN, b_depth = thread / BN;
  ImagePlace mine{0, 0, 0};
  const bool column_exists = n0 + b_col < g.columns;
  if (column_exists) {
    ll n, out;
    int channel, tap;
    mine = kWgrad ? place_of_tap(p, g, false, n0 + b_col, channel, tap)
                  : place_of_position(p, g, kDgrad, n0 + b_col, n, out);
  }
  T a_next[kALoads], b_next[kBLoads];
  auto load = [&](ll step) {
    const int table = static_cast<int>(step % 2) * kDepth;
    const ll left = g.depth - step * kDepth;
    const ll a_from = a_depth < left ? g.a_start + static_cast<ll>(a_at[table + a_depth]) : 0;
#pragma unroll
    for (int l = 0; l < kALoads; l++) {
      const int m = m0 + a_m + l * (THREADS / kDepth);
      a_next[l] = 0;
      if (a_depth < left && m < g.m) a_next[l] = a[a_from + m * g.a_row];
    }
#pragma unroll
    for (int l = 0; l < kBLoads; l++) {
      const int i = b_depth + l * kBRows;
      b_next[l] = 0;
      if (!column_exists || i >= left) continue;
      const int row = row_at[table + i] + mine.row, col = col_at[table + i] + mine.col;
      if (row >= 0 && row < g.image_h && col >= 0 && col < g.image_w)
        b_next[l] = image[static_cast<ll>(image_at[table + i]) + mine.offset];
    }
  };

  T sum[TM][TN];
#pragma unroll
  for (int i = 0; i < TM; i++)
#pragma unroll
    for (int j = 0; j < TN; j++) sum[i][j] = 0;
  const int thread_m = thread / kColumns * 4, thread_n = thread % kColumns * 4;
  const ll steps = (g.depth + kDepth - 1) / kDepth;
  make_table(0);
  __syncthreads();
  if (steps > 0) load(0);
  for (ll step = 0; step < steps; step++) {
    const int a_buffer = static_cast<int>(step % 2) * kDepth * kAPitch,
              b_buffer = static_cast<int>(step % 2) * kDepth * BN;
#pragma unroll
    for (int l = 0; l < kALoads; l++)
      as[a_buffer + a_depth * kAPitch + a_m + l * (THREADS / kDepth)] = a_next[l];
#pragma unroll
    for (int l = 0; l < kBLoads; l++) bs[b_buffer + (b_depth + l * kBRows) * BN + b_col] = b_next[l];
    make_table(step + 1);
    __syncthreads();
    if (step + 1 < steps) load(step + 1);
#pragma unroll
    for (int i = 0; i < kDepth; i++) {
      T av[TM], bv[TN];
#pragma unroll
      for (int v = 0; v < TM; v += 4)
        load_implicit_four(as, a_buffer + i * kAPitch + thread_m + v / 4 * (BM / (TM / 4)), av + v);
#pragma unroll
      for (int v = 0; v < TN; v += 4)
        load_implicit_four(bs, b_buffer + i * BN + thread_n + v / 4 * (BN / (TN / 4)), bv + v);
#pragma unroll
      for (int y = 0; y < TM; y++)
#pragma unroll
        for (int x = 0; x < TN; x++) sum[y][x] = fma_of(av[y], bv[x], sum[y][x]);
    }
  }

  Global<T> out = args.get<T>(kWgrad && p.parts > 1 ? 5 : MODE == kImplicitFprop ? 2 : 4);
  const ll part_at = kWgrad ? static_cast<ll>(part) * p.k * g.columns : 0;
#pragma unroll
  for (int x = 0; x < TN; x++) {
    const ll j = n0 + thread_n + x % 4 + x / 4 * (BN / (TN / 4));
    if (j >= g.columns) continue;
    ll to = part_at + static_cast<ll>(group) * g.m * g.out_row + j;
    if (!kWgrad) {
      ll n, position;
      place_of_position(p, g, kDgrad, j, n, position);
      to = (n * (kDgrad ? p.c : p.k) + static_cast<ll>(group) * g.m) * g.out_row + position;
    }
#pragma unroll
    for (int y = 0; y < TM; y++) {
      const int m = m0 + thread_m + y % 4 + y / 4 * (BM / (TM / 4));
      if (m < g.m) out[to + m * g.out_row] = sum[y][x];
    }
  }
}

// dw from [parts][K][C R S / groups] in the workspace.
template <class T>
DEVICE void implicit_wgrad_add_tile(const ConvTileParams& p, const Args& args, int tile, Shared) {
  const ll size = static_cast<ll>(p.k) * (p.c / p.groups) * p.r * p.s;
  const ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= size) return;
  Global<const T> parts = args.get<const T>(5);
  T sum = parts[i];
  for (int j = 1; j < p.parts; j++) sum += parts[j * size + i];
  args.get<T>(4)[i] = sum;
}

#define IMPLICIT_KERNELS(type, suffix, tile, ...)                                                            \
  KERNEL(implicit_fprop_##tile##_##suffix, ConvTileParams, implicit_tile<type, kImplicitFprop, __VA_ARGS__>) \
  KERNEL(implicit_dgrad_##tile##_##suffix, ConvTileParams, implicit_tile<type, kImplicitDgrad, __VA_ARGS__>) \
  KERNEL(implicit_wgrad_##tile##_##suffix, ConvTileParams, implicit_tile<type, kImplicitWgrad, __VA_ARGS__>)

IMPLICIT_KERNELS(float, f32, 128x64, 128, 64, 8, 4)
IMPLICIT_KERNELS(float, f32, 64x64, 64, 64, 4, 4)
IMPLICIT_KERNELS(float, f32, 32x128, 32, 128, 4, 4)
IMPLICIT_KERNELS(double, f64, 64x64, 64, 64, 4, 4)
KERNEL(implicit_wgrad_add_f32, ConvTileParams, implicit_wgrad_add_tile<float>)
KERNEL(implicit_wgrad_add_f64, ConvTileParams, implicit_wgrad_add_tile<double>)
