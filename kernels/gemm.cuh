// What the matrix products share: the problem as a kernel sees it, loads of four elements, the epilogue.
//
//   out[m, n] = finish(sum over k of op(a)[m, k] op(b)[k, n]), row-major, see GemmParams
#pragma once

#include "math.cuh"

enum GemmForm { kFormDot, kFormGemm, kFormDenseAct, kFormDotMulActGrad };
enum GemmActivation { kActLinear, kActRelu, kActSigmoid, kActTanh, kActMul };

// ---- four elements at a time
template <class P>
DEVICE void load_whole_four(P p, ll at, float (&v)[4]) {
  float4 q = load_vector<float4>(p, at);
  v[0] = q.x, v[1] = q.y, v[2] = q.z, v[3] = q.w;
}
template <class P>
DEVICE void load_whole_four(P p, ll at, double (&v)[4]) {
  double2 low = load_vector<double2>(p, at), high = load_vector<double2>(p, at + 2);
  v[0] = low.x, v[1] = low.y, v[2] = high.x, v[3] = high.y;
}
template <class P>
DEVICE void store_whole_four(P p, ll at, const float (&v)[4]) {
  store_vector(p, at, float4{v[0], v[1], v[2], v[3]});
}
template <class P>
DEVICE void store_whole_four(P p, ll at, const double (&v)[4]) {
  store_vector(p, at, double2{v[0], v[1]});
  store_vector(p, at + 2, double2{v[2], v[3]});
}

// The first `valid` of p[at ... at + 3], zeros behind them. vector: p + at lies at a multiple of 16 bytes.
template <class T, class P>
DEVICE void load_four(P p, ll at, int valid, bool vector, T (&v)[4]) {
  if (vector && valid >= 4) {
    load_whole_four(p, at, v);
    return;
  }
#pragma unroll
  for (int j = 0; j < 4; j++) v[j] = j < valid ? T(p[at + j]) : T(0);
}

// A stored matrix: element (r, c) is at[r * ld + c], or at[c * ld + r] where it is transposed. vector: each fourth
// element of a stored row lies at a multiple of 16 bytes.
template <class T>
struct Stored {
  Global<const T> at;
  int ld;
  bool trans;
  bool vector;
};

template <class T>
DEVICE Stored<T> stored(Global<const T> at, int rows, int columns, bool trans) {
  int ld = trans ? rows : columns;
  return {at, ld, trans, is_aligned(at) && ld % 4 == 0};
}

// The extents as the kernels see them: a product with one column is the row op(b)^T op(a)^T, the same memory, so n = 1
// only where m = 1.
struct Extents {
  int m, n, k;
  bool column;  // a and b have changed places
};
DEVICE Extents extents_of(const GemmParams& p) {
  bool column = p.n == 1 && p.m > 1;
  int m = static_cast<int>(p.m), n = static_cast<int>(p.n);
  return {column ? 1 : m, column ? m : n, static_cast<int>(p.k), column};
}

// The operands of one member of the batch; a row or a column counts as not transposed.
template <class T>
struct Operands {
  Stored<T> a, b;
};
template <class T>
DEVICE Operands<T> operands_of(const GemmParams& p, const Args& args, ll member) {
  ll a_at = 0, b_at = 0, rest = member;
  for (int d = p.batch_ndim - 1; d >= 0; d--) {
    ll i = rest % p.batch_shape[d];
    rest /= p.batch_shape[d];
    a_at += i * p.a_stride[d];
    b_at += i * p.b_stride[d];
  }
  int first = p.form == kFormGemm ? 1 : 0;
  Global<const T> a = args.get<const T>(first) + a_at, b = args.get<const T>(first + 1) + b_at;
  Extents e = extents_of(p);
  bool trans_a = e.column ? !p.trans_b : p.trans_a, trans_b = e.column ? !p.trans_a : p.trans_b;
  return {stored<T>(e.column ? b : a, e.m, e.k, trans_a && e.m > 1),
          stored<T>(e.column ? a : b, e.k, e.n, trans_b && e.n > 1)};
}

// Where the products of one member go, and what joins them on the way.
template <class T>
struct Result {
  Global<T> out;
  Global<const T> other;  // by form: c, bias or y; read where has_other
  int n;
  int other_row, other_col;  // steps of `other` from row to row and column to column
  int form, activation;
  bool has_other;
  bool vector;  // of out and other, as in Stored
  T alpha, beta;
};

template <class T>
DEVICE Result<T> result_of(const GemmParams& p, const Args& args, ll member) {
  Result<T> g;
  Extents e = extents_of(p);
  g.n = e.n, g.form = p.form, g.activation = p.activation;
  g.alpha = 1, g.beta = 0, g.has_other = false, g.other_row = e.n, g.other_col = 1;
  int out = 2;
  if (p.form == kFormGemm) {
    g.alpha = args.get<const T>(3)[0], g.beta = args.get<const T>(4)[0];
    g.other = args.get<const T>(0);
    g.has_other = g.beta != T(0);
    out = 5;
  } else if (p.form != kFormDot) {
    g.other = args.get<const T>(2);
    g.has_other = p.form == kFormDenseAct || p.activation != kActLinear;
    if (p.form == kFormDenseAct) g.other_row = 0, g.other_col = e.column ? 0 : 1;
    out = 3;
  }
  g.out = args.get<T>(out) + member * p.m * p.n;
  g.vector = is_aligned(g.out) && g.n % 4 == 0 && (!g.has_other || (g.other_col == 1 && is_aligned(g.other)));
  return g;
}

DEVICE ll batch_count(const GemmParams& p) {
  ll count = 1;
  for (int d = 0; d < p.batch_ndim; d++) count *= p.batch_shape[d];
  return count;
}

// ---- epilogue
template <class T>
DEVICE T activate(T x, int activation) {
  switch (activation) {
    case kActRelu:
      return max_of(x, T(0));
    case kActSigmoid:
      return sigmoid_of(x);
    case kActTanh:
      return tanh_of(x);
    default:
      return x;
  }
}

// act'(x) written in y = act(x); kActMul: y itself.
template <class T>
DEVICE T activation_factor(T y, int activation) {
  switch (activation) {
    case kActRelu:
      return y > T(0) ? T(1) : T(0);
    case kActSigmoid:
      return y * (T(1) - y);
    case kActTanh:
      return T(1) - y * y;
    case kActMul:
      return y;
    default:
      return T(1);
  }
}

// The element of out whose sum is given, with that of `other` (anything where it is not read).
template <class T>
DEVICE T finish(const Result<T>& g, T sum, T other) {
  if (g.form == kFormGemm) {
    T v = g.alpha * sum;
    return g.has_other ? g.beta * other + v : v;  // beta = 0 hides a NaN in c
  }
  if (g.form == kFormDenseAct) return activate(sum + other, g.activation);
  if (!g.has_other) return sum;
  T f = activation_factor(other, g.activation);
  return f == T(0) ? T(0) : sum * f;  // a factor of zero hides even an infinite product
}

template <class T>
DEVICE void store_one(const Result<T>& g, int row, int col, T sum) {
  T other = g.has_other ? T(g.other[static_cast<ll>(row) * g.other_row + col * g.other_col]) : T(0);
  g.out[static_cast<ll>(row) * g.n + col] = finish(g, sum, other);
}

// `other` at columns col ... col + 3 of a row, as finish_four wants it.
template <class T>
DEVICE void load_other(const Result<T>& g, int row, int col, T (&other)[4]) {
  ll at = static_cast<ll>(row) * g.other_row + col * g.other_col;
  if (g.has_other && g.other_col == 1) {
    load_four(g.other, at, g.n - col, g.vector, other);
    return;
  }
#pragma unroll
  for (int j = 0; j < 4; j++) other[j] = g.has_other ? T(g.other[at]) : T(0);
}

template <class T>
DEVICE void finish_four(const Result<T>& g, int row, int col, const T (&sum)[4], T (&other)[4]) {
  T v[4] = {sum[0], sum[1], sum[2], sum[3]};
  if (g.form != kFormDot) {
    // One copy of the activations, through which the four elements rotate: 64 of them inline would cost registers.
#pragma unroll 1
    for (int j = 0; j < 4; j++) {
      T x = finish(g, v[0], other[0]);
      v[0] = v[1], v[1] = v[2], v[2] = v[3], v[3] = x;
      other[0] = other[1], other[1] = other[2], other[2] = other[3];
    }
  }
  ll at = static_cast<ll>(row) * g.n + col;
  if (g.vector && col + 4 <= g.n) {
    store_whole_four(g.out, at, v);
    return;
  }
#pragma unroll
  for (int j = 0; j < 4; j++)
    if (col + j < g.n) g.out[at + j] = v[j];
}
