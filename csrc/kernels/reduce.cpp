// reduce: sum, prod, max, min, any, all over any axes.
//
//   inner reduced  out[o] = op over segments of neighbours; several vectors of partial results
//   inner kept     out[o, j] = op over rows; a tile of columns stays in registers while the rows pass
//
// float32 sums: vectors of floats take blocks of kBlock terms each, blocks are added up in float64, so the error
// does not grow with the length. A reduction with few outputs is cut into groups of terms, whose results meet in
// order. The cut depends on the sizes alone: the same result on any number of threads.
#include "reduce.h"

#include <math.h>

#include "elementwise_loops.h"
#include "parallel.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

typedef unsigned char u8;
typedef unsigned long long u64;

constexpr long long kBlock = 64;              // float terms that one lane adds before it is emptied
constexpr long long kTaskTerms = 32 << 10;    // input elements of one task
constexpr long long kShareTerms = 128 << 10;  // below this one thread does all
constexpr int kGroups = 64;
constexpr int kTile = 64;  // columns of one accumulator tile

template <class T>
struct Vector {
  static constexpr int kLanes = 4 * VF_WIDTH / sizeof(T);
  typedef T V __attribute__((vector_size(4 * VF_WIDTH)));
  typedef T M __attribute__((vector_size(4 * VF_WIDTH), aligned(1), may_alias));
  static V load(const T* p) { return *reinterpret_cast<const M*>(p); }
  static void store(T* p, V v) { *reinterpret_cast<M*>(p) = v; }
};

// An operation on vectors of its own type: contiguous() over neighbours, columns() down the rows of a tile.
template <class Op, class T>
struct SameType {
  typedef T In;
  typedef T Acc;
  typedef Vector<T> Vec;
  typedef typename Vec::V V;
  static constexpr int kLanes = Vec::kLanes;

  static T identity() { return Op::template identity<T>(); }
  static T combine(T a, T b) { return Op::apply(a, b); }

  static T contiguous(const T* x, long long n) {
    constexpr int kVectors = 4;
    T result = identity();
    long long i = 0;
    if (n >= kVectors * kLanes) {
      V acc[kVectors];
      for (int k = 0; k < kVectors; k++) acc[k] = Vec::load(x + k * kLanes);
      for (i = kVectors * kLanes; i + kVectors * kLanes <= n; i += kVectors * kLanes)
        for (int k = 0; k < kVectors; k++) acc[k] = Op::apply(acc[k], Vec::load(x + i + k * kLanes));
      V all = Op::apply(Op::apply(acc[0], acc[1]), Op::apply(acc[2], acc[3]));
      for (int lane = 0; lane < kLanes; lane++) result = Op::apply(result, static_cast<T>(all[lane]));
    }
    for (; i < n; i++) result = Op::apply(result, x[i]);
    return result;
  }

  static void columns(const T* x, long long rows, long long stride, int n, T* acc) {
    int j = 0;
    for (; j + 2 * kLanes <= n; j += 2 * kLanes) {
      V a = Vec::load(acc + j), b = Vec::load(acc + j + kLanes);
      for (long long r = 0; r < rows; r++) {
        a = Op::apply(a, Vec::load(x + r * stride + j));
        b = Op::apply(b, Vec::load(x + r * stride + j + kLanes));
      }
      Vec::store(acc + j, a);
      Vec::store(acc + j + kLanes, b);
    }
    for (; j < n; j++) {
      T a = acc[j];
      for (long long r = 0; r < rows; r++) a = Op::apply(a, x[r * stride + j]);
      acc[j] = a;
    }
  }
};

// An operation that widens its input: one accumulator of type A.
template <class Op, class T, class A>
struct Widening {
  typedef T In;
  typedef A Acc;
  static A identity() { return Op::template identity<A>(); }
  static A combine(A a, A b) { return Op::apply(a, b); }
  static A contiguous(const T* x, long long n) {
    A a = identity();
    for (long long i = 0; i < n; i++) a = Op::apply(a, static_cast<A>(x[i]));
    return a;
  }
  static void columns(const T* x, long long rows, long long stride, int n, A* acc) {
    for (long long r = 0; r < rows; r++)
      for (int j = 0; j < n; j++) acc[j] = Op::apply(acc[j], static_cast<A>(x[r * stride + j]));
  }
};

struct Add {
  template <class A>
  static A identity() {
    return 0;
  }
  template <class A>
  static A apply(A a, A b) {
    return a + b;
  }
};
struct Multiply {
  template <class A>
  static A identity() {
    return 1;
  }
  template <class A>
  static A apply(A a, A b) {
    return a * b;
  }
};

template <class T>
constexpr T lowest() {
  if constexpr (T(1) / T(2) != T(0)) return -INFINITY;
  if constexpr (T(-1) > T(0)) return 0;
  return static_cast<T>(u64(1) << (8 * sizeof(T) - 1));
}
template <class T>
constexpr T highest() {
  if constexpr (T(1) / T(2) != T(0)) return INFINITY;
  if constexpr (T(-1) > T(0)) return static_cast<T>(-1);
  return static_cast<T>(~(u64(1) << (8 * sizeof(T) - 1)));
}

// A NaN in either stays.
struct Largest {
  template <class T>
  static T identity() {
    return lowest<T>();
  }
  template <class T>
  static T apply(T a, T b) {
    return (a > b) | (a != a) ? a : b;
  }
};
struct Smallest {
  template <class T>
  static T identity() {
    return highest<T>();
  }
  template <class T>
  static T apply(T a, T b) {
    return (a < b) | (a != a) ? a : b;
  }
};

// float32 into float64, by way of blocks of floats.
struct FloatSum {
  typedef float In;
  typedef double Acc;
  static double identity() { return 0; }
  static double combine(double a, double b) { return a + b; }

  static double contiguous(const float* x, long long n) {
    constexpr int kVectors = 8;
    constexpr long long kChunk = kVectors * VF_WIDTH * kBlock;
    if (n <= 2 * VF_WIDTH) {  // a row of a small matrix
      int first = n < VF_WIDTH ? static_cast<int>(n) : VF_WIDTH;
      vf sum = load_n(x, first);
      if (n > VF_WIDTH) sum += load_n(x + VF_WIDTH, static_cast<int>(n - VF_WIDTH));
      return hsum(sum);
    }
    double total = 0;
    while (n > 0) {
      long long m = n < kChunk ? n : kChunk, i = 0;
      vf acc[kVectors] = {};
      for (; i + kVectors * VF_WIDTH <= m; i += kVectors * VF_WIDTH)
        for (int k = 0; k < kVectors; k++) acc[k] += load(x + i + k * VF_WIDTH);
      for (int k = 0; i + VF_WIDTH <= m; i += VF_WIDTH, k++) acc[k % kVectors] += load(x + i);
      if (i < m) acc[7] += load_n(x + i, static_cast<int>(m - i));
      for (int half = kVectors / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) acc[k] += acc[k + half];
      float lanes[VF_WIDTH];
      store(lanes, acc[0]);
      double sum = 0;
      for (int lane = 0; lane < VF_WIDTH; lane++) sum += lanes[lane];
      total += sum;
      x += m;
      n -= m;
    }
    return total;
  }

  template <int kVectors>
  static void strip(const float* x, long long rows, long long stride, int n, double* acc) {
    int rest = n - (kVectors - 1) * VF_WIDTH;  // columns of the last vector
    for (long long begin = 0; begin < rows; begin += kBlock) {
      long long end = begin + kBlock < rows ? begin + kBlock : rows;
      vf sum[kVectors] = {};
      for (long long r = begin; r < end; r++) {
        const float* row = x + r * stride;
        for (int k = 0; k < kVectors - 1; k++) sum[k] += load(row + k * VF_WIDTH);
        const float* last = row + (kVectors - 1) * VF_WIDTH;
        sum[kVectors - 1] += rest == VF_WIDTH ? load(last) : load_n(last, rest);
      }
      float lanes[kVectors * VF_WIDTH];
      for (int k = 0; k < kVectors; k++) store(lanes + k * VF_WIDTH, sum[k]);
      for (int j = 0; j < n; j++) acc[j] += lanes[j];
    }
  }

  static void columns(const float* x, long long rows, long long stride, int n, double* acc) {
    constexpr int kWide = 4 * VF_WIDTH;
    for (; n > 0; n -= kWide, x += kWide, acc += kWide) {
      if (n > 3 * VF_WIDTH)
        strip<4>(x, rows, stride, n < kWide ? n : kWide, acc);
      else if (n > 2 * VF_WIDTH)
        strip<3>(x, rows, stride, n, acc);
      else if (n > VF_WIDTH)
        strip<2>(x, rows, stride, n, acc);
      else
        strip<1>(x, rows, stride, n, acc);
    }
  }
};

// ---- the walk

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

template <class K, class Out>
void reduce(const Launch& launch) {
  typedef typename K::In In;
  typedef typename K::Acc Acc;
  const Reduction r = reduction_of(params_as<ReduceParams>(launch));
  const Cut c = cut_of(r);
  const In* x = static_cast<const In*>(launch.in[0]);
  Out* y = static_cast<Out*>(launch.out[0]);
  Acc* partial = static_cast<Acc*>(launch.workspace);
  const long long outputs = r.outputs();
  auto put = [&](long long group, long long o, Acc value) {
    if (c.groups == 1)
      y[o] = static_cast<Out>(value);
    else
      partial[group * outputs + o] = value;
  };
  auto segments = [&](long long group, long long tile) {
    long long count = r.reduced.count * c.pieces, last = (tile + 1) * c.tile;
    long long begin = count * group / c.groups, end = count * (group + 1) / c.groups;
    if (last > outputs) last = outputs;
    for (long long o = tile * c.tile; o < last; o++) {
      const In* base = x + r.kept.offset(o);
      Acc acc = K::identity();
      for (long long s = begin; s < end; s++) {
        long long at = s % c.pieces * c.piece, n = r.inner - at < c.piece ? r.inner - at : c.piece;
        acc = K::combine(acc, K::contiguous(base + r.reduced.offset(s / c.pieces) + at, n));
      }
      put(group, o, acc);
    }
  };
  auto rows = [&](long long group, long long tile) {
    long long per_row = (r.inner + kTile - 1) / kTile, j = tile % per_row * kTile;
    long long begin = r.reduced.count * group / c.groups, end = r.reduced.count * (group + 1) / c.groups;
    int n = static_cast<int>(r.inner - j < kTile ? r.inner - j : kTile);
    const In* base = x + r.kept.offset(tile / per_row) + j;
    Acc acc[kTile];
    for (int k = 0; k < n; k++) acc[k] = K::identity();
    while (begin < end) {
      long long run = r.reduced.run(begin);
      if (run > end - begin) run = end - begin;
      K::columns(base + r.reduced.offset(begin), run, r.reduced.step(), n, acc);
      begin += run;
    }
    for (int k = 0; k < n; k++) put(group, tile / per_row * r.inner + j + k, acc[k]);
  };
  parallel_for(
      launch.pool, static_cast<int>(c.groups * c.tiles),
      [&](int task, int) {
        if (r.inner_reduced)
          segments(task / c.tiles, task % c.tiles);
        else
          rows(task / c.tiles, task % c.tiles);
      },
      outputs * r.terms() >= kShareTerms);
  if (c.groups > 1)
    for (long long o = 0; o < outputs; o++) {
      Acc acc = partial[o];
      for (long long g = 1; g < c.groups; g++) acc = K::combine(acc, partial[g * outputs + o]);
      y[o] = static_cast<Out>(acc);
    }
}

typedef void (*Routine)(const Launch&);

// bool: the result is 0 or 1 whatever the identity was.
struct Truth {
  u8 value;
  explicit Truth(u8 v) : value(v != 0) {}
};

template <class T>
Routine extreme(int op) {
  if (op == reduce_max) return reduce<SameType<Largest, T>, T>;
  if (op == reduce_min) return reduce<SameType<Smallest, T>, T>;
  return nullptr;
}

template <class T>
Routine integer(int op) {
  if (op == reduce_sum) return reduce<Widening<Add, T, u64>, long long>;
  if (op == reduce_prod) return reduce<Widening<Multiply, T, u64>, long long>;
  return extreme<T>(op);
}

Routine find_routine(const ReduceParams& p) {
  switch (p.dtype) {
    case dtype_bool:
      if (p.op == reduce_any || p.op == reduce_max) return reduce<SameType<Largest, u8>, Truth>;
      if (p.op == reduce_all || p.op == reduce_min) return reduce<SameType<Smallest, u8>, Truth>;
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
      if (p.op == reduce_sum) return reduce<FloatSum, float>;
      if (p.op == reduce_prod) return reduce<Widening<Multiply, float, double>, float>;
      return extreme<float>(p.op);
    case dtype_float64:
      if (p.op == reduce_sum) return reduce<SameType<Add, double>, double>;
      if (p.op == reduce_prod) return reduce<Widening<Multiply, double, double>, double>;
      return extreme<double>(p.op);
  }
  return nullptr;
}

void run(const Launch& launch) { find_routine(params_as<ReduceParams>(launch))(launch); }

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
