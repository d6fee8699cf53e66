// The weight gradient of conv2d: dw[k][c][t] = sum over images and outputs of dy[k][out] x[c][out + offset(t)].
//
// direct_channels_wgrad: lanes are the channels of dy, for any stride, padding, dilation, groups. x is padded
// (see conv_geometry.h), dy transposed band by band to [outputs][lanes]; a tile of M pairs (c, t) x V vectors
// of channels stays in registers over a band of outputs: V loads and M broadcasts each. Bands are as long as
// dy fits into half of an L1 cache. Threads share the input channels, or, where these are few or a bad number, the
// images: then each has its own dw, and these are added in order.
//
// direct_rows_wgrad: lanes are the outputs of a row, for few output channels per group, depthwise among them.
// Up to 12 taps of one (k, c) pair are summed at once, lane by lane over all images, and at last across the
// lanes. Threads share the groups and their input channels.
#include "ahead.h"
#include "conv_tiles.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kBandBytes = 16 << 10;
constexpr int kMaxTaps = 12;
constexpr long long kFewSums = 64 << 10;  // of which each part may have a copy

template <class T>
struct Plan {
  Gather g;
  const ConvParams* p;
  int units, blocks;  // vectors of output channels, and blocks of them
  int parts;
  bool by_image;  // parts share the images, else the input channels
  int band_rows;
  long long pairs;  // C T of a group
  long long lanes;  // of all units
};

template <class T>
Plan<T> make_plan(const ConvParams& p, int threads, Phase* phases, Tap* taps) {
  Plan<T> plan{};
  plan.g = make_gather(p, false, false, phases, taps);
  plan.p = &p;
  plan.units = ceil_div(plan.g.out_channels, Lanes<T>::W);
  plan.blocks = count_blocks(plan.units);
  plan.lanes = static_cast<long long>(plan.units) * Lanes<T>::W;
  plan.pairs = static_cast<long long>(plan.g.in_channels) * p.r * p.s;
  plan.parts = pays(conv_flops(p), kConvPartFlops, threads) ? threads : 1;
  // The largest share of the work decides: three channels are badly shared by two threads.
  auto largest = [&](int n) { return static_cast<double>(ceil_div(n, plan.parts)) / (n < 1 ? 1 : n); };
  const bool uneven =
      p.groups * plan.pairs * plan.lanes < kFewSums && largest(p.n) < 0.9 * largest(plan.g.in_channels);
  plan.by_image = plan.parts > 1 && (plan.pairs < 48LL * plan.parts || uneven);
  const int most = plan.by_image ? p.n : plan.g.in_channels;
  if (plan.parts > most) plan.parts = most < 1 ? 1 : most;
  long long rows = kBandBytes / (2LL * Lanes<T>::W * p.q * static_cast<int>(sizeof(T)));
  plan.band_rows = static_cast<int>(rows < 1 ? 1 : rows > p.p ? p.p : rows);
  return plan;
}

template <class T>
struct Scratch {
  Phase* phase;
  Tap* taps;
  T* dw;  // [group][block][pairs][lanes]
  T* x;
  T* dy;  // [block][band outputs][lanes]
};

template <class T>
size_t carve(const Plan<T>& plan, char* base, int part, Scratch<T>& out) {
  Carver c{base};
  const Gather& g = plan.g;
  const ConvParams& p = *plan.p;
  Scratch<T> s{};
  s.phase = c.take<Phase>(1);
  s.taps = c.take<Tap>(static_cast<long long>(p.r) * p.s);
  const long long kernel = p.groups * plan.pairs * plan.lanes;
  if (!plan.by_image) s.dw = c.take<T>(kernel);
  const int channels = plan.by_image ? g.in_channels : ceil_div(g.in_channels, plan.parts);
  for (int t = 0; t < plan.parts; t++) {
    c.begin_part(t);
    if (plan.by_image) s.dw = c.take<T>(kernel);
    s.x = c.take<T>(g.copied ? g.plane * channels : 0);
    s.dy = c.take<T>(static_cast<long long>(plan.band_rows) * p.q * plan.lanes);
    if (t == part) out = s;
  }
  return c.used;
}

// dw[m][v] += sum over rows x cols outputs of x[m][output] dy[output][v]. What is transposed next is fetched meanwhile.
template <class T, int M, int V>
__attribute__((noinline)) void tile(const Gather& g, const T* const* pair, const T* dy, int rows, int cols,
                                    Ahead<T>& next, T* dw) {
  using Vec = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  Vec acc[M][V];
  const T* x[M];
#pragma GCC unroll 16
  for (int m = 0; m < M; m++) {
    x[m] = pair[m];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) acc[m][v] = load(dw + (m * V + v) * W);
  }
  Ahead<T> ahead = next;
  for (int row = 0; row < rows; row++) {
    long long i = static_cast<long long>(row) * g.in_step_h * g.wp;
    for (int col = 0; col < cols; col++, i += g.in_step_w, dy += V * W) {
      ahead.fetch();
      Vec d[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) {
        d[v] = load(dy + v * W);
        pin(d[v]);
      }
#pragma GCC unroll 16
      for (int m = 0; m < M; m++) {
        const Vec a = set1(x[m][i]);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) acc[m][v] = fma(a, d[v], acc[m][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; m++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) store(dw + (m * V + v) * W, acc[m][v]);
  next = ahead;
}

// The pairs of channels [0, channels) of x over one band of dy.
template <class T, int V>
void add_band(const Plan<T>& plan, const Tap* taps, const T* x, int channels, const T* dy, int rows,
              Ahead<T> ahead, T* dw) {
  constexpr int W = Lanes<T>::W, M = rows_of_tile(V);
  const Gather& g = plan.g;
  const int n = channels * g.n_taps, tiles = ceil_div(n, M);
  int c = 0, t = 0;
  for (int i = 0; i < tiles; i++) {
    const T* pair[M];
    const int count = share_of(n, i + 1, tiles) - share_of(n, i, tiles);
    for (int m = 0; m < count; m++) {
      pair[m] = x + c * g.plane + taps[t].offset;
      if (++t == g.n_taps) t = 0, c++;
    }
    with_constant<M>(count,
                     [&](auto pairs) { tile<T, pairs.value, V>(g, pair, dy, rows, plan.p->q, ahead, dw); });
    dw += count * V * W;
  }
}

// One image and group: channels [first, last) of x.
template <class T>
void add_image(const Plan<T>& plan, const Scratch<T>& s, int group, const T* x, const T* dy, int first,
               int last) {
  const ConvParams& p = *plan.p;
  constexpr int W = Lanes<T>::W;
  Gather g = plan.g;
  g.in_channels = last - first;
  x += static_cast<long long>(first) * p.h * p.w;
  if (g.copied) {
    copy_planes(g, x, s.x);
    x = s.x;
  }
  const long long outputs = static_cast<long long>(p.p) * p.q;
  for (int row = 0; row < p.p; row += plan.band_rows) {
    const int rows = p.p - row < plan.band_rows ? p.p - row : plan.band_rows;
    const long long n = static_cast<long long>(rows) * p.q;
    const T* from = x + static_cast<long long>(row) * g.in_step_h * g.wp;
    for (int b = 0; b < plan.blocks; b++) {
      const int begin = block_begin(plan, b), vectors = block_begin(plan, b + 1) - begin;
      const int channels =
          g.out_channels - begin * W < vectors * W ? g.out_channels - begin * W : vectors * W;
      transpose(dy + begin * W * outputs + static_cast<long long>(row) * p.q, outputs, s.dy,
                static_cast<long long>(vectors) * W, channels, n);
      T* dw = s.dw + (group * plan.lanes + begin * W) * plan.pairs +
              static_cast<long long>(first) * g.n_taps * vectors * W;
      const int next = b + 1 < plan.blocks ? b + 1 : 0, next_row = next ? row : row + rows;
      Ahead<T> ahead;
      if (next_row < p.p) {
        const int k = block_begin(plan, next) * W, wanted = least(p.p - next_row, rows);
        ahead = Ahead<T>::of(dy + k * outputs + static_cast<long long>(next_row) * p.q, outputs,
                             static_cast<long long>(wanted) * p.q,
                             least(block_begin(plan, next + 1) * W, g.out_channels) - k);
      }
      with_constant<kMaxVectors>(vectors, [&](auto v) {
        add_band<T, v.value>(plan, s.taps, from, last - first, s.dy, rows, ahead, dw);
      });
    }
  }
}

template <class T>
void run_part(const Plan<T>& plan, const Scratch<T>& s, const T* x, const T* dy, int part) {
  const ConvParams& p = *plan.p;
  const Gather& g = plan.g;
  constexpr int W = Lanes<T>::W;
  const int from = plan.by_image ? share_of(p.n, part, plan.parts) : 0,
            to = plan.by_image ? share_of(p.n, part + 1, plan.parts) : p.n;
  const int first = plan.by_image ? 0 : share_of(g.in_channels, part, plan.parts),
            last = plan.by_image ? g.in_channels : share_of(g.in_channels, part + 1, plan.parts);
  memset(s.dy, 0, static_cast<size_t>(plan.band_rows * static_cast<long long>(p.q) * plan.lanes) * sizeof(T));
  for (int group = 0; group < p.groups; group++) {
    for (int b = 0; b < plan.blocks; b++) {
      const int begin = block_begin(plan, b), vectors = block_begin(plan, b + 1) - begin;
      memset(s.dw + (group * plan.lanes + begin * W) * plan.pairs +
                 static_cast<long long>(first) * g.n_taps * vectors * W,
             0,
             static_cast<size_t>(static_cast<long long>(last - first) * g.n_taps * vectors) *
                 sizeof(typename Lanes<T>::V));
    }
    for (int i = from; i < to; i++) {
      const long long which = static_cast<long long>(i) * p.groups + group;
      add_image(plan, s, group, x + which * g.in_channels * p.h * p.w,
                dy + which * g.out_channels * p.p * p.q, first, last);
    }
  }
}

// dw of one block of channels: the parts' sums added in order, then [pairs][lanes] -> [channels][pairs].
template <class T>
void finish_block(const Plan<T>& plan, char* workspace, int group, int block, T* dw) {
  const Gather& g = plan.g;
  constexpr int W = Lanes<T>::W;
  const int begin = block_begin(plan, block), vectors = block_begin(plan, block + 1) - begin;
  const int channels = g.out_channels - begin * W < vectors * W ? g.out_channels - begin * W : vectors * W;
  const long long at = (group * plan.lanes + begin * W) * plan.pairs, count = plan.pairs * vectors * W;
  Scratch<T> sum{};
  carve(plan, workspace, 0, sum);
  for (int part = 1; plan.by_image && part < plan.parts; part++) {
    Scratch<T> s{};
    carve(plan, workspace, part, s);
    for (long long i = 0; i < count; i++) sum.dw[at + i] += s.dw[at + i];
  }
  transpose(sum.dw + at, static_cast<long long>(vectors) * W,
            dw + (static_cast<long long>(group) * g.out_channels + begin * W) * plan.pairs, plan.pairs,
            plan.pairs, channels);
}

template <class T>
void run_channels(const Launch& l) {
  const ConvParams& p = params_as<ConvParams>(l);
  char* workspace = static_cast<char*>(l.workspace);
  Plan<T> plan = make_plan<T>(p, l.pool->size(), nullptr, nullptr);
  Scratch<T> shared{};
  carve(plan, workspace, 0, shared);
  make_gather(p, false, false, shared.phase, shared.taps);
  parallel_for(
      l.pool, plan.parts,
      [&](int part, int) {
        Scratch<T> s{};
        carve(plan, workspace, part, s);
        run_part(plan, s, static_cast<const T*>(l.in[0]), static_cast<const T*>(l.in[1]), part);
      },
      plan.parts > 1);
  parallel_for(
      l.pool, p.groups * plan.blocks,
      [&](int i, int) {
        finish_block(plan, workspace, i / plan.blocks, i % plan.blocks, static_cast<T*>(l.out[0]));
      },
      plan.parts > 1);
}

// ---- direct_rows_wgrad ----------------------------------------------------------------------------------

struct RowsPlan {
  Gather g;
  const ConvParams* p;
  int pieces;  // of the input channels of a group, to have work for all threads
};

RowsPlan make_rows_plan(const ConvParams& p, int threads, Phase* phases, Tap* taps) {
  RowsPlan plan{make_gather(p, false, true, phases, taps), &p, 1};
  if (p.groups < 2 * threads && threads > 1) plan.pieces = 2 * threads;
  if (plan.pieces > plan.g.in_channels) plan.pieces = plan.g.in_channels;
  return plan;
}

template <class T>
struct RowsScratch {
  Phase* phase;
  Tap* taps;
  T* x;
  T* sums;  // [k][c][t][W]
};

template <class T>
size_t carve_rows(const RowsPlan& plan, char* base, int threads, int part, RowsScratch<T>& out) {
  Carver c{base};
  const Gather& g = plan.g;
  RowsScratch<T> s{};
  const int channels = ceil_div(g.in_channels, plan.pieces);
  s.phase = c.take<Phase>(1);
  s.taps = c.take<Tap>(g.n_taps);
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.x = c.take<T>(g.plane * channels);
    s.sums = c.take<T>(static_cast<long long>(g.out_channels) * channels * g.n_taps * Lanes<T>::W);
    if (t == part) out = s;
  }
  return c.used;
}

// sums[t] += dy . x[offset(t)] lane by lane, over all rows of one image.
template <class T, int N>
void add_taps(const Gather& g, const T* x, const T* dy, const Tap* taps, T* sums) {
  using Vec = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  Vec acc[N];
  for (int t = 0; t < N; t++) acc[t] = load(sums + t * W);
  for (int row = 0; row < g.out_h; row++, dy += g.out_w, x += static_cast<long long>(g.in_step_h) * g.wp) {
    int col = 0;
    for (; col + W <= g.out_w; col += W) {
      const Vec d = load(dy + col);
      for (int t = 0; t < N; t++) acc[t] = fma(d, load(x + taps[t].offset + col), acc[t]);
    }
    if (const int left = g.out_w - col; left > 0) {
      const Vec d = load_part(dy + col, left);
      for (int t = 0; t < N; t++) acc[t] = fma(d, load_part(x + taps[t].offset + col, left), acc[t]);
    }
  }
  for (int t = 0; t < N; t++) store(sums + t * W, acc[t]);
}

template <class T>
void run_rows(const Launch& l) {
  const ConvParams& p = params_as<ConvParams>(l);
  const int threads = l.pool->size();
  char* workspace = static_cast<char*>(l.workspace);
  const RowsPlan plan = make_rows_plan(p, threads, nullptr, nullptr);
  RowsScratch<T> shared{};
  carve_rows(plan, workspace, threads, 0, shared);
  make_gather(p, false, true, shared.phase, shared.taps);
  constexpr int W = Lanes<T>::W;
  const T *x = static_cast<const T*>(l.in[0]), *dy = static_cast<const T*>(l.in[1]);
  parallel_for(
      l.pool, p.groups * plan.pieces,
      [&](int task, int part) {
        RowsScratch<T> s{};
        carve_rows(plan, workspace, threads, part, s);
        Gather g = plan.g;
        const int group = task / plan.pieces, all = g.in_channels;
        const int first = share_of(all, task % plan.pieces, plan.pieces),
                  last = share_of(all, task % plan.pieces + 1, plan.pieces);
        g.in_channels = last - first;
        const long long pairs = static_cast<long long>(g.in_channels) * g.n_taps;
        memset(s.sums, 0, static_cast<size_t>(g.out_channels * pairs) * sizeof(typename Lanes<T>::V));
        const int chunks = ceil_div(g.n_taps, kMaxTaps);
        for (int image = 0; image < p.n; image++) {
          const long long which = static_cast<long long>(image) * p.groups + group;
          copy_planes(g, x + (which * all + first) * p.h * p.w, s.x);
          for (int k = 0; k < g.out_channels; k++)
            for (int c = 0; c < g.in_channels; c++)
              for (int i = 0; i < chunks; i++) {
                const int t = share_of(g.n_taps, i, chunks), n = share_of(g.n_taps, i + 1, chunks) - t;
                const T* line = dy + (which * g.out_channels + k) * p.p * p.q;
                T* sums = s.sums + (k * pairs + static_cast<long long>(c) * g.n_taps + t) * W;
                with_constant<kMaxTaps>(n, [&](auto taps) {
                  add_taps<T, taps.value>(g, s.x + c * g.plane, line, s.taps + t, sums);
                });
              }
        }
        T* dw = static_cast<T*>(l.out[0]);
        for (int k = 0; k < g.out_channels; k++)
          for (long long i = 0; i < pairs; i++)
            dw[(static_cast<long long>(group) * g.out_channels + k) * all * g.n_taps +
               static_cast<long long>(first) * g.n_taps + i] = hsum(load(s.sums + (k * pairs + i) * W));
      },
      pays(conv_flops(p), kConvPartFlops, l.pool));
}

void run_channels_any(const Launch& l) {
  with_type(params_as<ConvParams>(l), [&](auto zero) { run_channels<decltype(zero)>(l); });
}
void run_rows_any(const Launch& l) {
  with_type(params_as<ConvParams>(l), [&](auto zero) { run_rows<decltype(zero)>(l); });
}

size_t workspace_channels(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "direct_channels_wgrad");
  return with_type(p, [&](auto zero) {
    using T = decltype(zero);
    Scratch<T> scratch{};
    return carve(make_plan<T>(p, s.threads, nullptr, nullptr), nullptr, 0, scratch);
  });
}
size_t workspace_rows(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "direct_rows_wgrad");
  return with_type(p, [&](auto zero) {
    RowsScratch<decltype(zero)> scratch{};
    return carve_rows(make_rows_plan(p, s.threads, nullptr, nullptr), nullptr, s.threads, 0, scratch);
  });
}

void check_channels(const Sizes& s) { check_conv_wgrad(s, "direct_channels_wgrad"); }
void check_rows(const Sizes& s) { check_conv_wgrad(s, "direct_rows_wgrad"); }

}  // namespace

void register_conv_wgrad(Registrar& r) {
  r.add({"direct_channels_wgrad", run_channels_any, check_channels, workspace_channels});
  r.add({"direct_rows_wgrad", run_rows_any, check_rows, workspace_rows});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
