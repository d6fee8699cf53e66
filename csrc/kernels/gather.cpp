// gather: out[o, p, i] = x[o, e(p), i], scatter: out = x with out[o, e(p), i] = or += y[o, p, i], where e(p) is
// the place that the index arrays name at p. The places are worked out and checked once, into the workspace;
// then runs of `inner` elements are moved. A scatter is shared by outer rows or by columns, never by places,
// so that repeated places meet in the order of p with any number of threads.
#include <string.h>

#include "copy_bytes.h"
#include "dtypes.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kShare = 64 << 10;  // bytes below which one thread is enough
constexpr long long kMost = 1LL << 46;  // elements of anything

long long product(const long long* n, int count) {
  long long total = 1;
  for (int i = 0; i < count; i++) total *= n[i];
  return total;
}

// places[p] = e(p) in units of `inner` elements.
void find_places(const GatherParams& p, void* const* indices, int64_t* places) {
  long long count = product(p.picked, p.ndim), stride[8] = {};
  for (int k = p.n_index - 1; k >= 0; k--)
    stride[k] = k == p.n_index - 1 ? 1 : stride[k + 1] * p.extent[k + 1];
  for (int k = 0; k < p.n_index; k++) {
    long long at[8] = {}, offset = 0;
    const long long* step = p.index_stride + 8 * k;
    for (long long j = 0; j < count; j++) {
      long long value = integer_at(indices[k], p.index_dtype[k], offset);
      if (value < -p.extent[k] || value >= p.extent[k])
        fail_index("index %lld is out of range for axis %d of length %lld", value, p.axis + k, p.extent[k]);
      if (value < 0) value += p.extent[k];
      places[j] = (k ? places[j] : 0) + value * stride[k];
      for (int d = p.ndim - 1; d >= 0; d--) {
        offset += step[d];
        if (++at[d] < p.picked[d]) break;
        offset -= step[d] * p.picked[d];
        at[d] = 0;
      }
    }
  }
}

void run_gather(const Launch& l) {
  const GatherParams& p = params_as<GatherParams>(l);
  long long count = product(p.picked, p.ndim), size = product(p.extent, p.n_index);
  if (count == 0) return;
  int64_t* places = static_cast<int64_t*>(l.workspace);
  find_places(p, l.in + 1, places);
  with_bits(p.itemsize, [&](auto zero) {
    typedef decltype(zero) T;
    const T* x = static_cast<const T*>(l.in[0]);
    T* out = static_cast<T*>(l.out[0]);
    long long bytes = p.inner * p.itemsize;
    parallel_range(
        l.pool, p.outer * count, kShare / (bytes > 0 ? bytes : 1),
        [&](long long begin, long long end, int) {
          long long o = begin / count, j = begin % count;
          for (long long r = begin; r < end; r++) {
            const T* from = x + (o * size + places[j]) * p.inner;
            if (p.inner == 1)
              out[r] = *from;
            else
              copy_bytes(out + r * p.inner, from, bytes);
            if (++j == count) j = 0, o++;
          }
        },
        1);
  });
}

// Columns [begin, end) of row o: out[e(p)] = or += y[p] for all places in order.
template <class T>
void scatter_row(const GatherParams& p, const int64_t* places, long long count, const T* y, T* out,
                 long long begin, long long end) {
  for (long long j = 0; j < count; j++) {
    const T* from = y + j * p.inner;
    T* to = out + places[j] * p.inner;
    if (p.add)
      for (long long i = begin; i < end; i++) to[i] = to[i] + from[i];
    else
      for (long long i = begin; i < end; i++) to[i] = from[i];
  }
}

void run_scatter(const Launch& l) {
  const GatherParams& p = params_as<GatherParams>(l);
  long long count = product(p.picked, p.ndim), size = product(p.extent, p.n_index);
  int64_t* places = static_cast<int64_t*>(l.workspace);
  if (count > 0) find_places(p, l.in + 2, places);
  if (l.in[0] != l.out[0]) {
    const char* from = static_cast<const char*>(l.in[0]);
    char* to = static_cast<char*>(l.out[0]);
    parallel_range(
        l.pool, p.outer * size * p.inner * p.itemsize, kShare,
        [&](long long begin, long long end, int) { copy_bytes(to + begin, from + begin, end - begin); });
  }
  long long bytes = p.outer * count * p.inner * p.itemsize;
  if (bytes == 0) return;
  with_sum_type(p.dtype, [&](auto zero) {
    typedef decltype(zero) T;
    const T* y = static_cast<const T*>(l.in[1]);
    T* out = static_cast<T*>(l.out[0]);
    if (p.outer >= (l.pool ? l.pool->size() : 1)) {
      parallel_range(
          l.pool, p.outer, kShare * p.outer / bytes,
          [&](long long begin, long long end, int) {
            for (long long o = begin; o < end; o++)
              scatter_row(p, places, count, y + o * count * p.inner, out + o * size * p.inner, 0, p.inner);
          },
          1);
    } else {
      parallel_range(l.pool, p.inner, kShare * p.inner / bytes, [&](long long begin, long long end, int) {
        for (long long o = 0; o < p.outer; o++)
          scatter_row(p, places, count, y + o * count * p.inner, out + o * size * p.inner, begin, end);
      });
    }
  });
}

// Elements of a shape; throws where it is negative or too large.
long long counted(const char* kernel, const char* what, const long long* n, int ndim) {
  __int128 total = 1;
  for (int d = 0; d < ndim; d++) {
    if (n[d] < 0 || n[d] > kMost) fail("%s: %s[%d] is %lld", kernel, what, d, n[d]);
    total *= n[d];
    if (total > kMost) fail("%s: %s has more than 2^46 elements", kernel, what);
  }
  return static_cast<long long>(total);
}

void check_indices(const Sizes& s, const char* kernel, int first) {
  const GatherParams& p = params_as<GatherParams>(s, kernel);
  require_dtype(kernel, p.dtype);
  if (p.itemsize != dtype_size(p.dtype)) fail("%s: itemsize %d for dtype %d", kernel, p.itemsize, p.dtype);
  if (p.n_index < 1 || p.n_index > 8) fail("%s: %d index arrays, expected 1 to 8", kernel, p.n_index);
  if (p.ndim < 0 || p.ndim > 8) fail("%s: ndim is %d, expected 0 to 8", kernel, p.ndim);
  require_counts(s, kernel, first + p.n_index, 1);
  long long count = counted(kernel, "picked", p.picked, p.ndim);
  long long size = counted(kernel, "extent", p.extent, p.n_index);
  long long sizes[3] = {p.outer, p.inner, size}, parts[3] = {p.outer, p.inner, count};
  size_t x_bytes = static_cast<size_t>(counted(kernel, "x", sizes, 3)) * p.itemsize;
  size_t y_bytes = static_cast<size_t>(counted(kernel, "the part", parts, 3)) * p.itemsize;
  require_bytes(kernel, "x", s.in_bytes[0], x_bytes);
  if (first == 2) require_bytes(kernel, "y", s.in_bytes[1], y_bytes);
  require_bytes(kernel, "output", s.out_bytes[0], first == 2 ? x_bytes : y_bytes);
  if (count == 0) return;
  for (int k = 0; k < p.n_index; k++) {
    require_index_dtype(kernel, p.index_dtype[k]);
    __int128 last = 0;
    for (int d = 0; d < p.ndim; d++) {
      long long step = p.index_stride[8 * k + d];
      if (step < 0) fail("%s: index array %d has a negative stride", kernel, k);
      last += static_cast<__int128>(step) * (p.picked[d] - 1);
    }
    if (last >= kMost) fail("%s: index array %d reaches beyond 2^46", kernel, k);
    require_bytes(kernel, "an index array", s.in_bytes[first + k],
                  (static_cast<size_t>(last) + 1) * dtype_size(p.index_dtype[k]));
  }
}

size_t places_bytes(const Sizes& s) {
  const GatherParams& p = params_as<GatherParams>(s, "gather");
  return static_cast<size_t>(product(p.picked, p.ndim)) * sizeof(int64_t);
}

void check_gather(const Sizes& s) { check_indices(s, "gather", 1); }
void check_scatter(const Sizes& s) { check_indices(s, "scatter", 2); }

}  // namespace

void register_gather(Registrar& r) {
  r.add({"gather", run_gather, check_gather, places_bytes});
  r.add({"scatter", run_scatter, check_scatter, places_bytes});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
