// Batch normalisation, forward and backward, and sums over neighbouring channels.
//
//   x, y [outer, c, inner], statistics [c] over outer and inner. inner = 1: vectors run over the channels, down the
//   rows. Otherwise one channel after the other, vectors run along its rows of `inner`. Channels are shared among
//   threads, so every sum has one order, whatever their number.
// Mean first, then the squares around it: the one-pass formula would lose the digits of a small variance.
#include <math.h>

#include "parallel.h"
#include "params.h"
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kShare = 1 << 12;  // elements over which sharing pays
constexpr long long kChunk = 64;       // rows added in one go, before their sum joins the total

template <class T>
inline typename Vec<T>::type get(const T* p, int n) {
  return n == Vec<T>::width ? load(p) : load_n(p, n);
}
template <class T>
inline void put(T* p, typename Vec<T>::type v, int n) {
  n == Vec<T>::width ? store(p, v) : store_n(p, v, n);
}

template <class T>
struct Shape {
  typedef typename Vec<T>::type V;
  static constexpr int width = Vec<T>::width;
  long long outer, c, inner;

  // f(offset, n) for the vectors of channel ch, n < width at the end of a row.
  template <class F>
  void each(long long ch, const F& f) const {
    for (long long o = 0; o < outer; o++) {
      long long at = (o * c + ch) * inner, i = 0;
      for (; i + width <= inner; i += width) f(at + i, width);
      if (i < inner) f(at + i, static_cast<int>(inner - i));
    }
  }
  // Sums of f(offset, n) over the channel, where f gives zeros in the lanes from n on.
  template <class F>
  double sum(long long ch, const F& f) const {
    double total = 0;
    for (long long o = 0; o < outer; o++) {
      long long at = (o * c + ch) * inner, i = 0;
      V a{}, b{}, c4{}, d{};
      for (; i + 4 * width <= inner; i += 4 * width) {
        a += f(at + i, width);
        b += f(at + i + width, width);
        c4 += f(at + i + 2 * width, width);
        d += f(at + i + 3 * width, width);
      }
      for (; i + width <= inner; i += width) a += f(at + i, width);
      if (i < inner) b += f(at + i, static_cast<int>(inner - i));
      total += hsum((a + b) + (c4 + d));
    }
    return total;
  }
  // inner = 1: the sums over the rows of n channels from ch on, f(offset).
  template <class F>
  V sum_rows(long long ch, const F& f) const {
    V total{};
    for (long long o = 0; o < outer; o += kChunk) {
      long long end = o + kChunk < outer ? o + kChunk : outer;
      V part{};
      for (long long row = o; row < end; row++) part += f(row * c + ch);
      total += part;
    }
    return total;
  }

  // f(channel) or, where inner = 1, g(first channel, n).
  template <class F, class G>
  void share(ThreadPool* pool, const F& f, const G& g) const {
    long long per_channel = outer * inner + 1;
    if (inner != 1) {
      parallel_range(
          pool, c, kShare / per_channel + 1,
          [&](long long begin, long long end, int) {
            for (long long ch = begin; ch < end; ch++) f(ch);
          },
          1);
      return;
    }
    long long strips = (c + width - 1) / width;
    parallel_range(
        pool, strips, kShare / (per_channel * width) + 1,
        [&](long long begin, long long end, int) {
          for (long long s = begin; s < end; s++) {
            long long ch = s * width;
            g(ch, static_cast<int>(c - ch < width ? c - ch : width));
          }
        },
        1);
  }
};

template <class T>
Shape<T> shape_of(const Launch& l) {
  const BatchNormParams& p = params_as<BatchNormParams>(l);
  return {p.outer, p.c, p.inner};
}

// The first n lanes of v, zeros in the others.
template <class V>
inline V first(V v, int n) {
  constexpr int width = static_cast<int>(sizeof(V) / sizeof(v[0]));
  if (n == width) return v;
  for (int i = n; i < width; i++) v[i] = 0;
  return v;
}

// Inputs x, gamma, beta; outputs y, mean, var.
template <class T>
void run_batch_norm(const Launch& l) {
  typedef typename Vec<T>::type V;
  const Shape<T> shape = shape_of<T>(l);
  const T *x = static_cast<const T*>(l.in[0]), *gamma = static_cast<const T*>(l.in[1]),
          *beta = static_cast<const T*>(l.in[2]);
  T *y = static_cast<T*>(l.out[0]), *mean = static_cast<T*>(l.out[1]), *var = static_cast<T*>(l.out[2]);
  const T eps = static_cast<T>(params_as<BatchNormParams>(l).eps);
  const double count = static_cast<double>(shape.outer * shape.inner);
  shape.share(
      l.pool,
      [&](long long ch) {
        T m = static_cast<T>(shape.sum(ch, [&](long long i, int n) { return get(x + i, n); }) / count);
        T v = static_cast<T>(shape.sum(ch, [&](long long i, int n) {
          V d = first(get(x + i, n) - m, n);
          return d * d;
        }) / count);
        T scale = gamma[ch] / static_cast<T>(::sqrt(v + eps)), shift = beta[ch];
        shape.each(ch, [&](long long i, int n) { put(y + i, (get(x + i, n) - m) * scale + shift, n); });
        mean[ch] = m;
        var[ch] = v;
      },
      [&](long long ch, int n) {
        V m = shape.sum_rows(ch, [&](long long i) { return get(x + i, n); }) / static_cast<T>(count);
        V v = shape.sum_rows(ch, [&](long long i) {
          V d = get(x + i, n) - m;
          return d * d;
        }) / static_cast<T>(count);
        V scale = get(gamma + ch, n) / sqrt(v + eps), shift = get(beta + ch, n);
        for (long long o = 0; o < shape.outer; o++) {
          long long i = o * shape.c + ch;
          put(y + i, (get(x + i, n) - m) * scale + shift, n);
        }
        put(mean + ch, m, n);
        put(var + ch, v, n);
      });
}

// Inputs dy, x, gamma, mean, var; outputs dx, dgamma, dbeta. With h = (x - mean) * r:
// dx = gamma r (dy - sum(dy) / count - h * sum(dy h) / count).
template <class T>
void run_batch_norm_grad(const Launch& l) {
  typedef typename Vec<T>::type V;
  const Shape<T> shape = shape_of<T>(l);
  const T *dy = static_cast<const T*>(l.in[0]), *x = static_cast<const T*>(l.in[1]),
          *gamma = static_cast<const T*>(l.in[2]), *mean = static_cast<const T*>(l.in[3]),
          *var = static_cast<const T*>(l.in[4]);
  T *dx = static_cast<T*>(l.out[0]), *dgamma = static_cast<T*>(l.out[1]), *dbeta = static_cast<T*>(l.out[2]);
  const T eps = static_cast<T>(params_as<BatchNormParams>(l).eps);
  const T count = static_cast<T>(shape.outer * shape.inner);
  shape.share(
      l.pool,
      [&](long long ch) {
        T m = mean[ch], r = T{1} / static_cast<T>(::sqrt(var[ch] + eps));
        T sum = static_cast<T>(shape.sum(ch, [&](long long i, int n) { return get(dy + i, n); }));
        T inner = static_cast<T>(
            shape.sum(ch, [&](long long i, int n) { return get(dy + i, n) * ((get(x + i, n) - m) * r); }));
        T scale = gamma[ch] * r, a = sum / count, b = inner / count;
        shape.each(ch, [&](long long i, int n) {
          put(dx + i, (get(dy + i, n) - a - (get(x + i, n) - m) * r * b) * scale, n);
        });
        dgamma[ch] = inner;
        dbeta[ch] = sum;
      },
      [&](long long ch, int n) {
        V m = get(mean + ch, n), r = T{1} / sqrt(get(var + ch, n) + eps);
        V sum = shape.sum_rows(ch, [&](long long i) { return get(dy + i, n); });
        V inner = shape.sum_rows(ch, [&](long long i) { return get(dy + i, n) * ((get(x + i, n) - m) * r); });
        V scale = get(gamma + ch, n) * r, a = sum / count, b = inner / count;
        for (long long o = 0; o < shape.outer; o++) {
          long long i = o * shape.c + ch;
          put(dx + i, (get(dy + i, n) - a - (get(x + i, n) - m) * r * b) * scale, n);
        }
        put(dgamma + ch, inner, n);
        put(dbeta + ch, sum, n);
      });
}

template <class T>
void check_batch_norm(const Sizes& s, const char* kernel, int n_in, int wide_inputs) {
  require_counts(s, kernel, n_in, 3);
  const BatchNormParams& p = params_as<BatchNormParams>(s, kernel);
  if (p.outer < 0 || p.c < 0 || p.inner < 0)
    fail("%s: negative extent %lld, %lld or %lld", kernel, p.outer, p.c, p.inner);
  size_t whole = sizeof(T) * p.outer * p.c * p.inner, channels = sizeof(T) * p.c;
  for (int i = 0; i < n_in; i++)
    require_bytes(kernel, "an input", s.in_bytes[i], i < wide_inputs ? whole : channels);
  for (int i = 0; i < 3; i++) require_bytes(kernel, "an output", s.out_bytes[i], i == 0 ? whole : channels);
}
template <class T>
void check_forward(const Sizes& s) {
  check_batch_norm<T>(s, "batch_norm", 3, 1);
}
template <class T>
void check_backward(const Sizes& s) {
  check_batch_norm<T>(s, "batch_norm_grad", 5, 2);
}

// y[o, c, i] = sum of x[o, j, i] for j = c - before ... c + after.
template <class T>
void run_window_sum(const Launch& l) {
  typedef typename Vec<T>::type V;
  const WindowSumParams& p = params_as<WindowSumParams>(l);
  const T* x = static_cast<const T*>(l.in[0]);
  T* y = static_cast<T*>(l.out[0]);
  const long long inner = p.inner;
  parallel_range(
      l.pool, p.outer * p.c, kShare / ((inner + 1) * (p.before + p.after + 1)) + 1,
      [&](long long begin, long long end, int) {
        for (long long row = begin; row < end; row++) {
          long long ch = row % p.c, low = ch - p.before > 0 ? ch - p.before : 0;
          long long high = ch + p.after < p.c - 1 ? ch + p.after : p.c - 1;
          const T* from = x + (row - ch + low) * inner;
          T* to = y + row * inner;
          for (long long i = 0; i < inner; i += Vec<T>::width) {
            int n = static_cast<int>(inner - i < Vec<T>::width ? inner - i : Vec<T>::width);
            V sum{};
            for (long long j = 0; j <= high - low; j++) sum += get(from + j * inner + i, n);
            put(to + i, sum, n);
          }
        }
      },
      1);
}

template <class T>
void check_window_sum(const Sizes& s) {
  require_counts(s, "window_sum", 1, 1);
  const WindowSumParams& p = params_as<WindowSumParams>(s, "window_sum");
  if (p.outer < 0 || p.c < 0 || p.inner < 0 || p.before < 0 || p.after < 0)
    fail("window_sum: negative extent %lld, %lld, %lld, %lld or %lld", p.outer, p.c, p.inner, p.before,
         p.after);
  size_t need = sizeof(T) * p.outer * p.c * p.inner;
  require_bytes("window_sum", "the input", s.in_bytes[0], need);
  require_bytes("window_sum", "the output", s.out_bytes[0], need);
}

}  // namespace

void register_norm(Registrar& r) {
  r.add({"batch_norm_f32", run_batch_norm<float>, check_forward<float>, nullptr});
  r.add({"batch_norm_f64", run_batch_norm<double>, check_forward<double>, nullptr});
  r.add({"batch_norm_grad_f32", run_batch_norm_grad<float>, check_backward<float>, nullptr});
  r.add({"batch_norm_grad_f64", run_batch_norm_grad<double>, check_backward<double>, nullptr});
  r.add({"window_sum_f32", run_window_sum<float>, check_window_sum<float>, nullptr});
  r.add({"window_sum_f64", run_window_sum<double>, check_window_sum<double>, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
