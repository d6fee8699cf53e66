// Random draws and dropout. What each element is: symconv/ops/philox.py, which these kernels equal bit for bit.
//
//   words -> values, a tile of kPhiloxWords words at a time through a buffer in L1: the generator is 64-bit lanes of
//   32x32 multiplies, the consumers are plain vector loops over the tile.
//
// The normal distribution must round as NumPy does, operation by operation:
// symconv: no-contract
#include <string.h>

#include "parallel.h"
#include "params.h"
#include "philox.h"
#include "turns.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kGrain = 1 << 15;  // words: about 40 us of work for one thread

PhiloxKey key_of(const Launch& l, int counter_input) {
  const RandomParams& p = params_as<RandomParams>(l);
  return philox_key(p.seed, p.stream, *static_cast<const int64_t*>(l.in[counter_input]));
}

// f(words, first element, count) for tiles of `tile` elements, which take all the words of one call of the
// generator; in the last one count may be less.
template <class F>
void for_tiles(ThreadPool* pool, const PhiloxKey& key, long long n, int tile, const F& f) {
  parallel_range(
      pool, (n + tile - 1) / tile, kGrain / kPhiloxWords,
      [&](long long begin, long long end, int) {
        alignas(64) uint32_t words[kPhiloxWords];
        for (long long t = begin; t < end; t++) {
          philox_words(key, static_cast<uint64_t>(t) * kPhiloxBlocks, words);
          long long left = n - t * tile;
          f(words, t * tile, static_cast<int>(left < tile ? left : tile));
        }
      },
      1);
}

// ---- uniform
inline void to_uniform(const uint32_t* words, float* out) {
  for (int i = 0; i < kPhiloxWords; i++)
    out[i] = static_cast<float>(static_cast<int>(words[i] >> 8)) * 0x1p-24f;
}
inline uint64_t word64(const uint32_t* words, int i) {
  return words[2 * i] | static_cast<uint64_t>(words[2 * i + 1]) << 32;
}
inline void to_uniform(const uint32_t* words, double* out) {
  for (int i = 0; i < kPhiloxWords / 2; i++)
    out[i] = static_cast<double>(static_cast<int64_t>(word64(words, i) >> 11)) * 0x1p-53;
}

// ---- normal: philox.py's _minus_log and sin_cos, term by term
template <class T>
struct Normal;
template <>
struct Normal<float> {
  typedef vf V;
  typedef vi I;
  static constexpr int width = VF_WIDTH, bits = 24, mantissa = 23, exponent = 126;
  static constexpr int log_terms = 6, sin_terms = 5, cos_terms = 6;
  static constexpr int32_t mantissa_mask = 0x7fffff, half = 0x3f000000;
};
template <>
struct Normal<double> {
  typedef vd V;
  typedef vl I;
  static constexpr int width = VD_WIDTH, bits = 53, mantissa = 52, exponent = 1022;
  static constexpr int log_terms = 12, sin_terms = 9, cos_terms = 10;
  static constexpr int64_t mantissa_mask = 0xfffffffffffff, half = 0x3fe0000000000000;
};

template <class V, int terms>
inline V log_series(V x) {
  typedef __typeof__(x[0] + x[0]) T;
  V y = set1(static_cast<T>(2.0 / (2 * terms - 1)));
  for (int k = terms - 2; k >= 0; k--) y = y * x + static_cast<T>(2.0 / (2 * k + 1));
  return y;
}

// x and y from the upper `bits` bits a and b of two words.
template <class T>
inline void box_muller(typename Normal<T>::I a, typename Normal<T>::I b, typename Normal<T>::V* x,
                       typename Normal<T>::V* y) {
  using N = Normal<T>;
  typedef typename N::V V;
  typedef typename N::I I;
  typedef __typeof__(a[0] + a[0]) Int;
  V u = __builtin_convertvector(a + 1, V) * static_cast<T>(1.0 / (Int{1} << N::bits));
  I raw = reinterpret_cast<I>(u);
  I e = (raw >> N::mantissa) - N::exponent;
  V m = reinterpret_cast<V>((raw & N::mantissa_mask) | N::half);
  I small = m < static_cast<T>(0.70710678118654752440);
  m = select(small, m + m, m);
  e += small;
  V s = (m - static_cast<T>(1)) / (m + static_cast<T>(1));
  V log = __builtin_convertvector(e, V) * static_cast<T>(0.69314718055994530942) +
          s * log_series<V, N::log_terms>(s * s);
  V radius = sqrt(-log * static_cast<T>(2));

  V sin, cos;
  sin_cos<T, N::bits, N::sin_terms, N::cos_terms>(b, &sin, &cos);
  *x = radius * cos;
  *y = radius * sin;
}

template <class T>
inline void to_normal(const uint32_t* words, T* out) {
  using N = Normal<T>;
  constexpr int pairs = kPhiloxWords / 2 / (sizeof(T) / 4);
  typedef __typeof__(typename N::I{}[0] + 0) Int;
  alignas(64) Int a[pairs], b[pairs];
  for (int i = 0; i < pairs; i++) {
    if constexpr (sizeof(T) == 4) {
      a[i] = static_cast<Int>(words[2 * i] >> 8), b[i] = static_cast<Int>(words[2 * i + 1] >> 8);
    } else {
      a[i] = static_cast<Int>(word64(words, 2 * i) >> 11),
      b[i] = static_cast<Int>(word64(words, 2 * i + 1) >> 11);
    }
  }
  alignas(64) T x[pairs], y[pairs];
  for (int i = 0; i < pairs; i += N::width) {
    typename N::I va, vb;
    typename N::V vx, vy;
    memcpy(&va, a + i, sizeof va);
    memcpy(&vb, b + i, sizeof vb);
    box_muller<T>(va, vb, &vx, &vy);
    store(x + i, vx);
    store(y + i, vy);
  }
  for (int i = 0; i < pairs; i++) out[2 * i] = x[i], out[2 * i + 1] = y[i];
}

// ---- entries
template <class T, class Convert>
void draw(const Launch& l, const Convert& convert) {
  T* out = static_cast<T*>(l.out[0]);
  constexpr int tile = kPhiloxWords * 4 / sizeof(T);
  for_tiles(l.pool, key_of(l, 0), params_as<RandomParams>(l).n, tile,
            [&](const uint32_t* words, long long first, int count) {
              if (count == tile) return convert(words, out + first);
              alignas(64) T values[tile];
              convert(words, values);
              memcpy(out + first, values, count * sizeof(T));
            });
}

template <class T>
void run_uniform(const Launch& l) {
  draw<T>(l, [](const uint32_t* words, T* out) { to_uniform(words, out); });
}
template <class T>
void run_normal(const Launch& l) {
  draw<T>(l, [](const uint32_t* words, T* out) { to_normal(words, out); });
}

void run_integers(const Launch& l) {
  int64_t low = *static_cast<const int64_t*>(l.in[1]), high = *static_cast<const int64_t*>(l.in[2]);
  if (low >= high)
    fail("random_integers: nothing lies in [%lld, %lld)", static_cast<long long>(low),
         static_cast<long long>(high));
  uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  draw<int64_t>(l, [=](const uint32_t* words, int64_t* out) {
    for (int i = 0; i < kPhiloxWords / 2; i++) {
      unsigned __int128 product = static_cast<unsigned __int128>(word64(words, i)) * span;
      out[i] = static_cast<int64_t>(static_cast<uint64_t>(low) + static_cast<uint64_t>(product >> 64));
    }
  });
}

// Indices sorted by their 64-bit words: least significant byte first, stable, so equal words stay in index order.
struct Entry {
  uint64_t word;
  int64_t index;
};

void run_permutation(const Launch& l) {
  const long long n = params_as<RandomParams>(l).n;
  Entry *from = static_cast<Entry*>(l.workspace), *to = from + n;
  for_tiles(l.pool, key_of(l, 0), n, kPhiloxWords / 2,
            [&](const uint32_t* words, long long first, int count) {
              for (int i = 0; i < count; i++) from[first + i] = {word64(words, i), first + i};
            });
  for (int shift = 0; shift < 64; shift += 8) {
    long long start[257] = {};
    for (long long i = 0; i < n; i++) start[(from[i].word >> shift & 255) + 1]++;
    for (int d = 0; d < 256; d++) start[d + 1] += start[d];
    for (long long i = 0; i < n; i++) to[start[from[i].word >> shift & 255]++] = from[i];
    Entry* swap = from;
    from = to;
    to = swap;
  }
  int64_t* out = static_cast<int64_t*>(l.out[0]);
  for (long long i = 0; i < n; i++) out[i] = from[i].index;
}

size_t permutation_workspace(const Sizes& s) {
  return 2 * sizeof(Entry) * static_cast<const RandomParams*>(s.params)->n;
}

void check_random(const Sizes& s, const char* kernel, size_t itemsize) {
  const RandomParams& p = params_as<RandomParams>(s, kernel);
  if (s.n_in < 1 || s.n_out != 1) fail("%s: got %d inputs and %d outputs", kernel, s.n_in, s.n_out);
  if (p.n < 0 || p.n > 1LL << 33) fail("%s: n is %lld, expected 0 to 2^33", kernel, p.n);
  require_bytes(kernel, "counter", s.in_bytes[0], 8);
  require_bytes(kernel, "output", s.out_bytes[0], p.n * itemsize);
}
void check_uniform_f32(const Sizes& s) { check_random(s, "random_uniform_f32", 4); }
void check_uniform_f64(const Sizes& s) { check_random(s, "random_uniform_f64", 8); }
void check_normal_f32(const Sizes& s) { check_random(s, "random_normal_f32", 4); }
void check_normal_f64(const Sizes& s) { check_random(s, "random_normal_f64", 8); }
void check_permutation(const Sizes& s) { check_random(s, "random_permutation", 8); }
void check_integers(const Sizes& s) {
  check_random(s, "random_integers", 8);
  if (s.n_in < 3) fail("random_integers: got %d inputs, expected counter, low, high", s.n_in);
  for (int i = 1; i < 3; i++) require_bytes("random_integers", "bound", s.in_bytes[i], 8);
}

// ---- dropout: y = half >= threshold ? x * factor : 0, half a word for each element
constexpr int kHalves = 2 * kPhiloxWords;
typedef uint16_t vh_mem __attribute__((vector_size(2 * VF_WIDTH), aligned(2), may_alias));

template <class T>
inline void drop_some(const uint32_t* words, int32_t threshold, T factor, const T* x, T* y, int count) {
  for (int i = 0; i < count; i++) {
    int32_t half = words[i / 2] >> (i % 2 * 16) & 0xffff;
    T scaled = x[i] * factor;
    y[i] = half >= threshold ? scaled : T{0};
  }
}
inline void drop_tile(const uint32_t* words, int32_t threshold, float factor, const float* x, float* y) {
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(words);  // little-endian, as all we run on
  for (int i = 0; i < kHalves; i += VF_WIDTH) {
    vi half = __builtin_convertvector(*reinterpret_cast<const vh_mem*>(halves + i), vi);
    store(y + i, select(half >= threshold, load(x + i) * factor, vf{}));
  }
}
inline void drop_tile(const uint32_t* words, int32_t threshold, double factor, const double* x, double* y) {
  drop_some(words, threshold, factor, x, y, kHalves);
}

template <class T>
void run_dropout(const Launch& l) {
  const DropoutParams& p = params_as<DropoutParams>(l);
  const T* x = static_cast<const T*>(l.in[0]);
  T* y = static_cast<T*>(l.out[0]);
  const int32_t threshold = p.threshold;
  const T factor = static_cast<T>(p.factor);
  PhiloxKey key = philox_key(p.seed, p.stream, *static_cast<const int64_t*>(l.in[1]));
  for_tiles(l.pool, key, p.n, kHalves, [&](const uint32_t* words, long long first, int count) {
    if (count == kHalves) return drop_tile(words, threshold, factor, x + first, y + first);
    drop_some(words, threshold, factor, x + first, y + first, count);
  });
}

void check_dropout(const Sizes& s, const char* kernel, size_t itemsize) {
  require_counts(s, kernel, 2, 1);
  const DropoutParams& p = params_as<DropoutParams>(s, kernel);
  if (p.n < 0 || p.n > 1LL << 34) fail("%s: n is %lld, expected 0 to 2^34", kernel, p.n);
  if (p.threshold < 0 || p.threshold > 0xffff) fail("%s: threshold is %d", kernel, p.threshold);
  require_bytes(kernel, "x", s.in_bytes[0], p.n * itemsize);
  require_bytes(kernel, "counter", s.in_bytes[1], 8);
  require_bytes(kernel, "y", s.out_bytes[0], p.n * itemsize);
}
void check_dropout_f32(const Sizes& s) { check_dropout(s, "dropout_f32", 4); }
void check_dropout_f64(const Sizes& s) { check_dropout(s, "dropout_f64", 8); }

}  // namespace

void register_random(Registrar& r) {
  r.add({"random_uniform_f32", run_uniform<float>, check_uniform_f32, nullptr});
  r.add({"random_uniform_f64", run_uniform<double>, check_uniform_f64, nullptr});
  r.add({"random_normal_f32", run_normal<float>, check_normal_f32, nullptr});
  r.add({"random_normal_f64", run_normal<double>, check_normal_f64, nullptr});
  r.add({"random_integers", run_integers, check_integers, nullptr});
  r.add({"random_permutation", run_permutation, check_permutation, permutation_workspace});
  r.add({"dropout_f32", run_dropout<float>, check_dropout_f32, nullptr});
  r.add({"dropout_f64", run_dropout<double>, check_dropout_f64, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
