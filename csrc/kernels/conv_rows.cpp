// conv2d and its input gradient with the outputs of a row in the lanes: for few output channels per group,
// depthwise among them.
//
// direct_rows: images are padded once (with a horizontal step of s, as s runs of every s-th column), so that
// neighbouring outputs read neighbouring values. A tile of 4 channels (8 with AVX-512) x 3 vectors of a row, or of
// 4 rows x 3 vectors of one channel, stays in registers over all input channels and taps; each tap costs one load per
// vector and one broadcast per channel. Weights are packed once per call, in the order of their use.
#include <type_traits>

#include "conv_geometry.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxVectors = 3;
#if defined(__AVX512F__)
constexpr int kMaxChannels = 8;
#else
constexpr int kMaxChannels = 4;
#endif
constexpr long long kPackShareWeights = 50000;  // below this one thread packs them

struct Plan {
  Gather g;
  const ConvParams* p;
  bool dgrad;
  int pieces;  // of the rows of an image, to have work for all threads
};

Plan make_plan(const ConvParams& p, bool dgrad, int threads, Phase* phases, Tap* taps) {
  Plan plan{};
  plan.g = make_gather(p, dgrad, true, phases, taps);
  plan.p = &p;
  plan.dgrad = dgrad;
  const long long tasks = static_cast<long long>(p.n) * p.groups;
  plan.pieces = tasks < 2 * threads && threads > 1 ? 2 * threads : 1;
  return plan;
}

long long weights_of_group(const Plan& plan) {
  return static_cast<long long>(plan.g.in_channels) * plan.g.out_channels * plan.g.n_taps;
}

template <class T>
struct Scratch {
  Phase* phases;
  Tap* taps;
  long long* copied;  // which (image, group) each part's `in` holds
  T* weights;         // packed, [group][phase][block of channels][in channel][tap][channel]
  T* in;
};

template <class T>
size_t carve(const Plan& plan, char* base, int threads, int part, Scratch<T>& out) {
  Carver c{base};
  const Gather& g = plan.g;
  Scratch<T> s{};
  s.phases = c.take<Phase>(static_cast<long long>(g.out_step_h) * g.out_step_w);
  s.taps = c.take<Tap>(static_cast<long long>(plan.p->r) * plan.p->s);
  s.copied = c.take<long long>(threads);
  s.weights = c.take<T>(weights_of_group(plan) * g.groups);
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.in = c.take<T>(g.plane * g.in_channels + kMaxVectors * Lanes<T>::W);  // vectors may reach over the end
    if (t == part) out = s;
  }
  return c.used;
}

// to[c][t][M] = weight(k + m, c, t): the weights of M output channels of one phase.
template <class T, int M>
void pack_weights(const Gather& g, const Phase& f, const Tap* taps, const T* w, T* to) {
  for (int c = 0; c < g.in_channels; c++, w += g.weight_in)
    for (int t = 0; t < f.taps; t++, to += M)
      for (int m = 0; m < M; m++) to[m] = w[m * g.weight_out + taps[t].weight];
}

// Channels of the next block, of those that are left.
inline int block_of(int left) {
  return left >= kMaxChannels ? kMaxChannels : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

// Calls f with a constant, the number of channels of a block.
template <class F>
void with_block(int channels, F&& f) {
  if constexpr (kMaxChannels > 4)
    if (channels == kMaxChannels) return f(std::integral_constant<int, kMaxChannels>{});
  if (channels == 4) return f(std::integral_constant<int, 4>{});
  if (channels == 2) return f(std::integral_constant<int, 2>{});
  f(std::integral_constant<int, 1>{});
}

// Those of one group: [phase][blocks of channels].
template <class T>
void pack_group(const Gather& g, const Phase* phases, const Tap* taps, const T* w, T* to) {
  for (int i = 0; i < g.n_phases; i++) {
    const Phase& f = phases[i];
    const long long terms = static_cast<long long>(g.in_channels) * f.taps;
    for (int k = 0; k < g.out_channels;) {
      const int m = block_of(g.out_channels - k);
      with_block(m,
                 [&](auto n) { pack_weights<T, n.value>(g, f, taps + f.first, w + k * g.weight_out, to); });
      to += m * terms, k += m;
    }
  }
}

// Where the tiles of M lines read and write: lines are output channels over one row, or (ROWS) rows of one channel.
template <class T>
struct Lines {
  const Gather& g;
  const Phase& f;
  const Tap* taps;
  TapRange live;
  const T* x;        // the window of output column 0
  long long x_step;  // from line to line; 0 where lines are channels
  const T* w;        // packed
  T* out;            // output column 0
  long long out_line;
};

// out[line m][i * step] = sums[m][i] for i < n; the sums' lines are `width` apart. A function of its own: the compiler would
// prepare it before the loops of the tiles that do not need it.
template <class T>
__attribute__((noinline)) void spread(const T* sums, int lines, int width, int n, T* out, long long line,
                                      int step) {
  for (int m = 0; m < lines; m++, sums += width, out += line)
    if (step == 1)
      memcpy(out, sums, static_cast<size_t>(n) * sizeof(T));
    else
      for (int i = 0; i < n; i++) out[static_cast<long long>(i) * step] = sums[i];
}

// Sums over channels and taps of x[line m, vector v] weight(m), for the columns from col on.
template <class T, int M, int V, bool ROWS>
static inline void tile(const Lines<T>& lines, int col) {
  using Vec = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W, WEIGHTS = ROWS ? 1 : M;
  const Gather& g = lines.g;
  Vec acc[M][V];
#pragma GCC unroll 8
  for (int m = 0; m < M; m++)
#pragma GCC unroll 3
    for (int v = 0; v < V; v++) acc[m][v] = Vec{};
  const T *x = lines.x + col, *w = lines.w + static_cast<long long>(lines.live.first) * WEIGHTS;
  for (int c = 0; c < g.in_channels; c++, x += g.plane, w += static_cast<long long>(lines.f.taps) * WEIGHTS) {
    const T* weight = w;
    for (int t = lines.live.first; t < lines.live.last; t++, weight += WEIGHTS) {
      const T* from = x + lines.taps[t].offset;
      if (ROWS) {
        const Vec wv = set1(*weight);
        for (int m = 0; m < M; m++)
          for (int v = 0; v < V; v++) acc[m][v] = fma(wv, load(from + m * lines.x_step + v * W), acc[m][v]);
      } else {
        Vec xv[V];
        for (int v = 0; v < V; v++) {
          xv[v] = load(from + v * W);
          pin(xv[v]);
        }
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) {
          const Vec wv = set1(weight[m]);
#pragma GCC unroll 3
          for (int v = 0; v < V; v++) acc[m][v] = fma(wv, xv[v], acc[m][v]);
        }
      }
    }
  }
  const int n = lines.f.cols - col, step = g.out_step_w;
  T* out = lines.out + static_cast<long long>(col) * step;
  if (step == 1 && n >= V * W) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++)
#pragma GCC unroll 3
      for (int v = 0; v < V; v++) store(out + m * lines.out_line + v * W, acc[m][v]);
    return;
  }
  T sums[M * V * W];
#pragma GCC unroll 8
  for (int m = 0; m < M; m++)
#pragma GCC unroll 3
    for (int v = 0; v < V; v++) store(sums + (m * V + v) * W, acc[m][v]);
  spread(sums, M, V * W, n < V * W ? n : V * W, out, lines.out_line, step);
}

// The whole of M lines from `row` (of channel k) on.
template <class T, int M, bool ROWS>
void row_tiles(const Gather& g, const Phase& f, const Tap* taps, const T* in, const T* w, int row, T* out) {
  constexpr int W = Lanes<T>::W;
  const long long row_step = static_cast<long long>(g.in_step_h) * g.wp,
                  plane = static_cast<long long>(g.out_h) * g.out_w;
  const Lines<T> lines{g,
                       f,
                       taps,
                       taps_of_rows(g, f, taps, row, ROWS ? row + M - 1 : row),
                       in + row * row_step,
                       ROWS ? row_step : 0,
                       w,
                       out + (static_cast<long long>(row) * g.out_step_h + f.a) * g.out_w + f.b,
                       ROWS ? static_cast<long long>(g.out_step_h) * g.out_w : plane};
  const int vectors = ceil_div(f.cols, W), chunks = ceil_div(vectors, kMaxVectors);
  for (int i = 0; i < chunks; i++) {
    const int v = vectors * i / chunks, n = vectors * (i + 1) / chunks - v;
    if (n == 3)
      tile<T, M, 3, ROWS>(lines, v * W);
    else if (n == 2)
      tile<T, M, 2, ROWS>(lines, v * W);
    else
      tile<T, M, 1, ROWS>(lines, v * W);
  }
}

// The rows of one piece of one image and group.
template <class T>
void run_piece(const Plan& plan, const Scratch<T>& s, int piece, const T* in, const T* w, T* out) {
  const Gather& g = plan.g;
  const long long plane = static_cast<long long>(g.out_h) * g.out_w;
  for (int i = 0; i < g.n_phases; i++) {
    const Phase& f = s.phases[i];
    const Tap* taps = s.taps + f.first;
    const long long terms = static_cast<long long>(g.in_channels) * f.taps;
    const int begin = static_cast<int>(static_cast<long long>(f.rows) * piece / plan.pieces),
              end = static_cast<int>(static_cast<long long>(f.rows) * (piece + 1) / plan.pieces);
    for (int k = 0, channels; k < g.out_channels; k += channels) {
      channels = block_of(g.out_channels - k);
      const T* own = w + k * terms;
      T* to = out + k * plane;
      with_block(channels, [&](auto n) {
        constexpr int M = n.value;
        int row = begin;
        if constexpr (M == 1)
          for (; row + 4 <= end; row += 4) row_tiles<T, 4, true>(g, f, taps, in, own, row, to);
        for (; row < end; row++) row_tiles<T, M, M == 1>(g, f, taps, in, own, row, to);
      });
    }
    w += g.out_channels * terms;
  }
}

template <class T>
void run(const Launch& l, bool dgrad) {
  const ConvParams& p = params_as<ConvParams>(l);
  const int threads = l.pool->size();
  char* base = static_cast<char*>(l.workspace);
  const Plan plan = make_plan(p, dgrad, threads, nullptr, nullptr);
  Scratch<T> shared{};
  carve(plan, base, threads, 0, shared);
  make_gather(p, dgrad, true, shared.phases, shared.taps);
  for (int t = 0; t < threads; t++) {
    Scratch<T> s{};
    carve(plan, base, threads, t, s);
    shared.copied[t] = -1;
    memset(s.in + plan.g.plane * plan.g.in_channels, 0, kMaxVectors * sizeof(typename Lanes<T>::V));
  }
  const Gather& g = plan.g;
  const long long out_image = static_cast<long long>(g.out_channels) * g.out_h * g.out_w,
                  weights = static_cast<long long>(p.k / p.groups) * (p.c / p.groups) * p.r * p.s,
                  packed = weights_of_group(plan);
  const bool share = pays(conv_flops(p), kConvPartFlops, l.pool);
  parallel_for(
      l.pool, g.groups,
      [&](int group, int) {
        pack_group(g, shared.phases, shared.taps, static_cast<const T*>(l.in[1]) + group * weights,
                   shared.weights + group * packed);
      },
      share && packed * g.groups > kPackShareWeights);
  parallel_for(
      l.pool, p.n * p.groups * plan.pieces,
      [&](int task, int part) {
        Scratch<T> s{};
        carve(plan, base, threads, part, s);
        const long long which = task / plan.pieces;  // image * groups + group
        hold_planes(g, l.in[0], which, s.copied[part], s.in);
        run_piece(plan, s, task % plan.pieces, s.in, s.weights + which % p.groups * packed,
                  static_cast<T*>(l.out[0]) + which * out_image);
      },
      share);
}

template <bool DGRAD>
void run_any(const Launch& l) {
  with_type(params_as<ConvParams>(l), [&](auto zero) { run<decltype(zero)>(l, DGRAD); });
}

template <bool DGRAD>
size_t workspace(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "direct_rows");
  const Plan plan = make_plan(p, DGRAD, s.threads, nullptr, nullptr);
  return with_type(p, [&](auto zero) {
    Scratch<decltype(zero)> scratch;
    return carve(plan, nullptr, s.threads, 0, scratch);
  });
}

void check_fprop(const Sizes& s) { check_conv_fprop(s, "direct_rows_fprop"); }
void check_dgrad(const Sizes& s) { check_conv_dgrad(s, "direct_rows_dgrad"); }

}  // namespace

void register_conv_rows(Registrar& r) {
  r.add({"direct_rows_fprop", run_any<false>, check_fprop, workspace<false>});
  r.add({"direct_rows_dgrad", run_any<true>, check_dgrad, workspace<true>});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
