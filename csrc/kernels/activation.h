// The activations that products and convolutions are fused with: y = f(z), and f'(z) as a function of y.
#pragma once
#include <math.h>

#include <type_traits>

#include "vmath.h"

namespace symconv {
namespace SYMCONV_ISA {

enum Activation { kLinear, kRelu, kSigmoid, kTanh, kMul };  // kMul: multiplied by y, for products alone

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

// f(the activation as a constant): loops inside know it.
template <class F>
static inline void with_activation(int activation, const F& f) {
  switch (activation) {
    case kRelu:
      return f(std::integral_constant<int, kRelu>{});
    case kSigmoid:
      return f(std::integral_constant<int, kSigmoid>{});
    case kTanh:
      return f(std::integral_constant<int, kTanh>{});
    default:
      return f(std::integral_constant<int, kLinear>{});
  }
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
