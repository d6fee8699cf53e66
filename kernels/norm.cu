// Batch normalisation, forward and backward, and sums over neighbouring channels.
//
//   x, y [outer, c, inner], statistics [c] over outer and inner. A block takes `width` neighbouring channels (a power
//   of two, at most 32) and one of `slices` of their places (o, i), place number o * inner + i. Thread t takes channel
//   t % width at places t / width, + THREADS / width, ...: with inner = 1 a warp reads 32 neighbouring channels of a
//   row, otherwise 32 neighbouring elements of one channel.
//   shared memory: WARPS * width partial sums
//
// Ladder
//   naive      a thread a channel: 20 threads for the book's 20 maps.
//   block      a block a channel, sums by shuffles and shared memory in a fixed order. Three passes; the second and
//              third find x in the cache.
//   slices     many elements in few channels leave multiprocessors idle: slices of the channels are blocks of their
//              own, which leave mean and squares of their slice (or both sums of the gradient) in the workspace; a second
//              launch combines them, every block for itself, and writes its slice.
// Mean first, then the squares around it: the one-pass formula would lose the digits of a small variance. Means and squares
// of slices add up by Chan's formula, which keeps them.
#include "math.cuh"

// What one block works on.
template <class T>
struct Slice {
  const BatchNormSliceParams& p;
  ll c, inner;
  int channel;  // of this thread; may be beyond c: the thread then only takes part in sums
  int width, step;
  ll first, end;  // places of this thread: first, first + step, ... < end
  ll count;       // places of the slice
  bool live;

  DEVICE Slice(const BatchNormSliceParams& p, int group, int slice)
      : p(p), c(p.c), inner(p.inner), width(p.width), step(THREADS / p.width) {
    ll places = p.outer * p.inner, begin = places * slice / p.slices;
    end = places * (slice + 1) / p.slices;
    channel = group * width + threadIdx.x % width;
    first = begin + threadIdx.x / width;
    count = end - begin;
    live = channel < c;
  }

  // Where the channels' axes do not lie side by side.
  DEVICE ll offset_apart(ll place) const {
    ll left = channel, offset = 0, stride = 1;
    for (int d = p.ndim - 1; d >= 0; d--) {
      ll dim = p.shape[d];
      bool kept = p.kept >> d & 1;
      ll rest = kept ? left : place, at = rest % dim;
      rest /= dim;
      left = kept ? rest : left, place = kept ? place : rest;
      offset += at * stride;
      stride *= dim;
    }
    return offset;
  }

  // f(offset of the element) at every place of this thread.
  template <class F>
  DEVICE void each(const F& f) const {
    if (!live) return;
    if (p.ndim) {
#pragma unroll 1
      for (ll place = first; place < end; place += step) f(offset_apart(place));
      return;
    }
    ll o = first / inner, i = first % inner;
    const ll rows = step / inner, rest = step % inner;
#pragma unroll 4
    for (ll place = first; place < end; place += step) {
      f((o * c + channel) * inner + i);
      o += rows, i += rest;
      if (i >= inner) o++, i -= inner;
    }
  }

  // The sum of v over the threads of each channel, in all of them. Two barriers.
  DEVICE T total(T v, Shared shared) const {
    SharedArray<T> part = shared.array<T>(0, WARPS * 32);
    for (int bits = 16; bits >= width; bits >>= 1) v += __shfl_xor_sync(FULL_MASK, v, bits);
    int lane = threadIdx.x % 32;
    __syncthreads();  // whoever used these bytes before is done
    if (lane < width) part[threadIdx.x / 32 * width + lane] = v;
    __syncthreads();
    T sum = 0;
    for (int w = 0; w < WARPS; w++) sum += part[w * width + lane % width];
    return sum;
  }
};

template <class T>
struct Moments {
  T mean, squares;  // squares: sum of (x - mean)^2
};

template <class T>
DEVICE Moments<T> moments_of(const Slice<T>& s, Global<const T> x, Shared shared) {
  T sum = 0, squares = 0;
  s.each([&](ll i) { sum += x[i]; });
  T mean = s.total(sum, shared) / static_cast<T>(s.count);
  s.each([&](ll i) {
    T d = x[i] - mean;
    squares = fma_of(d, d, squares);
  });
  return {mean, s.total(squares, shared)};
}

template <class T>
DEVICE void normalise(const Slice<T>& s, const Args& args, T mean, T var, T eps, bool keeps) {
  if (!s.live) return;
  Global<const T> x = args.get<const T>(0);
  Global<T> y = args.get<T>(3);
  T gamma = args.get<const T>(1)[s.channel], shift = args.get<const T>(2)[s.channel];
  T scale = gamma / sqrt_of(var + eps);
  s.each([&](ll i) { y[i] = fma_of(T(x[i]) - mean, scale, shift); });
  if (keeps && static_cast<int>(threadIdx.x) < s.width) {
    args.get<T>(4)[s.channel] = mean;
    args.get<T>(5)[s.channel] = var;
  }
}

// Inputs x, gamma, beta; outputs y, mean, var.
template <class T>
DEVICE void batch_norm_tile(const BatchNormSliceParams& p, const Args& args, int tile, Shared shared) {
  const Slice<T> s(p, tile, 0);
  Moments<T> m = moments_of(s, args.get<const T>(0), shared);
  normalise(s, args, m.mean, m.squares / static_cast<T>(s.count), static_cast<T>(p.eps), true);
}

// ---- in slices. Tile: group * slices + slice. Workspace [slices][2][c].
template <class T>
DEVICE Global<T> kept(const BatchNormSliceParams& p, Global<T> workspace, ll slice, int which, ll channel) {
  return workspace + (slice * 2 + which) * p.c + channel;
}

template <class T>
DEVICE void batch_norm_parts(const BatchNormSliceParams& p, const Args& args, int tile, Shared shared) {
  int slice = tile % p.slices;
  const Slice<T> s(p, tile / p.slices, slice);
  Moments<T> m = moments_of(s, args.get<const T>(0), shared);
  if (!s.live || static_cast<int>(threadIdx.x) >= s.width) return;
  Global<T> workspace = args.get<T>(6);
  kept(p, workspace, slice, 0, s.channel)[0] = m.mean;
  kept(p, workspace, slice, 1, s.channel)[0] = m.squares;
}

template <class T>
DEVICE void batch_norm_apply(const BatchNormSliceParams& p, const Args& args, int tile, Shared) {
  int slice = tile % p.slices;
  const Slice<T> s(p, tile / p.slices, slice);
  if (!s.live) return;
  Global<T> workspace = args.get<T>(6);
  T places = static_cast<T>(p.outer * p.inner), squares = 0;
  T origin = kept(p, workspace, 0, 0, s.channel)[0],
    mean = origin;  // near all the means: small differences add up
  for (int j = 1; j < p.slices; j++) {
    T count = static_cast<T>(Slice<T>(p, 0, j).count), part = kept(p, workspace, j, 0, s.channel)[0];
    mean = fma_of(count / places, part - origin, mean);
  }
  for (int j = 0; j < p.slices; j++) {
    T count = static_cast<T>(Slice<T>(p, 0, j).count), part = kept(p, workspace, j, 0, s.channel)[0];
    T d = part - mean;
    squares += kept(p, workspace, j, 1, s.channel)[0];
    squares = fma_of(count * d, d, squares);
  }
  normalise(s, args, mean, squares / places, static_cast<T>(p.eps), slice == 0);
}

// ---- the gradient. Inputs dy, x, gamma, mean, var; outputs dx, dgamma, dbeta. With h = (x - mean) * r:
// dx = gamma r (dy - sum(dy) / count - h * sum(dy h) / count).
template <class T>
struct Gradient {
  Global<const T> dy, x;
  T mean = 0, r = 0;

  DEVICE Gradient(const Slice<T>& s, const Args& args, T eps)
      : dy(args.get<const T>(0)), x(args.get<const T>(1)) {
    if (!s.live) return;
    mean = args.get<const T>(3)[s.channel];
    T var = args.get<const T>(4)[s.channel];
    r = T(1) / sqrt_of(var + eps);
  }

  DEVICE void sums(const Slice<T>& s, T& sum, T& inner) const {
    sum = inner = 0;
    s.each([&](ll i) {
      T g = dy[i];
      sum += g;
      inner = fma_of(g, (T(x[i]) - mean) * r, inner);
    });
  }

  DEVICE void write(const Slice<T>& s, const Args& args, T sum, T inner, T places, bool keeps) const {
    if (!s.live) return;
    Global<T> dx = args.get<T>(5);
    T gamma = args.get<const T>(2)[s.channel], scale = gamma * r, a = sum / places, b = inner / places;
    s.each([&](ll i) {
      T g = dy[i], h = (T(x[i]) - mean) * r;
      dx[i] = (g - a - h * b) * scale;
    });
    if (keeps && static_cast<int>(threadIdx.x) < s.width) {
      args.get<T>(6)[s.channel] = inner;
      args.get<T>(7)[s.channel] = sum;
    }
  }
};

template <class T>
DEVICE void batch_norm_grad_tile(const BatchNormSliceParams& p, const Args& args, int tile, Shared shared) {
  const Slice<T> s(p, tile, 0);
  const Gradient<T> g(s, args, static_cast<T>(p.eps));
  T sum, inner;
  g.sums(s, sum, inner);
  sum = s.total(sum, shared);
  inner = s.total(inner, shared);
  g.write(s, args, sum, inner, static_cast<T>(s.count), true);
}

template <class T>
DEVICE void batch_norm_grad_parts(const BatchNormSliceParams& p, const Args& args, int tile, Shared shared) {
  int slice = tile % p.slices;
  const Slice<T> s(p, tile / p.slices, slice);
  const Gradient<T> g(s, args, static_cast<T>(p.eps));
  T sum, inner;
  g.sums(s, sum, inner);
  sum = s.total(sum, shared);
  inner = s.total(inner, shared);
  if (!s.live || static_cast<int>(threadIdx.x) >= s.width) return;
  Global<T> workspace = args.get<T>(8);
  kept(p, workspace, slice, 0, s.channel)[0] = sum;
  kept(p, workspace, slice, 1, s.channel)[0] = inner;
}

template <class T>
DEVICE void batch_norm_grad_apply(const BatchNormSliceParams& p, const Args& args, int tile, Shared) {
  int slice = tile % p.slices;
  const Slice<T> s(p, tile / p.slices, slice);
  if (!s.live) return;
  Global<T> workspace = args.get<T>(8);
  T sum = 0, inner = 0;
  for (int j = 0; j < p.slices; j++) {
    sum += kept(p, workspace, j, 0, s.channel)[0];
    inner += kept(p, workspace, j, 1, s.channel)[0];
  }
  const Gradient<T> g(s, args, static_cast<T>(p.eps));
  g.write(s, args, sum, inner, static_cast<T>(p.outer * p.inner), slice == 0);
}

// ---- y[o, c, i] = sum of x[o, j, i] for j = c - before ... c + after: a thread an element, in the order of j. The
// window's other readers are the block's neighbours, or the same threads' next channels in L1.
template <class T>
DEVICE void window_sum_tile(const WindowSumParams& p, const Args& args, int tile, Shared) {
  ll at = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (at >= p.outer * p.c * p.inner) return;
  Global<const T> x = args.get<const T>(0);
  ll ch = at / p.inner % p.c;
  ll low = max(ch - p.before, 0LL), high = min(ch + p.after, p.c - 1);
  T sum = 0;
  for (ll j = low; j <= high; j++) sum += x[at + (j - ch) * p.inner];
  args.get<T>(1)[at] = sum;
}

KERNEL(batch_norm_f32, BatchNormSliceParams, batch_norm_tile<float>)
KERNEL(batch_norm_f64, BatchNormSliceParams, batch_norm_tile<double>)
KERNEL(batch_norm_parts_f32, BatchNormSliceParams, batch_norm_parts<float>)
KERNEL(batch_norm_parts_f64, BatchNormSliceParams, batch_norm_parts<double>)
KERNEL(batch_norm_apply_f32, BatchNormSliceParams, batch_norm_apply<float>)
KERNEL(batch_norm_apply_f64, BatchNormSliceParams, batch_norm_apply<double>)
KERNEL(batch_norm_grad_f32, BatchNormSliceParams, batch_norm_grad_tile<float>)
KERNEL(batch_norm_grad_f64, BatchNormSliceParams, batch_norm_grad_tile<double>)
KERNEL(batch_norm_grad_parts_f32, BatchNormSliceParams, batch_norm_grad_parts<float>)
KERNEL(batch_norm_grad_parts_f64, BatchNormSliceParams, batch_norm_grad_parts<double>)
KERNEL(batch_norm_grad_apply_f32, BatchNormSliceParams, batch_norm_grad_apply<float>)
KERNEL(batch_norm_grad_apply_f64, BatchNormSliceParams, batch_norm_grad_apply<double>)
KERNEL(window_sum_f32, WindowSumParams, window_sum_tile<float>)
KERNEL(window_sum_f64, WindowSumParams, window_sum_tile<double>)
