// What the pooling kernels share: windows clipped to the image, and rows reordered for horizontal strides.
#pragma once
#include "conv_common.h"
#include "pairs.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {

// The rows or columns [begin, end) of the image that output i's window covers; windows never miss the image.
struct Span {
  int begin, end;
};
static inline Span window_span(int i, int window, int stride, int before, int size) {
  const long long start = static_cast<long long>(i) * stride - before, end = start + window;
  return {static_cast<int>(start < 0 ? 0 : start), static_cast<int>(end > size ? size : end)};
}

// The outputs [begin, end) whose windows cover row or column x.
static inline Span outputs_over(int x, int window, int stride, int before, int count) {
  const long long at = static_cast<long long>(x) + before, last = at / stride;
  const long long first = at < window ? 0 : (at - window) / stride + 1;
  return {static_cast<int>(first), static_cast<int>(last >= count ? count : last + 1)};
}

// What the sum over output i's window is divided by, along one axis.
static inline int window_count(int mode, int i, int window, int stride, int before, int after, int size) {
  if (mode == 2) return 1;
  if (mode == 1) {
    const Span s = window_span(i, window, stride, before, size);
    return s.end - s.begin;
  }
  const long long start = static_cast<long long>(i) * stride - before, end = start + window;
  return static_cast<int>((end > size + after ? size + after : end) - start);
}

// A row as the windows read it: `before` values of padding, the row, padding again; with a stride s it is
// stored as s runs of every s-th value, `run` long, so that neighbouring outputs read neighbouring values:
// element j of the window of output i is at (j % s) * run + j / s + i.
struct RowLayout {
  int stride;
  long long run, size;  // size includes room for vectors that reach over the end
};
template <class T>
static inline RowLayout row_layout(int outputs, int window, int stride) {
  RowLayout r;
  r.stride = stride;
  r.run = round_up(outputs + (window - 1) / stride + 1, Lanes<T>::W);
  r.size = r.run * stride + Lanes<T>::W;
  return r;
}
static inline long long element_offset(const RowLayout& r, int j) {
  return j % r.stride * r.run + j / r.stride;
}

// element_offset of 0, 1, 2, ... without divisions.
struct ElementWalk {
  const RowLayout& layout;
  long long at = 0;
  int phase = 0;
  void next() {
    at += layout.run;
    if (++phase == layout.stride) phase = 0, at += 1 - layout.stride * layout.run;
  }
};

// in[n] placed from element `before` on into a row of that layout; all else is the caller's (set once).
template <class T>
static inline void lay_row(const RowLayout& r, const T* in, int n, int before, T* out) {
  constexpr int W = Lanes<T>::W;
  if (r.stride == 1) {
    memcpy(out + before, in, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  int i = 0;
  if (r.stride == 2) {
    if (before % 2 && n > 0) out[element_offset(r, before)] = in[i++];
    T *even = out + (before + i) / 2, *odd = even + r.run;
    for (; i + 2 * W <= n; i += 2 * W, even += W, odd += W) {
      typename Lanes<T>::V e, o;
      split_pairs(load(in + i), load(in + i + W), e, o);
      store(even, e);
      store(odd, o);
    }
  }
  for (int j = before + i, phase = j % r.stride, column = j / r.stride; i < n; i++) {
    out[phase * r.run + column] = in[i];
    if (++phase == r.stride) phase = 0, column++;
  }
}

// The inverse of lay_row: out[n] from a row of that layout.
template <class T>
static inline void unlay_row(const RowLayout& r, const T* row, int n, int before, T* out) {
  constexpr int W = Lanes<T>::W;
  if (r.stride == 1) {
    memcpy(out, row + before, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  int i = 0;
  if (r.stride == 2) {
    if (before % 2 && n > 0) out[i++] = row[element_offset(r, before)];
    const T *even = row + (before + i) / 2, *odd = even + r.run;
    for (; i + 2 * W <= n; i += 2 * W, even += W, odd += W) {
      typename Lanes<T>::V a, b;
      join_pairs(load(even), load(odd), a, b);
      store(out + i, a);
      store(out + i + W, b);
    }
  }
  for (int j = before + i, phase = j % r.stride, column = j / r.stride; i < n; i++) {
    out[i] = row[phase * r.run + column];
    if (++phase == r.stride) phase = 0, column++;
  }
}

static inline void check_pool(const Sizes& s, const char* name, const PoolParams& p, int n_in, size_t image,
                              size_t pooled) {
  require_counts(s, name, n_in, 1);
  if (p.itemsize != 4 && p.itemsize != 8) fail("%s: itemsize is %d, expected 4 or 8", name, p.itemsize);
  const long long limit = 1LL << 30;
  if (p.planes < 0 || p.h < 1 || p.w < 1 || p.p < 1 || p.q < 1 || p.window_h < 1 || p.window_w < 1 ||
      p.stride_h < 1 || p.stride_w < 1 || p.top < 0 || p.left < 0 || p.top >= p.window_h ||
      p.left >= p.window_w || static_cast<long long>(p.h) * p.w > limit ||
      static_cast<long long>(p.q + p.window_w) * p.stride_w > limit ||
      static_cast<long long>(p.p - 1) * p.stride_h - p.top >= p.h ||
      static_cast<long long>(p.q - 1) * p.stride_w - p.left >= p.w)
    fail("%s: images [%d, %d] to [%d, %d], window %d x %d, stride %d, %d, padding %d, %d", name, p.h, p.w,
         p.p, p.q, p.window_h, p.window_w, p.stride_h, p.stride_w, p.top, p.left);
  const size_t planes = static_cast<size_t>(p.planes), item = static_cast<size_t>(p.itemsize);
  require_bytes(name, "the image", image,
                planes * static_cast<size_t>(p.h) * static_cast<size_t>(p.w) * item);
  require_bytes(name, "the pooled image", pooled,
                planes * static_cast<size_t>(p.p) * static_cast<size_t>(p.q) * item);
}

// Throws unless windows are 2 x 2 side by side, and all on the image.
static inline void check_pairs(const char* name, const PoolParams& p) {
  if (p.window_h != 2 || p.window_w != 2 || p.stride_h != 2 || p.stride_w != 2 || p.top || p.left ||
      p.p > p.h / 2 || p.q > p.w / 2)
    fail("%s: window %d x %d, stride %d, %d, padding %d, %d, images [%d, %d] to [%d, %d]", name, p.window_h,
         p.window_w, p.stride_h, p.stride_w, p.top, p.left, p.h, p.w, p.p, p.q);
}

// Planes are shared out when there are at least this many values in all.
static inline bool share_pool(const PoolParams& p) { return p.planes * p.h * p.w > 50000; }

// f(first, last, part) over ranges of planes.
template <class F>
static inline void for_planes(const PoolParams& p, ThreadPool* pool, const F& f) {
  const int parts = share_pool(p) ? pool->size() : 1;
  parallel_for(
      pool, parts,
      [&](int task, int part) { f(p.planes * task / parts, p.planes * (task + 1) / parts, part); },
      parts > 1);
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
