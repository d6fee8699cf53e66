// What the kernels of conv_pool share: sizes, the maximum and its place, the way back to NCHW.
#pragma once
#include "activation.h"
#include "conv_common.h"
#include "params.h"
#include "vmath.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxWindow = 255;
constexpr double kPartFlops = 5e4;  // that each thread must have at least

struct PooledShape {
  int hp, wp;      // padded input
  int rows, cols;  // pooled output
  long long positions;
};

inline PooledShape pooled_shape(const ConvPoolParams& p) {
  PooledShape s;
  s.hp = p.h + p.top + p.bottom;
  s.wp = p.w + p.left + p.right;
  s.rows = (s.hp - p.r + 1) / p.pool_h;
  s.cols = (s.wp - p.s + 1) / p.pool_w;
  s.positions = static_cast<long long>(s.rows) * s.cols;
  return s;
}

inline double conv_pool_flops(const ConvPoolParams& p, const PooledShape& s) {
  return 2.0 * p.n * p.k * p.c * p.r * p.s * static_cast<double>(s.positions) * p.pool_h * p.pool_w;
}

inline PooledShape checked_shape(const ConvPoolParams& p, const char* name) {
  if (p.itemsize != 4 && p.itemsize != 8) fail("%s: itemsize is %d, expected 4 or 8", name, p.itemsize);
  if (p.n < 0 || p.c < 1 || p.h < 1 || p.w < 1 || p.k < 1 || p.r < 1 || p.s < 1 || p.pool_h < 1 ||
      p.pool_w < 1 || p.pool_h * p.pool_w > kMaxWindow || p.top < 0 || p.bottom < 0 || p.left < 0 ||
      p.right < 0)
    fail("%s: x [%d, %d, %d, %d], w [%d, .., %d, %d], window %d x %d", name, p.n, p.c, p.h, p.w, p.k, p.r,
         p.s, p.pool_h, p.pool_w);
  const PooledShape shape = pooled_shape(p);
  if (shape.rows < 1 || shape.cols < 1) fail("%s: no pooling window fits", name);
  return shape;
}

// x, w, y, argmax, dy -> [dx,] dw, db.
inline void check_conv_pool_grad(const Sizes& s, const char* name) {
  const ConvPoolParams& p = params_as<ConvPoolParams>(s, name);
  require_counts(s, name, 5, p.need_dx ? 3 : 2);
  const PooledShape shape = checked_shape(p, name);
  const size_t item = static_cast<size_t>(p.itemsize), n = static_cast<size_t>(p.n),
               k = static_cast<size_t>(p.k);
  const size_t pooled = n * k * static_cast<size_t>(shape.positions),
               image = n * static_cast<size_t>(p.c) * static_cast<size_t>(p.h) * static_cast<size_t>(p.w),
               kernel = k * static_cast<size_t>(p.c) * static_cast<size_t>(p.r) * static_cast<size_t>(p.s);
  require_bytes(name, "x", s.in_bytes[0], image * item);
  require_bytes(name, "w", s.in_bytes[1], kernel * item);
  require_bytes(name, "y", s.in_bytes[2], pooled * item);
  require_bytes(name, "argmax", s.in_bytes[3], pooled);
  require_bytes(name, "dy", s.in_bytes[4], pooled * item);
  if (p.need_dx) require_bytes(name, "dx", s.out_bytes[0], image * item);
  require_bytes(name, "dw", s.out_bytes[p.need_dx], kernel * item);
  require_bytes(name, "db", s.out_bytes[p.need_dx + 1], k * item);
}

// A later value wins if it is larger, or NaN.
template <class V, class T>
inline void fold(V& best, V& place, V value, T index) {
  auto wins = (value > best) | (value != value);
  best = select(wins, value, best);
  place = select(wins, set1(index), place);
}

// The larger of |a| and b >= 0. NaN is passed over.
inline vf larger_size(vf a, vf b) {
#if defined(__AVX512F__)
  return (vf)_mm512_range_ps((__m512)a, (__m512)b, 0b1011);  // the larger one in size, without its sign
#else
  return max(abs(a), b);
#endif
}

// The size of the largest of n vectors, lane by lane.
template <int N>
inline vf largest_of(const vf* v) {
  vf largest{};
#pragma GCC unroll 16
  for (int k = 0; k < N; k++) largest = larger_size(v[k], largest);
  return largest;
}

// The maximum of a window's n values and its place, after Winograd's transforms. Outputs over flat parts of an image are
// equal, but the transforms round each in its own way: the place is the first one whose value is not below the maximum by more
// than that, a part of the largest output of the tile. Ties go to the first, as in plain sums, and so do gradients.
inline vf tie_margin(vf largest) { return select(largest < INFINITY, largest * (1.0f / (1 << 17)), vf{}); }

template <int N>
inline void fold_ties(const vf* v, vf margin, vf& best, vf& place) {
  best = v[0], place = set1(static_cast<float>(N - 1));
  vf sum = v[0];
#pragma GCC unroll 16
  for (int k = 1; k < N; k++) best = max(best, v[k]), sum = sum + v[k];
  if (any_nan(sum)) {  // NaN wins
    best = v[0], place = vf{};
    for (int k = 1; k < N; k++) fold(best, place, v[k], static_cast<float>(k));
  }
  const vf least = best - margin;
#pragma GCC unroll 16
  for (int k = N - 2; k >= 0; k--) place = select(v[k] >= least, set1(static_cast<float>(k)), place);
}

// places[n][lanes] -> argmax[channel * positions + i].
inline void store_places(const float* places, long long lanes, long long n, int channels, long long positions,
                         uint8_t* argmax) {
  constexpr int W = VF_WIDTH;
  for (int c = 0; c < channels; c += W, places += W) {
    const int count = channels - c < W ? channels - c : W;
    uint8_t* to = argmax + c * positions;
    long long i = 0;
    for (; i + 4 <= n; i += 4) {  // four places of a channel make one word of its lane
      const float* from = places + i * lanes;
      int32_t words[W];
      store(words, to_int(load(from)) | to_int(load(from + lanes)) << 8 |
                       to_int(load(from + 2 * lanes)) << 16 | to_int(load(from + 3 * lanes)) << 24);
      for (int j = 0; j < count; j++) memcpy(to + j * positions + i, words + j, 4);
    }
    for (; i < n; i++)
      for (int j = 0; j < count; j++) to[j * positions + i] = static_cast<uint8_t>(places[i * lanes + j]);
  }
}

inline void store_places(const double* places, long long lanes, long long n, int channels,
                         long long positions, uint8_t* argmax) {
  for (int j = 0; j < channels; j++)
    for (long long i = 0; i < n; i++) argmax[j * positions + i] = static_cast<uint8_t>(places[i * lanes + j]);
}

// pooled[n][lanes] and places[n][lanes] of channels k .. k + channels of one image -> y and argmax from position
// `first` on. `pooled` is used up.
template <class T>
void finish_positions(const ConvPoolParams& p, long long positions, int k, int channels, const T* bias,
                      T* pooled, const T* places, long long lanes, long long first, long long n, T* y,
                      uint8_t* argmax) {
  constexpr int W = Lanes<T>::W;
  const long long out = k * positions + first;
  with_activation(p.activation, [&](auto act) {
    constexpr bool later = comes_later(act.value);
    for (int c = 0; c < channels; c += W) {
      const auto b = load_n(bias + k + c, channels - c < W ? channels - c : W);
      for (long long i = 0; i < n; i++) {
        T* at = pooled + i * lanes + c;
        store(at, activate(later ? kLinear : act.value, load(at) + b));
      }
    }
    const bool full = channels == lanes;  // no lane is wasted, and all vectors are aligned
    if (later && full) activate_run<act.value>(pooled, n * lanes);
    transpose(pooled, lanes, y + out, positions, n, channels);
    if (later && !full)
      for (int c = 0; c < channels; c++) activate_run<act.value>(y + out + c * positions, n);
  });
  store_places(places, lanes, n, channels, positions, argmax + out);
}

inline void check_conv_pool(const Sizes& s) {
  require_counts(s, "conv_pool", 3, 2);
  const ConvPoolParams& p = params_as<ConvPoolParams>(s, "conv_pool");
  const PooledShape shape = checked_shape(p, "conv_pool");
  const size_t item = static_cast<size_t>(p.itemsize), n = static_cast<size_t>(p.n),
               k = static_cast<size_t>(p.k);
  const size_t out = n * k * static_cast<size_t>(shape.rows) * static_cast<size_t>(shape.cols);
  require_bytes("conv_pool", "x", s.in_bytes[0],
                n * static_cast<size_t>(p.c) * static_cast<size_t>(p.h) * static_cast<size_t>(p.w) * item);
  require_bytes("conv_pool", "w", s.in_bytes[1],
                k * static_cast<size_t>(p.c) * static_cast<size_t>(p.r) * static_cast<size_t>(p.s) * item);
  require_bytes("conv_pool", "b", s.in_bytes[2], k * item);
  require_bytes("conv_pool", "y", s.out_bytes[0], out * item);
  require_bytes("conv_pool", "argmax", s.out_bytes[1], out);
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
