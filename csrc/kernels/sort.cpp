// sort, argsort: the elements of x [outer, n, inner] along n in ascending order, or where they lie; stable, NaN last.
//
// The row's numbers come to the front and its NaNs behind them. Short rows: runs of kRun by counting, merged two by two
// between two buffers, without branches. From some length on: a radix sort of the keys' bytes, the least significant first;
// a byte that all keys share is passed over. Threads take rows; where there are fewer rows than threads, they share the
// pieces of one and then their merges, each cut into pieces whose sources a binary search finds.
#include <string.h>

#include "elementwise_loops.h"
#include "parallel.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kRun = 16;
constexpr long long kRadix = 16;        // keys, for each of their bytes, from which a radix sort is faster
constexpr long long kPiece = 32 << 10;  // elements that one thread sorts, or merges, of a shared row
constexpr long long kShare = 16 << 10;  // elements from which threads share the work

// A row of keys, with their places where kPlaces.
template <class T, bool kPlaces>
struct Keys {
  T* key;
  int* place;

  Keys at(long long i) const { return {key + i, kPlaces ? place + i : place}; }
  void put(long long to, const Keys& from, long long i) const {
    key[to] = from.key[i];
    if (kPlaces) place[to] = from.place[i];
  }
  void copy(const Keys& from, long long n) const {
    memcpy(key, from.key, n * sizeof(T));
    if (kPlaces) memcpy(place, from.place, n * sizeof(int));
  }
};

// At most kRun keys of a to their places in out: each counts those that go before it.
template <class T, bool kPlaces>
void by_rank(const Keys<T, kPlaces>& a, const Keys<T, kPlaces>& out, int n) {
  int rank[kRun];
  for (int i = 0; i < n; i++) {
    T key = a.key[i];
    int before = 0;
    for (int j = 0; j < i; j++) {
      int less = key < a.key[j];
      rank[j] += less;
      before += 1 - less;
    }
    rank[i] = before;
  }
  for (int i = 0; i < n; i++) out.put(rank[i], a, i);
}

// The first n_a of a and the first n_b of b, in order; of equal ones those of a first.
template <class T, bool kPlaces>
void merge(Keys<T, kPlaces> a, long long n_a, Keys<T, kPlaces> b, long long n_b, Keys<T, kPlaces> out) {
  long long i = 0, j = 0;
  if (n_a && n_b && b.key[0] < a.key[n_a - 1]) {
    while (i < n_a && j < n_b) {
      bool second = b.key[j] < a.key[i];
      out.key[i + j] = second ? b.key[j] : a.key[i];
      if (kPlaces) out.place[i + j] = second ? b.place[j] : a.place[i];
      j += second;
      i += !second;
    }
  } else {
    out.copy(a, n_a);
    i = n_a;
  }
  if (i < n_a) out.at(i + j).copy(a.at(i), n_a - i);
  if (j < n_b) out.at(i + j).copy(b.at(j), n_b - j);
}

// How many of the first `count` elements of the merge come from a.
template <class T>
long long split_of(long long count, const T* a, long long n_a, const T* b, long long n_b) {
  long long low = count > n_b ? count - n_b : 0, high = count < n_a ? count : n_a;
  while (low < high) {
    long long middle = (low + high) / 2;
    if (b[count - 1 - middle] < a[middle])
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

// Keys as unsigned numbers of the same order; the zeros of both signs are equal.
inline uint8_t ordered(unsigned char v) { return v; }
inline uint8_t ordered(signed char v) { return static_cast<uint8_t>(v) ^ 0x80; }
inline uint16_t ordered(short v) { return static_cast<uint16_t>(v) ^ 0x8000; }
inline uint32_t ordered(int v) { return static_cast<uint32_t>(v) ^ 0x80000000u; }
inline uint64_t ordered(long long v) { return static_cast<uint64_t>(v) ^ (1ull << 63); }
inline uint32_t ordered(float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  bits = bits << 1 ? bits : 0;
  return bits ^ (static_cast<uint32_t>(static_cast<int32_t>(bits) >> 31) | 0x80000000u);
}
inline uint64_t ordered(double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  bits = bits << 1 ? bits : 0;
  return bits ^ (static_cast<uint64_t>(static_cast<int64_t>(bits) >> 63) | (1ull << 63));
}

// Sorts n keys that lie in a; b is as long. Returns the one that holds the result.
template <class T, bool kPlaces>
Keys<T, kPlaces> merge_sorted(Keys<T, kPlaces> a, Keys<T, kPlaces> b, long long n) {
  for (long long i = 0; i < n; i += kRun)
    by_rank(a.at(i), b.at(i), static_cast<int>(n - i < kRun ? n - i : kRun));
  Keys<T, kPlaces> runs = b;
  b = a, a = runs;
  for (long long run = kRun; run < n; run *= 2) {
    for (long long i = 0; i < n; i += 2 * run) {
      long long n_a = n - i < run ? n - i : run, rest = n - i - n_a;
      merge(a.at(i), n_a, a.at(i + n_a), rest < run ? rest : run, b.at(i));
    }
    Keys<T, kPlaces> other = a;
    a = b, b = other;
  }
  return a;
}
template <class T, bool kPlaces>
Keys<T, kPlaces> radix_sorted(Keys<T, kPlaces> a, Keys<T, kPlaces> b, long long n) {
  constexpr int kBytes = sizeof(T);
  int count[kBytes][256] = {};
  bool in_order = true;
  for (long long i = 0; i < n; i++) {
    auto key = ordered(a.key[i]);
    in_order &= i == 0 || !(a.key[i] < a.key[i - 1]);
    for (int d = 0; d < kBytes; d++) count[d][key >> (8 * d) & 255]++;
  }
  if (in_order) return a;
  for (int d = 0; d < kBytes; d++) {
    int* next = count[d];
    if (next[ordered(a.key[0]) >> (8 * d) & 255] == n) continue;
    for (int v = 0, begin = 0; v < 256; v++) {
      int own = next[v];
      next[v] = begin;
      begin += own;
    }
    for (long long i = 0; i < n; i++) b.put(next[ordered(a.key[i]) >> (8 * d) & 255]++, a, i);
    Keys<T, kPlaces> other = a;
    a = b, b = other;
  }
  return a;
}
template <class T, bool kPlaces>
Keys<T, kPlaces> sorted(Keys<T, kPlaces> a, Keys<T, kPlaces> b, long long n) {
  return n < kRadix * static_cast<long long>(sizeof(T)) ? merge_sorted(a, b, n) : radix_sorted(a, b, n);
}

// The same by all threads.
template <class T, bool kPlaces>
Keys<T, kPlaces> sorted_together(ThreadPool* pool, Keys<T, kPlaces> a, Keys<T, kPlaces> b, long long n) {
  int pieces = static_cast<int>((n + kPiece - 1) / kPiece);
  parallel_for(pool, pieces, [&](int piece, int) {
    long long begin = piece * kPiece, length = n - begin < kPiece ? n - begin : kPiece;
    Keys<T, kPlaces> mine = a.at(begin), result = sorted(mine, b.at(begin), length);
    if (result.key != mine.key) mine.copy(result, length);
  });
  for (long long run = kPiece; run < n; run *= 2) {
    parallel_for(pool, pieces, [&](int piece, int) {
      long long at = piece * kPiece, begin = at / (2 * run) * (2 * run), rest = n - begin;
      long long n_a = rest < run ? rest : run, n_b = rest - n_a < run ? rest - n_a : run;
      long long from = at - begin, to = from + kPiece < n_a + n_b ? from + kPiece : n_a + n_b;
      Keys<T, kPlaces> first = a.at(begin), second = a.at(begin + n_a);
      long long i = split_of(from, first.key, n_a, second.key, n_b);
      long long end = split_of(to, first.key, n_a, second.key, n_b);
      merge(first.at(i), end - i, second.at(from - i), to - end - (from - i), b.at(at));
    });
    Keys<T, kPlaces> other = a;
    a = b, b = other;
  }
  return a;
}

struct Plan {
  long long rows, row_bytes;  // bytes of the buffers that a row takes
  bool together;
};

Plan plan_of(const SortParams& p, bool places, int threads) {
  Plan plan;
  plan.rows = p.outer * p.inner;
  long long keys = (p.n * kItemSize[p.dtype] + 63) / 64 * 64;
  plan.row_bytes = 2 * (keys + (places ? (p.n * 4 + 63) / 64 * 64 : 0));
  plan.together = plan.rows < threads && p.n >= 2 * kPiece;
  return plan;
}

template <class T, bool kPlaces>
void sort_row(const Launch& l, const SortParams& p, const Plan& plan, long long row, char* buffer) {
  long long keys = (p.n * sizeof(T) + 63) / 64 * 64, places = kPlaces ? (p.n * 4 + 63) / 64 * 64 : 0;
  Keys<T, kPlaces> a{reinterpret_cast<T*>(buffer), reinterpret_cast<int*>(buffer + 2 * keys)};
  Keys<T, kPlaces> b{reinterpret_cast<T*>(buffer + keys), reinterpret_cast<int*>(buffer + 2 * keys + places)};
  long long base = row / p.inner * p.n * p.inner + row % p.inner;
  const T* x = static_cast<const T*>(l.in[0]) + base;
  long long numbers = 0, strange = 0;  // NaNs, from the front of b
  for (long long i = 0; i < p.n; i++) {
    T key = x[i * p.inner];
    bool number = key == key;
    Keys<T, kPlaces> to = number ? a : b;
    long long at = number ? numbers : strange;
    to.key[at] = key;
    if (kPlaces) to.place[at] = static_cast<int>(i);
    numbers += number;
    strange += !number;
  }
  a.at(numbers).copy(b, strange);
  Keys<T, kPlaces> result = plan.together ? sorted_together(l.pool, a, b, numbers) : sorted(a, b, numbers);
  if (result.key != a.key) result.at(numbers).copy(a.at(numbers), strange);
  if (kPlaces) {
    long long* y = static_cast<long long*>(l.out[0]) + base;
    for (long long i = 0; i < p.n; i++) y[i * p.inner] = result.place[i];
  } else {
    T* y = static_cast<T*>(l.out[0]) + base;
    for (long long i = 0; i < p.n; i++) y[i * p.inner] = result.key[i];
  }
}

template <class T, bool kPlaces>
void sort_rows(const Launch& l) {
  const SortParams& p = params_as<SortParams>(l);
  if (p.outer * p.n * p.inner == 0) return;
  int threads = l.pool ? l.pool->size() : 1;
  Plan plan = plan_of(p, kPlaces, threads);
  char* buffer = static_cast<char*>(l.workspace);
  if (plan.together) {
    for (long long row = 0; row < plan.rows; row++) sort_row<T, kPlaces>(l, p, plan, row, buffer);
    return;
  }
  bool share = plan.rows * p.n >= kShare;
  parallel_range(
      l.pool, plan.rows, share ? kShare / 2 / p.n + 1 : plan.rows,
      [&](long long begin, long long end, int part) {
        for (long long row = begin; row < end; row++)
          sort_row<T, kPlaces>(l, p, plan, row, buffer + part * plan.row_bytes);
      },
      1);
}

typedef void (*Routine)(const Launch&);

template <bool kPlaces>
Routine find_routine(int dtype) {
  switch (dtype) {
    case dtype_bool:
    case dtype_uint8:
      return sort_rows<unsigned char, kPlaces>;
    case dtype_int8:
      return sort_rows<signed char, kPlaces>;
    case dtype_int16:
      return sort_rows<short, kPlaces>;
    case dtype_int32:
      return sort_rows<int, kPlaces>;
    case dtype_int64:
      return sort_rows<long long, kPlaces>;
    case dtype_float32:
      return sort_rows<float, kPlaces>;
    case dtype_float64:
      return sort_rows<double, kPlaces>;
  }
  return nullptr;
}

template <bool kPlaces>
void run(const Launch& l) {
  find_routine<kPlaces>(params_as<SortParams>(l).dtype)(l);
}

template <bool kPlaces>
void check(const Sizes& s) {
  const char* name = kPlaces ? "argsort" : "sort";
  const SortParams& p = params_as<SortParams>(s, name);
  require_counts(s, name, 1, 1);
  if (!find_routine<kPlaces>(p.dtype)) fail("%s: dtype %d", name, p.dtype);
  if (p.outer < 0 || p.n < 0 || p.inner < 0 || p.n >> 31)
    fail("%s: extents %lld, %lld, %lld", name, p.outer, p.n, p.inner);
  size_t rows, count;
  if (__builtin_mul_overflow(static_cast<size_t>(p.outer), static_cast<size_t>(p.n), &rows) ||
      __builtin_mul_overflow(rows, static_cast<size_t>(p.inner), &count) || count >> 59)
    fail("%s: extents %lld, %lld, %lld overflow", name, p.outer, p.n, p.inner);
  require_bytes(name, "the input", s.in_bytes[0], count * kItemSize[p.dtype]);
  require_bytes(name, "the output", s.out_bytes[0], count * (kPlaces ? 8 : kItemSize[p.dtype]));
}

template <bool kPlaces>
size_t workspace(const Sizes& s) {
  Plan plan = plan_of(params_as<SortParams>(s, "sort"), kPlaces, s.threads);
  long long buffers = plan.together ? 1 : plan.rows < s.threads ? plan.rows : s.threads;
  return static_cast<size_t>(buffers * plan.row_bytes);
}

}  // namespace

void register_sort(Registrar& r);
void register_sort(Registrar& r) {
  r.add({"sort", run<false>, check<false>, workspace<false>});
  r.add({"argsort", run<true>, check<true>, workspace<true>});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
