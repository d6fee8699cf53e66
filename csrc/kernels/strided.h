// The core of strided copies: out[o + i . s_out] = in[a + i . s_in] for i in shape.
//
// The dimensions are ordered by output stride, those that are contiguous in both are merged, and the two
// innermost ("rows" and "cols") go to one of five cores: runs of memcpy, runs backwards, repeated values, a tiled
// transpose, or a tiled loop with any strides. The dimensions outside, cut into blocks of rows and cols, are the units
// of sharing. walk_nest() does the same for another core, such as one that adds.
#pragma once
#include <string.h>

#include "copy_bytes.h"
#include "parallel.h"
#include "params.h"
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kShareBytes = 64 << 10;  // below this one thread copies it sooner than two can meet
constexpr long long kLimit = 1LL << 46;      // of any extent, stride or offset: sums cannot overflow
constexpr long long kTile = 32;

struct Dim {
  long long n, in, out;
};

// A copy with at least two dimensions: cols is the last, rows the one before.
struct Nest {
  int ndim;
  Dim dim[10];
  long long row_block, col_block;
};

inline long long magnitude(long long x) { return x < 0 ? -x : x; }

inline void drop(Nest& nest, int d) {
  for (nest.ndim--; d < nest.ndim; d++) nest.dim[d] = nest.dim[d + 1];
}

inline void move_dim(Nest& nest, int from, int to) {
  Dim moved = nest.dim[from];
  for (; from > to; from--) nest.dim[from] = nest.dim[from - 1];
  for (; from < to; from++) nest.dim[from] = nest.dim[from + 1];
  nest.dim[to] = moved;
}

inline Nest make_nest(const StridedCopyParams& p) {
  Nest nest{};
  for (int d = 0; d < p.ndim; d++) {
    if (p.shape[d] == 1) continue;
    Dim dim = {p.shape[d], p.in_stride[d], p.out_stride[d]};
    int at = nest.ndim++;
    for (; at > 0 && magnitude(nest.dim[at - 1].out) < magnitude(dim.out); at--)
      nest.dim[at] = nest.dim[at - 1];
    nest.dim[at] = dim;
  }
  for (int d = nest.ndim - 2; d >= 0; d--) {
    Dim &outer = nest.dim[d], &inner = nest.dim[d + 1];
    if (outer.out == inner.out * inner.n && outer.in == inner.in * inner.n) {
      outer = {outer.n * inner.n, inner.in, inner.out};
      drop(nest, d + 1);
    }
  }
  while (nest.ndim < 2) {
    for (int d = nest.ndim; d > 0; d--) nest.dim[d] = nest.dim[d - 1];
    nest.dim[0] = {1, 0, 0};
    nest.ndim++;
    if (nest.ndim == 1) nest.dim[0] = {1, 1, 1};
  }
  // Rows: the dimension along which the input is densest, if that is not cols.
  Dim cols = nest.dim[nest.ndim - 1];
  int rows = nest.ndim - 2;
  if (cols.in != 0)
    for (int d = 0; d < nest.ndim - 1; d++) {
      long long step = magnitude(nest.dim[d].in);
      if (step > 0 && step < magnitude(cols.in) &&
          (nest.dim[rows].in == 0 || step < magnitude(nest.dim[rows].in)))
        rows = d;
    }
  move_dim(nest, rows, nest.ndim - 2);
  bool whole_rows = cols.out == 1 && cols.in >= -1 && cols.in <= 1;
  long long longest = whole_rows ? 16384 : 4 * kTile;
  nest.col_block = cols.n < longest ? cols.n : longest;
  nest.row_block = whole_rows ? (16384 + nest.col_block - 1) / nest.col_block : 4 * kTile;
  return nest;
}

// ---- cores: rows x cols elements
template <class T>
void copy_runs(const T* in, T* out, Dim rows, Dim cols) {
  size_t bytes = cols.n * sizeof(T);
  if (bytes > 64) {
    for (long long i = 0; i < rows.n; i++) copy_bytes(out + i * rows.out, in + i * rows.in, bytes);
    return;
  }
  for (long long i = 0; i < rows.n; i++) {
    const T* a = in + i * rows.in;
    T* b = out + i * rows.out;
    for (long long j = 0; j < cols.n; j++) b[j] = a[j];
  }
}

template <class T>
void repeat_values(const T* in, T* out, Dim rows, Dim cols) {
  for (long long i = 0; i < rows.n; i++) {
    T value = in[i * rows.in];
    T* b = out + i * rows.out;
    for (long long j = 0; j < cols.n; j++) b[j] = value;
  }
}

template <class T>
void copy_tiles(const T* in, T* out, Dim rows, Dim cols) {
  for (long long i0 = 0; i0 < rows.n; i0 += kTile)
    for (long long j0 = 0; j0 < cols.n; j0 += kTile) {
      long long i1 = i0 + kTile < rows.n ? i0 + kTile : rows.n,
                j1 = j0 + kTile < cols.n ? j0 + kTile : cols.n;
      for (long long i = i0; i < i1; i++)
        for (long long j = j0; j < j1; j++) out[i * rows.out + j * cols.out] = in[i * rows.in + j * cols.in];
    }
}

// rows.in == 1 and cols.out == 1.
template <class T>
void transpose_tiles(const T* in, T* out, Dim rows, Dim cols) {
  copy_tiles(in, out, rows, cols);
}

typedef int32_t v8 __attribute__((vector_size(32)));
typedef int32_t v8_mem __attribute__((vector_size(32), aligned(4), may_alias));

// out[j][i] = in[i][j], 8 x 8, in registers: pairs, then quads, then halves change places.
inline void transpose_8x8(const uint32_t* in, long long in_stride, uint32_t* out, long long out_stride) {
  v8 r[8], t[8];
  for (int i = 0; i < 8; i++) r[i] = *reinterpret_cast<const v8_mem*>(in + i * in_stride);
  for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shuffle(r[i], r[i + 1], v8{0, 8, 2, 10, 4, 12, 6, 14});
    t[i + 1] = __builtin_shuffle(r[i], r[i + 1], v8{1, 9, 3, 11, 5, 13, 7, 15});
  }
  for (int i = 0; i < 8; i += 4)
    for (int k = 0; k < 2; k++) {
      r[i + k] = __builtin_shuffle(t[i + k], t[i + k + 2], v8{0, 1, 8, 9, 4, 5, 12, 13});
      r[i + k + 2] = __builtin_shuffle(t[i + k], t[i + k + 2], v8{2, 3, 10, 11, 6, 7, 14, 15});
    }
  for (int k = 0; k < 4; k++) {
    *reinterpret_cast<v8_mem*>(out + k * out_stride) =
        __builtin_shuffle(r[k], r[k + 4], v8{0, 1, 2, 3, 8, 9, 10, 11});
    *reinterpret_cast<v8_mem*>(out + (k + 4) * out_stride) =
        __builtin_shuffle(r[k], r[k + 4], v8{4, 5, 6, 7, 12, 13, 14, 15});
  }
}

template <>
void transpose_tiles(const uint32_t* in, uint32_t* out, Dim rows, Dim cols) {
  long long i_end = rows.n & ~7LL, j_end = cols.n & ~7LL;
  for (long long i = 0; i < i_end; i += 8)
    for (long long j = 0; j < j_end; j += 8)
      transpose_8x8(in + j * cols.in + i, cols.in, out + i * rows.out + j, rows.out);
  Dim right = {cols.n - j_end, cols.in, cols.out}, below = {rows.n - i_end, rows.in, rows.out};
  copy_tiles(in + j_end * cols.in, out + j_end * cols.out, rows, right);
  copy_tiles(in + i_end * rows.in, out + i_end * rows.out, below, Dim{j_end, cols.in, cols.out});
}

// cols.in == -1 and cols.out == 1: every row backwards.
template <class T>
void reverse_runs(const T* in, T* out, Dim rows, Dim cols) {
  for (long long i = 0; i < rows.n; i++) {
    const T* a = in + i * rows.in;
    T* b = out + i * rows.out;
    for (long long j = 0; j < cols.n; j++) b[j] = a[-j];
  }
}

template <>
void reverse_runs(const uint32_t* in, uint32_t* out, Dim rows, Dim cols) {
  auto reverse_8 = [](const uint32_t* last, uint32_t* to) {
    v8 r = *reinterpret_cast<const v8_mem*>(last - 7);
    *reinterpret_cast<v8_mem*>(to) = __builtin_shuffle(r, v8{7, 6, 5, 4, 3, 2, 1, 0});
  };
  for (long long i = 0; i < rows.n; i++) {
    const uint32_t* a = in + i * rows.in;
    uint32_t* b = out + i * rows.out;
    if (cols.n < 8) {
      for (long long j = 0; j < cols.n; j++) b[j] = a[-j];
      continue;
    }
    for (long long j = 0; j + 8 < cols.n; j += 8) reverse_8(a - j, b + j);
    reverse_8(a - (cols.n - 8), b + cols.n - 8);  // what is left, and some of what came before once more
  }
}

struct CopyBlock {
  template <class T>
  void operator()(const T* in, T* out, Dim rows, Dim cols) const {
    if (cols.in == 1 && cols.out == 1) return copy_runs(in, out, rows, cols);
    if (cols.in == 0 && cols.out == 1) return repeat_values(in, out, rows, cols);
    if (cols.in == -1 && cols.out == 1) return reverse_runs(in, out, rows, cols);
    if (rows.in == 1 && cols.out == 1) return transpose_tiles(in, out, rows, cols);
    copy_tiles(in, out, rows, cols);
  }
};

// block(in, out, rows, cols) for every block of the nest.
template <class T, class Block>
void walk_nest(const T* in, T* out, const Nest& nest, ThreadPool* pool, const Block& block) {
  Dim rows = nest.dim[nest.ndim - 2], cols = nest.dim[nest.ndim - 1];
  long long row_blocks = (rows.n + nest.row_block - 1) / nest.row_block;
  long long col_blocks = (cols.n + nest.col_block - 1) / nest.col_block;
  long long units = row_blocks * col_blocks, total = rows.n * cols.n;
  for (int d = 0; d < nest.ndim - 2; d++) units *= nest.dim[d].n, total *= nest.dim[d].n;
  long long unit_bytes = total / units * static_cast<long long>(sizeof(T));
  long long grain = kShareBytes / 2 / (unit_bytes > 0 ? unit_bytes : 1);
  parallel_range(
      pool, units, grain,
      [&](long long begin, long long end, int) {
        for (long long unit = begin; unit < end; unit++) {
          long long rest = unit, j = rest % col_blocks * nest.col_block;
          rest /= col_blocks;
          long long i = rest % row_blocks * nest.row_block;
          rest /= row_blocks;
          Dim r = {rows.n - i < nest.row_block ? rows.n - i : nest.row_block, rows.in, rows.out};
          Dim c = {cols.n - j < nest.col_block ? cols.n - j : nest.col_block, cols.in, cols.out};
          long long a = i * rows.in + j * cols.in, b = i * rows.out + j * cols.out;
          for (int d = nest.ndim - 3; d >= 0; d--) {
            long long k = rest % nest.dim[d].n;
            rest /= nest.dim[d].n;
            a += k * nest.dim[d].in;
            b += k * nest.dim[d].out;
          }
          block(in + a, out + b, r, c);
        }
      },
      1);
}

// The copy that p describes, once it has passed check_strided.
inline void copy_strided(const StridedCopyParams& p, const void* source, void* target, ThreadPool* pool) {
  for (int d = 0; d < p.ndim; d++)
    if (p.shape[d] == 0) return;
  Nest nest = make_nest(p);
  const char* in = static_cast<const char*>(source) + p.in_offset * p.itemsize;
  char* out = static_cast<char*>(target) + p.out_offset * p.itemsize;
  CopyBlock block;
  switch (p.itemsize) {
    case 1:
      return walk_nest(reinterpret_cast<const uint8_t*>(in), reinterpret_cast<uint8_t*>(out), nest, pool,
                       block);
    case 2:
      return walk_nest(reinterpret_cast<const uint16_t*>(in), reinterpret_cast<uint16_t*>(out), nest, pool,
                       block);
    case 4:
      return walk_nest(reinterpret_cast<const uint32_t*>(in), reinterpret_cast<uint32_t*>(out), nest, pool,
                       block);
    default:
      return walk_nest(reinterpret_cast<const uint64_t*>(in), reinterpret_cast<uint64_t*>(out), nest, pool,
                       block);
  }
}

inline bool in_limit(long long x) { return magnitude(x) < kLimit; }

// [first, last] element that offset + i . stride touches must lie in the buffer.
inline void require_extent(const char* kernel, const char* what, const StridedCopyParams& p, long long offset,
                           const long long* stride, size_t bytes) {
  long long first = offset, last = offset;
  for (int d = 0; d < p.ndim; d++) {
    __int128 reach = static_cast<__int128>(p.shape[d] - 1) * stride[d];
    if (reach > kLimit || reach < -kLimit) fail("%s: %s reaches beyond 2^46 elements", kernel, what);
    (reach < 0 ? first : last) += static_cast<long long>(reach);
  }
  long long size = static_cast<long long>(bytes / p.itemsize);
  if (first < 0 || last >= size)
    fail("%s: %s elements %lld to %lld are touched, the buffer has %lld of %d bytes", kernel, what, first,
         last, size, p.itemsize);
}

// False if there is nothing to copy; throws unless shapes and strides are sound.
inline bool check_shape(const char* kernel, const StridedCopyParams& p) {
  if (p.ndim < 0 || p.ndim > 8) fail("%s: ndim is %d, expected 0 to 8", kernel, p.ndim);
  if (p.itemsize != 1 && p.itemsize != 2 && p.itemsize != 4 && p.itemsize != 8)
    fail("%s: itemsize is %d, expected 1, 2, 4 or 8", kernel, p.itemsize);
  if (!in_limit(p.in_offset) || !in_limit(p.out_offset)) fail("%s: offset beyond 2^46 elements", kernel);
  bool empty = false;
  for (int d = 0; d < p.ndim; d++) {
    if (p.shape[d] < 0 || !in_limit(p.shape[d])) fail("%s: shape[%d] is %lld", kernel, d, p.shape[d]);
    if (p.shape[d] > 1 && p.out_stride[d] == 0)
      fail("%s: out_stride[%d] is 0 for %lld elements: all would go to one place", kernel, d, p.shape[d]);
    empty |= p.shape[d] == 0;
  }
  return !empty;
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
