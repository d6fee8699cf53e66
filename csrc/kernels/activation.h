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

// Of n neighbours, in place: sigmoids some vectors at a time, so that none waits for the last step of another.
template <int ACTIVATION, class T>
static inline void activate_run(T* z, long long n) {
  constexpr int W = Vec<T>::width, U = 4;
  long long i = 0;
  if constexpr (ACTIVATION == kSigmoid && sizeof(T) == 4)
    for (; i + U * W <= n; i += U * W) {
      vf in[U], out[U];
#pragma GCC unroll 4
      for (int u = 0; u < U; u++) in[u] = load(z + i + u * W);
      sigmoids<U>(in, out);
#pragma GCC unroll 4
      for (int u = 0; u < U; u++) store(z + i + u * W, out[u]);
    }
  for (; i + W <= n; i += W) store(z + i, activate(ACTIVATION, load(z + i)));
  const int rest = static_cast<int>(n - i);
  if (rest) store_n(z + i, activate(ACTIVATION, load_n(z + i, rest)), rest);
}

// Those that take many steps are left until many outputs are together (activate_run).
constexpr bool comes_later(int activation) { return activation == kSigmoid || activation == kTanh; }

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
