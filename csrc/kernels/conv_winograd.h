// Winograd's transforms F(m x m, r x r): tiles of (m + r - 1)^2 inputs give m x m outputs of a convolution of stride 1
// with as many products a channel.
//
//   Y = A' [ (G g G') . (B' d B) ] A
//
// (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016.) The sums are not those of the plain form:
// errors are some times larger, and an infinity or a NaN spreads over its tile. Points are chosen for small errors:
//
//   Window3  F(4, 3)   0, +-1/sqrt 2, +-sqrt 2, infinity     36 products for 144; a quarter of the error of 0, +-1, +-2
//   Window5  F(4, 5)   0, +-1, +-2, +-1/2, infinity          64 products for 400; B' is that of Lavin's F(6, 3)
//   Window4  F(4, 4)   +-1/2, +-1, +-2, infinity
//   Strided3           F(4, 2): +-1/2, +-3/2, infinity       81 products for 144
//
// F(6 x 6, 3 x 3) by the points of Window5 is not here: it goes beyond the tolerance of the case table.
//
// Strided3 is a window of 3 at stride 2. Along each axis the first and the last tap meet every other input, a
// convolution of stride 1 with a window of 2; the middle tap meets the others, one product for each of 4 outputs:
// 5 + 4 points. Those 4 have the same transformed weight, so that there are 6 x 6 of these. The input gradient,
// Strided3Dgrad, has the same weights; its tiles of 8 outputs are, in turn, products of the middle tap and sums
// over the two others.
//
// A transform has `inputs` to a tile, `step` from one tile's to the next one's, `outputs`, `points`, and
// `weight_points`, of which point i takes number weight_of(i).
#pragma once
#include "conv_geometry.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

struct Window3 {
  static constexpr int window = 3, inputs = 6, step = 4, outputs = 4, points = 6, weight_points = 6;
  static constexpr int weight_of(int point) { return point; }
  static constexpr float a = 0.70710678118654752f, b = 1.41421356237309505f;  // a b = 1, b = 2 a

  // t = B' d
  template <class V>
  static inline void input(const V* d, V* t) {
    t[0] = d[0] + d[4] - d[2] * 2.5f;
    t[5] = d[1] + d[5] - d[3] * 2.5f;
    V even = d[4] - d[2] * 2.0f, odd = (d[3] - d[1] * 2.0f) * a;
    t[1] = even + odd, t[2] = even - odd;
    even = d[4] - d[2] * 0.5f, odd = (d[3] - d[1] * 0.5f) * b;
    t[3] = even + odd, t[4] = even - odd;
  }

  // t = G g
  template <class V>
  static inline void weights(const V* g, V* t) {
    t[0] = g[0];
    V even = (g[0] + g[2] * 0.5f) * (-2.0f / 3), odd = g[1] * (a * (-2.0f / 3));
    t[1] = even + odd, t[2] = even - odd;
    even = (g[0] + g[2] * 2.0f) * (1.0f / 6), odd = g[1] * (b / 6);
    t[3] = even + odd, t[4] = even - odd;
    t[5] = g[2];
  }

  // y = A' t
  template <class V>
  static inline void output(const V* t, V* y) {
    const V s1 = t[1] + t[2], d1 = t[1] - t[2], s2 = t[3] + t[4], d2 = t[3] - t[4];
    y[0] = t[0] + s1 + s2;
    y[1] = d1 * a + d2 * b;
    y[2] = s1 * 0.5f + s2 * 2.0f;
    y[3] = d1 * (a / 2) + d2 * (b * 2) + t[5];
  }
};

struct Window5 {
  static constexpr int window = 5, inputs = 8, step = 4, outputs = 4, points = 8, weight_points = 8;
  static constexpr int weight_of(int point) { return point; }

  template <class V>
  static inline void input(const V* d, V* t) {
    t[0] = d[0] - d[6] + (d[4] - d[2]) * 5.25f;
    t[7] = d[7] - d[1] + (d[3] - d[5]) * 5.25f;
    V even = d[2] + d[6] - d[4] * 4.25f, odd = d[1] + d[5] - d[3] * 4.25f;
    t[1] = even + odd, t[2] = even - odd;
    even = d[6] + d[2] * 0.25f - d[4] * 1.25f, odd = d[1] * 0.5f - d[3] * 2.5f + d[5] * 2.0f;
    t[3] = even + odd, t[4] = even - odd;
    even = d[6] + (d[2] - d[4] * 1.25f) * 4.0f, odd = d[1] * 2.0f - d[3] * 2.5f + d[5] * 0.5f;
    t[5] = even + odd, t[6] = even - odd;
  }

  template <class V>
  static inline void weights(const V* g, V* t) {
    t[0] = g[0];
    V even = (g[0] + g[2] + g[4]) * (-2.0f / 9), odd = (g[1] + g[3]) * (-2.0f / 9);
    t[1] = even + odd, t[2] = even - odd;
    even = (g[0] + g[2] * 4.0f + g[4] * 16.0f) * (1.0f / 90);
    odd = (g[1] * 2.0f + g[3] * 8.0f) * (1.0f / 90);
    t[3] = even + odd, t[4] = even - odd;
    even = (g[0] + g[2] * 0.25f + g[4] * 0.0625f) * (32.0f / 45);
    odd = (g[1] * 0.5f + g[3] * 0.125f) * (32.0f / 45);
    t[5] = even + odd, t[6] = even - odd;
    t[7] = g[4];
  }

  template <class V>
  static inline void output(const V* t, V* y) {
    const V s1 = t[1] + t[2], d1 = t[1] - t[2], s2 = t[3] + t[4], d2 = t[3] - t[4], s3 = t[5] + t[6],
            d3 = t[5] - t[6];
    y[0] = t[0] + s1 + s2 + s3;
    y[1] = d1 + d2 * 2.0f + d3 * 0.5f;
    y[2] = s1 + s2 * 4.0f + s3 * 0.25f;
    y[3] = d1 + d2 * 8.0f + d3 * 0.125f + t[7];
  }
};

struct Window4 {  // along columns alone (conv2d_winograd_columns.cpp)
  static constexpr int window = 4, inputs = 7, step = 4, outputs = 4, points = 7, weight_points = 7;

  template <class V>
  static inline void input(const V* d, V* t) {
    V odd = d[5] - d[3] * 5.0f + d[1] * 4.0f, even = (d[4] - d[2] * 5.0f + d[0] * 4.0f) * 0.5f;
    t[0] = odd + even, t[1] = odd - even;
    odd = d[5] - d[3] * 4.25f + d[1], even = d[4] - d[2] * 4.25f + d[0];
    t[2] = odd + even, t[3] = odd - even;
    odd = d[5] - d[3] * 1.25f + d[1] * 0.25f, even = d[4] * 2.0f - d[2] * 2.5f + d[0] * 0.5f;
    t[4] = odd + even, t[5] = odd - even;
    t[6] = d[6] - d[0] + (d[2] - d[4]) * 5.25f;
  }

  template <class V>
  static inline void weights(const V* g, V* t) {
    V even = (g[0] + g[2] * 0.25f) * (16.0f / 45), odd = (g[1] * 0.5f + g[3] * 0.125f) * (16.0f / 45);
    t[0] = odd + even, t[1] = odd - even;
    even = (g[0] + g[2]) * (-2.0f / 9), odd = (g[1] + g[3]) * (-2.0f / 9);
    t[2] = odd + even, t[3] = odd - even;
    even = (g[0] + g[2] * 4.0f) * (1.0f / 45), odd = (g[1] * 2.0f + g[3] * 8.0f) * (1.0f / 45);
    t[4] = odd + even, t[5] = odd - even;
    t[6] = g[3];
  }

  template <class V>
  static inline void output(const V* t, V* y) {
    const V s1 = t[0] + t[1], d1 = t[0] - t[1], s2 = t[2] + t[3], d2 = t[2] - t[3], s3 = t[4] + t[5],
            d3 = t[4] - t[5];
    y[0] = s1 + s2 + s3;
    y[1] = d1 * 0.5f + d2 + d3 * 2.0f;
    y[2] = s1 * 0.25f + s2 + s3 * 4.0f;
    y[3] = d1 * 0.125f + d2 + d3 * 8.0f + t[6];
  }
};

struct Window2 {  // F(4, 2), of which Strided3 is made
  template <class V>
  static inline void input(const V* d, V* t) {
    V odd = d[3] - d[1] * 2.25f, even = (d[2] - d[0] * 2.25f) * 0.5f;
    t[0] = odd + even, t[1] = odd - even;
    odd = d[3] - d[1] * 0.25f, even = (d[2] - d[0] * 0.25f) * 1.5f;
    t[2] = odd + even, t[3] = odd - even;
    t[4] = d[4] - d[2] * 2.5f + d[0] * 0.5625f;
  }

  template <class V>
  static inline void weights(V g0, V g1, V* t) {
    V even = g0 * 0.5f, odd = g1 * 0.25f;
    t[0] = -even - odd, t[1] = even - odd;
    even = g0 * (1.0f / 6), odd = g1 * 0.25f;
    t[2] = even + odd, t[3] = odd - even;
    t[4] = g1;
  }

  template <class V>
  static inline void output(const V* t, V* y) {
    const V s1 = t[0] + t[1], d1 = t[0] - t[1], s2 = t[2] + t[3], d2 = t[2] - t[3];
    y[0] = s1 + s2;
    y[1] = d1 * 0.5f + d2 * 1.5f;
    y[2] = s1 * 0.25f + s2 * 2.25f;
    y[3] = d1 * 0.125f + d2 * 3.375f + t[4];
  }
};

struct Strided3 {
  static constexpr int window = 3, inputs = 9, step = 8, outputs = 4, points = 9, weight_points = 6;
  static constexpr int weight_of(int point) { return point < 5 ? point : 5; }

  template <class V>
  static inline void input(const V* d, V* t) {
    const V even[5] = {d[0], d[2], d[4], d[6], d[8]};
    Window2::input(even, t);
    for (int i = 0; i < 4; i++) t[5 + i] = d[2 * i + 1];
  }

  template <class V>
  static inline void weights(const V* g, V* t) {
    Window2::weights(g[0], g[2], t);
    t[5] = g[1];
  }

  template <class V>
  static inline void output(const V* t, V* y) {
    Window2::output(t, y);
    for (int i = 0; i < 4; i++) y[i] = y[i] + t[5 + i];
  }
};

struct Strided3Dgrad : Strided3 {
  static constexpr int inputs = 5, step = 4, outputs = 8;

  template <class V>
  static inline void input(const V* d, V* t) {
    Window2::input(d, t);
    for (int i = 0; i < 4; i++) t[5 + i] = d[i];
  }

  template <class V>
  static inline void output(const V* t, V* y) {
    V sums[4];
    Window2::output(t, sums);
    for (int i = 0; i < 4; i++) y[2 * i] = t[5 + i], y[2 * i + 1] = sums[i];
  }
};

// in[i * row + j * col], inputs x inputs vectors -> out[(i * points + j) * step].
template <class F>
inline void input_tile(const float* in, long long row, long long col, float* out, long long step) {
  constexpr int P = F::points, I = F::inputs;
  vf half[P][I];
  for (int j = 0; j < I; j++) {
    vf d[I], t[P];
    for (int i = 0; i < I; i++) d[i] = load(in + i * row + j * col);
    F::input(d, t);
    for (int i = 0; i < P; i++) half[i][j] = t[i];
  }
  for (int i = 0; i < P; i++) {
    vf t[P];
    F::input(half[i], t);
    for (int j = 0; j < P; j++) store(out + (i * P + j) * step, t[j]);
  }
}

// in[(i * window + j) * in_step], window x window vectors -> out[(i * weight_points + j) * step].
template <class F>
inline void weight_tile(const float* in, long long in_step, float* out, long long step) {
  constexpr int P = F::weight_points, R = F::window;
  vf half[P][R];
  for (int j = 0; j < R; j++) {
    vf g[R], t[P];
    for (int i = 0; i < R; i++) g[i] = load(in + (i * R + j) * in_step);
    F::weights(g, t);
    for (int i = 0; i < P; i++) half[i][j] = t[i];
  }
  for (int i = 0; i < P; i++) {
    vf t[P];
    F::weights(half[i], t);
    for (int j = 0; j < P; j++) store(out + (i * P + j) * step, t[j]);
  }
}

// in[(i * points + j) * step], points x points vectors -> y[outputs][outputs].
template <class F>
inline void output_tile(const float* in, long long step, vf (*y)[F::outputs]) {
  constexpr int P = F::points, M = F::outputs;
  vf half[M][P];
  for (int j = 0; j < P; j++) {
    vf t[P], o[M];
    for (int i = 0; i < P; i++) t[i] = load(in + (i * P + j) * step);
    F::output(t, o);
    for (int i = 0; i < M; i++) half[i][j] = o[i];
  }
  for (int i = 0; i < M; i++) F::output(half[i], y[i]);
}

// Of all points of a tile, and which of all transformed weights one takes.
template <class F>
constexpr int all_points() {
  return F::points * F::points;
}
template <class F>
constexpr int all_weights() {
  return F::weight_points * F::weight_points;
}
template <class F>
constexpr int weight_at(int point) {
  return F::weight_of(point / F::points) * F::weight_points + F::weight_of(point % F::points);
}

// Floats from point to point where each has `floats`: an odd number of lines, so that points do not share cache sets.
constexpr long long skewed(long long floats) { return ((floats + 15) / 16 | 1) * 16; }

// Rows of a tile of so many vectors: 24 sums, or 12, and the vectors of a step.
constexpr int product_rows(int vectors) {
  if (VF_WIDTH == 16) return vectors < 3 ? 12 : vectors == 3 ? 8 : vectors == 4 ? 6 : 5;
  return vectors == 1 ? 8 : vectors == 2 ? 6 : vectors == 3 ? 4 : vectors == 4 ? 3 : 2;
}

// out[m][v] = sum over c of x[m][c] w[c][v], for M rows x_step apart and V vectors. The sums stay in registers if the
// loops over them are unrolled.
template <int M, int V>
void multiply_tile(const float* x, long long x_step, const float* w, int channels, float* out,
                   long long out_step) {
  constexpr int W = VF_WIDTH;
  vf acc[M][V] = {};
  for (int c = 0; c < channels; c++, w += V * W) {
    vf wv[V];
#pragma GCC unroll 5
    for (int v = 0; v < V; v++) {
      wv[v] = load(w + v * W);
      pin(wv[v]);
    }
#pragma GCC unroll 12
    for (int m = 0; m < M; m++) {
      const vf a = set1(x[m * x_step + c]);
#pragma GCC unroll 5
      for (int v = 0; v < V; v++) acc[m][v] = fma(a, wv[v], acc[m][v]);
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; m++)
#pragma GCC unroll 5
    for (int v = 0; v < V; v++) store(out + m * out_step + v * W, acc[m][v]);
}

using ProductTile = void (*)(const float*, long long, const float*, int, float*, long long);

template <int V, int M = product_rows(V)>
ProductTile pick_product(int rows) {
  if constexpr (M > 1) {
    if (rows < M) return pick_product<V, M - 1>(rows);
  }
  return multiply_tile<M, V>;
}

// The same for n rows, in tiles as even as possible.
template <int V>
void multiply(const float* x, long long x_step, int n, const float* w, int channels, float* out,
              long long out_step) {
  const int tiles = (n + product_rows(V) - 1) / product_rows(V);
  if (!tiles) return;
  const int larger = (n + tiles - 1) / tiles, large = n - tiles * (larger - 1);
  ProductTile compute = pick_product<V>(larger);
  int rows = larger;
  for (int t = 0; t < tiles; t++) {
    if (t == large) compute = pick_product<V>(--rows);
    compute(x, x_step, w, channels, out, out_step);
    x += rows * x_step, out += rows * out_step;
  }
}

inline void multiply_vectors(int vectors, const float* x, long long x_step, int n, const float* w,
                             int channels, float* out, long long out_step) {
  switch (vectors) {
    case 1:
      return multiply<1>(x, x_step, n, w, channels, out, out_step);
    case 2:
      return multiply<2>(x, x_step, n, w, channels, out, out_step);
    case 3:
      return multiply<3>(x, x_step, n, w, channels, out, out_step);
    case 4:
      return multiply<4>(x, x_step, n, w, channels, out, out_step);
    default:
      return multiply<5>(x, x_step, n, w, channels, out, out_step);
  }
}

}  // namespace

// Throws unless there are transforms for the convolution.
static inline void check_winograd(const Sizes& s, const char* name) {
  const ConvParams& p = params_as<ConvParams>(s, name);
  const bool strided = p.stride_h == 2 && p.stride_w == 2 && p.r == 3;
  const bool fits = p.itemsize == 4 && p.r == p.s && (p.r == 3 || p.r == 5) &&
                    (strided || (p.stride_h == 1 && p.stride_w == 1)) && unit_dilation(p) && p.groups == 1;
  if (!fits)
    fail("%s: windows of %d x %d, stride (%d, %d), dilation (%d, %d), %d groups, %d bytes a value", name, p.r,
         p.s, p.stride_h, p.stride_w, p.dilation_h, p.dilation_w, p.groups, p.itemsize);
}

// The kernels winograd_dgrad and winograd_wgrad, for others that have gradients of a convolution as a part.
void run_winograd_dgrad(const Launch& l);
size_t winograd_dgrad_workspace(const Sizes& s);
void run_winograd_wgrad(const Launch& l);
size_t winograd_wgrad_workspace(const Sizes& s);

}  // namespace SYMCONV_ISA
}  // namespace symconv
