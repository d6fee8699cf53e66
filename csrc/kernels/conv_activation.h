// The activations of the fused convolution kernels: y = f(z), and f'(z) as a function of y.
#pragma once
#include <math.h>

#include "conv_common.h"

namespace symconv {
namespace SYMCONV_ISA {

enum Activation { kLinear = 0, kRelu = 1, kSigmoid = 2, kTanh = 3 };

// exp(x) within 2 ulp; below -87.3 it stays at the least normal number, above 88.3 at the largest power.
static inline vf exp_in_range(vf x) {
  x = min(set1(88.3f), max(set1(-87.3f), x));
  vf n = round_even(x * 1.44269504088896341f);
  vf r = fma(n, set1(-0.693359375f), x);
  r = fma(n, set1(2.12194440e-4f), r);
  vf p = fma(r, set1(1.9875691500e-4f), set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = fma(p, r * r, r + 1.0f);
  return p * as_float((to_int(n) + 127) << 23);
}

static inline vf sigmoid(vf z) { return 1.0f / (1.0f + exp_in_range(-z)); }

// Cephes' form: a polynomial near 0, where 1 - 2 / (e^2z + 1) would cancel.
static inline vf tanh(vf z) {
  vf far = 1.0f - 2.0f / (1.0f + exp_in_range(z + z));
  vf q = z * z;
  vf p = fma(q, set1(-5.70498872745e-3f), set1(2.06390887954e-2f));
  p = fma(p, q, set1(-5.37397155531e-2f));
  p = fma(p, q, set1(1.33314422036e-1f));
  p = fma(p, q, set1(-3.33332819422e-1f));
  vf near = fma(p * q, z, z);
  return select(abs(z) < set1(0.625f), near, far);
}

static inline vd sigmoid(vd z) {
  for (int i = 0; i < VD_WIDTH; i++) z[i] = 1.0 / (1.0 + ::exp(-z[i]));
  return z;
}
static inline vd tanh(vd z) {
  for (int i = 0; i < VD_WIDTH; i++) z[i] = ::tanh(z[i]);
  return z;
}

template <class V>
static inline V activate(int activation, V z) {
  switch (activation) {
    case kRelu:
      return max(V{}, z);  // in this order a NaN stays
    case kSigmoid:
      return sigmoid(z);
    case kTanh:
      return tanh(z);
    default:
      return z;
  }
}

// dy * f'(z).
template <class V>
static inline V activation_gradient(int activation, V y, V dy) {
  switch (activation) {
    case kRelu:
      return select(y > V{}, dy, V{});
    case kSigmoid:
      return dy * (y * (1 - y));
    case kTanh:
      return dy * (1 - y * y);
    default:
      return dy;
  }
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
