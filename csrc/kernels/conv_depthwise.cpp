// Depthwise conv2d and its input gradient: every output channel sees one input channel; windows of 3 x 3, 5 x 5 and
// 7 x 7, stride 1 or 2. The input gradient of stride 1 is the same with the window turned round.
//
// depthwise_fprop, depthwise_dgrad: lanes are the outputs of a row. kRows rows of one vector are in registers
// together, so that a value that is loaded serves as many of them as the window is high; the window is walked column
// by column, its weights in registers too. The image is read where it lies: a vector that overhangs it at the left or
// right is loaded by lanes, and rows above and below are a row of zeros. With stride 2 the inputs of a vector are every
// second of two; in the input gradient even and odd columns are sums of their own taps, which alternate at last.
// With AVX-512 and stride 1 each value is loaded but once a row, and moved from lane to lane for the other columns of
// the window: vectors of 64 bytes at odd places cross cache lines, and that is what loading each column waits for.
// The rows that come next are asked for ahead: as several are read side by side, the processor does not foresee them.
#include "conv_geometry.h"
#include "conv_lanes.h"
#include "pairs.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kRows = 4;
constexpr int kMostTaps = 49;

struct Plan {
  int in_h, in_w, out_h, out_w, top, left;
  int window, stride;
  int inputs, outputs;  // planes of an image
  int pieces;           // of the rows of a plane, to have work for all threads
};

Plan make_plan(const ConvParams& params, bool dgrad, int threads) {
  const ConvParams p = unflipped(params);
  Plan plan{};
  plan.window = p.r, plan.stride = p.stride_h;
  plan.inputs = dgrad ? p.k : p.c, plan.outputs = dgrad ? p.c : p.k;
  plan.in_h = dgrad ? p.p : p.h, plan.in_w = dgrad ? p.q : p.w;
  plan.out_h = dgrad ? p.h : p.p, plan.out_w = dgrad ? p.w : p.q;
  const bool turned = dgrad && plan.stride == 1;
  plan.top = turned ? p.r - 1 - p.top : p.top, plan.left = turned ? p.s - 1 - p.left : p.left;
  const int steps = ceil_div(plan.out_h, kRows);
  plan.pieces = p.n * plan.outputs < 2 * threads && threads > 1 ? 2 * threads : 1;
  if (plan.pieces > steps) plan.pieces = steps;
  return plan;
}

// Every STRIDE-th value from p on, which is column `first` of the image; INSIDE: none lies beside it.
template <class T, int STRIDE, bool INSIDE>
inline typename Lanes<T>::V load_columns(const T* p, int first, int width) {
  constexpr int W = Lanes<T>::W;
  if constexpr (STRIDE == 1)
    return INSIDE ? load(p) : load_lanes(p, -first, width - first);
  else if constexpr (INSIDE)
    return evens(load(p), load(p + W - 1));
  else
    return evens(load_lanes(p, -first, width - first),
                 load_lanes(p + W - 1, 1 - W - first, width + 1 - W - first));
}

// Vectors of outputs at columns begin, begin + W, ... below end, of kRows rows, of which `rows` are wanted. INSIDE: no
// vector of inputs overhangs the image. row[i] + STRIDE * j is where the first column of the window meets the image.
// A function of its own, or the compiler mixes the forms' addresses.
template <class T, int R, int STRIDE, bool TURNED, bool INSIDE>
__attribute__((noinline)) void strip(const Plan& plan, const T* const* row, int begin, int end, const T* w,
                                     T* out, int rows) {
  using Vec = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W, kInputs = (kRows - 1) * STRIDE + R;
  const long long pitch = plan.out_w;
  const T* from[kInputs];
  for (int i = 0; i < kInputs; i++) from[i] = row[i];
  for (int j = begin; j < end; j += W) {
    const int first =
        STRIDE * j - plan.left;  // column of the image in lane 0 under the window's first column
    Vec acc[kRows] = {};
#pragma GCC unroll 8
    for (int s = 0; s < R; s++) {
      Vec weight[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) weight[r] = set1(w[TURNED ? R * R - 1 - (r * R + s) : r * R + s]);
#pragma GCC unroll 16
      for (int i = 0; i < kInputs; i++) {
        const Vec x = load_columns<T, STRIDE, INSIDE>(from[i] + STRIDE * j + s, first + s, plan.in_w);
#pragma GCC unroll 4
        for (int m = 0; m < kRows; m++)
          if (i >= m * STRIDE && i - m * STRIDE < R) acc[m] = fma(weight[i - m * STRIDE], x, acc[m]);
      }
    }
    for (int m = 0; m < kRows; m++) __builtin_prefetch(out + (kRows + m) * pitch + j, 1);
    for (int i = kInputs - kRows * STRIDE; i < kInputs; i++)
      __builtin_prefetch(from[i] + static_cast<long long>(kRows * STRIDE) * plan.in_w + STRIDE * j);
    if (rows >= kRows && pitch - j >= W) {
      for (int m = 0; m < kRows; m++) store(out + m * pitch + j, acc[m]);
      continue;
    }
    for (int m = 0; m < kRows && m < rows; m++)
      store_part(out + m * pitch + j, acc[m], static_cast<int>(pitch) - j);
  }
}

// Where the first column of the window meets rows first, first + 1, ... of the image.
template <class T, int N>
inline void rows_under(const Plan& plan, int first, const T* x, const T* zeros, const T* (&row)[N]) {
  for (int i = 0; i < N; i++) {
    const int at = first + i;
    row[i] = (at >= 0 && at < plan.in_h ? x + static_cast<long long>(at) * plan.in_w : zeros) - plan.left;
  }
}

// Output rows [begin, end) of a plane.
template <class T, int R, int STRIDE, bool TURNED>
void run_rows(const Plan& plan, int begin, int end, const T* x, const T* w, const T* zeros, T* y) {
  constexpr int W = Lanes<T>::W, kInputs = (kRows - 1) * STRIDE + R;
  // Vectors [low, high) see the image alone.
  int low = plan.left > 0 ? static_cast<int>(round_up(ceil_div(plan.left, STRIDE), W)) : 0;
  if (low > plan.out_w) low = plan.out_w;
  const int room = plan.in_w + plan.left - R - STRIDE * (W - 1);
  int high = room < 0 ? 0 : room / STRIDE + 1;
  if (high > plan.out_w) high = plan.out_w;
  high = high > low ? low + static_cast<int>(round_up(high - low, W)) : low;
  for (int i = begin; i < end; i += kRows) {
    T* out = y + static_cast<long long>(i) * plan.out_w;
    const T* row[kInputs];
    rows_under(plan, i * STRIDE - plan.top, x, zeros, row);
    strip<T, R, STRIDE, TURNED, false>(plan, row, 0, low, w, out, end - i);
    strip<T, R, STRIDE, TURNED, true>(plan, row, low, high, w, out, end - i);
    strip<T, R, STRIDE, TURNED, false>(plan, row, high, plan.out_w, w, out, end - i);
  }
}

#if defined(__AVX512F__)
constexpr int kTallRows = 8;  // 32 registers are enough for as many

// Values `by` to `by` + 15 of the 32 of a and b.
inline vf moved(vf a, vf b, int by) {
#define MOVED(n) \
  case n:        \
    return (vf)_mm512_alignr_epi32((__m512i)b, (__m512i)a, n);
  switch (by) {
    MOVED(1)
    MOVED(2)
    MOVED(3)
    MOVED(4)
    MOVED(5)
    MOVED(6)
    default:
      return a;
  }
#undef MOVED
}

// All outputs of ROWS rows, of which `rows` are wanted, with stride 1; row[i] as for strip().
template <int R, bool TURNED, int ROWS>
__attribute__((noinline)) void slide(const Plan& plan, const float* const* row, const float* w, float* out,
                                     int rows) {
  constexpr int W = VF_WIDTH, kInputs = ROWS + R - 1;
  constexpr bool kHeld = R == 3;  // all weights in registers
  const long long pitch = plan.out_w;
  auto weight = [&](int i) { return set1(w[TURNED ? R * R - 1 - i : i]); };
  vf held[kHeld ? R * R : 1];
  if (kHeld)
    for (int i = 0; i < R * R; i++) {
      held[i] = weight(i);
      pin(held[i]);
    }
  vf here[kInputs];
  for (int i = 0; i < kInputs; i++) here[i] = load_lanes(row[i], plan.left, plan.in_w + plan.left);
  for (int j = 0; j < plan.out_w; j += W) {
    const LaneMask lanes = lanes_between(plan.left - j - W, plan.in_w + plan.left - j - W);
    vf acc[ROWS] = {};
#pragma GCC unroll 16
    for (int i = 0; i < kInputs; i++) {
      vf next = load_lanes(row[i] + j + W, lanes);
      pin(next);
      if (i >= R - 1) __builtin_prefetch(row[i] + static_cast<long long>(ROWS) * plan.in_w + j);
#pragma GCC unroll 8
      for (int s = 0; s < R; s++) {
        const vf x = moved(here[i], next, s);
#pragma GCC unroll 8
        for (int m = 0; m < ROWS; m++)
          if (const int r = i - m; r >= 0 && r < R)
            acc[m] = fma(kHeld ? held[r * R + s] : weight(r * R + s), x, acc[m]);
      }
      here[i] = next;
    }
    if (rows >= ROWS && pitch - j >= W) {
      for (int m = 0; m < ROWS; m++) store(out + m * pitch + j, acc[m]);
      continue;
    }
    for (int m = 0; m < ROWS && m < rows; m++)
      store_part(out + m * pitch + j, acc[m], static_cast<int>(pitch) - j);
  }
}

// Output rows [begin, end) of a plane, ROWS at a time: where ROWS is kRows all, else as many as there are. Returns the
// first that is left.
template <int R, bool TURNED, int ROWS>
int slide_rows(const Plan& plan, int begin, int end, const float* x, const float* w, const float* zeros,
               float* y) {
  for (; ROWS == kRows ? begin < end : begin + ROWS <= end; begin += ROWS) {
    const float* row[ROWS + R - 1];
    rows_under(plan, begin - plan.top, x, zeros, row);
    slide<R, TURNED, ROWS>(plan, row, w, y + static_cast<long long>(begin) * plan.out_w, end - begin);
  }
  return begin;
}
#endif

// Rows [begin, end) of a plane of the input gradient with stride 2: dx[i][2 j + b] is the sum over the taps (r, s) that
// reach it of w[r][s] dy[(i + top - r) / 2][j + (b + left - s) / 2].
template <class T, int R>
void spread_rows(const Plan& plan, int begin, int end, const T* dy, const T* w, T* dx) {
  using Vec = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  struct Term {
    const T* from;
    T weight;
    int shift;
  };
  for (int i = begin; i < end; i++) {
    Term term[2][R * R];
    int count[2] = {};
    for (int r = 0; r < R; r++) {
      const int twice = i + plan.top - r;
      if (twice < 0 || twice % 2 || twice / 2 >= plan.in_h) continue;
      for (int s = 0; s < R; s++) {
        const int b = (plan.left - s) & 1, shift = (b + plan.left - s) / 2;
        term[b][count[b]++] = {dy + static_cast<long long>(twice / 2) * plan.in_w + shift, w[r * R + s],
                               shift};
      }
    }
    T* out = dx + static_cast<long long>(i) * plan.out_w;
    for (int j = 0; 2 * j < plan.out_w; j += W) {
      Vec acc[2] = {};
      for (int b = 0; b < 2; b++)
        for (int k = 0; k < count[b]; k++) {
          const Term& t = term[b][k];
          const int first = j + t.shift;
          const bool inside = first >= 0 && first + W <= plan.in_w;
          acc[b] = fma(set1(t.weight),
                       inside ? load(t.from + j) : load_lanes(t.from + j, -first, plan.in_w - first), acc[b]);
        }
      Vec a, b;
      join_pairs(acc[0], acc[1], a, b);
      store_part(out + 2 * j, a, plan.out_w - 2 * j);
      store_part(out + 2 * j + W, b, plan.out_w - 2 * j - W);
    }
  }
}

template <class T, int R, bool DGRAD>
void run_stride(const Plan& plan, int begin, int end, const T* x, const T* w, const T* zeros, T* y) {
  if (plan.stride == 1) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == sizeof(float)) {
      begin = slide_rows<R, DGRAD, kTallRows>(plan, begin, end, x, w, zeros, y);
      slide_rows<R, DGRAD, kRows>(plan, begin, end, x, w, zeros, y);
    } else
#endif
      run_rows<T, R, 1, DGRAD>(plan, begin, end, x, w, zeros, y);
  } else if (DGRAD)
    spread_rows<T, R>(plan, begin, end, x, w, y);
  else
    run_rows<T, R, 2, false>(plan, begin, end, x, w, zeros, y);
}

template <class T, bool DGRAD>
void run_window(const Plan& plan, int begin, int end, const T* x, const T* w, const T* zeros, T* y) {
  switch (plan.window) {
    case 3:
      return run_stride<T, 3, DGRAD>(plan, begin, end, x, w, zeros, y);
    case 5:
      return run_stride<T, 5, DGRAD>(plan, begin, end, x, w, zeros, y);
    default:
      return run_stride<T, 7, DGRAD>(plan, begin, end, x, w, zeros, y);
  }
}

template <class T, bool DGRAD>
void run(const Launch& l) {
  const ConvParams& p = params_as<ConvParams>(l);
  const Plan plan = make_plan(p, DGRAD, l.pool->size());
  T* zeros = static_cast<T*>(l.workspace);
  memset(zeros, 0, static_cast<size_t>(plan.in_w) * sizeof(T));
  const int steps = ceil_div(plan.out_h, kRows), copies = plan.outputs / plan.inputs;
  parallel_for(
      l.pool, p.n * plan.outputs * plan.pieces,
      [&](int task, int) {
        const int which = task / plan.pieces, piece = task % plan.pieces, channel = which % plan.outputs;
        const int end = static_cast<int>(static_cast<long long>(steps) * (piece + 1) / plan.pieces) * kRows;
        const int taps = plan.window * plan.window;
        const T* w = static_cast<const T*>(l.in[1]) + static_cast<long long>(channel) * taps;
        T turned[kMostTaps];
        if (is_flipped(p))
          for (int t = 0; t < taps; t++) turned[t] = w[taps - 1 - t];
        run_window<T, DGRAD>(
            plan, static_cast<int>(static_cast<long long>(steps) * piece / plan.pieces) * kRows,
            end < plan.out_h ? end : plan.out_h,
            static_cast<const T*>(l.in[0]) + static_cast<long long>(which / copies) * plan.in_h * plan.in_w,
            is_flipped(p) ? turned : w, zeros,
            static_cast<T*>(l.out[0]) + static_cast<long long>(which) * plan.out_h * plan.out_w);
      },
      pays(conv_flops(p), kConvPartFlops, l.pool));
}

template <bool DGRAD>
void run_any(const Launch& l) {
  with_type(params_as<ConvParams>(l), [&](auto zero) { run<decltype(zero), DGRAD>(l); });
}

template <bool DGRAD>
size_t workspace(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "depthwise");
  return static_cast<size_t>(DGRAD ? p.q : p.w) * static_cast<size_t>(p.itemsize);
}

void check_depthwise(const Sizes& s, const char* name, bool dgrad) {
  const ConvParams& p = params_as<ConvParams>(s, name);
  const bool fits = p.groups == p.c && (!dgrad || p.k == p.c) && p.r == p.s &&
                    (p.r == 3 || p.r == 5 || p.r == 7) && (p.stride_h == 1 || p.stride_h == 2) &&
                    p.stride_w == p.stride_h && unit_dilation(p);
  if (!fits)
    fail("%s: %d channels to %d in %d groups, windows of %d x %d, stride (%d, %d), dilation (%d, %d)", name,
         p.c, p.k, p.groups, p.r, p.s, p.stride_h, p.stride_w, p.dilation_h, p.dilation_w);
}
void check_fprop(const Sizes& s) {
  check_conv_fprop(s, "depthwise_fprop");
  check_depthwise(s, "depthwise_fprop", false);
}
void check_dgrad(const Sizes& s) {
  check_conv_dgrad(s, "depthwise_dgrad");
  check_depthwise(s, "depthwise_dgrad", true);
}

}  // namespace

void register_conv_depthwise(Registrar& r) {
  r.add({"depthwise_fprop", run_any<false>, check_fprop, workspace<false>});
  r.add({"depthwise_dgrad", run_any<true>, check_dgrad, workspace<true>});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
