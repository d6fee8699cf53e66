// What the matrix products share: the bound problem, dispatch over dtypes and batches. Everything here is in the instruction set's namespace (see runtime/kernel.h).
#pragma once
#include "activation.h"
#include "parallel.h"
#include "params.h"
#include "zeros.h"

namespace symconv {
namespace SYMCONV_ISA {

typedef long long ll;

enum GemmForm { kDot, kGemm, kDenseAct, kDotMulActGrad };

// out[m, n] = finish(alpha op(a) op(b) + beta c). Vectors are normalised (see bind): n == 1 only where m == 1.
template <class T>
struct Product {
  ll m, n, k;
  const T *a, *b;
  ll lda, ldb;  // elements from one stored row to the next
  bool trans_a, trans_b;
  const T* c;  // read where beta != 0; may be out itself
  T* out;      // [m, n] dense
  T alpha, beta;
  const T* bias;  // [n], or one element where bias_step is 0
  int bias_step;
  const T* y;  // [m, n]
  int form, activation;

  // Element (i, j) of op(a) is a[i * a_row() + j * a_col()].
  ll a_row() const { return trans_a ? 1 : lda; }
  ll a_col() const { return trans_a ? lda : 1; }
  bool in_place() const { return c == out; }
};

// out = act(out + bias) or out * f(y) over rows [r0, r1) and columns [c0, c1); nothing for dot and gemm.
void gemm_finish(const Product<float>& g, ll r0, ll r1, ll c0, ll c1);
void gemm_finish(const Product<double>& g, ll r0, ll r1, ll c0, ll c1);

// The cores. scratch is what *_scratch asks for with that many threads; pool may be null (one thread).
void gemm_packed_core(const Product<float>& g, void* scratch, ThreadPool* pool);
void gemm_packed_core(const Product<double>& g, void* scratch, ThreadPool* pool);
size_t gemm_packed_scratch(ll m, ll n, ll k, size_t itemsize, int threads);
void gemm_rows_core(const Product<float>& g, void* scratch, ThreadPool* pool);
void gemm_rows_core(const Product<double>& g, void* scratch, ThreadPool* pool);
size_t gemm_rows_scratch(ll m, ll n, ll k, size_t itemsize, int threads);

constexpr double kPartFlops = 5e4;  // that each thread must have at least

static inline size_t align64(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

// The product of the batch member whose matrices start a_at and b_at elements in.
template <class T>
static inline Product<T> bind(const GemmParams& p, const Launch& l, ll a_at, ll b_at, ll out_at) {
  Product<T> g{};
  const bool gemm = p.form == kGemm;
  g.m = p.m, g.n = p.n, g.k = p.k;
  g.a = static_cast<const T*>(l.in[gemm ? 1 : 0]) + a_at;
  g.b = static_cast<const T*>(l.in[gemm ? 2 : 1]) + b_at;
  g.trans_a = p.trans_a, g.trans_b = p.trans_b;
  g.out = static_cast<T*>(l.out[0]) + out_at;
  g.c = gemm ? static_cast<const T*>(l.in[0]) : g.out;
  g.alpha = gemm ? *static_cast<const T*>(l.in[3]) : T(1);
  g.beta = gemm ? *static_cast<const T*>(l.in[4]) : T(0);
  g.form = p.form, g.activation = p.activation;
  g.bias = p.form == kDenseAct ? static_cast<const T*>(l.in[2]) : nullptr;
  g.bias_step = 1;
  g.y = p.form == kDotMulActGrad ? static_cast<const T*>(l.in[2]) : nullptr;
  if (p.n == 1 && p.m > 1) {  // a column: the same memory as the row op(b)^T op(a)^T
    const T* a = g.a;
    g.a = g.b, g.b = a;
    g.m = 1, g.n = p.m;
    g.trans_b = !p.trans_a;
    g.bias_step = 0;
  }
  if (g.m == 1) g.trans_a = false;  // a row or a column of k elements lies the same way
  if (g.n == 1) g.trans_b = false;
  g.lda = g.trans_a ? g.m : g.k;
  g.ldb = g.trans_b ? g.k : g.n;
  return g;
}

static inline ll batch_count(const GemmParams& p) {
  ll count = 1;
  for (int d = 0; d < p.batch_ndim; d++) count *= p.batch_shape[d];
  return count;
}

// core(product, scratch, pool) for every member; members are shared among threads where there are enough of them.
template <class T, class Core>
static inline void for_batch(const Launch& l, size_t scratch_of_one, const Core& core) {
  const GemmParams& p = params_as<GemmParams>(l);
  ll count = batch_count(p);
  auto member = [&](ll i, void* scratch, ThreadPool* pool) {
    ll a_at = 0, b_at = 0, rest = i;
    for (int d = p.batch_ndim - 1; d >= 0; d--) {
      ll at = rest % p.batch_shape[d];
      rest /= p.batch_shape[d];
      a_at += at * p.a_stride[d];
      b_at += at * p.b_stride[d];
    }
    core(bind<T>(p, l, a_at, b_at, i * p.m * p.n), scratch, pool);
  };
  bool share = l.pool && count >= l.pool->size() && pays(2.0 * p.m * p.n * p.k * count, kPartFlops, l.pool);
  if (!share) {
    for (ll i = 0; i < count; i++) member(i, l.workspace, l.pool);
    return;
  }
  int parts = l.pool->size();
  parallel_for(l.pool, parts, [&](int task, int part) {
    void* scratch = static_cast<char*>(l.workspace) + part_begin(part, scratch_of_one);
    for (ll i = count * task / parts; i < count * (task + 1) / parts; i++) member(i, scratch, nullptr);
  });
}

// Throws unless the params are sane and every buffer holds what they say. Defined in gemm_finish.cpp.
void check_gemm(const Sizes& s, const char* kernel, bool floats);

}  // namespace SYMCONV_ISA
}  // namespace symconv
