// Pooling forward, maximum, average and Lp, and the gradient of the average.
//
//   y[i, j] = f(combine over the window of g(x))
//
// separable_pool: the rows of a window are combined first, a vector of columns at a time, into one row; then
// the columns of that row. With a horizontal stride s the row is kept as s runs of every s-th value
// (pool_common.h), so that this step is vectorised as well. A NaN in a window makes its maximum NaN.
// paired_max_pool: windows of 2 x 2 side by side without padding, in one step.
// avg_pool_grad: the same two steps backwards, with rows that have the same windows computed once.
#include <math.h>

#include "pool_common.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

template <class V>
inline V larger(V best, V value) {
  auto wins = (value > best) | (value != value);
  return wins ? value : best;
}

#if defined(__AVX2__)
inline __m256 larger(__m256 best, __m256 value) {
  const __m256 most = _mm256_max_ps(value, best);  // of equals, and beside a NaN, best
  return _mm256_blendv_ps(most, value, _mm256_cmp_ps(value, value, _CMP_UNORD_Q));
}
#endif
#if defined(__AVX512F__)
inline vf larger(vf best, vf value) {
  const __m512 v = (__m512)value, most = _mm512_max_ps(v, (__m512)best);
  return (vf)_mm512_mask_mov_ps(most, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), v);
}
#endif

template <class T>
struct Maximum {
  using V = typename Lanes<T>::V;
  static constexpr T kNone = -__builtin_inff();
  explicit Maximum(const PoolParams&) {}
  V from(V x) const { return x; }
  V combine(V a, V b) const { return larger(a, b); }
  V finish(V sum, T, V) const { return sum; }
};

template <class T>
struct Average {
  using V = typename Lanes<T>::V;
  static constexpr T kNone = 0;
  explicit Average(const PoolParams&) {}
  V from(V x) const { return x; }
  V combine(V a, V b) const { return a + b; }
  V finish(V sum, T rows, V cols) const { return sum / (rows * cols); }
};

template <class T>
struct L2 {
  using V = typename Lanes<T>::V;
  static constexpr T kNone = 0;
  explicit L2(const PoolParams&) {}
  V from(V x) const { return x * x; }
  V combine(V a, V b) const { return a + b; }
  V finish(V sum, T, V) const { return sqrt(sum); }
};

template <class T>
struct Lp {
  using V = typename Lanes<T>::V;
  static constexpr T kNone = 0;
  double p;
  explicit Lp(const PoolParams& params) : p(params.exponent) {}
  V from(V x) const {
    for (int i = 0; i < Lanes<T>::W; i++) x[i] = static_cast<T>(::pow(::fabs(static_cast<double>(x[i])), p));
    return x;
  }
  V combine(V a, V b) const { return a + b; }
  V finish(V sum, T, V) const {
    for (int i = 0; i < Lanes<T>::W; i++) sum[i] = static_cast<T>(::pow(static_cast<double>(sum[i]), 1 / p));
    return sum;
  }
};

template <class T>
struct Scratch {
  T* column;  // the rows of a window combined
  T* row;     // the same in the layout of the windows
  T* counts;  // divisor of each output column
};

template <class T>
size_t carve(const PoolParams& p, char* base, int threads, int part, Scratch<T>& out) {
  Carver c{base};
  const RowLayout r = row_layout<T>(p.q, p.window_w, p.stride_w);
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    Scratch<T> s{};
    s.column = c.take<T>((p.w > p.q ? p.w : p.q) + Lanes<T>::W);
    s.row = c.take<T>(r.size > p.w ? r.size : p.w);
    s.counts = c.take<T>(p.q + Lanes<T>::W);
    if (t == part) out = s;
  }
  return c.used;
}

template <class T>
void count_columns(const PoolParams& p, T* counts) {
  for (int j = 0; j < p.q; j++)
    counts[j] = static_cast<T>(window_count(p.mode, j, p.window_w, p.stride_w, p.left, p.right, p.w));
  for (int j = p.q; j < p.q + Lanes<T>::W; j++) counts[j] = 1;
}

template <class T, class Op>
void pool_plane(const PoolParams& p, const RowLayout& layout, const Op& op, const Scratch<T>& s, const T* x,
                T* y) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  const bool in_place = layout.stride == 1;  // then the combined row can be written where the windows read it
  T* column = in_place ? s.row + p.left : s.column;
  for (int i = 0; i < p.p; i++) {
    const Span rows = window_span(i, p.window_h, p.stride_h, p.top, p.h);
    for (int j = 0; j < p.w; j += W) {
      const T* from = x + static_cast<long long>(rows.begin) * p.w + j;
      const int n = p.w - j;
      V sum = op.from(load_part(from, n));
      for (int h = rows.begin + 1; h < rows.end; h++)
        sum = op.combine(sum, op.from(load_part(from += p.w, n)));
      store_part(column + j, sum, n);
    }
    if (!in_place) lay_row(layout, column, p.w, p.left, s.row);
    const T count = static_cast<T>(window_count(p.mode, i, p.window_h, p.stride_h, p.top, p.bottom, p.h));
    for (int j = 0; j < p.q; j += W) {
      V sum = load(s.row + j);
      ElementWalk element{layout};
      for (int k = 1; k < p.window_w; k++) {
        element.next();
        sum = op.combine(sum, load(s.row + element.at + j));
      }
      store_part(y + j, op.finish(sum, count, load(s.counts + j)), p.q - j);
    }
    y += p.q;
  }
}

// Maxima of windows of 2 x 2 side by side: two vectors of each row give one of outputs.
template <class T>
void max_of_pairs(const PoolParams& p, const T* x, T* y) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  for (int i = 0; i < p.p; i++, x += 2LL * p.w, y += p.q) {
    auto outputs = [&](V above0, V above1, V below0, V below1) {
      V even, odd;
      split_pairs(larger(above0, below0), larger(above1, below1), even, odd);
      return larger(even, odd);
    };
    const T* below = x + p.w;
    auto whole = [&](int j) {
      store(y + j,
            outputs(load(x + 2 * j), load(x + 2 * j + W), load(below + 2 * j), load(below + 2 * j + W)));
    };
    int j = 0;
    for (; j + W <= p.q; j += W) whole(j);
    if (const int rest = 2 * (p.q - j), more = rest > W ? rest - W : 0; rest && p.q >= W)
      whole(p.q - W);  // the last vector overlaps the one before
    else if (rest)
      store_part(y + j,
                 outputs(load_part(x + 2 * j, rest), load_part(x + 2 * j + W, more),
                         load_part(below + 2 * j, rest), load_part(below + 2 * j + W, more)),
                 p.q - j);
  }
}

#if defined(__AVX512F__)
// In vectors of 8: of a row's unaligned loads half as many cross a cache line.
template <>
void max_of_pairs<float>(const PoolParams& p, const float* x, float* y) {
  const int rest = p.q % 8, first = 2 * rest < 8 ? 2 * rest : 8;
  const __mmask8 left = static_cast<__mmask8>((1u << first) - 1),
                 right = static_cast<__mmask8>((1u << (2 * rest - first)) - 1),
                 out = static_cast<__mmask8>((1u << rest) - 1);
  for (int i = 0; i < p.p; i++, x += 2LL * p.w, y += p.q) {
    const float* below = x + p.w;
    auto outputs = [](__m256 a, __m256 b) {
      __m256 even, odd;
      split_pairs(a, b, even, odd);
      return larger(even, odd);
    };
    auto whole = [&](int j) {
      const float *upper = x + 2 * j, *lower = below + 2 * j;
      _mm256_storeu_ps(y + j, outputs(larger(_mm256_loadu_ps(upper), _mm256_loadu_ps(lower)),
                                      larger(_mm256_loadu_ps(upper + 8), _mm256_loadu_ps(lower + 8))));
    };
    for (int j = 0; j + 8 <= p.q; j += 8) whole(j);
    if (rest && p.q >= 8) {
      whole(p.q - 8);  // the last vector overlaps the one before
    } else if (rest) {
      auto part = [](__mmask8 lanes, const float* from) { return _mm256_maskz_loadu_ps(lanes, from); };
      _mm256_mask_storeu_ps(y, out,
                            outputs(larger(part(left, x), part(left, below)),
                                    larger(part(right, x + 8), part(right, below + 8))));
    }
  }
}
#endif

template <class T>
void run_max_of_pairs(const Launch& l) {
  const PoolParams& p = params_as<PoolParams>(l);
  for_planes(p, l.pool, [&](long long first, long long last, int) {
    for (long long i = first; i < last; i++)
      max_of_pairs(p, static_cast<const T*>(l.in[0]) + i * p.h * p.w,
                   static_cast<T*>(l.out[0]) + i * p.p * p.q);
  });
}

void run_paired_max(const Launch& l) {
  with_type(params_as<PoolParams>(l), [&](auto zero) { run_max_of_pairs<decltype(zero)>(l); });
}

template <class T, class Op>
void run_typed(const Launch& l) {
  const PoolParams& p = params_as<PoolParams>(l);
  const Op op(p);
  const RowLayout layout = row_layout<T>(p.q, p.window_w, p.stride_w);
  for_planes(p, l.pool, [&](long long first, long long last, int part) {
    Scratch<T> s{};
    carve(p, static_cast<char*>(l.workspace), l.pool->size(), part, s);
    count_columns(p, s.counts);
    for (long long i = 0; i < layout.size; i++) s.row[i] = Op::kNone;
    for (long long i = first; i < last; i++)
      pool_plane(p, layout, op, s, static_cast<const T*>(l.in[0]) + i * p.h * p.w,
                 static_cast<T*>(l.out[0]) + i * p.p * p.q);
  });
}

template <template <class> class Op>
void run_pool(const Launch& l) {
  with_type(params_as<PoolParams>(l), [&](auto zero) { run_typed<decltype(zero), Op<decltype(zero)>>(l); });
}

void run_lp(const Launch& l) { params_as<PoolParams>(l).exponent == 2 ? run_pool<L2>(l) : run_pool<Lp>(l); }

// ---- the gradient of the average ------------------------------------------------------------------------

template <class T>
void spread_plane(const PoolParams& p, const RowLayout& layout, const Scratch<T>& s, const T* dy, T* dx) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  Span before{-1, -1};
  for (int h = 0; h < p.h; h++, dx += p.w) {
    const Span rows = outputs_over(h, p.window_h, p.stride_h, p.top, p.p);
    if (h > 0 && rows.begin == before.begin && rows.end == before.end) {
      memcpy(dx, dx - p.w, static_cast<size_t>(p.w) * sizeof(T));
      continue;
    }
    before = rows;
    for (int j = 0; j < p.q; j += W) {
      V sum{};
      for (int i = rows.begin; i < rows.end; i++) {
        const T count = static_cast<T>(window_count(p.mode, i, p.window_h, p.stride_h, p.top, p.bottom, p.h));
        sum += load_part(dy + static_cast<long long>(i) * p.q + j, p.q - j) / (count * load(s.counts + j));
      }
      store(s.column + j, sum);
    }
    // Each window's share to the columns it covers; beyond q the share is 0.
    for (long long j = 0; j < layout.size; j++) s.row[j] = 0;
    ElementWalk element{layout};
    for (int k = 0; k < p.window_w; k++, element.next()) {
      T* to = s.row + element.at;
      for (int j = 0; j < p.q; j += W) store(to + j, load(to + j) + load(s.column + j));
    }
    unlay_row(layout, s.row, p.w, p.left, dx);
  }
}

// One window over the whole plane: every element gets the same.
bool is_global(const PoolParams& p) {
  return p.p == 1 && p.q == 1 && p.h + p.top <= p.window_h && p.w + p.left <= p.window_w;
}

template <class T>
void fill_planes(const PoolParams& p, const T* dy, T* dx, long long first, long long last) {
  const long long plane = static_cast<long long>(p.h) * p.w;
  const T count = static_cast<T>(window_count(p.mode, 0, p.window_h, p.stride_h, p.top, p.bottom, p.h)) *
                  static_cast<T>(window_count(p.mode, 0, p.window_w, p.stride_w, p.left, p.right, p.w));
  for (long long i = first; i < last; i++) {
    const T value = dy[i] / count;
    for (T* to = dx + i * plane; to < dx + (i + 1) * plane; to++) *to = value;
  }
}

template <class T>
void run_spread_typed(const Launch& l) {
  const PoolParams& p = params_as<PoolParams>(l);
  if (is_global(p)) {
    for_planes(p, l.pool, [&](long long first, long long last, int) {
      fill_planes(p, static_cast<const T*>(l.in[0]), static_cast<T*>(l.out[0]), first, last);
    });
    return;
  }
  const RowLayout layout = row_layout<T>(p.q, p.window_w, p.stride_w);
  for_planes(p, l.pool, [&](long long first, long long last, int part) {
    Scratch<T> s{};
    carve(p, static_cast<char*>(l.workspace), l.pool->size(), part, s);
    count_columns(p, s.counts);
    for (long long i = first; i < last; i++)
      spread_plane(p, layout, s, static_cast<const T*>(l.in[0]) + i * p.p * p.q,
                   static_cast<T*>(l.out[0]) + i * p.h * p.w);
  });
}

void run_spread(const Launch& l) {
  with_type(params_as<PoolParams>(l), [&](auto zero) { run_spread_typed<decltype(zero)>(l); });
}

size_t workspace(const Sizes& s) {
  const PoolParams& p = params_as<PoolParams>(s, "pool");
  Scratch<float> f{};
  Scratch<double> d{};
  return p.itemsize == 4 ? carve(p, nullptr, s.threads, 0, f) : carve(p, nullptr, s.threads, 0, d);
}

void check(const Sizes& s) {
  check_pool(s, "separable_pool", params_as<PoolParams>(s, "separable_pool"), 1, s.in_bytes[0],
             s.out_bytes[0]);
}
void check_paired(const Sizes& s) {
  check_pool(s, "paired_max_pool", params_as<PoolParams>(s, "paired_max_pool"), 1, s.in_bytes[0],
             s.out_bytes[0]);
  check_pairs("paired_max_pool", params_as<PoolParams>(s, "paired_max_pool"));
}
void check_spread(const Sizes& s) {  // dy and the two dimensions of x
  check_pool(s, "avg_pool_grad", params_as<PoolParams>(s, "avg_pool_grad"), 3, s.out_bytes[0], s.in_bytes[0]);
}

}  // namespace

void register_pool(Registrar& r) {
  r.add({"paired_max_pool", run_paired_max, check_paired, nullptr});
  r.add({"separable_max_pool", run_pool<Maximum>, check, workspace});
  r.add({"separable_avg_pool", run_pool<Average>, check, workspace});
  r.add({"separable_lp_pool", run_lp, check, workspace});
  r.add({"avg_pool_grad", run_spread, check_spread, workspace});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
