// arg_reduce: argmax and argmin over any axes: the position, counted over the reduced dimensions in C order, of
// the first extreme element, or of the first NaN.
//
// Inner reduced: one pass over the terms of each output. Inner kept: the rows pass a tile of columns.
#include "elementwise_loops.h"
#include "parallel.h"
#include "reduce.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kTile = 64;
constexpr long long kPartTerms = 8 << 10;  // that each thread must have at least

// x takes the place of best: it is better, or a NaN where best is none yet.
template <class T, bool kMax>
inline bool better(T x, T best) {
  return (kMax ? x > best : x < best) | ((x != x) & (best == best));
}

template <class T, bool kMax>
void along_inner(const Reduction& r, const T* x, long long* y, long long begin, long long end) {
  for (long long o = begin; o < end; o++) {
    const T* base = x + r.kept.offset(o);
    T best = base[0];
    long long position = 0;
    for (long long s = 0; s < r.reduced.count; s++) {
      const T* segment = base + r.reduced.offset(s);
      for (long long i = 0; i < r.inner; i++)
        if (better<T, kMax>(segment[i], best)) {
          best = segment[i];
          position = s * r.inner + i;
        }
    }
    y[o] = position;
  }
}

template <class T, bool kMax>
void down_rows(const Reduction& r, const T* x, long long* y, long long tile) {
  long long per_row = (r.inner + kTile - 1) / kTile, outer = tile / per_row, j = tile % per_row * kTile;
  int n = static_cast<int>(r.inner - j < kTile ? r.inner - j : kTile);
  const T* base = x + r.kept.offset(outer) + j;
  T best[kTile];
  long long position[kTile];
  for (int k = 0; k < n; k++) {
    best[k] = base[k];
    position[k] = 0;
  }
  for (long long s = 0; s < r.reduced.count; s++) {
    const T* row = base + r.reduced.offset(s);
    for (int k = 0; k < n; k++) {
      bool take = better<T, kMax>(row[k], best[k]);
      best[k] = take ? row[k] : best[k];
      position[k] = take ? s : position[k];
    }
  }
  for (int k = 0; k < n; k++) y[outer * r.inner + j + k] = position[k];
}

template <class T, bool kMax>
void arg_reduce(const Launch& launch) {
  const Reduction r = reduction_of(params_as<ReduceParams>(launch));
  const T* x = static_cast<const T*>(launch.in[0]);
  long long* y = static_cast<long long*>(launch.out[0]);
  long long outputs = r.outputs(), terms = r.terms();
  if (outputs == 0) return;
  bool share = pays(static_cast<double>(outputs * terms), kPartTerms, launch.pool);
  if (r.inner_reduced) {
    parallel_range(
        launch.pool, outputs, share ? kPartTerms / terms + 1 : outputs,
        [&](long long begin, long long end, int) { along_inner<T, kMax>(r, x, y, begin, end); }, 1);
  } else {
    int tiles = static_cast<int>(r.kept.count * ((r.inner + kTile - 1) / kTile));
    parallel_for(launch.pool, tiles, [&](int tile, int) { down_rows<T, kMax>(r, x, y, tile); }, share);
  }
}

typedef void (*Routine)(const Launch&);

template <class T>
Routine either(int op) {
  if (op == reduce_argmax) return arg_reduce<T, true>;
  if (op == reduce_argmin) return arg_reduce<T, false>;
  return nullptr;
}

Routine find_routine(const ReduceParams& p) {
  switch (p.dtype) {
    case dtype_bool:
    case dtype_uint8:
      return either<unsigned char>(p.op);
    case dtype_int8:
      return either<signed char>(p.op);
    case dtype_int16:
      return either<short>(p.op);
    case dtype_int32:
      return either<int>(p.op);
    case dtype_int64:
      return either<long long>(p.op);
    case dtype_float32:
      return either<float>(p.op);
    case dtype_float64:
      return either<double>(p.op);
  }
  return nullptr;
}

void run(const Launch& launch) { find_routine(params_as<ReduceParams>(launch))(launch); }

void check(const Sizes& s) {
  const char* name = "arg_reduce";
  const ReduceParams& p = params_as<ReduceParams>(s, name);
  require_counts(s, name, 1, 1);
  if (p.ndim < 0 || p.ndim > 8 || p.reduced < 0 || p.reduced >> p.ndim || !find_routine(p))
    fail("%s: op %d on dtype %d, %d dimensions, %#x reduced", name, p.op, p.dtype, p.ndim, p.reduced);
  for (int d = 0; d < p.ndim; d++)
    if (p.shape[d] < 0) fail("%s: dimension %d is %lld", name, d, p.shape[d]);
  Reduction r = reduction_of(p);
  if (r.outputs() > 0 && r.terms() == 0) fail("%s: no element to choose among", name);
  require_bytes(name, "the input", s.in_bytes[0], r.outputs() * r.terms() * kItemSize[p.dtype]);
  require_bytes(name, "the output", s.out_bytes[0], r.outputs() * 8);
}

}  // namespace

void register_reduce_arg(Registrar& r);
void register_reduce_arg(Registrar& r) { r.add({"arg_reduce", run, check, nullptr}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
