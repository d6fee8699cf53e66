// conv2d and its input gradient as one computation, the gather
//
//   out[k, i * out_step + a, j * out_step + b] = sum over c, t of weight(k, c, t) in[c, i * in_step + dh[t], j * in_step + dw[t]]
//
// over taps t, with zeros outside `in`. Forward: one phase, every (r, s) a tap. Input gradient with stride
// s: s x s phases (a, b), each with the taps that reach it, and in_step 1.
#pragma once
#include "conv_common.h"
#include "pairs.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {

static inline bool is_flipped(const ConvParams& p) { return p.dilation_h < 0; }

// The same convolution with the window read backwards.
static inline ConvParams flipped(ConvParams p) {
  p.top -= (p.r - 1) * p.dilation_h, p.dilation_h = -p.dilation_h;
  p.left -= (p.s - 1) * p.dilation_w, p.dilation_w = -p.dilation_w;
  return p;
}

// Of such a window the one that is read forwards: kernels whose taps lie at fixed places turn flipped weights themselves.
static inline ConvParams unflipped(ConvParams p) { return is_flipped(p) ? flipped(p) : p; }

// Neighbouring taps see neighbouring inputs, along both axes or backwards along both.
static inline bool unit_dilation(const ConvParams& p) {
  return p.dilation_h == p.dilation_w && (p.dilation_h == 1 || p.dilation_h == -1);
}

struct Phase {
  int a, b;         // place of the phase's first output
  int rows, cols;   // its outputs
  int first, taps;  // its taps
};

struct Tap {
  int dh, dw;
  int offset;  // in a padded plane
  int weight;  // r * S + s
};

struct Gather {
  int groups, in_channels, out_channels;  // per group
  int in_h, in_w, in_step_h, in_step_w;
  int out_h, out_w, out_step_h, out_step_w;
  int top, bottom, left, right;  // zeros around `in`
  int hp, wp;                    // the padded plane
  int columns;                   // in a split row: wp / in_step_w; else 0
  long long plane;               // from one padded plane to the next
  bool copied;                   // the padded plane differs from `in`
  int n_phases, n_taps;
  long long weight_out, weight_in;  // strides of weight(k, c, .) in w
};

// The gather of a convolution; phases and taps may be null to ask for their numbers alone. With split_rows,
// rows are stored as in_step_w runs of every in_step_w-th column, so that outputs step by 1.
static inline Gather make_gather(const ConvParams& p, bool dgrad, bool split_rows, Phase* phases, Tap* taps) {
  Gather g{};
  const int c = p.c / p.groups, k = p.k / p.groups, window = p.r * p.s;
  g.groups = p.groups;
  g.in_channels = dgrad ? k : c;
  g.out_channels = dgrad ? c : k;
  g.in_h = dgrad ? p.p : p.h;
  g.in_w = dgrad ? p.q : p.w;
  g.out_h = dgrad ? p.h : p.p;
  g.out_w = dgrad ? p.w : p.q;
  g.in_step_h = dgrad ? 1 : p.stride_h;
  g.in_step_w = dgrad ? 1 : p.stride_w;
  g.out_step_h = dgrad ? p.stride_h : 1;
  g.out_step_w = dgrad ? p.stride_w : 1;
  g.weight_out = dgrad ? window : static_cast<long long>(c) * window;
  g.weight_in = dgrad ? static_cast<long long>(c) * window : window;
  for (int a = 0; a < g.out_step_h; a++)
    for (int b = 0; b < g.out_step_w; b++) {
      Phase f{a, b, ceil_div(g.out_h - a, g.out_step_h), ceil_div(g.out_w - b, g.out_step_w), g.n_taps, 0};
      if (f.rows <= 0 || f.cols <= 0) continue;
      for (int r = 0; r < p.r; r++)
        for (int s = 0; s < p.s; s++) {
          int dh = r * p.dilation_h - p.top, dw = s * p.dilation_w - p.left;
          if (dgrad) {
            dh = a - dh, dw = b - dw;
            if (dh % p.stride_h || dw % p.stride_w) continue;
            dh /= p.stride_h, dw /= p.stride_w;
          }
          const int bottom = (f.rows - 1) * g.in_step_h + dh - g.in_h + 1,
                    right = (f.cols - 1) * g.in_step_w + dw - g.in_w + 1;
          if (g.top < -dh) g.top = -dh;
          if (g.left < -dw) g.left = -dw;
          if (g.bottom < bottom) g.bottom = bottom;
          if (g.right < right) g.right = right;
          if (taps) taps[g.n_taps] = {dh, dw, 0, r * p.s + s};
          g.n_taps++;
          f.taps++;
        }
      if (phases) phases[g.n_phases] = f;
      g.n_phases++;
    }
  g.hp = g.in_h + g.top + g.bottom;
  g.wp = g.in_w + g.left + g.right;
  if (split_rows && g.in_step_w > 1) {
    g.columns = ceil_div(g.wp, g.in_step_w);
    g.wp = g.columns * g.in_step_w;
  }
  g.plane = static_cast<long long>(g.hp) * g.wp;
  g.copied = g.columns || g.hp != g.in_h || g.wp != g.in_w;
  // Planes a multiple of 1 KB apart would fall into a few cache sets: skew them by one line.
  if (g.plane % 256 == 0 && g.in_channels > 4) g.plane += 16, g.copied = true;
  if (taps)
    for (int t = 0; t < g.n_taps; t++) {
      const int column = taps[t].dw + g.left;
      taps[t].offset = (taps[t].dh + g.top) * g.wp +
                       (g.columns ? column % g.in_step_w * g.columns + column / g.in_step_w : column);
    }
  return g;
}

// The taps [first, last) of a phase that can meet an input row in the output rows [row, last_row]: the others
// would read padding alone. Taps are in order of dh, up or down.
struct TapRange {
  int first, last;
};
static inline TapRange taps_of_rows(const Gather& g, const Phase& f, const Tap* taps, int row, int last_row) {
  const int low = -last_row * g.in_step_h, high = g.in_h - 1 - row * g.in_step_h;
  int first = 0, last = f.taps;
  while (first < last && (taps[first].dh < low || taps[first].dh > high)) first++;
  while (first < last && (taps[last - 1].dh < low || taps[last - 1].dh > high)) last--;
  return {first, last};
}

// to[i] = from[i * step] for begin <= i < end; zero for the others up to n.
template <class T>
static inline void stage_line(const T* from, int step, int begin, int end, int n, T* to) {
  constexpr int W = Lanes<T>::W;
  for (int i = 0; i < begin; i++) to[i] = 0;
  for (int i = end; i < n; i++) to[i] = 0;
  if (step > 2) {
    for (long long i = begin; i < end; i++) to[i] = from[i * step];
    return;
  }
  if (const int count = end - begin; count < W) {
    if (count <= 0) return;
    from += static_cast<long long>(begin) * step;
    const int values = (count - 1) * step + 1, ahead = values - (W - 1);
    typename Lanes<T>::V line = load_n(from, least(values, W - 1));
    if (step == 2) line = evens(line, ahead > 0 ? load_n(from + W - 1, ahead) : typename Lanes<T>::V{});
    store_n(to + begin, line, count);
    return;
  }
  // The last vector begins earlier, lest it reach beyond the line.
  if (step == 1) {
    for (int i = begin; i < end - W; i += W) store(to + i, load(from + i));
    store(to + end - W, load(from + end - W));
  } else {
    auto vector = [&](long long i) { store(to + i, evens(load(from + 2 * i), load(from + 2 * i + W - 1))); };
    for (int i = begin; i < end - W; i += W) vector(i);
    vector(end - W);
  }
}

// The planes of one group of one image with the zeros around them, g.plane apart.
template <class T>
static inline void copy_planes(const Gather& g, const T* in, T* out) {
  const long long in_plane = static_cast<long long>(g.in_h) * g.in_w;
  for (int c = 0; c < g.in_channels; c++, in += in_plane, out += g.plane) {
    if (!g.columns) {
      pad_planes(in, out, 1, g.in_h, g.in_w, g.top, g.bottom, g.left, g.right);
      continue;
    }
    const size_t row = static_cast<size_t>(g.wp);
    memset(out, 0, row * g.top * sizeof(T));
    memset(out + row * (g.top + g.in_h), 0, row * g.bottom * sizeof(T));
    for (int y = 0; y < g.in_h; y++) {
      const T* from = in + static_cast<long long>(y) * g.in_w;
      T* to = out + row * (g.top + y);
      for (int f = 0; f < g.in_step_w; f++, to += g.columns) {
        const int x = f - g.left;  // the input column of the run's first value
        const int begin = x < 0 ? ceil_div(-x, g.in_step_w) : 0,
                  end = x < g.in_w ? ceil_div(g.in_w - x, g.in_step_w) : 0;
        stage_line(from + x, g.in_step_w, begin, end < g.columns ? end : g.columns, g.columns, to);
      }
    }
  }
}

// `to`, a part's planes, holds those of `which`, an image and group: `holds` tells what it did until now.
template <class T>
static inline void hold_planes(const Gather& g, const void* in, long long which, long long& holds, T* to) {
  if (holds == which) return;
  copy_planes(g, static_cast<const T*>(in) + which * g.in_channels * g.in_h * g.in_w, to);
  holds = which;
}

// Throws unless the numbers are those of a convolution and the buffers hold the tensors.
static inline void check_conv(const Sizes& s, const char* name, const ConvParams& p, size_t x, size_t w,
                              size_t y) {
  const long long limit = 1LL << 30;
  if (p.itemsize != 4 && p.itemsize != 8) fail("%s: itemsize is %d, expected 4 or 8", name, p.itemsize);
  const bool positive = p.c > 0 && p.h > 0 && p.w > 0 && p.k > 0 && p.r > 0 && p.s > 0 && p.p > 0 &&
                        p.q > 0 && p.stride_h > 0 && p.stride_w > 0 && p.dilation_h && p.dilation_w &&
                        p.groups > 0;
  const long long step_h = p.dilation_h < 0 ? -static_cast<long long>(p.dilation_h) : p.dilation_h,
                  step_w = p.dilation_w < 0 ? -static_cast<long long>(p.dilation_w) : p.dilation_w;
  const long long top = p.top + (p.dilation_h < 0 ? (p.r - 1LL) * step_h : 0),
                  left = p.left + (p.dilation_w < 0 ? (p.s - 1LL) * step_w : 0);
  const bool one_way = (p.dilation_h < 0) == (p.dilation_w < 0);
  if (!positive || !one_way || p.n < 0 || top < 0 || left < 0 || p.c % p.groups || p.k % p.groups)
    fail("%s: x [%d, %d, %d, %d], w [%d, .., %d, %d], y [.., %d, %d], groups %d", name, p.n, p.c, p.h, p.w,
         p.k, p.r, p.s, p.p, p.q, p.groups);
  const long long rows = p.h + 2 * step_h * p.r + top + static_cast<long long>(p.stride_h) * p.p,
                  cols = p.w + 2 * step_w * p.s + left + static_cast<long long>(p.stride_w) * p.q;
  if (rows > limit / cols || static_cast<long long>(p.r) * p.s > limit)
    fail("%s: an image of %d x %d with a window of %d x %d is too large", name, p.h, p.w, p.r, p.s);
  const size_t item = static_cast<size_t>(p.itemsize), n = static_cast<size_t>(p.n),
               c = static_cast<size_t>(p.c), k = static_cast<size_t>(p.k);
  const size_t window = static_cast<size_t>(p.r) * static_cast<size_t>(p.s);
  require_bytes(name, "x", x, n * c * static_cast<size_t>(p.h) * static_cast<size_t>(p.w) * item);
  require_bytes(name, "w", w, k * (c / static_cast<size_t>(p.groups)) * window * item);
  require_bytes(name, "y", y, n * k * static_cast<size_t>(p.p) * static_cast<size_t>(p.q) * item);
  (void)s;
}

// The checks of kernels that take x and w and give y, and of those that take dy, w and the two dimensions of x.
static inline void check_conv_fprop(const Sizes& s, const char* name) {
  require_counts(s, name, 2, 1);
  check_conv(s, name, params_as<ConvParams>(s, name), s.in_bytes[0], s.in_bytes[1], s.out_bytes[0]);
}
static inline void check_conv_dgrad(const Sizes& s, const char* name) {
  require_counts(s, name, 4, 1);
  check_conv(s, name, params_as<ConvParams>(s, name), s.out_bytes[0], s.in_bytes[1], s.in_bytes[0]);
}
static inline void check_conv_wgrad(const Sizes& s,
                                    const char* name) {  // x, dy, and the two sizes of the window
  require_counts(s, name, 4, 1);
  check_conv(s, name, params_as<ConvParams>(s, name), s.in_bytes[0], s.out_bytes[0], s.in_bytes[1]);
}

static inline double conv_flops(const ConvParams& p) {
  return 2.0 * p.n * p.k * p.p * p.q * (p.c / p.groups) * p.r * p.s;
}

constexpr double kConvPartFlops = 1.25e5;  // that each thread must have at least

}  // namespace SYMCONV_ISA
}  // namespace symconv
