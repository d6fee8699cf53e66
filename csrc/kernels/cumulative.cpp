// cumulative: running sums and products along n of x [outer, n, inner].
//
//   inner = 1   four rows at once, so that their chains of additions overlap. Few long rows are cut into kParts pieces:
//               first their totals, then each piece from the total of those before it. The cut depends on the sizes
//               alone: the same result on any number of threads
//   inner > 1   a tile of columns stays in registers while the rows pass
// Floats are summed and multiplied in float64, integers in 64 bits, which wrap.
#include "elementwise_loops.h"
#include "parallel.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kShare = 64 << 10;  // elements from which threads share the work
constexpr long long kLong = 16 << 10;   // elements of a row from which it is cut
constexpr int kParts = 8, kTogether = 4, kTile = 64;

template <class Input, class Accumulator, class Output>
struct RunningSum {
  typedef Input In;
  typedef Accumulator Acc;
  typedef Output Out;
  static Acc identity() { return static_cast<Acc>(-0.0); }  // of floats; 0 would lose the sign of -0
  static Acc combine(Acc a, Acc b) { return a + b; }
};
template <class Input, class Accumulator, class Output>
struct RunningProduct {
  typedef Input In;
  typedef Accumulator Acc;
  typedef Output Out;
  static Acc identity() { return 1; }
  static Acc combine(Acc a, Acc b) { return a * b; }
};

int parts_of(const CumulativeParams& p) {
  return p.inner == 1 && p.outer < kTogether && p.n >= kLong ? kParts : 1;
}

// n elements, `step` apart, of four rows or pieces that begin `apart` elements after each other.
template <class K, bool kStore>
inline void four_rows(const typename K::In* x, typename K::Out* y, long long apart, long long n,
                      long long step, typename K::Acc* a) {
  typedef typename K::Acc Acc;
  Acc a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
  const typename K::In *x1 = x + apart, *x2 = x1 + apart, *x3 = x2 + apart;
  typename K::Out *y1 = y + apart, *y2 = y1 + apart, *y3 = y2 + apart;
  for (long long j = 0; j < n; j++) {
    long long e = j * step;
    a0 = K::combine(a0, static_cast<Acc>(x[e]));
    a1 = K::combine(a1, static_cast<Acc>(x1[e]));
    a2 = K::combine(a2, static_cast<Acc>(x2[e]));
    a3 = K::combine(a3, static_cast<Acc>(x3[e]));
    if (kStore) {
      y[e] = static_cast<typename K::Out>(a0);
      y1[e] = static_cast<typename K::Out>(a1);
      y2[e] = static_cast<typename K::Out>(a2);
      y3[e] = static_cast<typename K::Out>(a3);
    }
  }
  a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

// Pieces first to last - 1 of rows: piece i is part i % parts of row i / parts. Each begins with start[i], or with the
// identity where there are no starts, and leaves its last result in total[i].
template <class K, bool kStore>
void along_rows(const CumulativeParams& p, int parts, const typename K::In* x, typename K::Out* y,
                const typename K::Acc* start, typename K::Acc* total, long long first, long long last) {
  typedef typename K::Acc Acc;
  const long long length = (p.n + parts - 1) / parts, step = p.reverse ? -1 : 1;
  for (long long i = first; i < last; i += kTogether) {
    int together = static_cast<int>(last - i < kTogether ? last - i : kTogether);
    Acc a[kTogether];
    if (parts == 1 && together == kTogether) {  // whole rows, one behind the other
      long long at = i * p.n + (p.reverse ? p.n - 1 : 0);
      for (int k = 0; k < kTogether; k++) a[k] = K::identity();
      four_rows<K, kStore>(x + at, y + at, p.n, p.n, step, a);
      continue;
    }
    long long at[kTogether], n[kTogether], j = 0;
    for (int k = 0; k < together; k++) {
      long long row = (i + k) / parts, begin = (i + k) % parts * length;
      n[k] = begin >= p.n ? 0 : p.n - begin < length ? p.n - begin : length;
      at[k] = row * p.n + (p.reverse ? p.n - 1 - begin : begin);
      a[k] = start ? start[i + k] : K::identity();
    }
    if (together == kTogether && (i + kTogether - 1) / parts == i / parts) {  // pieces of one row
      j = n[kTogether - 1];
      four_rows<K, kStore>(x + at[0], y + at[0], step * length, j, step, a);
    }
    for (int k = 0; k < together; k++) {
      for (long long r = j; r < n[k]; r++) {
        a[k] = K::combine(a[k], static_cast<Acc>(x[at[k] + r * step]));
        if (kStore) y[at[k] + r * step] = static_cast<typename K::Out>(a[k]);
      }
      if (total) total[i + k] = a[k];
    }
  }
}

template <class K>
void down_columns(const CumulativeParams& p, const typename K::In* x, typename K::Out* y, long long tile) {
  long long per_row = (p.inner + kTile - 1) / kTile, o = tile / per_row, c = tile % per_row * kTile;
  int n = static_cast<int>(p.inner - c < kTile ? p.inner - c : kTile);
  typename K::Acc a[kTile];
  for (int k = 0; k < n; k++) a[k] = K::identity();
  for (long long i = 0; i < p.n; i++) {
    long long at = (o * p.n + (p.reverse ? p.n - 1 - i : i)) * p.inner + c;
    for (int k = 0; k < n; k++) {
      a[k] = K::combine(a[k], static_cast<typename K::Acc>(x[at + k]));
      y[at + k] = static_cast<typename K::Out>(a[k]);
    }
  }
}

template <class K>
void cumulative(const Launch& l) {
  const CumulativeParams& p = params_as<CumulativeParams>(l);
  const auto* x = static_cast<const typename K::In*>(l.in[0]);
  auto* y = static_cast<typename K::Out*>(l.out[0]);
  const long long count = p.outer * p.n * p.inner;
  if (count == 0) return;
  if (p.inner > 1) {
    long long tiles = p.outer * ((p.inner + kTile - 1) / kTile);
    parallel_range(
        l.pool, tiles, count < kShare ? tiles : kShare / 2 / (count / tiles + 1) + 1,
        [&](long long begin, long long end, int) {
          for (long long t = begin; t < end; t++) down_columns<K>(p, x, y, t);
        },
        1);
    return;
  }
  const int parts = parts_of(p);
  const long long pieces = p.outer * parts;
  auto* total = parts > 1 ? static_cast<typename K::Acc*>(l.workspace) : nullptr;
  const long long grain = count < kShare ? pieces : kShare / 2 / (count / pieces + 1) + 1;
  if (total) {
    parallel_range(
        l.pool, pieces, grain,
        [&](long long begin, long long end, int) {
          along_rows<K, false>(p, parts, x, y, nullptr, total, begin, end);
        },
        kTogether);
    for (long long row = 0; row < p.outer; row++) {
      typename K::Acc before = K::identity();
      for (int k = 0; k < parts; k++) {
        typename K::Acc own = total[row * parts + k];
        total[row * parts + k] = before;
        before = K::combine(before, own);
      }
    }
  }
  parallel_range(
      l.pool, pieces, grain,
      [&](long long begin, long long end, int) {
        along_rows<K, true>(p, parts, x, y, total, nullptr, begin, end);
      },
      kTogether);
}

typedef void (*Routine)(const Launch&);

template <class T, class Acc, class Out>
Routine either(int op) {
  if (op == 0) return cumulative<RunningSum<T, Acc, Out>>;
  if (op == 1) return cumulative<RunningProduct<T, Acc, Out>>;
  return nullptr;
}

Routine find_routine(const CumulativeParams& p) {
  switch (p.dtype) {
    case dtype_bool:
    case dtype_uint8:
      return either<unsigned char, uint64_t, long long>(p.op);
    case dtype_int8:
      return either<signed char, uint64_t, long long>(p.op);
    case dtype_int16:
      return either<short, uint64_t, long long>(p.op);
    case dtype_int32:
      return either<int, uint64_t, long long>(p.op);
    case dtype_int64:
      return either<long long, uint64_t, long long>(p.op);
    case dtype_float32:
      return either<float, double, float>(p.op);
    case dtype_float64:
      return either<double, double, double>(p.op);
  }
  return nullptr;
}

void run(const Launch& l) { find_routine(params_as<CumulativeParams>(l))(l); }

void check(const Sizes& s) {
  const char* name = "cumulative";
  const CumulativeParams& p = params_as<CumulativeParams>(s, name);
  require_counts(s, name, 1, 1);
  if (!find_routine(p)) fail("%s: op %d on dtype %d", name, p.op, p.dtype);
  if (p.outer < 0 || p.n < 0 || p.inner < 0)
    fail("%s: extents %lld, %lld, %lld", name, p.outer, p.n, p.inner);
  size_t rows, count;
  if (__builtin_mul_overflow(static_cast<size_t>(p.outer), static_cast<size_t>(p.n), &rows) ||
      __builtin_mul_overflow(rows, static_cast<size_t>(p.inner), &count) || count >> 59)
    fail("%s: extents %lld, %lld, %lld overflow", name, p.outer, p.n, p.inner);
  int out_size = p.dtype == dtype_float32 ? 4 : 8;
  require_bytes(name, "the input", s.in_bytes[0], count * kItemSize[p.dtype]);
  require_bytes(name, "the output", s.out_bytes[0], count * out_size);
}

size_t workspace(const Sizes& s) {
  const CumulativeParams& p = params_as<CumulativeParams>(s, "cumulative");
  return parts_of(p) > 1 ? static_cast<size_t>(p.outer) * kParts * 8 : 0;
}

}  // namespace

void register_cumulative(Registrar& r);
void register_cumulative(Registrar& r) { r.add({"cumulative", run, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
