// The weight gradient of depthwise conv2d for windows of 3 x 3 and stride 1: every output channel sees one input channel.
//
//   dw[c][r][s] = sum over images, i, j of dy[c][i][j] x[c][i + r - top][j + s - left]
//
// depthwise_wgrad: lanes are the columns of a row. The nine sums of all columns are in registers while a vector of
// columns of a few rows goes by, and three rows of dy are there too, as a row of x meets each of them. Planes are read
// where they lie: at the ends of a row vectors are loaded by lanes. Sums of an image are added up before the next: they
// never depend on threads. The rows that come next are asked for ahead: as the lines of several rows are read side by
// side, the processor does not foresee them.
#include "conv_geometry.h"
#include "conv_lanes.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int W = VF_WIDTH, R = 3;
constexpr int kRows = 4;  // of x, all columns of which are done before the next: memory is read in order

// The sums of a row of the window, lane by lane.
struct Taps {
  vf a, b, c;
};
inline void add(Taps& t, vf dy, vf x0, vf x1, vf x2) {
  t.a = fma(dy, x0, t.a);
  t.b = fma(dy, x1, t.b);
  t.c = fma(dy, x2, t.c);
}

// Lanes of the vector of columns from j on that lie in dy, and where x has a column under the window's column s too.
inline LaneMask lanes_of_dy(const ConvParams& p, int j) { return lanes_between(0, p.q - j); }
inline LaneMask lanes_of_x(const ConvParams& p, int j, int s) {
  const int first = j + s - p.left;  // column of x in lane 0
  return lanes_between(-first, least(p.w - first, p.q - j));
}

// Adds the products of ROWS rows of x from `row` on, each of which meets three rows of dy, with columns [begin, end)
// of dy, whole vectors of them. INSIDE: neither plane ends there.
template <int ROWS, bool INSIDE>
__attribute__((always_inline)) inline void add_rows(const ConvParams& p, const float* x, const float* dy,
                                                    int row, int begin, int end, Taps& t0, Taps& t1,
                                                    Taps& t2) {
  x += static_cast<long long>(row) * p.w - p.left;
  dy += static_cast<long long>(row + p.top - 2) * p.q;
  for (int j = begin; j < end; j += W) {
    LaneMask in_dy{}, in_x0{}, in_x1{}, in_x2{};
    if (!INSIDE) {
      in_dy = lanes_of_dy(p, j);
      in_x0 = lanes_of_x(p, j, 0), in_x1 = lanes_of_x(p, j, 1), in_x2 = lanes_of_x(p, j, 2);
    }
    auto load_at = [](const float* from, LaneMask lanes) {
      vf v = INSIDE ? load(from) : load_lanes(from, lanes);
      pin(v);
      return v;
    };
    vf d2 = load_at(dy + j, in_dy), d1 = load_at(dy + p.q + j, in_dy);
#pragma GCC unroll 4
    for (int i = 0; i < ROWS; i++) {
      const float *above = dy + static_cast<long long>(i + 2) * p.q + j,
                  *from = x + static_cast<long long>(i) * p.w + j;
      __builtin_prefetch(above + static_cast<long long>(ROWS) * p.q);
      __builtin_prefetch(from + static_cast<long long>(ROWS) * p.w);
      const vf d0 = load_at(above, in_dy);
      const vf x0 = load_at(from, in_x0), x1 = load_at(from + 1, in_x1), x2 = load_at(from + 2, in_x2);
      add(t0, d0, x0, x1, x2);
      add(t1, d1, x0, x1, x2);
      add(t2, d2, x0, x1, x2);
      d2 = d1, d1 = d0;
    }
  }
}

// ROWS at a time. Returns the first row that is left.
template <int ROWS>
__attribute__((noinline)) int add_bands(const ConvParams& p, const float* x, const float* dy, int row,
                                        int end, Taps (&taps)[R]) {
  // Vectors [low, high) see the image alone. With AVX-512 lanes cost nothing to tell.
  const int low = W == 16 ? p.q : least(static_cast<int>(round_up(most(p.left, 0), W)), p.q);
  const int room = least(p.w + p.left - (R - 1), p.q) - low;
  const int high = room > 0 ? low + room / W * W : low;
  Taps t0 = taps[0], t1 = taps[1], t2 = taps[2];
  for (; row + ROWS <= end; row += ROWS) {
    add_rows<ROWS, false>(p, x, dy, row, 0, low, t0, t1, t2);
    if (W < 16) {
      add_rows<ROWS, true>(p, x, dy, row, low, high, t0, t1, t2);
      add_rows<ROWS, false>(p, x, dy, row, high, p.q, t0, t1, t2);
    }
  }
  taps[0] = t0, taps[1] = t1, taps[2] = t2;
  return row;
}

// Adds the products of rows [begin, end) of x, which meet any number of rows of dy.
void add_edge(const ConvParams& p, const float* x, const float* dy, int begin, int end, Taps (&taps)[R]) {
  for (int row = begin; row < end; row++)
    for (int r = 0; r < R; r++) {
      const int at = row + p.top - r;
      if (at < 0 || at >= p.p) continue;
      for (int j = 0; j < p.q; j += W) {
        const float* from = x + static_cast<long long>(row) * p.w + j - p.left;
        add(taps[r], load_lanes(dy + static_cast<long long>(at) * p.q + j, lanes_of_dy(p, j)),
            load_lanes(from, lanes_of_x(p, j, 0)), load_lanes(from + 1, lanes_of_x(p, j, 1)),
            load_lanes(from + 2, lanes_of_x(p, j, 2)));
      }
    }
}

void add_plane(const ConvParams& p, const float* x, const float* dy, Taps (&taps)[R]) {
  const int begin = least(most(0, R - 1 - p.top), p.h), end = most(begin, least(p.h, p.p - p.top));
  add_edge(p, x, dy, 0, begin, taps);
  add_bands<1>(p, x, dy, add_bands<kRows>(p, x, dy, begin, end, taps), end, taps);
  add_edge(p, x, dy, end, p.h, taps);
}

void run(const Launch& l) {
  const bool turned = is_flipped(params_as<ConvParams>(l));
  const ConvParams p = unflipped(params_as<ConvParams>(l));
  const float *x = static_cast<const float*>(l.in[0]), *dy = static_cast<const float*>(l.in[1]);
  const long long in = static_cast<long long>(p.h) * p.w, out = static_cast<long long>(p.p) * p.q;
  parallel_for(
      l.pool, p.c,
      [&](int c, int) {
        Taps total[R] = {};
        for (int n = 0; n < p.n; n++) {
          const long long plane = static_cast<long long>(n) * p.c + c;
          Taps taps[R] = {};
          add_plane(p, x + plane * in, dy + plane * out, taps);
          for (int r = 0; r < R; r++)
            total[r] = {total[r].a + taps[r].a, total[r].b + taps[r].b, total[r].c + taps[r].c};
        }
        const Order order = in_order(R * R, 1, turned);
        float* dw = static_cast<float*>(l.out[0]) + c * R * R + order.first;
        for (const Taps& t : total) {
          dw[0] = hsum(t.a), dw[order.step] = hsum(t.b), dw[2 * order.step] = hsum(t.c);
          dw += R * order.step;
        }
      },
      pays(conv_flops(p), kConvPartFlops, l.pool));
}

void check(const Sizes& s) {
  check_conv_wgrad(s, "depthwise_wgrad");
  const ConvParams& p = params_as<ConvParams>(s, "depthwise_wgrad");
  const bool fits = p.itemsize == 4 && p.groups == p.c && p.k == p.c && p.r == R && p.s == R &&
                    p.stride_h == 1 && p.stride_w == 1 && unit_dilation(p);
  if (!fits)
    fail(
        "depthwise_wgrad: %d channels to %d in %d groups, windows of %d x %d, stride (%d, %d), "
        "dilation (%d, %d), %d bytes a value",
        p.c, p.k, p.groups, p.r, p.s, p.stride_h, p.stride_w, p.dilation_h, p.dilation_w, p.itemsize);
}

}  // namespace

void register_conv_depthwise_wgrad(Registrar& r) { r.add({"depthwise_wgrad", run, check, nullptr}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
