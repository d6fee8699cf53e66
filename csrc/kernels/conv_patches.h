// The patches of a gather (conv_geometry.h) as a matrix whose columns are outputs and whose rows are terms:
//
//   patch[(c, t)][q] = in[c][row(q) * in_step_h + dh[t]][col(q) * in_step_w + dw[t]], zero outside `in`,
//
// q running over the outputs of all images, packed as gemm_tile.h reads it: panels of kNR columns, terms after
// terms. The rows of `in` under a block of outputs are staged first, a few channels at a time: with the zeros around
// them, and where the gather steps by s, as runs of every s-th value. Neighbouring outputs then read neighbouring
// values under every tap, and a vector of outputs is one load, or some that are joined where it crosses the ends
// of rows, at places found once for all taps and channels.
#pragma once
#include "conv_geometry.h"
#include "gemm_tile.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

// Outputs next to each other in one row: lanes [lane, end) of a panel.
struct Run {
  int lane, end, row, col;
  ll image;
};

// Terms of a sum: taps [t0, t1) of channels [c0, c1), channel by channel.
struct Terms {
  int c0, c1, t0, t1;
  ll depth() const { return static_cast<ll>(c1 - c0) * (t1 - t0); }
};

// The sum over `channels` x `taps` in blocks of at most kKC terms: whole channels, or parts of one channel's taps.
struct Blocks {
  int channels, taps, count, per_channel;
  Blocks(int channels_, int taps_) : channels(channels_), taps(taps_), per_channel(1) {
    if (taps > kKC) {
      per_channel = static_cast<int>((taps + kKC - 1) / kKC);
      count = channels * per_channel;
    } else {
      const int whole = taps ? static_cast<int>(kKC / taps) : 1;
      count = taps ? (channels + whole - 1) / whole : 0;
    }
  }
  Terms operator[](int i) const {
    if (per_channel > 1) {
      const int c = i / per_channel, t = i % per_channel;
      return {c, c + 1, static_cast<int>(static_cast<ll>(taps) * t / per_channel),
              static_cast<int>(static_cast<ll>(taps) * (t + 1) / per_channel)};
    }
    return {static_cast<int>(static_cast<ll>(channels) * i / count),
            static_cast<int>(static_cast<ll>(channels) * (i + 1) / count), 0, taps};
  }
};

constexpr int kBlockColumns = 32 * VF_WIDTH;  // outputs packed at once, at most
constexpr int kPlainColumns = 16 * VF_WIDTH;  // of plain patches: the next ones come to L2 meanwhile
constexpr ll kStagedBytes = 24 << 10;         // of the channels staged together, if there are several

// Values of `in` along one axis that outputs next to each other read: coordinates (first + i) * step + residue for
// i < length, kept from place `at` on.
struct Line {
  int first, length, residue, at;
  int x, begin, end;  // in a row: coordinate of value 0; those from begin to end lie in the row
};

// The lines that n taps need for `count` outputs, shifts that overlap sharing one; slot[k] is the place of the
// first output's value under tap k. Shifts are in order, up or down.
struct Axis {
  Line* lines;
  int* slot;
  int n_lines, size;

  template <class Shift>
  void lay_out(int n, const Shift& shift, int step, int count) {
    auto floor_div = [&](int a) { return a >= 0 ? a / step : -((step - 1 - a) / step); };
    const bool up = n < 2 || shift(1) > shift(0);
    n_lines = size = 0;
    for (int i = 0; i < n; i++) {
      const int d = shift(up ? i : n - 1 - i), first = floor_div(d), residue = d - first * step;
      int j = n_lines - 1;
      while (j >= 0 && lines[j].residue != residue) j--;
      if (j >= 0 && first <= lines[j].first + lines[j].length)
        lines[j].length = first + count - lines[j].first;
      else
        lines[n_lines++] = {first, count, residue, 0, 0, 0, 0};
    }
    for (int j = 0; j < n_lines; j++) lines[j].at = size, size += lines[j].length;
    for (int k = 0; k < n; k++) {
      const int d = shift(k), first = floor_div(d), residue = d - first * step;
      const Line* line = lines;
      while (line->residue != residue || line->first > first || line->first + line->length <= first) line++;
      slot[k] = line->at + first - line->first;
    }
  }
};

// Scratch of Patches::pack.
template <class T>
struct Stage {
  Axis rows, cols;
  ll* tap;    // place of each tap's first value
  T* values;  // [channel][segment][row][column], room for a vector before and after
};

// Values of a channel that are staged for `columns` outputs, at most.
inline ll staged_values(const ConvParams& p, const Gather& g, bool dgrad, ll columns) {
  const ll rows = ceil_div(g.out_h, g.out_step_h), cols = ceil_div(g.out_w, g.out_step_w);
  const ll least_rows = g.out_h / g.out_step_h, least_cols = g.out_w / g.out_step_w;
  auto least = [](ll a, ll b) { return a < b ? a : b; };
  auto axis = [&](ll n, ll taps, ll step, ll dilation, ll stride) {
    const ll reach = (taps - 1) * (dilation < 0 ? -dilation : dilation);
    return least(taps * n, (n - 1) * step + reach / (dgrad ? stride : 1) + 1);
  };
  const ll col = least_cols ? least_cols : 1, n_rows = least(rows, columns / col + 2);
  const ll image = (least_rows ? least_rows : 1) * col;
  return (columns / image + 2) * axis(n_rows, p.r, g.in_step_h, p.dilation_h, p.stride_h) *
         axis(least(columns, cols), p.s, g.in_step_w, p.dilation_w, p.stride_w);
}

template <class T>
Stage<T> take_stage(Carver& c, const ConvParams& p, const Gather& g, bool dgrad, ll columns) {
  Stage<T> s{};
  s.rows.lines = c.take<Line>(p.r), s.rows.slot = c.take<int>(p.r);
  s.cols.lines = c.take<Line>(p.s), s.cols.slot = c.take<int>(p.s);
  s.tap = c.take<ll>(static_cast<ll>(p.r) * p.s);
  ll values = staged_values(p, g, dgrad, columns);
  const ll several = kStagedBytes / static_cast<ll>(sizeof(T));
  if (values < several) values = several;
  T* all = c.take<T>(values + 2 * Vec<T>::width);
  s.values = all ? all + Vec<T>::width : nullptr;
  return s;
}

// One tap that meets every element once, in order: the patches are `in` itself.
inline bool is_plain(const Gather& g) {
  return g.n_taps == 1 && g.in_step_h == 1 && g.in_step_w == 1 && g.in_h == g.out_h && g.in_w == g.out_w &&
         !g.top && !g.bottom && !g.left && !g.right;
}

// Of so many rows or columns of a product, what is packed for them next is worth being fetched meanwhile.
constexpr ll kFetchedFor = 128;

// Elements [q0, q1) of planes [c0, c1), as far as they are in the first image; q runs over the planes of all images.
template <class T>
Ahead<T> ahead_in(const T* in, ll image_step, ll plane, ll q0, ll q1, ll c0, ll c1) {
  const ll image = q0 / plane, at = q0 - image * plane, n = plane - at < q1 - q0 ? plane - at : q1 - q0;
  return Ahead<T>::of(in + image * image_step + c0 * plane + at, plane, n, c1 - c0);
}

template <class T>
struct Patches {
  using V = typename Vec<T>::type;
  using Mask = typename Vec<T>::mask;
  static constexpr int W = Vec<T>::width, NR = tile_columns<T>();

  const Gather& g;
  const Phase& f;
  const Tap* taps;  // of the phase
  const T* in;      // the group's first plane in the first image
  ll image_step;    // from image to image in `in`
  const Stage<T>* stage = nullptr;
  ll plane = static_cast<ll>(g.in_h) * g.in_w;

  ll per_image() const { return static_cast<ll>(f.rows) * f.cols; }

  // The outputs [q, q + n).
  int runs(ll q, int n, Run* to) const {
    const ll size = per_image();
    ll image = q / size, at = q - image * size;
    int row = static_cast<int>(at / f.cols), col = static_cast<int>(at - static_cast<ll>(row) * f.cols),
        count = 0;
    for (int lane = 0; lane < n;) {
      int len = f.cols - col;
      if (len > n - lane) len = n - lane;
      to[count++] = {lane, lane + len, row, col, image};
      lane += len, col = 0;
      if (++row == f.rows) row = 0, image++;
    }
    return count;
  }

  // pack() of plain patches: along the channels of `in`, as they lie in memory.
  void pack_plain(ll q0, ll q1, const Terms& terms, T* to) const {
    const ll size = per_image(), depth = terms.depth();
    for (ll q = q0; q < q1;) {
      const ll image = q / size, end = (image + 1) * size < q1 ? (image + 1) * size : q1;
      const T* from = in + image * image_step + terms.c0 * plane - image * size;
      for (ll c = 0; c < depth; c++, from += plane)
        for (ll at = q; at < end;) {
          const ll panel = (at - q0) / NR * NR, lane = at - q0 - panel;
          T* row = to + panel * depth;
          if (lane == 0 && end - at >= NR) {
            row += c * NR;
            for (; end - at >= NR; at += NR, row += NR * depth)
              __builtin_memcpy(row, from + at, NR * sizeof(T));
            continue;
          }
          const ll width = q1 - q0 - panel <= W ? W : NR;
          const ll n = end - at < NR - lane ? end - at : NR - lane;
          row += c * width + lane;
          for (ll i = 0; i < n; i++) row[i] = from[at + i];
          if (at + n == q1)
            for (ll i = n; lane + i < width; i++) row[i] = 0;
          at += n;
        }
      q = end;
    }
  }

  // Outputs of some rows of an image, from column `col` on, that are staged together.
  struct Segment {
    ll image;
    int row, rows, col;
  };

  // The values of channel c under the segments; those of channel c + ahead are fetched meanwhile.
  void stage_channel(int c, int ahead, const Axis& rows, const Axis& cols, const Segment* segments, int count,
                     T* to) const {
    const int step = g.in_step_w;
    for (int i = 0; i < count; i++) {
      const Segment& s = segments[i];
      const T* image = in + s.image * image_step + c * plane;
      if (i == 0 || s.col != segments[i - 1].col)
        for (int m = 0; m < cols.n_lines; m++) {
          Line& l = cols.lines[m];
          const ll x = (static_cast<ll>(s.col) + l.first) * step + l.residue;
          const ll begin = x >= 0 ? 0 : (-x + step - 1) / step,
                   end = x >= g.in_w ? 0 : (g.in_w - 1 - x) / step + 1;
          l.x = static_cast<int>(x);
          l.end = static_cast<int>(end < l.length ? end : l.length);
          l.begin = begin < l.end ? static_cast<int>(begin) : l.end;
        }
      for (int k = 0; k < rows.n_lines; k++) {
        const Line& r = rows.lines[k];
        for (int j = 0; j < r.length; j++, to += cols.size) {
          const ll y = (static_cast<ll>(s.row) + r.first + j) * g.in_step_h + r.residue;
          if (y < 0 || y >= g.in_h) {
            memset(to, 0, static_cast<size_t>(cols.size) * sizeof(T));
            continue;
          }
          const T* line = image + y * g.in_w;
          if (ahead) {
            constexpr int kLine = 64 / static_cast<int>(sizeof(T));
            const Line& first = cols.lines[0];
            const T* next = line + ahead * plane + first.x + first.begin * step;
            for (int x = 0; x < (first.end - first.begin) * step; x += kLine) __builtin_prefetch(next + x);
          }
          for (int m = 0; m < cols.n_lines; m++) {
            const Line& l = cols.lines[m];
            stage_line(line + l.x, step, l.begin, l.end, l.length, to + l.at);
          }
        }
      }
    }
  }

  // A part of a vector of outputs: from lane `lane` on, staged from `at` for lane 0 on.
  struct Piece {
    ll at;
    int lane;
  };

  // to[i * to_step] = the vector of those pieces, `offset(i)` further on, for i < n.
  template <class Offset>
  static void join(const Piece* piece, int pieces, const T* values, const Offset& offset, int n, T* to,
                   ll to_step) {
    const T* from = values + piece[0].at;
    if (pieces == 1) {
      for (int i = 0; i < n; i++, to += to_step) store(to, load(from + offset(i)));
      return;
    }
    using Lane = typename Vec<T>::lane;
    const Mask lanes = lane_numbers<T>();
    const T* other = values + piece[1].at;
    const Mask second = lanes >= static_cast<Lane>(piece[1].lane);
    for (int i = 0; i < n; i++, to += to_step) {
      const ll at = offset(i);
      V v = select(second, load(other + at), load(from + at));
      for (int k = 2; k < pieces; k++)
        v = select(lanes >= static_cast<Lane>(piece[k].lane), load(values + piece[k].at + at), v);
      store(to, v);
    }
  }

  // Columns [q0, q1), at most kBlockColumns, as panels of NR; the last one is narrower by whole vectors if need be, and
  // its lanes beyond q1 hold anything.
  void pack(ll q0, ll q1, const Terms& terms, T* to) const {
    if (is_plain(g)) return pack_plain(q0, q1, terms, to);
    Run run[kBlockColumns];
    Segment segments[kBlockColumns];
    int of_run[kBlockColumns];
    const int n = static_cast<int>(q1 - q0), n_runs = runs(q0, n, run);
    const bool wide = f.cols >= n;  // parts of rows: no more of a row is staged
    int count = 0, n_rows = 1, n_cols = wide ? 0 : f.cols;
    for (int i = 0; i < n_runs; i++) {
      const Run& r = run[i];
      if (wide || !count || segments[count - 1].image != r.image)
        segments[count++] = {r.image, r.row, 0, wide ? r.col : 0};
      Segment& s = segments[count - 1];
      s.rows = r.row - s.row + 1;
      if (n_rows < s.rows) n_rows = s.rows;
      if (wide && n_cols < r.end - r.lane) n_cols = r.end - r.lane;
      of_run[i] = count - 1;
    }
    Axis rows = stage->rows, cols = stage->cols;
    int across = 1;  // taps of a row of the window
    while (across < f.taps && taps[across].dh == taps[0].dh) across++;
    rows.lay_out(f.taps / across, [&](int k) { return taps[k * across].dh; }, g.in_step_h, n_rows);
    cols.lay_out(across, [&](int k) { return taps[k].dw; }, g.in_step_w, n_cols);
    const ll segment = static_cast<ll>(rows.size) * cols.size, channel = count * segment;
    for (int t = terms.t0; t < terms.t1; t++)
      stage->tap[t] = static_cast<ll>(rows.slot[t / across]) * cols.size + cols.slot[t % across];

    // The pieces of all vectors, first[v] to first[v + 1].
    Piece piece[2 * kBlockColumns];
    int first[kBlockColumns / W + 2], total = 0;
    const int vectors = (n + W - 1) / W;
    for (int v = 0, i = 0; v < vectors; v++) {
      first[v] = total;
      for (; i < n_runs && run[i].lane < (v + 1) * W; i++) {
        const Run& r = run[i];
        const Segment& s = segments[of_run[i]];
        const ll at =
            of_run[i] * segment + static_cast<ll>(r.row - s.row) * cols.size + r.col - s.col + v * W - r.lane;
        if (total == first[v] || at != piece[total - 1].at)  // else this row lies right behind the one before
          piece[total++] = {at, r.lane > v * W ? r.lane - v * W : 0};
        if (r.end > (v + 1) * W) break;  // it goes on in the next vector
      }
    }
    first[vectors] = total;

    const int n_taps = terms.t1 - terms.t0;
    const ll several = kStagedBytes / static_cast<ll>(sizeof(T)) / channel, depth = terms.depth();
    const int chunk = several < 1                     ? 1
                      : several < terms.c1 - terms.c0 ? static_cast<int>(several)
                                                      : terms.c1 - terms.c0;
    for (int c = terms.c0; c < terms.c1; c += chunk) {
      const int channels = terms.c1 - c < chunk ? terms.c1 - c : chunk, left = terms.c1 - c - channels;
      for (int i = 0; i < channels; i++)
        stage_channel(c + i, i < left ? channels : 0, rows, cols, segments, count,
                      stage->values + i * channel);
      for (int v = 0; v < vectors; v++) {
        const int panel = v / kVectors, pieces = first[v + 1] - first[v];
        const ll width = vectors - panel * kVectors < kVectors ? vectors - panel * kVectors : kVectors;
        T* at = to + static_cast<ll>(panel) * NR * depth + (v % kVectors) * W +
                static_cast<ll>(c - terms.c0) * n_taps * width * W;
        const ll* tap = stage->tap + terms.t0;
        if (n_taps > channels)
          for (int i = 0; i < channels; i++)
            join(
                piece + first[v], pieces, stage->values + i * channel, [&](int t) { return tap[t]; }, n_taps,
                at + i * n_taps * width * W, width * W);
        else
          for (int t = 0; t < n_taps; t++)
            join(
                piece + first[v], pieces, stage->values + tap[t], [&](int i) { return i * channel; },
                channels, at + t * width * W, n_taps * width * W);
      }
    }
  }
};

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
