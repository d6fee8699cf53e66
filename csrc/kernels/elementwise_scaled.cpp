// Functions of float32 between a scale and a shift on either side, in one loop: y = F(x * a + b) * c + d. What is not there is
// 1 or -0, which change nothing.
#include "conv_common.h"
#include "elementwise_loops.h"
#include "vmath.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kTogether = 4;

template <vf (*F)(vf)>
void one_by_one(const vf* x, vf* y) {
#pragma GCC unroll 4
  for (int u = 0; u < kTogether; u++) y[u] = F(x[u]);
}

// Both steps round: the product is kept from being contracted with the sum.
inline vf scaled(vf x, vf scale, vf shift) {
  vf product = x * scale;
  pin(product);
  return product + shift;
}

template <vf (*F)(vf), void (*FOUR)(const vf*, vf*), bool BEFORE, bool AFTER>
void loop(const void* const* in, void* out, long long n, double immediate) {
  const float* x = static_cast<const float*>(in[0]);
  float* y = static_cast<float*>(out);
  auto single = [&](int k) { return set1(*static_cast<const float*>(in[k])); };
  const vf a = single(1), b = single(2), c = single(3), d = single(4);
  auto before = [&](vf v) { return BEFORE ? scaled(v, a, b) : v; };
  auto after = [&](vf v) { return AFTER ? scaled(v, c, d) : v; };
  const long long ahead = static_cast<long long>(immediate);
  long long i = 0;
  for (; i + kTogether * VF_WIDTH <= n; i += kTogether * VF_WIDTH) {
    vf v[kTogether], z[kTogether];
#pragma GCC unroll 4
    for (int u = 0; u < kTogether; u++) {
      v[u] = before(load(x + i + u * VF_WIDTH));
      if (ahead) __builtin_prefetch(x + i + u * VF_WIDTH + ahead);
    }
    FOUR(v, z);
#pragma GCC unroll 4
    for (int u = 0; u < kTogether; u++) store(y + i + u * VF_WIDTH, after(z[u]));
  }
  for (; i + VF_WIDTH <= n; i += VF_WIDTH) store(y + i, after(F(before(load(x + i)))));
  const int rest = static_cast<int>(n - i);
  if (rest) store_n(y + i, after(F(before(load_n(x + i, rest)))), rest);
}

template <vf (*F)(vf), void (*FOUR)(const vf*, vf*) = one_by_one<F>>
Loop loop_of(bool before, bool after) {
  if (before) return after ? loop<F, FOUR, true, true> : loop<F, FOUR, true, false>;
  return after ? loop<F, FOUR, false, true> : loop<F, FOUR, false, false>;
}

}  // namespace

Loop scaled_loop(int op, bool before, bool after) {
  switch (op) {
    case op_exp:
      return loop_of<exp, exps<4>>(before, after);
    case op_log:
      return loop_of<log>(before, after);
    case op_tanh:
      return loop_of<tanh>(before, after);
    case op_sigmoid:
      return loop_of<sigmoid, sigmoids<4>>(before, after);
    case op_softplus:
      return loop_of<softplus>(before, after);
    case op_erf:
      return loop_of<erf>(before, after);
    case op_sqrt:
      return loop_of<sqrt>(before, after);
  }
  return nullptr;
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
