// The epilogues of the matrix products, and the checks that all their kernels share.
#include "gemm.h"

namespace symconv {
namespace SYMCONV_ISA {

namespace {

template <class T, class V>
V factor(V y, int activation) {
  switch (activation) {
    case kRelu:
      return select(y > T(0), set1(T(1)), V{});
    case kSigmoid:
      return y * (T(1) - y);
    case kTanh:
      return T(1) - y * y;
    case kMul:
      return y;
    default:
      return set1(T(1));
  }
}

// out[c] = f(out[c], y[c]) over [c0, c1), whole vectors first.
template <class T, class F>
void update_row(T* out, const T* y, ll c0, ll c1, const F& f) {
  constexpr int W = Vec<T>::width;
  ll c = c0;
  for (; c + W <= c1; c += W) store(out + c, f(load(out + c), load(y + c)));
  const int n = static_cast<int>(c1 - c);
  if (n) store_n(out + c, f(load_n(out + c, n), load_n(y + c, n)), n);
}

template <int kActivation, class T>
void activate_rows(const Product<T>& g, ll r0, ll r1, ll c0, ll c1) {
  typedef typename Vec<T>::type V;
  for (ll r = r0; r < r1; r++) {
    T* out = g.out + r * g.n;
    if (g.bias_step == 0)
      update_row(out, out, c0, c1, [&](V x, V) { return activate(kActivation, x + g.bias[0]); });
    else
      update_row(out, g.bias, c0, c1, [&](V x, V bias) { return activate(kActivation, x + bias); });
  }
}

template <int kActivation, class T>
void multiply_rows(const Product<T>& g, ll r0, ll r1, ll c0, ll c1) {
  typedef typename Vec<T>::type V;
  for (ll r = r0; r < r1; r++) {
    // A factor of zero hides even an infinite product, whichever kernel ran.
    update_row(g.out + r * g.n, g.y + r * g.n, c0, c1, [&](V x, V y) {
      const V f = factor<T>(y, kActivation);
      return select(f == T(0), V{}, x * f);
    });
  }
}

template <class T>
void finish(const Product<T>& g, ll r0, ll r1, ll c0, ll c1) {
  if (g.form == kDenseAct)
    with_activation(g.activation, [&](auto act) { activate_rows<act.value>(g, r0, r1, c0, c1); });
  else if (g.form != kDotMulActGrad || g.activation == kLinear)
    return;
  else if (g.activation == kMul)
    multiply_rows<kMul>(g, r0, r1, c0, c1);
  else
    with_activation(g.activation, [&](auto act) { multiply_rows<act.value>(g, r0, r1, c0, c1); });
}

constexpr ll kLimit = 1LL << 40;  // of any extent or product of extents: byte counts cannot overflow

ll extent(const char* kernel, const char* what, ll a, ll b) {
  if (a < 0 || b < 0 || a > kLimit || b > kLimit || (b && a > kLimit / b))
    fail("%s: %s is %lld x %lld", kernel, what, a, b);
  return a * b;
}

}  // namespace

void gemm_finish(const Product<float>& g, ll r0, ll r1, ll c0, ll c1) { finish(g, r0, r1, c0, c1); }
void gemm_finish(const Product<double>& g, ll r0, ll r1, ll c0, ll c1) { finish(g, r0, r1, c0, c1); }

void check_gemm(const Sizes& s, const char* kernel, bool floats) {
  static const size_t itemsizes[8] = {1, 1, 1, 2, 4, 8, 4, 8};
  static const int inputs[4] = {2, 5, 3, 3};
  const GemmParams& p = params_as<GemmParams>(s, kernel);
  if (p.form < kDot || p.form > kDotMulActGrad) fail("%s: unknown form %d", kernel, p.form);
  if (p.dtype < 0 || p.dtype > 7 || floats != (p.dtype >= 6)) fail("%s: no dtype %d", kernel, p.dtype);
  if (!floats && p.form != kDot) fail("%s: form %d is for floats", kernel, p.form);
  if (p.activation < kLinear || p.activation > kMul || (p.activation == kMul && p.form != kDotMulActGrad))
    fail("%s: unknown activation %d", kernel, p.activation);
  if (p.batch_ndim < 0 || p.batch_ndim > 6 || (p.batch_ndim && p.form != kDot))
    fail("%s: %d batch dimensions for form %d", kernel, p.batch_ndim, p.form);
  const size_t size = itemsizes[p.dtype];
  const ll a = extent(kernel, "a", p.m, p.k), b = extent(kernel, "b", p.k, p.n),
           c = extent(kernel, "c", p.m, p.n);
  ll count = 1, a_last = 0, b_last = 0;
  for (int d = 0; d < p.batch_ndim; d++) {
    count = extent(kernel, "batch", count, p.batch_shape[d]);
    if (p.a_stride[d] < 0 || p.b_stride[d] < 0) fail("%s: a batch stride is negative", kernel);
    if (p.batch_shape[d] == 0) continue;
    a_last += extent(kernel, "batch of a", p.batch_shape[d] - 1, p.a_stride[d]);
    b_last += extent(kernel, "batch of b", p.batch_shape[d] - 1, p.b_stride[d]);
  }
  require_counts(s, kernel, inputs[p.form], 1);
  const bool gemm = p.form == kGemm;
  require_bytes(kernel, "output", s.out_bytes[0], extent(kernel, "output", count, c) * size);
  if (count == 0) return;
  require_bytes(kernel, "a", s.in_bytes[gemm ? 1 : 0], (a_last + a) * size);
  require_bytes(kernel, "b", s.in_bytes[gemm ? 2 : 1], (b_last + b) * size);
  if (gemm) {
    require_bytes(kernel, "c", s.in_bytes[0], c * size);
    require_bytes(kernel, "alpha", s.in_bytes[3], size);
    require_bytes(kernel, "beta", s.in_bytes[4], size);
  }
  if (p.form == kDenseAct) require_bytes(kernel, "bias", s.in_bytes[2], p.n * size);
  if (p.form == kDotMulActGrad) require_bytes(kernel, "y", s.in_bytes[2], c * size);
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
