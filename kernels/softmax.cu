// softmax, log_softmax and their gradients along any axis; softmax with cross-entropy; one label a row.
//
//   x, y [outer, k, inner], the axis in the middle. inner = 1: a warp takes a row, lane l the elements l, l + 32, ...;
//   otherwise a thread takes a column, and neighbouring threads neighbouring columns, so that loads coalesce.
// Three passes (maximum; exponentials and their sum; scaling); the second and third find their row in L1. For the ten
// classes of the book one pass would hold the row in registers; the launch costs more than the passes there. Every
// pass reads an element before it is written, so the output may be the input's buffer.
#include "math.cuh"

// ---- who works on a row: all lanes of a warp, or one thread
template <class T>
struct Row {
  ll base, stride, k;
  int first, step;
  bool whole_warp;

  template <class F>
  DEVICE T reduce(T v, F f) const {
    return whole_warp ? warp_reduce(v, f) : v;
  }
  DEVICE ll at(ll j) const { return base + j * stride; }
};

// The row of this thread, or one with base < 0 if there is none. A tile is WARPS rows or THREADS columns.
template <class T>
DEVICE Row<T> row_of(const SoftmaxParams& p, int tile) {
  int lane = threadIdx.x % 32;
  if (p.inner == 1) {
    ll i = static_cast<ll>(tile) * WARPS + threadIdx.x / 32;
    return {i < p.outer ? i * p.k : -1, 1, p.k, lane, 32, true};
  }
  ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  ll base = i / p.inner * p.k * p.inner + i % p.inner;
  return {i < p.outer * p.inner ? base : -1, p.inner, p.k, 0, 1, false};
}

template <class T, bool kLog>
DEVICE void softmax_tile(const SoftmaxParams& p, const Args& args, int tile, Shared) {
  Global<const T> x = args.get<const T>(0);
  Global<T> y = args.get<T>(1);
  Row<T> row = row_of<T>(p, tile);
  if (row.base < 0) return;
  T m = -INFINITY;
  for (ll j = row.first; j < row.k; j += row.step) m = max_of(m, T(x[row.at(j)]));
  m = row.reduce(m, Max());
  T shift = m == -INFINITY ? T(0) : m, total = 0;
  for (ll j = row.first; j < row.k; j += row.step) {
    T v = x[row.at(j)] - shift, e = exp_of(v);
    total += e;
    y[row.at(j)] = kLog ? v : e;
  }
  total = row.reduce(total, Sum());
  T log_total = kLog ? log_of(total) : T(0);
  for (ll j = row.first; j < row.k; j += row.step) {
    T v = y[row.at(j)];
    y[row.at(j)] = kLog ? v - log_total : v / total;
  }
}

// softmax: dx = y (dy - sum dy y); log_softmax: dx = dy - exp(y) sum dy. Inputs dy, y.
template <class T, bool kLog>
DEVICE void softmax_grad_tile(const SoftmaxParams& p, const Args& args, int tile, Shared) {
  Global<const T> dy = args.get<const T>(0), y = args.get<const T>(1);
  Global<T> dx = args.get<T>(2);
  Row<T> row = row_of<T>(p, tile);
  if (row.base < 0) return;
  T total = 0;
  for (ll j = row.first; j < row.k; j += row.step) {
    T g = dy[row.at(j)];
    total += kLog ? g : g * y[row.at(j)];
  }
  total = row.reduce(total, Sum());
  for (ll j = row.first; j < row.k; j += row.step) {
    T g = dy[row.at(j)], v = y[row.at(j)];
    dx[row.at(j)] = kLog ? g - exp_of(v) * total : v * (g - total);
  }
}

// ---- one label a row: a warp a row, so a tile is WARPS rows
DEVICE ll label_at(const Args& args, int i, const LabelParams& p, ll row) {
  switch (p.label_bytes) {
    case 1:
      return p.label_unsigned ? static_cast<ll>(args.get<const unsigned char>(i)[row])
                              : static_cast<ll>(args.get<const signed char>(i)[row]);
    case 2:
      return args.get<const short>(i)[row];
    case 4:
      return args.get<const int>(i)[row];
    default:
      return args.get<const ll>(i)[row];
  }
}

// Inputs x, labels; outputs loss [n], softmax [n, k]. kBoth: inputs x, labels, dloss, and in place of the softmax
// the gradient dloss * (softmax - one_hot(label)).
template <class T, bool kBoth>
DEVICE void cross_entropy_tile(const LabelParams& p, const Args& args, int tile, Shared) {
  Global<const T> x = args.get<const T>(0);
  Global<T> loss = args.get<T>(kBoth ? 3 : 2), y = args.get<T>(kBoth ? 4 : 3);
  ll i = static_cast<ll>(tile) * WARPS + threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  if (i >= p.n) return;
  ll label = label_at(args, 1, p, i);
  bool good = check_index(args, label, i, p.k);
  T m = -INFINITY, at_label = good ? T(x[i * p.k + label]) : T(0);
  for (ll j = lane; j < p.k; j += 32) m = max_of(m, T(x[i * p.k + j]));
  m = warp_reduce(m, Max());
  __syncwarp();  // y may be x: all lanes have read before one writes
  T shift = m == -INFINITY ? T(0) : m, total = 0;
  for (ll j = lane; j < p.k; j += 32) {
    T e = exp_of(x[i * p.k + j] - shift);
    total += e;
    y[i * p.k + j] = e;
  }
  total = warp_reduce(total, Sum());
  T scale = kBoth ? T(args.get<const T>(2)[i]) : T(1);
  for (ll j = lane; j < p.k; j += 32) {
    T v = y[i * p.k + j] / total;
    y[i * p.k + j] = kBoth ? scale * (v - T(j == label)) : v;
  }
  if (lane == 0) loss[i] = log_of(total) - (at_label - shift);
}

// Inputs dloss, p, labels: dx = dloss * (p - one_hot(label)).
template <class T>
DEVICE void cross_entropy_grad_tile(const LabelParams& p, const Args& args, int tile, Shared) {
  Global<const T> dloss = args.get<const T>(0), y = args.get<const T>(1);
  Global<T> dx = args.get<T>(3);
  ll i = static_cast<ll>(tile) * WARPS + threadIdx.x / 32;
  if (i >= p.n) return;
  ll label = label_at(args, 2, p, i);
  check_index(args, label, i, p.k);
  T scale = dloss[i];
  for (ll j = threadIdx.x % 32; j < p.k; j += 32) dx[i * p.k + j] = scale * (y[i * p.k + j] - T(j == label));
}

// Inputs x, labels: y[i] = x[i, label]. A tile is THREADS rows.
template <class T>
DEVICE void take_label_tile(const LabelParams& p, const Args& args, int tile, Shared) {
  ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= p.n) return;
  ll label = label_at(args, 1, p, i);
  if (check_index(args, label, i, p.k)) args.get<T>(2)[i] = args.get<const T>(0)[i * p.k + label];
}

// Inputs y, labels and the number of classes: x[i, label] = y[i], the rest 0.
template <class T>
DEVICE void put_label_tile(const LabelParams& p, const Args& args, int tile, Shared) {
  Global<const T> y = args.get<const T>(0);
  Global<T> x = args.get<T>(3);
  ll i = static_cast<ll>(tile) * WARPS + threadIdx.x / 32;
  if (i >= p.n) return;
  ll label = label_at(args, 1, p, i);
  check_index(args, label, i, p.k);
  T v = y[i];
  for (ll j = threadIdx.x % 32; j < p.k; j += 32) x[i * p.k + j] = j == label ? v : T(0);
}

KERNEL(softmax_f32, SoftmaxParams, softmax_tile<float, false>)
KERNEL(softmax_f64, SoftmaxParams, softmax_tile<double, false>)
KERNEL(log_softmax_f32, SoftmaxParams, softmax_tile<float, true>)
KERNEL(log_softmax_f64, SoftmaxParams, softmax_tile<double, true>)
KERNEL(softmax_grad_f32, SoftmaxParams, softmax_grad_tile<float, false>)
KERNEL(softmax_grad_f64, SoftmaxParams, softmax_grad_tile<double, false>)
KERNEL(log_softmax_grad_f32, SoftmaxParams, softmax_grad_tile<float, true>)
KERNEL(log_softmax_grad_f64, SoftmaxParams, softmax_grad_tile<double, true>)
KERNEL(softmax_cross_entropy_f32, LabelParams, cross_entropy_tile<float, false>)
KERNEL(softmax_cross_entropy_f64, LabelParams, cross_entropy_tile<double, false>)
KERNEL(softmax_cross_entropy_both_f32, LabelParams, cross_entropy_tile<float, true>)
KERNEL(softmax_cross_entropy_both_f64, LabelParams, cross_entropy_tile<double, true>)
KERNEL(softmax_cross_entropy_grad_f32, LabelParams, cross_entropy_grad_tile<float>)
KERNEL(softmax_cross_entropy_grad_f64, LabelParams, cross_entropy_grad_tile<double>)
KERNEL(take_label_f32, LabelParams, take_label_tile<float>)
KERNEL(take_label_f64, LabelParams, take_label_tile<double>)
KERNEL(put_label_f32, LabelParams, put_label_tile<float>)
KERNEL(put_label_f64, LabelParams, put_label_tile<double>)
