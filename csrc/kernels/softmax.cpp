// softmax, log_softmax and their gradients along any axis.
//
//   x, y [outer, k, inner], the axis in the middle. inner = 1: a row is k neighbours, vectors run along it, or over the
//   rows where k is small. Otherwise vectors run over inner, a strip of one vector at a time down the k rows.
// Three passes (maximum; exponentials and their sum; scaling), the last two from L1. Every pass reads an element
// before it is written, so the output may be the input's buffer.
#include "softmax.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

struct Softmax {
  static constexpr const char* name = "softmax";
  template <class T>
  static void row(const T* const* in, T* y, long long k) {
    const T total = exp_row(in[0], y, k, reach_of(in[0], k), fetches_rows() ? k : 0);
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
    const T m = reach_of(x, k).largest;
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

template <class T, class Kernel, int operands>
void run_along_axis(const Launch& l) {
  const SoftmaxParams& p = params_as<SoftmaxParams>(l);
  const T* in[2] = {static_cast<const T*>(l.in[0]), static_cast<const T*>(l.in[operands - 1])};
  T* out = static_cast<T*>(l.out[0]);
  const long long k = p.k, inner = p.inner;
  if (k == 0) return;
  if (inner == 1 && turns<T>(p.outer, k)) {
    constexpr int width = Turned<T>::width;
    for_turned<T, operands + 1>(l.pool, p.outer, kShare / k + 1, [&](Turned<T>* from, long long i, int n) {
      Turned<T>& to = from[operands];
      for (int j = 0; j < operands; j++) from[j].read(in[j] + i * k, k, n);
      Kernel::strip(Strip<T>{{from[0].at, from[operands - 1].at}, to.at, k, width, width});
      to.write(out + i * k, k, n);
    });
    return;
  }
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
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
