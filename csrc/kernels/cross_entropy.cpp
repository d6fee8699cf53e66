// Softmax with cross-entropy, its gradient, and the other kernels that have one label a row.
#include "softmax.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

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

// A vector of rows of few classes from row i on, as run_cross_entropy has them.
template <class T, bool kBoth>
void few_classes(const LabelParams& p, const T* x, const void* labels, const T* dloss, long long i, int n,
                 Turned<T>& e, T* loss, T* out) {
  typedef typename Vec<T>::type V;
  constexpr int width = Vec<T>::width;
  T at_label[width] = {}, hit[width] = {}, inverse[width], upstream[width] = {};
  int label[width];
  for (int r = 0; r < n; r++) {
    label[r] = static_cast<int>(label_at(labels, p, i + r));
    at_label[r] = x[(i + r) * p.k + label[r]];
    if (kBoth) upstream[r] = dloss[i + r];
  }
  e.read(x + i * p.k, p.k, n);
  V m = set1(-static_cast<T>(INFINITY)), total{};
  for (long long j = 0; j < p.k; j++) m = max(load(e.at + j * width), m);
  for (long long j = 0; j < p.k; j++) {
    const V each = exp(load(e.at + j * width) - m);
    store(e.at + j * width, each);
    total += each;
  }
  const V one_over = T{1} / total, scale = kBoth ? one_over * load(upstream) : one_over;
  store(inverse, one_over);
  if (kBoth)
    for (int r = 0; r < n; r++) hit[r] = upstream[r] * (e.at[label[r] * width + r] * inverse[r] - 1);
  for (long long j = 0; j < p.k; j++) store(e.at + j * width, load(e.at + j * width) * scale);
  if (kBoth)
    for (int r = 0; r < n; r++) e.at[label[r] * width + r] = hit[r];
  Row<T>::put(loss + i, log_of(total) - (load(at_label) - m), n);
  e.write(out + i * p.k, p.k, n);
}

// Inputs x, labels; outputs loss [n], softmax [n, k]. kBoth: with dloss, its gradient by x in place of the softmax.
template <class T, bool kBoth>
void run_cross_entropy(const Launch& l) {
  const LabelParams& p = params_as<LabelParams>(l);
  const void* labels = l.in[1];
  check_labels(kBoth ? "softmax_cross_entropy_both" : "softmax_cross_entropy", labels, p);
  const T *x = static_cast<const T*>(l.in[0]), *dloss = kBoth ? static_cast<const T*>(l.in[2]) : nullptr;
  T *loss = static_cast<T*>(l.out[0]), *out = static_cast<T*>(l.out[1]);
  if (turns<T>(p.n, p.k)) {
    for_turned<T, 1>(l.pool, p.n, kShare / (p.k + 1) + 1, [&](Turned<T>* e, long long i, int n) {
      few_classes<T, kBoth>(p, x, labels, dloss, i, n, *e, loss, out);
    });
    return;
  }
  const long long ahead = ahead_of<T>(p.n, p.k);
  parallel_range(
      l.pool, p.n, kShare / (p.k + 1) + 1,
      [&](long long begin, long long end, int) {
        if (begin == end) return;
        Reach<T> reach = reach_of(x + begin * p.k, p.k);
        // The logarithms of a vector of rows at once.
        for (long long first = begin; first < end; first += Vec<T>::width) {
          const int n = static_cast<int>(end - first < Vec<T>::width ? end - first : Vec<T>::width);
          T totals[Vec<T>::width] = {}, below[Vec<T>::width] = {};
          for (int r = 0; r < n; r++) {
            const long long i = first + r, label = label_at(labels, p, i);
            const T at_label = x[i * p.k + label];
            T* y = out + i * p.k;
            const T total = exp_row(x + i * p.k, y, p.k, reach, ahead), one_over = T{1} / total;
            const T hit = kBoth ? dloss[i] * (y[label] * one_over - 1) : T{0};
            const T scale = kBoth ? one_over * dloss[i] : one_over;
            totals[r] = total, below[r] = at_label - reach.largest;
            if (i + 1 < end)
              reach = scale_row_before(x + (i + 1) * p.k, y, p.k, scale);
            else
              scale_row(y, y, p.k, scale);
            if (kBoth) y[label] = hit;
          }
          Row<T>::put(loss + first, log_of(load(totals)) - load(below), n);
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

void register_cross_entropy(Registrar& r) {
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
