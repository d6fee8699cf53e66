// The patches of a gather (conv_geometry.h) as a matrix whose columns are outputs and whose rows are terms:
//
//   patch[(c, t)][q] = in[c][row(q) * in_step_h + dh[t]][col(q) * in_step_w + dw[t]], zero outside `in`,
//
// q running over the outputs of all images, packed as gemm_tile.h reads it: panels of kNR columns, terms after
// terms. Nothing is padded beforehand: a vector of outputs under one tap is one masked load for each straight
// piece of the input that it meets, found once for all channels.
#pragma once
#include "conv_geometry.h"
#include "gemm_tile.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

// Lanes of p where m is -1, zero in the others, which are not read.
static inline vf load_where(const float* p, vi m) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps(_mm512_movepi32_mask((__m512i)m), p);
#elif defined(__AVX2__)
  return (vf)_mm256_maskload_ps(p, (__m256i)m);
#else
  vf v{};
  for (int i = 0; i < VF_WIDTH; i++)
    if (m[i]) v[i] = p[i];
  return v;
#endif
}
static inline vd load_where(const double* p, vl m) {
#if defined(__AVX512F__)
  return (vd)_mm512_maskz_loadu_pd(_mm512_movepi64_mask((__m512i)m), p);
#elif defined(__AVX2__)
  return (vd)_mm256_maskload_pd(p, (__m256i)m);
#else
  vd v{};
  for (int i = 0; i < VD_WIDTH; i++)
    if (m[i]) v[i] = p[i];
  return v;
#endif
}

// The even elements of a and those at odd places of b: of p[0 .. 2W - 2] for a = p[0 .. W - 1], b = p[W - 1 ..].
template <class T>
static inline typename Vec<T>::type evens(typename Vec<T>::type a, typename Vec<T>::type b) {
  constexpr int W = Vec<T>::width;
  if constexpr (W == 2)
    return __builtin_shufflevector(a, b, 0, 3);
  else if constexpr (W == 4)
    return __builtin_shufflevector(a, b, 0, 2, 5, 7);
  else if constexpr (W == 8)
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15);
  else
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
}

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
  ll plane = static_cast<ll>(g.in_h) * g.in_w;

  ll per_image() const { return static_cast<ll>(f.rows) * f.cols; }

  // The outputs [q, q + n), n <= NR.
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

  // A vector of outputs under one tap: lane j is plane[offset[i] + j * step] for the i whose mask holds j.
  struct Pieces {
    ll offset[W];
    Mask mask[W];
    int lo[W], hi[W];  // the lanes of the mask where in_step_w > 1
    int count;
    bool whole;  // the first piece is all of it
  };

  static Mask lanes_between(ll lo, ll hi) {
    using Lane = typename Vec<T>::lane;
    Mask lanes;
    for (int i = 0; i < W; i++) lanes[i] = i;
    return (lanes >= static_cast<Lane>(lo)) & (lanes < static_cast<Lane>(hi));
  }

  // Lanes [from, from + W) of the runs under tap t.
  Pieces pieces(const Run* run, int n_runs, int from, const Tap& t) const {
    Pieces p;
    p.count = 0;
    int covered = 0;
    for (int i = 0; i < n_runs; i++) {
      const Run& r = run[i];
      const ll y = static_cast<ll>(r.row) * g.in_step_h + t.dh;
      if (y < 0 || y >= g.in_h || r.end <= from || r.lane >= from + W) continue;
      // Lane j of the vector is column x0 + j * step.
      const ll step = g.in_step_w, x0 = (static_cast<ll>(r.col) + from - r.lane) * step + t.dw;
      ll lo = r.lane - from, hi = r.end - from;
      if (lo < 0) lo = 0;
      if (hi > W) hi = W;
      if (x0 < 0 && lo * step < -x0) lo = (-x0 + step - 1) / step;
      if (x0 + (hi - 1) * step >= g.in_w) hi = g.in_w - 1 < x0 ? 0 : (g.in_w - 1 - x0) / step + 1;
      if (lo >= hi) continue;
      covered += static_cast<int>(hi - lo);
      const ll offset = r.image * image_step + y * g.in_w + x0;
      const Mask mask = lanes_between(lo, hi);
      if (step == 1 && p.count && p.offset[p.count - 1] == offset) {
        p.mask[p.count - 1] |= mask;
      } else {
        p.offset[p.count] = offset;
        p.lo[p.count] = static_cast<int>(lo), p.hi[p.count] = static_cast<int>(hi);
        p.mask[p.count++] = mask;
      }
    }
    p.whole = p.count == 1 && covered == W;
    return p;
  }

  // to[c * to_step] = the vector at `from` in the first of n channels, of steps 1 or 2, and of any step.
  void copy_whole(const T* from, int n, T* to, ll to_step) const {
    if (g.in_step_w == 1)
      for (int c = 0; c < n; c++, to += to_step, from += plane) store(to, load(from));
    else
      for (int c = 0; c < n; c++, to += to_step, from += plane)
        store(to, evens<T>(load(from), load(from + W - 1)));
  }
  void copy_steps(const T* from, int n, T* to, ll to_step) const {
    const ll step = g.in_step_w;
    for (int c = 0; c < n; c++, to += to_step, from += plane)
      for (int j = 0; j < W; j++) to[j] = from[j * step];
  }

  // to[c * to_step] = the vector in channel c of [c0, c1).
  void copy(const Pieces& p, int c0, int c1, T* to, ll to_step) const {
    const T* from = in + c0 * plane;
    const int n = c1 - c0;
    if (p.count == 0) {
      for (int c = 0; c < n; c++, to += to_step) store(to, V{});
    } else if (g.in_step_w == 1) {
      const T* first = from + p.offset[0];
      const Mask mask = p.mask[0];
      if (p.whole) {
        copy_whole(first, n, to, to_step);
      } else if (p.count == 1) {
        for (int c = 0; c < n; c++, to += to_step, first += plane) store(to, load_where(first, mask));
      } else {
        for (int c = 0; c < n; c++, to += to_step, first += plane) {
          V v = load_where(first, mask);
          for (int i = 1; i < p.count; i++) {
            const V other = load_where(from + c * plane + p.offset[i], p.mask[i]);
            v = select(p.mask[i], other, v);
          }
          store(to, v);
        }
      }
    } else if (p.whole && g.in_step_w == 2) {
      copy_whole(from + p.offset[0], n, to, to_step);
    } else if (g.in_step_w == 2) {
      // Lane j is element 2j of two vectors, W - 1 apart, which may not reach beyond the piece.
      Mask low[W], high[W];
      for (int i = 0; i < p.count; i++) {
        low[i] = lanes_between(2 * p.lo[i], 2 * p.hi[i] - 1);
        high[i] = lanes_between(2 * p.lo[i] - W + 1, 2 * p.hi[i] - W);
      }
      for (int c = 0; c < n; c++, to += to_step, from += plane) {
        V v{};
        for (int i = 0; i < p.count; i++) {
          const T* first = from + p.offset[i];
          v = select(p.mask[i], evens<T>(load_where(first, low[i]), load_where(first + W - 1, high[i])), v);
        }
        store(to, v);
      }
    } else {
      ll at[W];
      int lane[W], count = 0;
      for (int i = 0; i < p.count; i++)
        for (int j = p.lo[i]; j < p.hi[i]; j++)
          lane[count] = j, at[count++] = p.offset[i] + static_cast<ll>(j) * g.in_step_w;
      for (int c = 0; c < n; c++, to += to_step, from += plane) {
        store(to, V{});
        for (int i = 0; i < count; i++) to[lane[i]] = from[at[i]];
      }
    }
  }

  // Where lane 0 of a vector of outputs lies if these are of one run, with y < 0 if they are not.
  struct Straight {
    ll image, y, x;
  };
  Straight straight(const Run* run, int n_runs, int from) const {
    for (int i = 0; i < n_runs; i++)
      if (run[i].lane <= from && run[i].end >= from + W)
        return {run[i].image * image_step, static_cast<ll>(run[i].row) * g.in_step_h,
                static_cast<ll>(run[i].col + from - run[i].lane) * g.in_step_w};
    return {0, -1, 0};
  }

  // One tap that meets every element once, in order: the patches are `in` itself.
  bool plain() const {
    return f.taps == 1 && !taps->dh && !taps->dw && g.in_step_h == 1 && g.in_step_w == 1 &&
           f.rows == g.in_h && f.cols == g.in_w;
  }

  // pack() then: along the channels of `in`, as they lie in memory.
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

  // Columns [q0, q1) as panels of NR, the last one narrower by whole vectors if need be.
  void pack(ll q0, ll q1, const Terms& terms, T* to) const {
    if (plain()) return pack_plain(q0, q1, terms, to);
    const int n_taps = terms.t1 - terms.t0;
    for (ll q = q0; q < q1; q += NR) {
      const int n = q1 - q < NR ? static_cast<int>(q1 - q) : NR;
      const int vectors = (n + W - 1) / W;
      Run run[NR];
      const int n_runs = runs(q, n, run);
      const ll to_step = static_cast<ll>(n_taps) * vectors * W;
      for (int v = 0; v < vectors; v++) {
        const Straight line = straight(run, n_runs, v * W);
        for (int t = 0; t < n_taps; t++) {
          const Tap& tap = taps[terms.t0 + t];
          T* at = to + (static_cast<ll>(t) * vectors + v) * W;
          const ll y = line.y + tap.dh, x = line.x + tap.dw;
          if (line.y >= 0 && y >= 0 && y < g.in_h && x >= 0 &&
              x + static_cast<ll>(W - 1) * g.in_step_w < g.in_w) {
            // Most vectors of a wide image: all of it, found without masks.
            const T* from = in + terms.c0 * plane + line.image + y * g.in_w + x;
            if (g.in_step_w <= 2)
              copy_whole(from, terms.c1 - terms.c0, at, to_step);
            else
              copy_steps(from, terms.c1 - terms.c0, at, to_step);
          } else {
            copy(pieces(run, n_runs, v * W, tap), terms.c0, terms.c1, at, to_step);
          }
        }
      }
      to += terms.depth() * vectors * W;
    }
  }
};

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
