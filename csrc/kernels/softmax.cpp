// softmax, log_softmax and their gradients along any axis; softmax with cross-entropy; one label a row.
//
//   x, y [outer, k, inner], the axis in the middle. inner = 1: a row is k neighbours, vectors run along it. Otherwise
//   vectors run over inner, a strip of one vector at a time down the k rows.
// Three passes (maximum; exponentials and their sum; scaling), the last two from L1. Every pass reads an element
// before it is written, so the output may be the input's buffer.
#include <math.h>

#include "exp.h"
#include "parallel.h"
#include "params.h"
#include "vmath.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kShare = 1 << 11;  // elements of a pass over which sharing pays: about 4 us

inline float log_of(float x) { return ::logf(x); }
inline double log_of(double x) { return ::log(x); }
inline vf log_of(vf x) {
  for (int i = 0; i < VF_WIDTH; i++) x[i] = ::logf(x[i]);
  return x;
}
inline vd log_of(vd x) {
  for (int i = 0; i < VD_WIDTH; i++) x[i] = ::log(x[i]);
  return x;
}

template <class T>
inline typename Vec<T>::mask first_lanes(int n) {
  typename Vec<T>::mask lane{};
  for (int i = 0; i < Vec<T>::width; i++) lane[i] = i;
  return lane < n;
}

// ---- a row of k neighbours. each(f): f(offset, n) for every vector, n < width in the last one.
template <class T>
struct Row {
  typedef typename Vec<T>::type V;
  static constexpr int width = Vec<T>::width;
  long long k;

  // Sum over the row of f(vector at i, of n lanes).
  template <class F>
  T sum(const F& f) const {
    V total{};
    long long i = 0;
    for (; i + width <= k; i += width) total += f(i, width);
    if (i < k) {
      int n = static_cast<int>(k - i);
      total += select(first_lanes<T>(n), f(i, n), V{});
    }
    return hsum(total);
  }
  template <class F>
  void each(const F& f) const {
    long long i = 0;
    for (; i + width <= k; i += width) f(i, width);
    if (i < k) f(i, static_cast<int>(k - i));
  }
  T max(const T* x) const {
    V m[4];  // a maximum takes some cycles, of which another starts in each
    for (V& each : m) each = set1(-static_cast<T>(INFINITY));
    long long i = 0;
    for (; i + 4 * width <= k; i += 4 * width)
      for (int u = 0; u < 4; u++) m[u] = SYMCONV_ISA::max(load(x + i + u * width), m[u]);
    for (; i + width <= k; i += width) m[0] = SYMCONV_ISA::max(load(x + i), m[0]);
    if (i < k) {
      int n = static_cast<int>(k - i);
      m[0] = SYMCONV_ISA::max(select(first_lanes<T>(n), load_n(x + i, n), m[0]), m[0]);
    }
    return hmax(SYMCONV_ISA::max(SYMCONV_ISA::max(m[0], m[1]), SYMCONV_ISA::max(m[2], m[3])));
  }
  static V get(const T* p, int n) { return n == width ? load(p) : load_n(p, n); }
  static void put(T* p, V v, int n) { n == width ? store(p, v) : store_n(p, v, n); }
};

// Exponentials of x less its maximum, which `shift` gets; returns their sum.
template <class T>
inline T exp_row(const T* x, T* y, long long k, T* shift) {
  Row<T> row{k};
  const T m = row.max(x);
  *shift = m;
  return row.sum([&](long long i, int n) {
    auto e = exp(Row<T>::get(x + i, n) - m);
    Row<T>::put(y + i, e, n);
    return e;
  });
}

template <class T>
inline void scale_row(const T* x, T* y, long long k, T scale) {
  Row<T>{k}.each([&](long long i, int n) { Row<T>::put(y + i, Row<T>::get(x + i, n) * scale, n); });
}

struct Softmax {
  static constexpr const char* name = "softmax";
  template <class T>
  static void row(const T* const* in, T* y, long long k) {
    T shift, total = exp_row(in[0], y, k, &shift);
    scale_row(y, y, k, T{1} / total);
  }
  template <class S>
  static void strip(const S& s) {
    typedef typename S::V V;
    V m = set1(-static_cast<typename S::T>(INFINITY)), total{};
    s.each([&](long long i) { m = max(s.get(0, i), m); });
    s.each([&](long long i) {
      V e = exp(s.get(0, i) - m);
      s.put(i, e);
      total += e;
    });
    V scale = typename S::T{1} / total;
    s.each([&](long long i) { s.put(i, s.own(i) * scale); });
  }
};

struct LogSoftmax {
  static constexpr const char* name = "log_softmax";
  template <class T>
  static void row(const T* const* in, T* y, long long k) {
    const T* x = in[0];
    Row<T> row{k};
    T m = row.max(x);
    T log = log_of(row.sum([&](long long i, int n) { return exp(Row<T>::get(x + i, n) - m); }));
    row.each([&](long long i, int n) { Row<T>::put(y + i, (Row<T>::get(x + i, n) - m) - log, n); });
  }
  template <class S>
  static void strip(const S& s) {
    typedef typename S::V V;
    V m = set1(-static_cast<typename S::T>(INFINITY)), total{};
    s.each([&](long long i) { m = max(s.get(0, i), m); });
    s.each([&](long long i) { total += exp(s.get(0, i) - m); });
    V log = log_of(total);
    s.each([&](long long i) { s.put(i, (s.get(0, i) - m) - log); });
  }
};

// dx = y * (dy - sum(dy * y)); inputs dy, y.
struct SoftmaxGrad {
  static constexpr const char* name = "softmax_grad";
  template <class T>
  static void row(const T* const* in, T* dx, long long k) {
    const T *dy = in[0], *y = in[1];
    Row<T> row{k};
    T inner = row.sum([&](long long i, int n) { return Row<T>::get(dy + i, n) * Row<T>::get(y + i, n); });
    row.each([&](long long i, int n) {
      Row<T>::put(dx + i, Row<T>::get(y + i, n) * (Row<T>::get(dy + i, n) - inner), n);
    });
  }
  template <class S>
  static void strip(const S& s) {
    typename S::V inner{};
    s.each([&](long long i) { inner += s.get(0, i) * s.get(1, i); });
    s.each([&](long long i) { s.put(i, s.get(1, i) * (s.get(0, i) - inner)); });
  }
};

// dx = dy - exp(y) * sum(dy); inputs dy, y.
struct LogSoftmaxGrad {
  static constexpr const char* name = "log_softmax_grad";
  template <class T>
  static void row(const T* const* in, T* dx, long long k) {
    const T *dy = in[0], *y = in[1];
    Row<T> row{k};
    T total = row.sum([&](long long i, int n) { return Row<T>::get(dy + i, n); });
    row.each([&](long long i, int n) {
      Row<T>::put(dx + i, Row<T>::get(dy + i, n) - exp(Row<T>::get(y + i, n)) * total, n);
    });
  }
  template <class S>
  static void strip(const S& s) {
    typename S::V total{};
    s.each([&](long long i) { total += s.get(0, i); });
    s.each([&](long long i) { s.put(i, s.get(0, i) - exp(s.get(1, i)) * total); });
  }
};

// ---- a strip: n <= width columns of one [k, inner] matrix
template <class Type>
struct Strip {
  typedef Type T;
  typedef typename Vec<T>::type V;
  const T* in[2];
  T* out;
  long long k, inner;
  int n;

  V get(int operand, long long i) const { return Row<T>::get(in[operand] + i * inner, n); }
  V own(long long i) const { return Row<T>::get(out + i * inner, n); }
  void put(long long i, V v) const { Row<T>::put(out + i * inner, v, n); }
  template <class F>
  void each(const F& f) const {
    for (long long i = 0; i < k; i++) f(i);
  }
};

template <class T, class Kernel, int operands>
void run_along_axis(const Launch& l) {
  const SoftmaxParams& p = params_as<SoftmaxParams>(l);
  const T* in[2] = {static_cast<const T*>(l.in[0]), static_cast<const T*>(l.in[operands - 1])};
  T* out = static_cast<T*>(l.out[0]);
  const long long k = p.k, inner = p.inner;
  if (k == 0) return;
  if (inner == 1) {
    parallel_range(
        l.pool, p.outer, kShare / k + 1,
        [&](long long begin, long long end, int) {
          for (long long i = begin; i < end; i++) {
            const T* row[2] = {in[0] + i * k, in[1] + i * k};
            Kernel::row(row, out + i * k, k);
          }
        },
        1);
    return;
  }
  constexpr int width = Vec<T>::width;
  const long long strips = (inner + width - 1) / width;
  parallel_range(
      l.pool, p.outer * strips, kShare / (k * width) + 1,
      [&](long long begin, long long end, int) {
        for (long long i = begin; i < end; i++) {
          long long column = i % strips * width, at = i / strips * k * inner + column;
          int n = static_cast<int>(inner - column < width ? inner - column : width);
          Kernel::strip(Strip<T>{{in[0] + at, in[1] + at}, out + at, k, inner, n});
        }
      },
      1);
}

template <class T, class Kernel, int operands>
void check_along_axis(const Sizes& s) {
  const char* kernel = Kernel::name;
  require_counts(s, kernel, operands, 1);
  const SoftmaxParams& p = params_as<SoftmaxParams>(s, kernel);
  if (p.outer < 0 || p.k < 0 || p.inner < 0)
    fail("%s: negative extent %lld, %lld or %lld", kernel, p.outer, p.k, p.inner);
  size_t need = sizeof(T) * p.outer * p.k * p.inner;
  for (int i = 0; i < operands; i++) require_bytes(kernel, "an input", s.in_bytes[i], need);
  require_bytes(kernel, "the output", s.out_bytes[0], need);
}

// ---- one label a row
inline long long label_at(const void* labels, const LabelParams& p, long long i) {
  switch (p.label_bytes) {
    case 1:
      return p.label_unsigned ? static_cast<long long>(static_cast<const uint8_t*>(labels)[i])
                              : static_cast<long long>(static_cast<const int8_t*>(labels)[i]);
    case 2:
      return static_cast<const int16_t*>(labels)[i];
    case 4:
      return static_cast<const int32_t*>(labels)[i];
    default:
      return static_cast<const int64_t*>(labels)[i];
  }
}

// Before anything is written or shared: an error must come from the calling thread.
void check_labels(const char* op, const void* labels, const LabelParams& p) {
  for (long long i = 0; i < p.n; i++) {
    long long label = label_at(labels, p, i);
    if (label < 0 || label >= p.k)
      fail_index("%s: label %lld in row %lld is out of range for %lld classes\n  hint: labels are 0 to %lld",
                 op, label, i, p.k, p.k - 1);
  }
}

// Inputs x, labels; outputs loss [n], softmax [n, k]. kBoth: with dloss, its gradient by x in place of the softmax.
template <class T, bool kBoth>
void run_cross_entropy(const Launch& l) {
  const LabelParams& p = params_as<LabelParams>(l);
  const void* labels = l.in[1];
  check_labels(kBoth ? "softmax_cross_entropy_both" : "softmax_cross_entropy", labels, p);
  const T *x = static_cast<const T*>(l.in[0]), *dloss = kBoth ? static_cast<const T*>(l.in[2]) : nullptr;
  T *loss = static_cast<T*>(l.out[0]), *out = static_cast<T*>(l.out[1]);
  parallel_range(
      l.pool, p.n, kShare / (p.k + 1) + 1,
      [&](long long begin, long long end, int) {
        for (long long i = begin; i < end; i++) {
          const long long label = label_at(labels, p, i);
          const T at_label = x[i * p.k + label];
          T shift, *y = out + i * p.k, total = exp_row(x + i * p.k, y, p.k, &shift), scale = T{1} / total;
          const T hit = kBoth ? dloss[i] * (y[label] * scale - 1) : T{0};
          scale_row(y, y, p.k, kBoth ? scale * dloss[i] : scale);
          if (kBoth) y[label] = hit;
          loss[i] = log_of(total) - (at_label - shift);
        }
      },
      1);
}

// Inputs dloss, p, labels: dx = dloss * (p - one_hot(label)).
template <class T>
void run_cross_entropy_grad(const Launch& l) {
  const LabelParams& p = params_as<LabelParams>(l);
  const void* labels = l.in[2];
  check_labels("softmax_cross_entropy_grad", labels, p);
  const T *dloss = static_cast<const T*>(l.in[0]), *y = static_cast<const T*>(l.in[1]);
  T* dx = static_cast<T*>(l.out[0]);
  parallel_range(
      l.pool, p.n, 4 * kShare / (p.k + 1) + 1,
      [&](long long begin, long long end, int) {
        for (long long i = begin; i < end; i++) {
          long long label = label_at(labels, p, i);
          const T *from = y + i * p.k, scale = dloss[i];
          T *to = dx + i * p.k, hit = scale * (from[label] - 1);
          scale_row(from, to, p.k, scale);
          to[label] = hit;
        }
      },
      1);
}

// Inputs x, labels: y[i] = x[i, label].
template <class T>
void run_take_label(const Launch& l) {
  const LabelParams& p = params_as<LabelParams>(l);
  check_labels("take_label", l.in[1], p);
  const T* x = static_cast<const T*>(l.in[0]);
  T* y = static_cast<T*>(l.out[0]);
  for (long long i = 0; i < p.n; i++) y[i] = x[i * p.k + label_at(l.in[1], p, i)];
}

// Inputs y, labels: x[i, label] = y[i], the rest 0.
template <class T>
void run_put_label(const Launch& l) {
  const LabelParams& p = params_as<LabelParams>(l);
  check_labels("put_label", l.in[1], p);
  const T* y = static_cast<const T*>(l.in[0]);
  T* x = static_cast<T*>(l.out[0]);
  for (long long i = 0; i < p.n * p.k; i++) x[i] = 0;
  for (long long i = 0; i < p.n; i++) x[i * p.k + label_at(l.in[1], p, i)] = y[i];
}

// n values at each of the operands in `vectors`, n * k at the others; labels at `labels`. Outputs follow inputs.
void check_label_sizes(const Sizes& s, const char* kernel, int n_in, int n_out, unsigned vectors, int labels,
                       size_t itemsize) {
  if (s.n_in < n_in || s.n_out != n_out)
    fail("%s: got %d inputs and %d outputs, expected %d and %d", kernel, s.n_in, s.n_out, n_in, n_out);
  const LabelParams& p = params_as<LabelParams>(s, kernel);
  if (p.n < 0 || p.k < 0) fail("%s: negative extent %lld or %lld", kernel, p.n, p.k);
  if (p.label_bytes != 1 && p.label_bytes != 2 && p.label_bytes != 4 && p.label_bytes != 8)
    fail("%s: labels of %d bytes", kernel, p.label_bytes);
  for (int i = 0; i < n_in + n_out; i++) {
    size_t have = i < n_in ? s.in_bytes[i] : s.out_bytes[i - n_in];
    if (i == labels)
      require_bytes(kernel, "labels", have, static_cast<size_t>(p.n) * p.label_bytes);
    else
      require_bytes(kernel, i < n_in ? "an input" : "an output", have,
                    (vectors >> i & 1 ? p.n : p.n * p.k) * itemsize);
  }
}
template <class T>
void check_cross_entropy(const Sizes& s) {
  check_label_sizes(s, "softmax_cross_entropy", 2, 2, 0b0100, 1, sizeof(T));
}
template <class T>
void check_cross_entropy_both(const Sizes& s) {
  check_label_sizes(s, "softmax_cross_entropy_both", 3, 2, 0b01100, 1, sizeof(T));
}
template <class T>
void check_cross_entropy_grad(const Sizes& s) {
  check_label_sizes(s, "softmax_cross_entropy_grad", 3, 1, 0b0001, 2, sizeof(T));
}
template <class T>
void check_take_label(const Sizes& s) {
  check_label_sizes(s, "take_label", 2, 1, 0b0100, 1, sizeof(T));
}
template <class T>
void check_put_label(const Sizes& s) {  // the third input, the number of classes, is in the params
  if (s.n_in < 2) fail("put_label: got %d inputs", s.n_in);
  Sizes two = s;
  two.n_in = 2;
  check_label_sizes(two, "put_label", 2, 1, 0b0001, 1, sizeof(T));
}

}  // namespace

void register_softmax(Registrar& r) {
  r.add({"softmax_f32", run_along_axis<float, Softmax, 1>, check_along_axis<float, Softmax, 1>, nullptr});
  r.add({"softmax_f64", run_along_axis<double, Softmax, 1>, check_along_axis<double, Softmax, 1>, nullptr});
  r.add({"log_softmax_f32", run_along_axis<float, LogSoftmax, 1>, check_along_axis<float, LogSoftmax, 1>,
         nullptr});
  r.add({"log_softmax_f64", run_along_axis<double, LogSoftmax, 1>, check_along_axis<double, LogSoftmax, 1>,
         nullptr});
  r.add({"softmax_grad_f32", run_along_axis<float, SoftmaxGrad, 2>, check_along_axis<float, SoftmaxGrad, 2>,
         nullptr});
  r.add({"softmax_grad_f64", run_along_axis<double, SoftmaxGrad, 2>, check_along_axis<double, SoftmaxGrad, 2>,
         nullptr});
  r.add({"log_softmax_grad_f32", run_along_axis<float, LogSoftmaxGrad, 2>,
         check_along_axis<float, LogSoftmaxGrad, 2>, nullptr});
  r.add({"log_softmax_grad_f64", run_along_axis<double, LogSoftmaxGrad, 2>,
         check_along_axis<double, LogSoftmaxGrad, 2>, nullptr});
  r.add({"softmax_cross_entropy_f32", run_cross_entropy<float, false>, check_cross_entropy<float>, nullptr});
  r.add(
      {"softmax_cross_entropy_f64", run_cross_entropy<double, false>, check_cross_entropy<double>, nullptr});
  r.add({"softmax_cross_entropy_both_f32", run_cross_entropy<float, true>, check_cross_entropy_both<float>,
         nullptr});
  r.add({"softmax_cross_entropy_both_f64", run_cross_entropy<double, true>, check_cross_entropy_both<double>,
         nullptr});
  r.add({"softmax_cross_entropy_grad_f32", run_cross_entropy_grad<float>, check_cross_entropy_grad<float>,
         nullptr});
  r.add({"softmax_cross_entropy_grad_f64", run_cross_entropy_grad<double>, check_cross_entropy_grad<double>,
         nullptr});
  r.add({"take_label_f32", run_take_label<float>, check_take_label<float>, nullptr});
  r.add({"take_label_f64", run_take_label<double>, check_take_label<double>, nullptr});
  r.add({"put_label_f32", run_put_label<float>, check_put_label<float>, nullptr});
  r.add({"put_label_f64", run_put_label<double>, check_put_label<double>, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
