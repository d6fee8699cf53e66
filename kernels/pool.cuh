// What the pooling kernels share: windows clipped to the image, and walks over them by a thread or a warp.
#pragma once

#include "math.cuh"

// The element that thread i of the outputs does: of [planes, rows, cols].
struct PoolIndex {
  ll plane;
  int row, col;
};
DEVICE PoolIndex pool_index(ll i, int rows, int cols) {
  if (i < 0x7fffffff) {  // divisions of 64 bits cost more than the pooling
    const unsigned j = static_cast<unsigned>(i), line = j / cols;
    return {line / rows, static_cast<int>(line % rows), static_cast<int>(j - line * cols)};
  }
  return {i / cols / rows, static_cast<int>(i / cols % rows), static_cast<int>(i % cols)};
}

// The rows or columns [begin, end) of the image that output i's window covers; windows never miss the image.
struct PoolSpan {
  int begin, end;
};
DEVICE PoolSpan window_span(int i, int window, int stride, int before, int size) {
  const ll start = static_cast<ll>(i) * stride - before, end = start + window;
  return {static_cast<int>(start < 0 ? 0 : start), static_cast<int>(end > size ? size : end)};
}

// The outputs [begin, end) whose windows cover row or column x.
DEVICE PoolSpan outputs_over(int x, int window, int stride, int before, int count) {
  const int at = x + before, last = at / stride;
  return {at < window ? 0 : (at - window) / stride + 1, last >= count ? count : last + 1};
}

// What the sum over output i's window is divided by, along one axis.
DEVICE int window_count(int mode, int i, int window, int stride, int before, int after, int size) {
  if (mode == 2) return 1;
  const PoolSpan s = window_span(i, window, stride, before, size);
  if (mode == 1) return s.end - s.begin;
  const ll start = static_cast<ll>(i) * stride - before, end = start + window;
  return static_cast<int>((end > size + after ? size + after : end) - start);
}

// f(index in the plane) for the elements of window (i, j) that lane `lane` of `lanes` has, in row-major order.
template <class F>
DEVICE void for_window(const PoolTileParams& p, int i, int j, int lane, int lanes, F f) {
  const PoolSpan rows = window_span(i, p.window_h, p.stride_h, p.top, p.h);
  const PoolSpan cols = window_span(j, p.window_w, p.stride_w, p.left, p.w);
  if (lanes == 1) {
    for (int h = rows.begin; h < rows.end; h++)
      for (int w = cols.begin; w < cols.end; w++) f(h * p.w + w);
    return;
  }
  const int width = cols.end - cols.begin, size = (rows.end - rows.begin) * width;
  for (int e = lane; e < size; e += lanes) f((rows.begin + e / width) * p.w + cols.begin + e % width);
}

// The first maximum of a window, in row-major order; NaN is larger than all. place < 0: none yet.
template <class T>
struct PoolMaximum {
  T value;
  int place;

  DEVICE void fold(T v, int at) {
    if (place < 0 || v > value || (v != v && value == value)) value = v, place = at;
  }
  // Of two parts of a window.
  DEVICE void join(T v, int at) {
    const bool both_nan = v != v && value != value;
    if (at >= 0 && (v == value || both_nan) && at < place)
      place = at;
    else if (at >= 0)
      fold(v, at);
  }
};

template <class T>
DEVICE PoolMaximum<T> maximum_of_window(const PoolTileParams& p, Global<const T> x, int i, int j, int lane,
                                        int lanes) {
  PoolMaximum<T> best{T(0), -1};
  for_window(p, i, j, lane, lanes, [&](int at) { best.fold(T(x[at]), at); });
  for (int bits = lanes / 2; bits > 0; bits /= 2) {
    const T v = __shfl_xor_sync(FULL_MASK, best.value, bits);
    const int at = __shfl_xor_sync(FULL_MASK, best.place, bits);
    best.join(v, at);
  }
  return best;
}
