// Arrays from few numbers, an element a thread: one_hot, arange, eye. slice_bound: the int64 scalars of slices.
//
//   one_hot  out[j, c] = labels[j] == c      arange  out[i] = start + i * step, product and sum rounded apart
//   eye      out[i, j] = j - i == k
// One rung: the stores are all there is, and neighbouring threads store to neighbouring places.
#include "pick.cuh"

template <class T>
DEVICE void one_hot_tile(const OneHotParams& p, const Args& args, int tile, Shared) {
  ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= p.count * p.n) return;
  ll j = quotient(i, p.n), label = integer_of(args, 0, p.index_dtype, j);
  bool good = check_index(args, label, j, p.n);
  args.get<T>(2)[i] = good && label == i - j * p.n ? static_cast<T>(p.one) : T(0);
}

template <class T>
DEVICE void eye_tile(const EyeParams& p, const Args& args, int tile, Shared) {
  ll at = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (at >= p.n * p.m) return;
  ll i = quotient(at, p.m), j = at - i * p.m;
  args.get<T>(2)[at] = j - i == p.k ? static_cast<T>(p.one) : T(0);
}

template <class T>
DEVICE T stepped(T start, ll i, T step) {
  return static_cast<T>(start + static_cast<T>(i) * step);
}
template <>
DEVICE float stepped(float start, ll i, float step) {
  return __fadd_rn(start, __fmul_rn(static_cast<float>(i), step));
}
template <>
DEVICE double stepped(double start, ll i, double step) {
  return __dadd_rn(start, __dmul_rn(static_cast<double>(i), step));
}

template <class T>
DEVICE void arange_tile(const ArangeParams& p, const Args& args, int tile, Shared) {
  ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= p.count) return;
  T start = args.get<const T>(0)[0], step = args.get<const T>(1)[0];
  args.get<T>(3)[i] = stepped(start, i, step);
}

// NumPy's rule: negative bounds count from the end, then all are clipped to the axis.
DEVICE ll clipped(ll bound, ll dim, ll step) {
  if (bound < 0) bound += dim;
  ll low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
  return bound < low ? low : bound > high ? high : bound;
}

DEVICE void slice_bound_tile(const SliceBoundParams& p, const Args& args, int, Shared) {
  if (threadIdx.x != 0) return;
  ll first = args.get<const ll>(0)[0], result;
  if (p.kind == 0) {
    result = max(clipped(first, args.get<const ll>(1)[0], p.step), 0ll);
  } else if (p.kind == 1) {
    ll dim = args.get<const ll>(2)[0];
    ll span = clipped(args.get<const ll>(1)[0], dim, p.step) - clipped(first, dim, p.step);
    bool empty = p.step > 0 ? span <= 0 : span >= 0;
    result = empty ? 0 : (span + p.step - (p.step > 0 ? 1 : -1)) / p.step;
  } else {
    ll dim = args.get<const ll>(1)[0];
    result = first < 0 && first >= -dim ? first + dim : first;
    if (!check_index(args, result, p.axis, dim)) result = 0;
  }
  args.get<ll>(p.kind == 1 ? 3 : 2)[0] = result;
}

KERNEL(one_hot_b1, OneHotParams, one_hot_tile<unsigned char>)
KERNEL(one_hot_b2, OneHotParams, one_hot_tile<unsigned short>)
KERNEL(one_hot_b4, OneHotParams, one_hot_tile<unsigned>)
KERNEL(one_hot_b8, OneHotParams, one_hot_tile<unsigned long long>)
KERNEL(eye_b1, EyeParams, eye_tile<unsigned char>)
KERNEL(eye_b2, EyeParams, eye_tile<unsigned short>)
KERNEL(eye_b4, EyeParams, eye_tile<unsigned>)
KERNEL(eye_b8, EyeParams, eye_tile<unsigned long long>)
KERNEL(arange_b1, ArangeParams, arange_tile<unsigned char>)
KERNEL(arange_b2, ArangeParams, arange_tile<unsigned short>)
KERNEL(arange_b4, ArangeParams, arange_tile<unsigned>)
KERNEL(arange_b8, ArangeParams, arange_tile<unsigned long long>)
KERNEL(arange_f32, ArangeParams, arange_tile<float>)
KERNEL(arange_f64, ArangeParams, arange_tile<double>)
KERNEL(slice_bound, SliceBoundParams, slice_bound_tile)
