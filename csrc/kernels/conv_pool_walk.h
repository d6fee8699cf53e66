// The two walks of conv_pool_grad, over tiles of a patch that stay in registers.
#pragma once
#include "conv_pool_gather.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxTile = 13;  // accumulators: 16 registers less one value and two in flight

// Rows [row, row + rows) and vectors [vector, vector + vectors) of a patch.
struct Tile {
  int row, rows, vector, vectors;
};

// A patch of `rows` x `vectors` cut into near-equal tiles of at most kMaxTile; returns their number. tiles may
// be null.
int cut_tiles(int rows, int vectors, Tile* tiles) {
  auto share = [](int n, int i, int parts) {
    return static_cast<int>(static_cast<long long>(n) * i / parts);
  };
  const int chunks = (vectors + kMaxTile - 1) / kMaxTile;
  int count = 0;
  for (int c = 0; c < chunks; c++) {
    const int v = share(vectors, c, chunks), nv = share(vectors, c + 1, chunks) - v;
    const int most = kMaxTile / nv, bands = (rows + most - 1) / most;
    for (int b = 0; b < bands; b++, count++) {
      const int r = share(rows, b, bands);
      if (tiles) tiles[count] = {r, share(rows, b + 1, bands) - r, v, nv};
    }
  }
  return count;
}

// A pixel that holds maxima, and its n non-zero gradients from `begin` on.
struct Living {
  int pixel, begin, n;
};

// The non-zero gradients of some images, by pixel. Pixels with as many gradients follow one another, so that loops over
// them end where the branch predictor expects it.
template <class T>
struct Sorted {
  T* g;
  int* channels;
  int* starts;  // of each pixel in the above
  Living* living;
  int n_living;
  int* bins;
};

// Vectors of half the width, for rows that do not fill more: fewer of their loads cross a cache line.
template <class T>
struct HalfLanes {
  static constexpr int W = Lanes<T>::W / 2;
  typedef T V __attribute__((vector_size(sizeof(typename Lanes<T>::V) / 2)));
};

template <class V, class T>
inline V load_as(const T* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// dw[r][v] += g x[pixel + r, v] over a list, for NR rows and NV vectors.
template <class T, class L, int NR, int NV>
void walk_dw(const List<T>& list, const T* x, int channels, long long pitch, T* dw, long long dw_stride) {
  using V = typename L::V;
  constexpr int W = L::W;
  // Entries at once: enough independent sums to hide the latency.
  constexpr int U = NR * NV <= 3 ? 4 : NR * NV <= 6 ? 2 : 1;
  V acc[U][NR][NV];
  for (int r = 0; r < NR; r++)
    for (int v = 0; v < NV; v++) {
      acc[0][r][v] = load_as<V>(dw + r * dw_stride + v * W);
      for (int u = 1; u < U; u++) acc[u][r][v] = V{};
    }
  const T* g = list.g;
  const int *pixel = list.pixel, *end = pixel + list.count;
  for (; pixel + U <= end; pixel += U, g += U)
    for (int u = 0; u < U; u++) {
      const V gv = g[u] - V{};
      const T* row = x + static_cast<long long>(pixel[u]) * channels;
      for (int r = 0; r < NR; r++)
        for (int v = 0; v < NV; v++) acc[u][r][v] += gv * load_as<V>(row + r * pitch + v * W);
    }
  for (; U > 1 && pixel < end; pixel++, g++) {
    const V gv = *g - V{};
    const T* row = x + static_cast<long long>(*pixel) * channels;
    for (int r = 0; r < NR; r++)
      for (int v = 0; v < NV; v++) acc[0][r][v] += gv * load_as<V>(row + r * pitch + v * W);
  }
  for (int r = 0; r < NR; r++)
    for (int v = 0; v < NV; v++) {
      V sum = acc[0][r][v];
      for (int u = 1; u < U; u++) sum += acc[u][r][v];
      __builtin_memcpy(dw + r * dw_stride + v * W, &sum, sizeof sum);
    }
}

constexpr bool kShifts =
    VF_WIDTH == 16;  // a vector is a cache line, and one instruction shifts two by any number

// to[0 .. NV W) += sums, where `to` begins anywhere in a vector: the sums are shifted, so that no store crosses a cache
// line. longer: what is shifted out of the last vector may be other than zero.
template <class T, int NV>
inline void add_shifted(const typename Lanes<T>::V (&sums)[NV], T* to, bool longer) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  const int by = static_cast<int>(reinterpret_cast<uintptr_t>(to) / sizeof(T) % W);
  const typename Vec<T>::mask lanes = lane_numbers<T>() + static_cast<typename Vec<T>::lane>(W - by);
  to -= by;
  V before{};  // the vector whose last lanes come first
  for (int v = 0; v < NV; v++, to += W) {
    store(to, load(to) + __builtin_shuffle(before, sums[v], lanes));
    before = sums[v];
  }
  if (longer) store(to, load(to) + __builtin_shuffle(before, V{}, lanes));
}

// dx[pixel + r, v] += g w[k][r][v] over the pixels, for NR rows and NV vectors. All weights of a tile stay in L1.
// shifts, longer: see add_shifted.
template <class T, int NR, int NV>
void walk_dx(const Sorted<T>& s, int channels, long long pitch, long long kernel, const T* w,
             long long w_stride, T* dx, bool shifts, bool longer) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  for (const Living *l = s.living, *last = l + s.n_living; l < last; l++) {
    T* patch = dx + static_cast<long long>(l->pixel) * channels;
    V acc[NR][NV]{};
    for (int e = l->begin, end = e + l->n; e < end; e++) {
      const V gv = set1(s.g[e]);
      const T* row = w + s.channels[e] * kernel;
      for (int r = 0; r < NR; r++)
        for (int v = 0; v < NV; v++) acc[r][v] = fma(gv, load(row + r * w_stride + v * W), acc[r][v]);
    }
    for (int r = 0; r < NR; r++, patch += pitch) {
      if constexpr (kShifts)
        if (shifts) {
          add_shifted<T, NV>(acc[r], patch, longer);
          continue;
        }
      for (int v = 0; v < NV; v++) store(patch + v * W, load(patch + v * W) + acc[r][v]);
    }
  }
}

// walk_dw and walk_dx of every tile, by rows and vectors; narrow: walk_dw by half a vector.
template <class T>
struct Tiles {
  using Walk = decltype(&walk_dw<T, Lanes<T>, 1, 1>);
  Walk dw[kMaxTile][kMaxTile] = {}, narrow[kMaxTile] = {};
  decltype(&walk_dx<T, 1, 1>) dx[kMaxTile][kMaxTile] = {};

  template <int NR, int NV>
  constexpr void fill() {
    if constexpr (NR <= kMaxTile) {
      if constexpr (NR * NV <= kMaxTile) {
        dw[NR - 1][NV - 1] = walk_dw<T, Lanes<T>, NR, NV>;
        if constexpr (NV == 1) narrow[NR - 1] = walk_dw<T, HalfLanes<T>, NR, 1>;
        dx[NR - 1][NV - 1] = walk_dx<T, NR, NV>;
        fill<NR, NV + 1>();
      } else {
        fill<NR + 1, 1>();
      }
    }
  }
  constexpr Tiles() { fill<1, 1>(); }
};
template <class T>
constexpr Tiles<T> kTiles;

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
