// reduce: sum, prod, max, min, any, all over any axes.
//
//   inner reduced  out[o] = op over segments of neighbours; several vectors of partial results
//   inner kept     out[o, j] = op over rows; a tile of columns stays in registers while the rows pass
//
// float32 sums: vectors of floats take blocks of terms each, blocks are added up in float64, so the error
// does not grow with the length. A reduction with few outputs is cut into groups of terms, whose results meet in
// order. The cut depends on the sizes alone: the same result on any number of threads.
#include "reduce.h"

#include <math.h>
#include <string.h>

#include "elementwise_loops.h"
#include "parallel.h"
#include "reduce_kinds.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

typedef unsigned char u8;

constexpr long long kTaskTerms = 32 << 10;  // input elements of one task
constexpr double kPartTerms = 16 << 10;     // that each thread must have at least
constexpr int kGroups = 64;
constexpr int kLeastTile = 16;  // outputs of a task: whose terms, if short, share pages and cache lines
constexpr int kTile = 64;       // columns of one accumulator tile

// Tasks: groups of terms x tiles of outputs. Partial results lie in the workspace as [group][output].
struct Cut {
  long long groups, tiles;
  long long tile;    // outputs of one tile, inner reduced
  long long pieces;  // of the inner dimension, inner reduced: a segment is one of them
  long long piece;
};

Cut cut_of(const Reduction& r) {
  Cut c{};
  long long outputs = r.outputs(), terms = r.terms();
  if (r.inner_reduced) {
    c.piece = r.inner < kTaskTerms ? r.inner : kTaskTerms;
    c.pieces = c.piece ? (r.inner + c.piece - 1) / c.piece : 1;
    c.tile = terms ? (kTaskTerms + terms - 1) / terms : outputs;
    if (c.tile < kLeastTile) c.tile = kLeastTile;
    if (c.tile > outputs) c.tile = outputs;
    c.tiles = c.tile ? (outputs + c.tile - 1) / c.tile : 0;
  } else {
    c.tiles = r.kept.count * ((r.inner + kTile - 1) / kTile);
  }
  long long total = outputs * terms;
  c.groups = c.tiles ? total / kTaskTerms / c.tiles : 1;
  if (c.groups > kGroups) c.groups = kGroups;
  if (c.groups > terms) c.groups = terms;
  if (c.groups < 1 || c.tiles >= kGroups) c.groups = 1;
  return c;
}

// What the walk needs of an operation; accumulators of one routine lie side by side.
struct Routine {
  int in_size, acc_size, out_size;
  void (*start)(void* acc, int n);
  void (*neighbours)(const void* x, long long n, long long stride, int count, void* acc);
  void (*columns)(const void* x, long long rows, long long stride, int n, void* acc);
  void (*combine)(void* acc, const void* other);
  void (*finish)(const void* acc, int n, void* out);
};

template <class K, class Out>
struct Routines {
  typedef typename K::In In;
  typedef typename K::Acc Acc;
  static void start(void* acc, int n) {
    for (int k = 0; k < n; k++) static_cast<Acc*>(acc)[k] = K::identity();
  }
  // count rows of n neighbours, `stride` apart, each into its accumulator.
  static void neighbours(const void* x, long long n, long long stride, int count, void* acc) {
    const In* row = static_cast<const In*>(x);
    Acc* a = static_cast<Acc*>(acc);
    for (int k = 0; k < count; k++) a[k] = K::combine(a[k], K::contiguous(row + k * stride, n));
  }
  static void columns(const void* x, long long rows, long long stride, int n, void* acc) {
    K::columns(static_cast<const In*>(x), rows, stride, n, static_cast<Acc*>(acc));
  }
  static void combine(void* acc, const void* other) {
    Acc* a = static_cast<Acc*>(acc);
    *a = K::combine(*a, *static_cast<const Acc*>(other));
  }
  static void finish(const void* acc, int n, void* out) {
    for (int k = 0; k < n; k++) static_cast<Out*>(out)[k] = static_cast<Out>(static_cast<const Acc*>(acc)[k]);
  }
  static constexpr Routine routine = {sizeof(In), sizeof(Acc), sizeof(Out), start,
                                      neighbours, columns,     combine,     finish};
};

// One task: the terms of `group` for the outputs of `tile`, whose accumulators go to `put`.
struct Walker {
  const Reduction& r;
  const Cut& c;
  const Routine& f;
  const char* x;
  char* out;
  char* partial;

  void put(long long group, long long o, const void* acc, int n) const {
    if (c.groups == 1)
      f.finish(acc, n, out + o * f.out_size);
    else
      memcpy(partial + (group * r.outputs() + o) * f.acc_size, acc, n * f.acc_size);
  }

  void segments(long long group, long long tile) const {
    long long count = r.reduced.count * c.pieces, last = (tile + 1) * c.tile;
    long long begin = count * group / c.groups, end = count * (group + 1) / c.groups;
    if (last > r.outputs()) last = r.outputs();
    for (long long o = tile * c.tile; o < last;) {
      long long run = r.kept.run(o);  // outputs whose terms lie a constant step apart
      int n = static_cast<int>(run < kTile ? run : kTile);
      if (n > last - o) n = static_cast<int>(last - o);
      const char* base = x + r.kept.offset(o) * f.in_size;
      alignas(64) unsigned char acc[8 * kTile];
      f.start(acc, n);
      for (long long s = begin; s < end; s++) {
        long long at = s % c.pieces * c.piece, length = r.inner - at < c.piece ? r.inner - at : c.piece;
        const char* segment = base + (r.reduced.offset(s / c.pieces) + at) * f.in_size;
        f.neighbours(segment, length, r.kept.step(), n, acc);
      }
      put(group, o, acc, n);
      o += n;
    }
  }

  void rows(long long group, long long tile) const {
    long long per_row = (r.inner + kTile - 1) / kTile, j = tile % per_row * kTile;
    long long begin = r.reduced.count * group / c.groups, end = r.reduced.count * (group + 1) / c.groups;
    int n = static_cast<int>(r.inner - j < kTile ? r.inner - j : kTile);
    const char* base = x + (r.kept.offset(tile / per_row) + j) * f.in_size;
    alignas(64) unsigned char acc[8 * kTile];
    f.start(acc, n);
    while (begin < end) {
      long long run = r.reduced.run(begin);
      if (run > end - begin) run = end - begin;
      f.columns(base + r.reduced.offset(begin) * f.in_size, run, r.reduced.step(), n, acc);
      begin += run;
    }
    put(group, tile / per_row * r.inner + j, acc, n);
  }
};

// bool: the result is 0 or 1 whatever the identity was.
struct Truth {
  u8 value;
  explicit Truth(u8 v) : value(v != 0) {}
};

template <class T>
const Routine* extreme(int op) {
  if (op == reduce_max) return &Routines<SameType<Largest, T>, T>::routine;
  if (op == reduce_min) return &Routines<SameType<Smallest, T>, T>::routine;
  return nullptr;
}

template <class T>
const Routine* integer(int op) {
  if (op == reduce_sum) return &Routines<Widening<Add, T, u64>, long long>::routine;
  if (op == reduce_prod) return &Routines<Widening<Multiply, T, u64>, long long>::routine;
  return extreme<T>(op);
}

const Routine* find_routine(const ReduceParams& p) {
  switch (p.dtype) {
    case dtype_bool:
      if (p.op == reduce_any || p.op == reduce_max) return &Routines<SameType<Largest, u8>, Truth>::routine;
      if (p.op == reduce_all || p.op == reduce_min) return &Routines<SameType<Smallest, u8>, Truth>::routine;
      return integer<u8>(p.op);
    case dtype_int8:
      return integer<signed char>(p.op);
    case dtype_uint8:
      return integer<u8>(p.op);
    case dtype_int16:
      return integer<short>(p.op);
    case dtype_int32:
      return integer<int>(p.op);
    case dtype_int64:
      return integer<long long>(p.op);
    case dtype_float32:
      if (p.op == reduce_sum) return &Routines<FloatSum, float>::routine;
      if (p.op == reduce_prod) return &Routines<Widening<Multiply, float, double>, float>::routine;
      return extreme<float>(p.op);
    case dtype_float64:
      if (p.op == reduce_sum) return &Routines<SameType<Add, double>, double>::routine;
      if (p.op == reduce_prod) return &Routines<Widening<Multiply, double, double>, double>::routine;
      return extreme<double>(p.op);
  }
  return nullptr;
}

void run(const Launch& launch) {
  const ReduceParams& p = params_as<ReduceParams>(launch);
  const Routine& f = *find_routine(p);
  const Reduction r = reduction_of(p);
  const Cut c = cut_of(r);
  char* out = static_cast<char*>(launch.out[0]);
  char* partial = static_cast<char*>(launch.workspace);
  const Walker walker = {r, c, f, static_cast<const char*>(launch.in[0]), out, partial};
  const long long outputs = r.outputs();
  parallel_for(
      launch.pool, static_cast<int>(c.groups * c.tiles),
      [&](int task, int) {
        if (r.inner_reduced)
          walker.segments(task / c.tiles, task % c.tiles);
        else
          walker.rows(task / c.tiles, task % c.tiles);
      },
      pays(static_cast<double>(outputs * r.terms()), kPartTerms, launch.pool));
  if (c.groups == 1) return;
  for (long long o = 0; o < outputs; o++) {
    char* acc = partial + o * f.acc_size;
    for (long long g = 1; g < c.groups; g++) f.combine(acc, partial + (g * outputs + o) * f.acc_size);
    f.finish(acc, 1, out + o * f.out_size);
  }
}

void check(const Sizes& s) {
  const char* name = "reduce";
  const ReduceParams& p = params_as<ReduceParams>(s, name);
  require_counts(s, name, 1, 1);
  if (p.ndim < 0 || p.ndim > 8 || p.reduced < 0 || p.reduced >> p.ndim || !find_routine(p))
    fail("%s: op %d on dtype %d, %d dimensions, %#x reduced", name, p.op, p.dtype, p.ndim, p.reduced);
  for (int d = 0; d < p.ndim; d++)
    if (p.shape[d] < 0) fail("%s: dimension %d is %lld", name, d, p.shape[d]);
  Reduction r = reduction_of(p);
  bool wide = (p.op == reduce_sum || p.op == reduce_prod) && p.dtype < dtype_float32;
  require_bytes(name, "the input", s.in_bytes[0], r.outputs() * r.terms() * kItemSize[p.dtype]);
  require_bytes(name, "the output", s.out_bytes[0], r.outputs() * (wide ? 8 : kItemSize[p.dtype]));
}

size_t workspace(const Sizes& s) {
  Reduction r = reduction_of(params_as<ReduceParams>(s, "reduce"));
  Cut c = cut_of(r);
  return c.groups > 1 ? c.groups * r.outputs() * 8 : 0;
}

}  // namespace

void register_reduce(Registrar& r);
void register_reduce(Registrar& r) { r.add({"reduce", run, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
