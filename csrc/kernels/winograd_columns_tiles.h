// Convolution by Winograd's transforms along columns (winograd_columns.h), down to the outputs, which go to a Sink:
//
//   put(place, channel, y)   four rows of a vector of outputs    fetch(place, channel)   they will come soon, if it `fetches`
//   done(first, end)         all outputs of these bands have come
//
// Point i of a band of output channel k, with the outputs of a row in the lanes, is
//
//   sum over c, s of t[c][i][column + s] weight(k, c, i, s)
//
// and the transform of all points gives the 4 rows: points x S products a channel and column for 4 x R x S. The points of
// all pieces of a window are added up before the transform. Products stay in registers, a tile of up to 8 channels (4
// without AVX-512) x 3 vectors. Where the rest of a row fills half a vector or less, it is joined with that of the next band.
#pragma once
#include "winograd_columns.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxVectors = 3;
constexpr int kMaxChannels = VF_WIDTH == 16 ? 8 : 4;

struct ColumnsPlan {
  Gather g;
  ConvParams p;
  Columns columns;
  int terms;       // of a point's sum: pieces * channels * S
  int joined;      // bands of a unit of work: 2 where rests of rows share a vector
  int shares;      // of an image's bands, to have work for all threads
  long long line;  // from point to point of a transformed row
  // Where the first window begins in the padded plane: later where padding is wider than the window.
  int first_row, first_col;
  bool backwards;  // the window is read from its last element
};

inline ColumnsPlan plan_columns(const ConvParams& p, bool dgrad, int threads) {
  ColumnsPlan plan{};
  Gather& g = plan.g;
  g = make_gather(p, dgrad, true, nullptr, nullptr);
  plan.p = p;
  plan.backwards = is_flipped(p) != dgrad;
  if (dgrad) {
    const ConvParams forwards = unflipped(p);
    plan.first_row = most(0, forwards.top - (p.r - 1)), plan.first_col = most(0, forwards.left - (p.s - 1));
  }
  plan.columns = make_columns(p, g.in_step_h, g.out_h);
  plan.terms = plan.columns.pieces * g.in_channels * p.s;
  const int rest = g.out_w % VF_WIDTH;
  plan.joined = rest && rest <= VF_WIDTH / 2 && plan.columns.bands > 1 ? 2 : 1;
  cover_bands(plan.columns, plan.first_row, g);
  const int shift = plan.first_col + (g.in_step_w - 1) * g.columns +
                    (p.s - 1) / g.in_step_w;  // of the last tap's column, or more
  plan.line = skewed(most(g.wp, shift + static_cast<int>(round_up(g.out_w, VF_WIDTH))) + VF_WIDTH);
  const int units = ceil_div(plan.columns.bands, plan.joined);
  plan.shares = p.n * g.groups < 2 * threads && threads > 1 ? least(units, 2 * threads) : 1;
  return plan;
}

struct ColumnsScratch {
  long long* offsets;  // of the terms, from that of the first one of a point
  float* weights;      // [group][block of channels][point][term][channel]
  long long* copied;   // which (image, group) each part's `in` holds
  float* in;           // the padded planes
  float* points;       // [band of the unit][piece][channel][point][line]
  float* sums;         // two of [point][channel][vector]
};

inline size_t carve_columns(const ColumnsPlan& plan, char* base, int threads, int part, ColumnsScratch& out) {
  Carver c{base};
  const Gather& g = plan.g;
  ColumnsScratch s{};
  s.offsets = c.take<long long>(plan.terms);
  s.weights =
      c.take<float>(static_cast<long long>(plan.columns.points) * plan.terms * g.out_channels * g.groups);
  s.copied = c.take<long long>(threads);
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.in = c.take<float>(g.plane * g.in_channels + plan.line);  // lines reach over the end
    s.points = c.take<float>(static_cast<long long>(plan.joined) * plan.columns.pieces * g.in_channels *
                             plan.columns.points * plan.line);
    s.sums = c.take<float>(2 * plan.columns.points * kMaxChannels * kMaxVectors * VF_WIDTH);
    if (t == part) out = s;
  }
  return c.used;
}

// The weights of channels [k, k + m) of a group: to[point][term][channel].
template <class F>
void pack_block(const ColumnsPlan& plan, const float* w, int k, int m, float* to) {
  const Gather& g = plan.g;
  const ConvParams& p = plan.p;
  const int window = p.r * p.s;
  w += k * g.weight_out;
  for (int piece = 0; piece < plan.columns.pieces; piece++) {
    const Piece rows = piece_at(p, g.in_step_h, plan.columns.window, piece);
    for (int c = 0; c < g.in_channels; c++)
      for (int s = 0; s < p.s; s++, to += m) {
        float taps[F::window][VF_WIDTH] = {};
        for (int i = 0; i < rows.taps; i++) {
          const int at = (rows.first + i * g.in_step_h) * p.s + s;
          const float* own = w + c * g.weight_in + (plan.backwards ? window - 1 - at : at);
          for (int j = 0; j < m; j++) taps[i][j] = own[j * g.weight_out];
        }
        vf lanes[F::window], t[F::points];
        for (int i = 0; i < F::window; i++) lanes[i] = load(taps[i]);
        F::weights(lanes, t);
        for (int i = 0; i < F::points; i++)
          store_part(to + static_cast<long long>(i) * plan.terms * m, t[i], m);
      }
  }
}

// All points of one band.
template <class F>
void transform_band(const ColumnsPlan& plan, const float* in, int band, float* points) {
  const Gather& g = plan.g;
  const long long row = static_cast<long long>(g.in_step_h) * g.wp;
  for (int piece = 0; piece < plan.columns.pieces; piece++) {
    const float* first = in + (plan.first_row + static_cast<long long>(band) * kBandRows * g.in_step_h +
                               piece_at(plan.p, g.in_step_h, F::window, piece).first) *
                                  g.wp;
    for (int c = 0; c < g.in_channels; c++, first += g.plane, points += F::points * plan.line)
      transform_columns<F>(first, row, g.wp, points, plan.line);
  }
}

// Vectors of a unit: the outputs from column `col` of one band on, or those of the first band in the lower half, of the
// second in the upper.
struct Place {
  int band, col;
  bool halves, whole;  // whole: all lanes of one band's four rows are outputs
  long long at;        // of the first output in its plane
};

struct Tile {
  const long long* offsets;
  int terms;
  long long at[kMaxVectors];  // of the vectors, in a point's line of the first band
  long long band;             // from the points of a band to those of the next
};

// sums[m][v] = sum over terms of x[at[v] + offset] w[term][m]; with HALVES the last vector is of two bands.
template <int M, int V, bool HALVES>
void multiply_point(const Tile& tile, const float* x, const float* w, float* sums) {
  vf acc[M][V] = {};
  const long long* offset = tile.offsets;
  const float* from[V];
  for (int v = 0; v < V; v++) from[v] = x + tile.at[v];
  for (int i = 0; i < tile.terms; i++, w += M) {
    const long long o = offset[i];
    vf xv[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; v++) {
      xv[v] = HALVES && v == V - 1 ? load_halves(from[v] + o, from[v] + o + tile.band) : load(from[v] + o);
      pin(xv[v]);
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) {
      const vf wv = set1(w[m]);
#pragma GCC unroll 3
      for (int v = 0; v < V; v++) acc[m][v] = fma(wv, xv[v], acc[m][v]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; m++)
#pragma GCC unroll 3
    for (int v = 0; v < V; v++) store(sums + (m * V + v) * VF_WIDTH, acc[m][v]);
}

// Tiles whose outputs are still to come from the sums of their points.
struct Pending {
  const float* sums;  // of the next one
  long long point;    // to its next point
  int channel, end, vector, vectors;
  Place places[kMaxVectors];

  int tiles() const { return (end - channel) * vectors - vector; }
};

// The outputs of `count` more tiles of a channel and a vector, or of those that are left. They come between the
// products of other tiles: all stores at once would wait for memory.
template <class F, class Sink>
void finish(const Sink& sink, Pending& p, int count) {
  for (; count > 0 && p.channel < p.end; count--) {
    vf t[F::points], y[F::outputs];
#pragma GCC unroll 8
    for (int i = 0; i < F::points; i++) t[i] = load(p.sums + i * p.point);
    p.sums += VF_WIDTH;
    F::output(t, y);
    sink.put(p.places[p.vector], p.channel, y);
    if (++p.vector == p.vectors) p.vector = 0, p.channel++;
  }
}

// All points of M channels and some vectors, whose outputs are `next`, and meanwhile the outputs of the tiles before.
template <int M, class F, class Sink>
void multiply_points(const ColumnsPlan& plan, const Sink& sink, const float* points, const Tile& tile,
                     const float* w, float* sums, Pending& before, const Pending& next) {
  const int count = ceil_div(before.tiles(), F::points), tiles = next.tiles();
  const bool halves = next.places[next.vectors - 1].halves;
  with_constant<kMaxVectors>(next.vectors, [&](auto v) {
    constexpr int V = v.value;
    for (int i = 0; i < F::points; i++) {
      if (halves)
        multiply_point<M, V, true>(tile, points, w, sums);
      else
        multiply_point<M, V, false>(tile, points, w, sums);
      points += plan.line, w += static_cast<long long>(plan.terms) * M, sums += M * V * VF_WIDTH;
      finish<F>(sink, before, count);
      if (sink.fetches)
        for (int n = share_of(tiles, i, F::points); n < share_of(tiles, i + 1, F::points); n++)
          sink.fetch(next.places[n % V], next.channel + n / V);
    }
  });
}

// A unit: `bands` bands from `band` on, of all channels of a group.
template <class F, class Sink>
void run_unit(const ColumnsPlan& plan, const ColumnsScratch& s, const Sink& sink, int band, int bands,
              const float* w) {
  const Gather& g = plan.g;
  const long long of_band =
      static_cast<long long>(plan.columns.pieces) * g.in_channels * F::points * plan.line;
  for (int b = 0; b < bands; b++) transform_band<F>(plan, s.in, band + b, s.points + b * of_band);
  const int whole = bands == 2 ? g.out_w / VF_WIDTH : ceil_div(g.out_w, VF_WIDTH),
            all = bands * whole + (bands == 2);
  const int blocks = ceil_div(g.out_channels, kMaxChannels), chunks = ceil_div(all, kMaxVectors);
  Pending before{};
  int parity = 0;
  for (int b = 0; b < blocks; b++) {
    const Cut k = cut(g.out_channels, kMaxChannels, b);
    const int m = k.size();
    for (int chunk = 0; chunk < chunks; chunk++) {
      const Cut part = cut(all, kMaxVectors, chunk);
      const int vectors = part.size();
      float* sums = s.sums + (parity ^= 1) * F::points * kMaxChannels * kMaxVectors * VF_WIDTH;
      Pending next{sums, static_cast<long long>(m) * vectors * VF_WIDTH, k.begin, k.end, 0, vectors, {}};
      Tile tile{s.offsets, plan.terms, {}, of_band};
      for (int v = 0; v < vectors; v++) {
        const int i = part.begin + v, own = i < bands * whole ? i / whole : 0;
        Place& place = next.places[v];
        place = {band + own, (i < bands * whole ? i - own * whole : whole) * VF_WIDTH, i == bands * whole,
                 false, 0};
        place.whole =
            !place.halves && place.col + VF_WIDTH <= g.out_w && (place.band + 1) * kBandRows <= g.out_h;
        place.at = static_cast<long long>(place.band) * kBandRows * g.out_w + place.col;
        tile.at[v] = own * of_band + place.col;
      }
      with_constant<kMaxChannels>(
          m, [&](auto n) { multiply_points<n.value, F>(plan, sink, s.points, tile, w, sums, before, next); });
      before = next;
    }
    w += static_cast<long long>(plan.columns.points) * plan.terms * m;
  }
  finish<F>(sink, before, before.tiles());
}

// sink_of(i): where the outputs of image and group i go, i = image * groups + group.
template <class F, class SinkOf>
void run_columns(const Launch& l, const ColumnsPlan& plan, const SinkOf& sink_of) {
  const Gather& g = plan.g;
  const ConvParams& p = plan.p;
  const int threads = l.pool->size();
  char* base = static_cast<char*>(l.workspace);
  ColumnsScratch shared{};
  carve_columns(plan, base, threads, 0, shared);
  for (int t = 0; t < threads; t++) {
    ColumnsScratch s{};
    carve_columns(plan, base, threads, t, s);
    s.copied[t] = -1;
    memset(s.in + g.plane * g.in_channels, 0, static_cast<size_t>(plan.line) * sizeof(float));
  }
  int term = 0;
  for (int piece = 0; piece < plan.columns.pieces; piece++)
    for (int c = 0; c < g.in_channels; c++)
      for (int s = 0; s < p.s; s++, term++)
        shared.offsets[term] = (piece * g.in_channels + c) * F::points * plan.line + plan.first_col +
                               (g.columns ? s % g.in_step_w * g.columns + s / g.in_step_w : s);
  const long long packed = static_cast<long long>(plan.columns.points) * plan.terms * g.out_channels;
  const bool share = pays(conv_flops(p), kConvPartFlops, l.pool);
  const int blocks = ceil_div(g.out_channels, kMaxChannels);
  parallel_for(
      l.pool, g.groups * blocks,
      [&](int task, int) {
        const int group = task / blocks;
        const Cut k = cut(g.out_channels, kMaxChannels, task % blocks);
        const float* w = static_cast<const float*>(l.in[1]) +
                         static_cast<long long>(group) * (p.k / p.groups) * (p.c / p.groups) * p.r * p.s;
        pack_block<F>(plan, w, k.begin, k.size(),
                      shared.weights + group * packed +
                          static_cast<long long>(k.begin) * plan.columns.points * plan.terms);
      },
      share);
  const int units = ceil_div(plan.columns.bands, plan.joined);
  parallel_for(
      l.pool, p.n * g.groups * plan.shares,
      [&](int task, int part) {
        ColumnsScratch s{};
        carve_columns(plan, base, threads, part, s);
        const long long which = task / plan.shares;  // image * groups + group
        hold_planes(g, l.in[0], which, s.copied[part], s.in);
        const auto sink = sink_of(which);
        const int first = share_of(units, task % plan.shares, plan.shares),
                  end = share_of(units, task % plan.shares + 1, plan.shares);
        for (int u = first; u < end; u++)
          run_unit<F>(plan, s, sink, u * plan.joined,
                      least(plan.joined, plan.columns.bands - u * plan.joined),
                      shared.weights + which % g.groups * packed);
        sink.done(first * plan.joined, least(end * plan.joined, plan.columns.bands));
      },
      share);
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
