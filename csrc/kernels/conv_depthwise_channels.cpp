// Depthwise conv2d and both its gradients with channels in the lanes: every output channel sees one input channel;
// any window, stride, dilation and padding.
//
// depthwise_channels_fprop, _dgrad, _wgrad: a vector of channels of one image at a time. A band of rows is turned to
// [row][column][lanes], with zeros where it overhangs the image, so that a tap is an offset, whatever the stride; sums
// of several positions are in registers together, and are turned back into planes.
//
//   y[i, j] = sum over taps of w[r, s] x[i * stride_h - top + r * dilation_h, j * stride_w - left + s * dilation_w]
//
// The input gradient gathers: the positions h = a (mod stride_h), w = b (mod stride_w) are reached by the same taps,
// from neighbouring dy, so that each such class is a convolution of stride 1. In the weight gradient the sums of some
// taps are in registers. It adds up images in a fixed number of parts, for the same bits from any number of threads.
#include "conv_geometry.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kPositions = 6;  // in registers together
constexpr int kTaps = 9;       // of the weight gradient
constexpr long long kBandBytes = 96 << 10;
constexpr int kBlocks = 8;      // from so many blocks of channels on, images are not shared
constexpr int kParts = 8;       // of the images, otherwise
constexpr int kMostTaps = 256;  // MOST_TAPS in symconv/ops/conv_cpu_kernels.py

int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// One dimension. Output u * step + a sees input u * stride + at(a, tap) through the taps that sees(a, tap) tells; step
// is 1 but in the input gradient, whose stride is 1.
struct Axis {
  int inputs, outputs, taps;
  int stride, step;
  int top, dilation;
  bool back;  // the input gradient

  int span() const { return (taps - 1) * dilation; }  // of the window
  int first() const { return least(0, span()); }      // its lowest element, from element 0
  int last() const { return most(0, span()); }
  bool sees(int a, int tap) const { return !back || (a + top - tap * dilation) % step == 0; }
  int at(int a, int tap) const { return back ? (a + top - tap * dilation) / step : tap * dilation - top; }
};

Axis axis_of(int in, int out, int taps, int stride, int top, int dilation, bool dgrad) {
  return dgrad ? Axis{out, in, taps, 1, stride, top, dilation, true}
               : Axis{in, out, taps, stride, 1, top, dilation, false};
}

// Inputs that outputs [begin, end) see: from low on, `size` of them.
struct Reach {
  int low, size;
};
Reach reach_of(const Axis& a, int begin, int end) {
  int low, high;
  if (a.back) {
    low = floor_div(begin + a.top - a.last(), a.step);
    high = floor_div(end - 1 + a.top - a.first(), a.step);
  } else {
    low = begin * a.stride - a.top + a.first();
    high = (end - 1) * a.stride - a.top + a.last();
  }
  return {low, high < low ? 0 : high - low + 1};
}

struct Plan {
  Axis rows, cols;
  int n, channels, blocks, parts;
  int band;     // rows of outputs, a multiple of rows.step
  Reach width;  // columns of the inputs of a band
  int height;   // rows of the inputs of the tallest band
  bool wgrad;
};

template <class T>
Plan make_plan(const ConvParams& p, bool dgrad, bool wgrad) {
  constexpr int W = Lanes<T>::W;
  Plan plan{};
  plan.rows = axis_of(p.h, p.p, p.r, p.stride_h, p.top, p.dilation_h, dgrad);
  plan.cols = axis_of(p.w, p.q, p.s, p.stride_w, p.left, p.dilation_w, dgrad);
  plan.n = p.n, plan.channels = p.c, plan.blocks = ceil_div(p.c, W);
  plan.wgrad = wgrad;
  plan.parts = !wgrad || plan.blocks >= kBlocks ? 1 : most(1, least(p.n, kParts));
  plan.width = reach_of(plan.cols, 0, plan.cols.outputs);
  const Axis& a = plan.rows;
  // Rows of outputs whose inputs and outputs fill the band, less the inputs that only its last rows see.
  const double in_rows = static_cast<double>(a.stride) / a.step;
  const double row = (in_rows * plan.width.size + plan.cols.outputs) * W * sizeof(T);
  double fit = (kBandBytes - static_cast<double>((a.last() - a.first()) / a.step) * plan.width.size * W *
                                 static_cast<double>(sizeof(T))) /
               row;
  const int least_rows = 4 * a.taps;
  plan.band = fit < least_rows ? least_rows : fit > a.outputs ? a.outputs : static_cast<int>(fit);
  plan.band = ceil_div(plan.band, a.step) * a.step;
  if (plan.band > a.outputs) plan.band = a.outputs;
  if (plan.band < 1) plan.band = 1;
  for (int begin = 0; begin < a.outputs; begin += plan.band)
    plan.height = most(plan.height, reach_of(a, begin, least(begin + plan.band, a.outputs)).size);
  return plan;
}

template <class T>
struct Scratch {
  T* sums;     // weight gradient: [part][block][tap][W]
  T* in;       // [height][width][W]
  T* out;      // [band][columns][W]; weight gradient: dy
  T* weights;  // [tap][W]
};

template <class T>
size_t carve(const Plan& plan, char* base, int threads, int part, Scratch<T>& out) {
  constexpr int W = Lanes<T>::W;
  const long long taps = static_cast<long long>(plan.rows.taps) * plan.cols.taps;
  Carver c{base};
  Scratch<T> s{};
  if (plan.wgrad) s.sums = c.take<T>(taps * plan.blocks * plan.parts * W);
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.in = c.take<T>(static_cast<long long>(plan.height) * plan.width.size * W);
    s.out = c.take<T>(static_cast<long long>(plan.band) * plan.cols.outputs * W);
    s.weights = c.take<T>(taps * W);
    if (t == part) out = s;
  }
  return c.used;
}

// Rows [reach.low, reach.low + reach.size) of the image at x, columns plan.width: channels-last, zeros outside.
template <class T>
void fill_band(const Plan& plan, const Reach& reach, const T* x, int channels, T* band) {
  constexpr int W = Lanes<T>::W;
  const int width = plan.width.size, cols = plan.cols.inputs, low = plan.width.low;
  const long long plane = static_cast<long long>(plan.rows.inputs) * cols;
  int begin = most(0, -low), end = least(width, cols - low);
  if (begin > end) begin = end = 0;
  for (int i = 0; i < reach.size; i++, band += static_cast<long long>(width) * W) {
    const int y = reach.low + i;
    if (y < 0 || y >= plan.rows.inputs || begin == end) {
      memset(band, 0, static_cast<size_t>(width) * W * sizeof(T));
      continue;
    }
    memset(band, 0, static_cast<size_t>(begin) * W * sizeof(T));
    memset(band + end * W, 0, static_cast<size_t>(width - end) * W * sizeof(T));
    transpose(x + static_cast<long long>(y) * cols + low + begin, plane, band + begin * W, W, channels,
              end - begin);
  }
}

// out[m * to] = sum over taps of weights[tap] * in[m * step + offset[tap]], for m < M.
template <int M, class T>
inline void positions(const T* in, long long step, const long long* offset, const T* const* weight, int taps,
                      T* out, long long to) {
  using V = typename Lanes<T>::V;
  V acc[M] = {};  // which stay in registers if the loops over them are unrolled
  for (int t = 0; t < taps; t++) {
    V w = load(weight[t]);
    pin(w);
    const T* from = in + offset[t];
#pragma GCC unroll 16
    for (int m = 0; m < M; m++) acc[m] = fma(w, load(from + m * step), acc[m]);
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; m++) store(out + m * to, acc[m]);
}

template <class T>
void line(const T* in, long long step, const long long* offset, const T* const* weight, int taps, int n,
          T* out, long long to) {
  int i = 0;
  for (; i + kPositions <= n; i += kPositions)
    positions<kPositions>(in + i * step, step, offset, weight, taps, out + i * to, to);
  for (; i + 2 <= n; i += 2) positions<2>(in + i * step, step, offset, weight, taps, out + i * to, to);
  for (; i < n; i++) positions<1>(in + i * step, step, offset, weight, taps, out + i * to, to);
}

// Output rows [begin, end) of a block of channels, from the band below them.
template <class T>
void run_band(const Plan& plan, const Reach& reach, int begin, int end, const Scratch<T>& s,
              long long* offset, const T** weight) {
  constexpr int W = Lanes<T>::W;
  const Axis &rows = plan.rows, &cols = plan.cols;
  const long long pitch = static_cast<long long>(plan.width.size) * W;
  for (int a = 0; a < rows.step; a++)
    for (int b = 0; b < cols.step && b < cols.outputs; b++) {
      // The first output row of the class, and what it sees.
      const int first = begin + ((a - begin) % rows.step + rows.step) % rows.step;
      int taps = 0;
      for (int r = 0; r < rows.taps; r++)
        for (int c = 0; c < cols.taps; c++)
          if (rows.sees(a, r) && cols.sees(b, c)) {
            offset[taps] = rows.at(a, r) * pitch + static_cast<long long>(cols.at(b, c) - plan.width.low) * W;
            weight[taps++] = s.weights + (r * cols.taps + c) * W;
          }
      const int n = (cols.outputs - b + cols.step - 1) / cols.step;
      for (int i = first; i < end; i += rows.step) {
        const long long u = static_cast<long long>(i / rows.step) * rows.stride - reach.low;
        line(s.in + u * pitch, static_cast<long long>(cols.stride) * W, offset, weight, taps, n,
             s.out + (static_cast<long long>(i - begin) * cols.outputs + b) * W,
             static_cast<long long>(cols.step) * W);
      }
    }
}

template <class T, bool DGRAD>
void run(const Launch& l) {
  constexpr int W = Lanes<T>::W;
  const ConvParams& p = params_as<ConvParams>(l);
  const Plan plan = make_plan<T>(p, DGRAD, false);
  const int taps = p.r * p.s, threads = l.pool->size();
  const long long in_plane = static_cast<long long>(plan.rows.inputs) * plan.cols.inputs,
                  out_plane = static_cast<long long>(plan.rows.outputs) * plan.cols.outputs;
  const T *x = static_cast<const T*>(l.in[0]), *w = static_cast<const T*>(l.in[1]);
  T* y = static_cast<T*>(l.out[0]);
  parallel_for(
      l.pool, p.n * plan.blocks,
      [&](int task, int part) {
        Scratch<T> s{};
        carve(plan, static_cast<char*>(l.workspace), threads, part, s);
        long long offset[kMostTaps];
        const T* weight[kMostTaps];
        const int block = task % plan.blocks, channels = least(W, plan.channels - block * W);
        const long long channel = static_cast<long long>(task / plan.blocks) * plan.channels + block * W;
        if (channels < W) {
          memset(s.in, 0, static_cast<size_t>(plan.height) * plan.width.size * W * sizeof(T));
          memset(s.weights, 0, static_cast<size_t>(taps) * W * sizeof(T));
        }
        transpose(w + static_cast<long long>(block) * W * taps, taps, s.weights, W, channels, taps);
        for (int begin = 0; begin < plan.rows.outputs; begin += plan.band) {
          const int end = least(begin + plan.band, plan.rows.outputs);
          const Reach reach = reach_of(plan.rows, begin, end);
          fill_band(plan, reach, x + channel * in_plane, channels, s.in);
          run_band<T>(plan, reach, begin, end, s, offset, weight);
          const long long at = static_cast<long long>(begin) * plan.cols.outputs;
          transpose(s.out, W, y + channel * out_plane + at, out_plane,
                    static_cast<long long>(end - begin) * plan.cols.outputs, channels);
        }
      },
      pays(conv_flops(p), kConvPartFlops, l.pool));
}

// sums[tap] += sum over n positions of dy[m] * in[m * step + offset[tap]], for TAPS taps.
template <int TAPS, class T>
void add_line(const T* in, long long step, const long long* offset, const T* dy, int n, T* sums) {
  constexpr int W = Lanes<T>::W;
  using V = typename Lanes<T>::V;
  V acc[TAPS];
  for (int t = 0; t < TAPS; t++) acc[t] = load(sums + t * W);
  for (int m = 0; m < n; m++, in += step, dy += W) {
    V g = load(dy);
    pin(g);
    for (int t = 0; t < TAPS; t++) acc[t] = fma(g, load(in + offset[t]), acc[t]);
  }
  for (int t = 0; t < TAPS; t++) store(sums + t * W, acc[t]);
}

template <class T>
void run_wgrad(const Launch& l) {
  constexpr int W = Lanes<T>::W;
  const ConvParams& p = params_as<ConvParams>(l);
  const Plan plan = make_plan<T>(p, false, true);
  const Axis &rows = plan.rows, &cols = plan.cols;
  const int taps = p.r * p.s, threads = l.pool->size();
  const long long in_plane = static_cast<long long>(p.h) * p.w, out_plane = static_cast<long long>(p.p) * p.q;
  const T *x = static_cast<const T*>(l.in[0]), *dy = static_cast<const T*>(l.in[1]);
  T* dw = static_cast<T*>(l.out[0]);
  Scratch<T> shared{};
  carve(plan, static_cast<char*>(l.workspace), threads, 0, shared);
  parallel_for(
      l.pool, plan.parts * plan.blocks,
      [&](int task, int part) {
        Scratch<T> s{};
        carve(plan, static_cast<char*>(l.workspace), threads, part, s);
        long long offset[kMostTaps];
        const long long pitch = static_cast<long long>(plan.width.size) * W;
        for (int r = 0; r < p.r; r++)
          for (int c = 0; c < p.s; c++)
            offset[r * p.s + c] = (r * rows.dilation - rows.first()) * pitch +
                                  static_cast<long long>(c * cols.dilation - cols.first()) * W;
        const int block = task % plan.blocks, share = task / plan.blocks;
        const int channels = least(W, plan.channels - block * W);
        T* sums = s.sums + static_cast<long long>(task) * taps * W;
        memset(sums, 0, static_cast<size_t>(taps) * W * sizeof(T));
        if (channels < W) {
          memset(s.in, 0, static_cast<size_t>(plan.height) * plan.width.size * W * sizeof(T));
          memset(s.out, 0, static_cast<size_t>(plan.band) * cols.outputs * W * sizeof(T));
        }
        const int first = share_of(p.n, share, plan.parts), last = share_of(p.n, share + 1, plan.parts);
        for (int image = first; image < last; image++) {
          const long long channel = static_cast<long long>(image) * plan.channels + block * W;
          for (int begin = 0; begin < rows.outputs; begin += plan.band) {
            const int end = least(begin + plan.band, rows.outputs);
            const Reach reach = reach_of(rows, begin, end);
            fill_band(plan, reach, x + channel * in_plane, channels, s.in);
            transpose(dy + channel * out_plane + static_cast<long long>(begin) * cols.outputs, out_plane,
                      s.out, W, channels, static_cast<long long>(end - begin) * cols.outputs);
            for (int i = begin; i < end; i++)
              for (int t = 0; t < taps; t += kTaps)
                with_constant<kTaps>(least(kTaps, taps - t), [&](auto n) {
                  add_line<n.value>(s.in + static_cast<long long>(i - begin) * rows.stride * pitch,
                                    static_cast<long long>(cols.stride) * W, offset + t,
                                    s.out + static_cast<long long>(i - begin) * cols.outputs * W,
                                    cols.outputs, sums + static_cast<long long>(t) * W);
                });
          }
        }
      },
      pays(conv_flops(p), kConvPartFlops, l.pool));
  for (int block = 0; block < plan.blocks; block++) {
    T* total = shared.sums + static_cast<long long>(block) * taps * W;
    for (int part = 1; part < plan.parts; part++) {
      const T* more = total + static_cast<long long>(part) * plan.blocks * taps * W;
      for (int i = 0; i < taps * W; i++) total[i] += more[i];
    }
    transpose(total, W, dw + static_cast<long long>(block) * W * taps, taps, taps,
              least(W, plan.channels - block * W));
  }
}

template <bool DGRAD>
void run_any(const Launch& l) {
  with_type(params_as<ConvParams>(l), [&](auto zero) { run<decltype(zero), DGRAD>(l); });
}
void run_any_wgrad(const Launch& l) {
  with_type(params_as<ConvParams>(l), [&](auto zero) { run_wgrad<decltype(zero)>(l); });
}

template <class T>
size_t workspace_of(const ConvParams& p, bool dgrad, bool wgrad, int threads) {
  Scratch<T> s{};
  return carve(make_plan<T>(p, dgrad, wgrad), nullptr, threads, 0, s);
}
template <bool DGRAD, bool WGRAD>
size_t workspace(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "depthwise_channels");
  return p.itemsize == 4 ? workspace_of<float>(p, DGRAD, WGRAD, s.threads)
                         : workspace_of<double>(p, DGRAD, WGRAD, s.threads);
}

void check_depthwise(const Sizes& s, const char* name) {
  const ConvParams& p = params_as<ConvParams>(s, name);
  if (p.groups != p.c || p.k != p.c || static_cast<long long>(p.r) * p.s > kMostTaps)
    fail("%s: %d channels to %d in %d groups, windows of %d x %d", name, p.c, p.k, p.groups, p.r, p.s);
}
void check_fprop(const Sizes& s) {
  check_conv_fprop(s, "depthwise_channels_fprop");
  check_depthwise(s, "depthwise_channels_fprop");
}
void check_dgrad(const Sizes& s) {
  check_conv_dgrad(s, "depthwise_channels_dgrad");
  check_depthwise(s, "depthwise_channels_dgrad");
}
void check_wgrad(const Sizes& s) {
  check_conv_wgrad(s, "depthwise_channels_wgrad");
  check_depthwise(s, "depthwise_channels_wgrad");
}

}  // namespace

void register_conv_depthwise_channels(Registrar& r) {
  r.add({"depthwise_channels_fprop", run_any<false>, check_fprop, workspace<false, false>});
  r.add({"depthwise_channels_dgrad", run_any<true>, check_dgrad, workspace<true, false>});
  r.add({"depthwise_channels_wgrad", run_any_wgrad, check_wgrad, workspace<false, true>});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
