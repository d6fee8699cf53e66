// conv2d and its input gradient with output channels in the lanes, for any stride, padding, dilation, groups.
//
//   out[pixel][k] = sum over c, t of in[c][pixel + offset(t)] weight[c][t][k]      (see conv_geometry.h)
//
// direct_channels: `in` is padded once per image (not copied if there is nothing to add), weights are packed
// once per call to [block][c][t][lanes]. A tile of M outputs x V vectors of channels stays in registers over
// all taps of as many input channels as have their weights in the L1 cache; each tap costs M broadcasts and V
// loads. Tiles run over the outputs as one line, so that short rows waste nothing. Finished bands
// [outputs][lanes] are transposed into NCHW.
#include "conv_tiles.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

// Of weights in use at once: what comes from the L2 cache in time, or half of an L1 cache.
#if defined(__AVX512F__)
constexpr long long kWeightBytes = 64 << 10;
#else
constexpr long long kWeightBytes = 16 << 10;
#endif
constexpr int kBand = 480;  // outputs whose sums are kept between channel blocks

template <class T>
struct Plan {
  Gather g;
  bool dgrad;
  const ConvParams* p;
  int units;         // vectors of output channels of a group
  int blocks;        // of them
  int pieces;        // of the outputs of an image, to have work for all threads
  long long packed;  // values of packed weights of a group
};

template <class T>
Plan<T> make_plan(const ConvParams& p, bool dgrad, int threads, Phase* phases, Tap* taps) {
  Plan<T> plan{};
  plan.g = make_gather(p, dgrad, false, phases, taps);
  plan.dgrad = dgrad;
  plan.p = &p;
  plan.units = ceil_div(plan.g.out_channels, Lanes<T>::W);
  plan.blocks = count_blocks(plan.units);
  plan.packed = static_cast<long long>(plan.units) * Lanes<T>::W * plan.g.in_channels * plan.g.n_taps;
  const long long tasks = static_cast<long long>(p.n) * p.groups * plan.blocks;
  plan.pieces = tasks < 2 * threads && threads > 1 ? 2 * threads : 1;
  return plan;
}

template <class T>
struct Scratch {
  Phase* phases;
  Tap* taps;
  T* weights;
  long long* copied;  // which (image, group) each part's `in` holds
  T* in;
  T* band;
  T* turned;  // [lanes][outputs] of a band whose outputs are not contiguous
};

template <class T>
size_t carve(const Plan<T>& plan, char* base, int threads, int part, Scratch<T>& out) {
  Carver c{base};
  const Gather& g = plan.g;
  Scratch<T> s{};
  s.phases = c.take<Phase>(static_cast<long long>(g.out_step_h) * g.out_step_w);
  s.taps = c.take<Tap>(static_cast<long long>(plan.p->r) * plan.p->s);
  s.weights = c.take<T>(plan.packed * g.groups);
  s.copied = c.take<long long>(threads);
  const long long lanes = static_cast<long long>(kMaxVectors) * Lanes<T>::W;
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.in = c.take<T>(g.copied ? g.plane * g.in_channels : 0);
    s.band = c.take<T>(kBand * lanes);
    s.turned = c.take<T>(plan.dgrad ? kBand * lanes : 0);
    if (t == part) out = s;
  }
  return c.used;
}

// ---- the tile -----------------------------------------------------------------------------------------

// sums[m][v] (+)= sum over channels and taps of x[at[m] + offset] w[v]; w_step from channel to channel.
template <class T, int M, int V>
__attribute__((noinline)) void tile(const T* x, const long long* at, const T* w, long long w_step,
                                    const Tap* taps, int n_taps, int channels, long long plane, bool first,
                                    T* sums) {
  using Vec = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  Vec acc[M][V];
#pragma GCC unroll 16
  for (int m = 0; m < M; m++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) acc[m][v] = first ? Vec{} : load(sums + (m * V + v) * W);
  long long index[M];
  for (int m = 0; m < M; m++) index[m] = at[m];
  w_step -= static_cast<long long>(n_taps) * V * W;
  for (int c = 0; c < channels; c++, x += plane, w += w_step) {
    for (int t = 0; t < n_taps; t++, w += V * W) {
      const T* tap = x + taps[t].offset;
      Vec wv[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) {
        wv[v] = load(w + v * W);
        pin(wv[v]);
      }
#pragma GCC unroll 16
      for (int m = 0; m < M; m++) {
        const Vec a = set1(tap[index[m]]);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) acc[m][v] = fma(a, wv[v], acc[m][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; m++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) store(sums + (m * V + v) * W, acc[m][v]);
}

template <class T, int V>
void band(const Plan<T>& plan, const Phase& f, const Tap* taps, const T* x, const T* w, int begin, int end,
          T* sums) {
  constexpr int W = Lanes<T>::W, M = rows_of_tile(V);
  const Gather& g = plan.g;
  long long step =
      kWeightBytes / (static_cast<long long>(f.taps ? f.taps : 1) * V * W * static_cast<int>(sizeof(T)));
  if (step < 1) step = 1;
  for (long long c = 0; c < g.in_channels; c += step) {
    const int channels = static_cast<int>(g.in_channels - c < step ? g.in_channels - c : step);
    const T* xc = x + c * g.plane;
    const T* wc = w + c * f.taps * V * W;
    T* out = sums;
    int row = begin / f.cols, col = begin % f.cols;
    for (int i = begin; i < end;) {
      long long at[M];
      const int count = end - i < M ? end - i : M, first_row = row;
      for (int m = 0; m < count; m++) {
        at[m] = static_cast<long long>(row) * g.in_step_h * g.wp + static_cast<long long>(col) * g.in_step_w;
        if (++col == f.cols) col = 0, row++;
      }
      const TapRange live = taps_of_rows(g, f, taps, first_row, col ? row : row - 1);
      with_constant<M>(count, [&](auto n) {
        tile<T, n.value, V>(xc, at, wc + live.first * V * W, static_cast<long long>(f.taps) * V * W,
                            taps + live.first, live.last - live.first, channels, g.plane, c == 0, out);
      });
      out += count * V * W;
      i += count;
    }
  }
}

// ---- out of the band ----------------------------------------------------------------------------------

// sums [end - begin][lanes] -> out[k][...], k < channels.
template <class T>
void finish_band(const Plan<T>& plan, const Phase& f, const Scratch<T>& s, int begin, int end,
                 long long lanes, int channels, T* out) {
  const Gather& g = plan.g;
  const long long plane = static_cast<long long>(g.out_h) * g.out_w;
  const int n = end - begin;
  if (g.out_step_h == 1 && g.out_step_w == 1)
    return transpose(s.band, lanes, out + begin, plane, n, channels);
  transpose(s.band, lanes, s.turned, n, n, channels);
  for (int k = 0; k < channels; k++) {
    const T* from = s.turned + static_cast<long long>(k) * n;
    int row = begin / f.cols, col = begin % f.cols;
    for (int i = 0; i < n;) {
      T* to = out + k * plane + (static_cast<long long>(row) * g.out_step_h + f.a) * g.out_w + f.b;
      for (; col < f.cols && i < n; col++) to[static_cast<long long>(col) * g.out_step_w] = from[i++];
      col = 0, row++;
    }
  }
}

template <class T>
void run_block(const Plan<T>& plan, const Scratch<T>& s, int group, int block, int piece, const T* in,
               T* out) {
  const Gather& g = plan.g;
  constexpr int W = Lanes<T>::W;
  const int first = block_begin(plan, block), vectors = block_begin(plan, block + 1) - first;
  const int channels = g.out_channels - first * W < vectors * W ? g.out_channels - first * W : vectors * W;
  const T* w = s.weights + group * plan.packed + static_cast<long long>(first) * W * g.in_channels * g.n_taps;
  out += static_cast<long long>(first) * W * g.out_h * g.out_w;
  for (int i = 0; i < g.n_phases; i++) {
    const Phase& f = s.phases[i];
    const long long outputs = static_cast<long long>(f.rows) * f.cols;
    const int from = static_cast<int>(outputs * piece / plan.pieces),
              to = static_cast<int>(outputs * (piece + 1) / plan.pieces);
    for (int begin = from; begin < to; begin += kBand) {
      const int end = to - begin < kBand ? to : begin + kBand;
      const Tap* taps = s.taps + f.first;
      with_constant<kMaxVectors>(vectors,
                                 [&](auto v) { band<T, v.value>(plan, f, taps, in, w, begin, end, s.band); });
      finish_band(plan, f, s, begin, end, vectors * W, channels, out);
    }
    w += static_cast<long long>(vectors) * W * g.in_channels * f.taps;
  }
}

// packed[phase][c][t][lane] = weight(first + lane, c, t); lanes beyond the channels are zero.
template <class T>
void pack_block(const Plan<T>& plan, const Scratch<T>& s, int group, int block, const T* weights) {
  const Gather& g = plan.g;
  constexpr int W = Lanes<T>::W;
  const int first = block_begin(plan, block), vectors = block_begin(plan, block + 1) - first;
  const long long lanes = vectors * W;
  const int channels =
      g.out_channels - first * W < lanes ? g.out_channels - first * W : static_cast<int>(lanes);
  const int window = plan.p->r * plan.p->s;
  // w[K, C/groups, R, S]: a group's share starts at its K
  const T* from = weights +
                  static_cast<long long>(group) * (plan.dgrad ? g.in_channels : g.out_channels) *
                      (plan.dgrad ? g.weight_in : g.weight_out) +
                  static_cast<long long>(first) * W * g.weight_out;
  T* to = s.weights + group * plan.packed + static_cast<long long>(first) * W * g.in_channels * g.n_taps;
  if (channels < lanes) memset(to, 0, static_cast<size_t>(lanes * g.in_channels * g.n_taps) * sizeof(T));
  if (!plan.dgrad)
    return transpose(from, g.weight_out, to, lanes, channels, g.in_channels * static_cast<long long>(window));
  for (int i = 0; i < g.n_phases; i++) {
    const Phase& f = s.phases[i];
    for (int c = 0; c < g.in_channels; c++, to += lanes * f.taps) {
      const T* row = from + c * g.weight_in;
      if (f.taps == window)
        transpose(row, g.weight_out, to, lanes, channels, window);
      else
        for (int t = 0; t < f.taps; t++)
          for (int k = 0; k < channels; k++)
            to[t * lanes + k] = row[k * g.weight_out + s.taps[f.first + t].weight];
    }
  }
}

template <class T>
void run(const Launch& l, bool dgrad) {
  const ConvParams& p = params_as<ConvParams>(l);
  const int threads = l.pool->size();
  char* base = static_cast<char*>(l.workspace);
  Plan<T> plan = make_plan<T>(p, dgrad, threads, nullptr, nullptr);
  Scratch<T> shared{};
  carve(plan, base, threads, 0, shared);
  make_gather(p, dgrad, false, shared.phases, shared.taps);
  for (int t = 0; t < threads; t++) shared.copied[t] = -1;
  const Gather& g = plan.g;
  const bool share = pays(conv_flops(p), kConvPartFlops, l.pool);
  parallel_for(
      l.pool, p.groups * plan.blocks,
      [&](int i, int) {
        pack_block(plan, shared, i / plan.blocks, i % plan.blocks, static_cast<const T*>(l.in[1]));
      },
      share && plan.packed * p.groups > 100000);
  const long long in_image = static_cast<long long>(g.in_channels) * g.in_h * g.in_w,
                  out_image = static_cast<long long>(g.out_channels) * g.out_h * g.out_w;
  const int per_group = plan.blocks * plan.pieces;
  parallel_for(
      l.pool, p.n * p.groups * per_group,
      [&](int task, int part) {
        Scratch<T> s{};
        carve(plan, base, threads, part, s);
        const long long which = task / per_group;  // image * groups + group
        const int block = task % per_group / plan.pieces, piece = task % plan.pieces;
        const T* in = static_cast<const T*>(l.in[0]) + which * in_image;
        if (g.copied) {
          hold_planes(g, l.in[0], which, s.copied[part], s.in);
          in = s.in;
        }
        run_block(plan, s, static_cast<int>(which % p.groups), block, piece, in,
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
  const ConvParams& p = params_as<ConvParams>(s, "direct_channels");
  return with_type(p, [&](auto zero) {
    Scratch<decltype(zero)> scratch;
    return carve(make_plan<decltype(zero)>(p, DGRAD, s.threads, nullptr, nullptr), nullptr, s.threads, 0,
                 scratch);
  });
}

void check_fprop(const Sizes& s) { check_conv_fprop(s, "direct_channels_fprop"); }
void check_dgrad(const Sizes& s) { check_conv_dgrad(s, "direct_channels_dgrad"); }

}  // namespace

void register_conv_channels(Registrar& r) {
  r.add({"direct_channels_fprop", run_any<false>, check_fprop, workspace<false>});
  r.add({"direct_channels_dgrad", run_any<true>, check_dgrad, workspace<true>});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
