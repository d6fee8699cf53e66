// conv_pool: y = activation(maxpool(x * w) + b), and the place of each maximum in its window.
//
//   x [N, C, H, W] padded to [C, HP, WP], w [K, C, R, S], y and argmax [N, K, P, Q]; stride 1, pooling
//   windows that do not overlap.
//
// direct_conv_pool: the lanes are output channels. Weights are packed once per call to [block][C R S][lanes];
// for each pooling window up to 4 of its convolution outputs x 3 vectors of channels are accumulated in
// registers over all taps (with AVX-512 those of two windows), each tap one broadcast of x per output; then the
// maximum is taken. Where the
// channels end in half a vector (20 = 2.5 x 8), the last half vectors of two outputs share a register. Rows of
// zeros at the top and bottom of a window's patch are left out (conv_pool_zeros.h). The pooled [P Q][lanes] of an
// image are transposed into NCHW, where bias and activation are applied.
#include "conv_pool_zeros.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxVectors = 3;  // of channels in one block: 4 x 3 accumulators + 3 weights + 1 input
#if defined(__AVX512F__)
constexpr int kWindows = 2;  // computed together: 4 x 1 sums are too few to hide the latency
#else
constexpr int kWindows = 1;
#endif

// The channels [first, first + lanes), computed together: `vectors` whole ones, and half of one.
struct Block {
  int first, vectors, half;
  long long lanes;   // stride of the packed weights and of the pooled scratch
  long long packed;  // offset of the packed weights
};

// Pooled rows of an image, computed together.
struct Band {
  int first, end;
};

struct Plan : PooledShape {
  ConvPoolParams p;
  long long taps;
  int n_blocks;
  bool padded;
};

Plan make_plan(const ConvPoolParams& p) {
  Plan plan{pooled_shape(p), p, 0, 0, false};
  plan.taps = static_cast<long long>(p.c) * p.r * p.s;
  plan.padded = p.top || p.bottom || p.left || p.right;
  return plan;
}

template <class T>
int half_vectors(const Plan& plan) {
  constexpr int H = Lanes<T>::W / 2;
  return (plan.p.k + H - 1) / H;
}

template <class T>
int count_blocks(const Plan& plan) {
  return ((half_vectors<T>(plan) + 1) / 2 + kMaxVectors - 1) / kMaxVectors;
}

// Block i of n: the vectors spread evenly, the odd half in the last block.
template <class T>
Block make_block(const Plan& plan, int i) {
  constexpr int W = Lanes<T>::W;
  const int halves = half_vectors<T>(plan), units = (halves + 1) / 2, n = plan.n_blocks;
  const int begin = units * i / n, end = units * (i + 1) / n;
  Block b;
  b.first = begin * W;
  b.half = i == n - 1 && halves % 2;
  b.vectors = end - begin - b.half;
  b.lanes = (end - begin) * W;
  b.packed = begin * W * plan.taps;
  return b;
}

template <class T>
struct Scratch {
  T* weights;
  T* x;       // padded image
  T* pooled;  // [P Q][lanes]
  T* places;  // [P Q][lanes]
  uint64_t* bits;
  uint8_t* living;
  TapRows rows;
  int* image;  // which image x holds
};

template <class T>
size_t carve(const Plan& plan, char* base, int threads, int part, Scratch<T>& s) {
  Carver c{base};
  constexpr int W = Lanes<T>::W;
  s.weights = c.take<T>((half_vectors<T>(plan) + 1) / 2 * W * plan.taps);
  int* images = c.take<int>(threads);
  s.image = images ? images + part : nullptr;
  const long long x = plan.padded ? static_cast<long long>(plan.p.c) * plan.hp * plan.wp : 0;
  const long long pooled = plan.positions * kMaxVectors * W;
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    T *xs = c.take<T>(x), *ys = c.take<T>(pooled), *is = c.take<T>(pooled);
    uint64_t* bits = c.take<uint64_t>(row_words(plan));
    uint8_t* living = c.take<uint8_t>(plan.hp * living_stride(plan));
    const long long windows = plan.p.c * plan.positions + kBytes;
    uint8_t *first = c.take<uint8_t>(windows), *end = c.take<uint8_t>(windows);
    if (t == part)
      s.x = xs, s.pooled = ys, s.places = is, s.bits = bits, s.living = living, s.rows = {first, end};
  }
  return c.used;
}

// packed[tap][lane] = w[first + lane][tap]; the lanes of the half vector twice, lanes beyond K zero.
template <class T>
void pack_weights(const Plan& plan, const Block& b, const T* w, T* packed) {
  constexpr int W = Lanes<T>::W;
  long long channels = plan.p.k - b.first, lanes = b.vectors * W + b.half * (W / 2);
  if (channels > lanes) channels = lanes;
  w += b.first * plan.taps;
  if (plan.p.flip) {
    const long long window = static_cast<long long>(plan.p.r) * plan.p.s;
    const Order order = in_order(window, b.lanes, true);
    for (long long t = 0; t < plan.taps; t += window)
      transpose(w + t, plan.taps, packed + t * b.lanes + order.first, order.step, channels, window);
  } else {
    transpose(w, plan.taps, packed, b.lanes, channels, plan.taps);
  }
  if (channels == b.lanes) return;
  for (long long t = 0; t < plan.taps; t++) {
    T* row = packed + t * b.lanes;
    for (long long i = channels; i < lanes; i++) row[i] = 0;
    for (long long i = lanes; i < b.lanes; i++) row[i] = row[i - W / 2];
  }
}

// acc[m][v] = sum over taps of x[at[m] + tap] w[tap][v]; half[j] holds outputs 2j and 2j + 1. The outputs are those of
// WINDOWS windows of a row.
template <class T, int M, int V, bool HALF, int S, int WINDOWS = 1>
struct Accumulators {
  using Vec = typename Lanes<T>::V;
  static constexpr int W = Lanes<T>::W, PAIRS = (M + 1) / 2;
  Vec acc[M][V ? V : 1];
  Vec half[PAIRS];

  Vec value(int m, int v) const { return v < V ? acc[m][v] : m % 2 ? swap_halves(half[m / 2]) : half[m / 2]; }

  // rows: of the taps of the windows, channel after channel; none: all of them.
  void run(const Plan& plan, const T* x, const int* at, const T* w, TapRows rows) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++)
      for (int v = 0; v < V; v++) acc[m][v] = Vec{};
#pragma GCC unroll 4
    for (int j = 0; j < PAIRS; j++) half[j] = Vec{};
    const int s_end = S ? S : plan.p.s;
    const long long plane = static_cast<long long>(plan.hp) * plan.wp;
    const long long filter = static_cast<long long>(plan.p.r) * s_end * (V + HALF) * W;
    for (int c = 0; c < plan.p.c; c++, x += plane) {
      int r = 0, r_end = plan.p.r;
      if (rows.first) {
        r = *rows.first, r_end = *rows.end;
        for (int i = 1; i < WINDOWS; i++) r = least(r, rows.first[i]), r_end = most(r_end, rows.end[i]);
        rows.first += plan.positions, rows.end += plan.positions;
      }
      const T *pixel[M], *tap = w + c * filter + static_cast<long long>(r) * s_end * (V + HALF) * W;
      for (int m = 0; m < M; m++) pixel[m] = x + at[m] + static_cast<long long>(r) * plan.wp;
      for (; r < r_end; r++) {
#pragma GCC unroll 8
        for (int s = 0; s < s_end; s++) {
          Vec wv[V + HALF];
          for (int v = 0; v < V + HALF; v++) {
            wv[v] = load(tap + v * W);
            pin(wv[v]);
          }
#pragma GCC unroll 4
          for (int m = 0; m < M; m += 2) {
            Vec a = set1(pixel[m][s]);
            for (int v = 0; v < V; v++) acc[m][v] = fma(a, wv[v], acc[m][v]);
            if (m + 1 < M) {
              Vec b = set1(pixel[m + 1][s]);
              for (int v = 0; v < V; v++) acc[m + 1][v] = fma(b, wv[v], acc[m + 1][v]);
              if (HALF) a = join_halves(a, b);
            }
            if (HALF) half[m / 2] = fma(a, wv[V], half[m / 2]);
          }
          tap += (V + HALF) * W;
        }
        for (int m = 0; m < M; m++) pixel[m] += plan.wp;
      }
    }
  }
};

// The outputs first .. first + M - 1 of a window, folded into best[] and place[]. FIRST: these are unset.
template <class T, int M, int V, bool HALF, int S, bool FIRST>
inline void fold_outputs(const Plan& plan, const T* x, const int* at, const T* w, TapRows rows, int first,
                         typename Lanes<T>::V* best, typename Lanes<T>::V* place) {
  Accumulators<T, M, V, HALF, S> a;
  a.run(plan, x, at + first, w, rows);
  for (int m = 0; m < M; m++) {
    const T index = static_cast<T>(FIRST ? m : first + m);
    for (int v = 0; v < V + HALF; v++) {
      if (FIRST && m == 0)
        best[v] = a.value(m, v), place[v] = typename Lanes<T>::V{};
      else
        fold(best[v], place[v], a.value(m, v), index);
    }
  }
}

bool only_zeros(const Plan& plan, TapRows rows, int windows) {
  for (int c = 0; c < plan.p.c; c++, rows.first += plan.positions, rows.end += plan.positions)
    for (int i = 0; i < windows; i++)
      if (rows.first[i] < rows.end[i]) return false;
  return true;
}

template <class T, int V, bool HALF, int S>
void pool_window(const Plan& plan, const T* x, const int* at, const T* w, TapRows rows, T* pooled,
                 T* places) {
  constexpr int W = Lanes<T>::W;
  typename Lanes<T>::V best[V + HALF], place[V + HALF];
  const int area = plan.p.pool_h * plan.p.pool_w;
  int i;
  if (area >= 4) {
    fold_outputs<T, 4, V, HALF, S, true>(plan, x, at, w, rows, 0, best, place);
    for (i = 4; i + 4 <= area; i += 4)
      fold_outputs<T, 4, V, HALF, S, false>(plan, x, at, w, rows, i, best, place);
  } else {
    fold_outputs<T, 1, V, HALF, 0, true>(plan, x, at, w, rows, 0, best, place);
    i = 1;
  }
  for (; i + 2 <= area; i += 2) fold_outputs<T, 2, V, HALF, 0, false>(plan, x, at, w, rows, i, best, place);
  if (i < area) fold_outputs<T, 1, V, HALF, 0, false>(plan, x, at, w, rows, i, best, place);
  for (int v = 0; v < V + HALF; v++) {
    store(pooled + v * W, best[v]);
    store(places + v * W, place[v]);
  }
}

// The same of windows of four outputs, kWindows of them; at has the outputs of all.
template <class T, int V, bool HALF, int S>
void pool_windows(const Plan& plan, const T* x, const int* at, const T* w, TapRows rows, T* pooled,
                  T* places) {
  constexpr int W = Lanes<T>::W;
  Accumulators<T, 4 * kWindows, V, HALF, S, kWindows> a;
  a.run(plan, x, at, w, rows);
#pragma GCC unroll 2
  for (int i = 0; i < kWindows; i++)
#pragma GCC unroll 4
    for (int v = 0; v < V + HALF; v++) {
      typename Lanes<T>::V best = a.value(4 * i, v), place{};
#pragma GCC unroll 3
      for (int m = 1; m < 4; m++) fold(best, place, a.value(4 * i + m, v), static_cast<T>(m));
      store(pooled + (i * (V + HALF) + v) * W, best);
      store(places + (i * (V + HALF) + v) * W, place);
    }
}

template <class T, int V, bool HALF, int S>
void pool_image(const Plan& plan, Band band, const T* x, const T* w, TapRows rows, T* pooled, T* places) {
  constexpr int W = Lanes<T>::W;
  const int area = plan.p.pool_h * plan.p.pool_w, together = area == 4 ? kWindows : 1;
  int at[kMaxWindow + 1];
  for (int i = 0; i < together * area; i++)
    at[i] = i % area / plan.p.pool_w * plan.wp + i / area * plan.p.pool_w + i % plan.p.pool_w;
  for (int p = band.first; p < band.end; p++) {
    for (int q = 0, windows; q < plan.cols; q += windows) {
      windows = q + together <= plan.cols ? together : 1;
      const T* corner = x + static_cast<long long>(p) * plan.p.pool_h * plan.wp + q * plan.p.pool_w;
      if (rows.first && only_zeros(plan, rows, windows)) {
        const size_t bytes = static_cast<size_t>(windows) * (V + HALF) * sizeof(typename Lanes<T>::V);
        memset(pooled, 0, bytes);
        memset(places, 0, bytes);
      } else if (windows > 1) {
        pool_windows<T, V, HALF, S>(plan, corner, at, w, rows, pooled, places);
      } else {
        pool_window<T, V, HALF, S>(plan, corner, at, w, rows, pooled, places);
      }
      pooled += windows * (V + HALF) * W;
      places += windows * (V + HALF) * W;
      if (rows.first) rows.first += windows, rows.end += windows;
    }
  }
}

template <class T, int V, bool HALF>
void pool_image_by_width(const Plan& plan, Band band, const T* x, const T* w, TapRows rows, T* pooled,
                         T* places) {
  switch (plan.p.s) {
    case 3:
      return pool_image<T, V, HALF, 3>(plan, band, x, w, rows, pooled, places);
    case 5:
      return pool_image<T, V, HALF, 5>(plan, band, x, w, rows, pooled, places);
    default:
      return pool_image<T, V, HALF, 0>(plan, band, x, w, rows, pooled, places);
  }
}

template <class T>
void pool_block(const Plan& plan, const Block& b, Band band, const T* x, const T* w, TapRows rows, T* pooled,
                T* places) {
  switch (b.vectors * 2 + b.half) {
    case 1:
      return pool_image_by_width<T, 0, true>(plan, band, x, w, rows, pooled, places);
    case 2:
      return pool_image_by_width<T, 1, false>(plan, band, x, w, rows, pooled, places);
    case 3:
      return pool_image_by_width<T, 1, true>(plan, band, x, w, rows, pooled, places);
    case 4:
      return pool_image_by_width<T, 2, false>(plan, band, x, w, rows, pooled, places);
    case 5:
      return pool_image_by_width<T, 2, true>(plan, band, x, w, rows, pooled, places);
    default:
      return pool_image_by_width<T, 3, false>(plan, band, x, w, rows, pooled, places);
  }
}

template <class T>
void run(const Launch& l) {
  Plan plan = make_plan(params_as<ConvPoolParams>(l));
  plan.n_blocks = count_blocks<T>(plan);
  const ConvPoolParams& p = plan.p;
  const T *x = static_cast<const T*>(l.in[0]), *w = static_cast<const T*>(l.in[1]),
          *bias = static_cast<const T*>(l.in[2]);
  const bool share = pays(conv_pool_flops(p, plan), kPartFlops, l.pool);
  Scratch<T> shared{};
  const int threads = l.pool->size();
  const long long plane = static_cast<long long>(plan.hp) * plan.wp;
  char* base = static_cast<char*>(l.workspace);
  for (int t = 0; t < threads; t++) {
    carve(plan, base, threads, t, shared);
    *shared.image = -1;
  }
  parallel_for(
      l.pool, plan.n_blocks,
      [&](int i, int) {
        Block b = make_block<T>(plan, i);
        pack_weights(plan, b, w, shared.weights + b.packed);
      },
      static_cast<double>(plan.taps) * p.k > 1e5);
  // Fewer images and blocks than threads: images are cut into bands.
  int bands = 1;
  if (share)
    while (p.n * plan.n_blocks * bands < threads && bands < plan.rows) bands++;
  parallel_for(
      l.pool, p.n * plan.n_blocks * bands,
      [&](int task, int part) {
        const int image = task / (plan.n_blocks * bands), cut = task / plan.n_blocks % bands;
        const Block b = make_block<T>(plan, task % plan.n_blocks);
        const Band band{plan.rows * cut / bands, plan.rows * (cut + 1) / bands};
        const long long first = static_cast<long long>(band.first) * plan.cols,
                        count = static_cast<long long>(band.end - band.first) * plan.cols;
        Scratch<T> s{};
        carve(plan, base, threads, part, s);
        const T* xi = x + static_cast<long long>(image) * p.c * p.h * p.w;
        if (plan.padded) {
          if (*s.image != image) pad_planes(xi, s.x, p.c, p.h, p.w, p.top, p.bottom, p.left, p.right);
          *s.image = image;
          xi = s.x;
        }
        TapRows rows{};
        if (may_skip_rows(p) && sampled_density(xi, plane * p.c) < kSparseInput) {
          find_tap_rows(p, plan, xi, s.bits, s.living, s.rows);
          rows = {s.rows.first + first, s.rows.end + first};
        }
        pool_block(plan, b, band, xi, s.weights + b.packed, rows, s.pooled, s.places);
        const long long out = static_cast<long long>(image) * p.k * plan.positions;
        const int channels = p.k - b.first < b.lanes ? p.k - b.first : static_cast<int>(b.lanes);
        finish_positions(p, plan.positions, b.first, channels, bias, s.pooled, s.places, b.lanes, first,
                         count, static_cast<T*>(l.out[0]) + out, static_cast<uint8_t*>(l.out[1]) + out);
      },
      share);
}

void run_direct(const Launch& l) {
  with_type(params_as<ConvPoolParams>(l), [&](auto zero) { run<decltype(zero)>(l); });
}

size_t workspace(const Sizes& s) {
  const ConvPoolParams& p = params_as<ConvPoolParams>(s, "conv_pool");
  Plan plan = make_plan(p);
  if (p.itemsize == 4) {
    Scratch<float> scratch;
    return carve(plan, nullptr, s.threads, 0, scratch);
  }
  Scratch<double> scratch;
  return carve(plan, nullptr, s.threads, 0, scratch);
}

}  // namespace

void register_conv_pool(Registrar& r) { r.add({"direct_conv_pool", run_direct, check_conv_pool, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
