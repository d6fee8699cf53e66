// The activations of the fused convolution kernels, by their number in params_conv.h, and the places of pooling windows
// and of weights.
#pragma once

#include "math.cuh"

// Loads on the way to shared memory that a thread has under way before it stores the first: the compiler, which cannot
// know that such a store leaves global memory alone, would wait for each.
#define STAGE_AHEAD 4

enum ConvActivation { kConvLinear = 0, kConvRelu = 1, kConvSigmoid = 2, kConvTanh = 3 };

template <class T>
DEVICE T conv_activate(int activation, T z) {
  switch (activation) {
    case kConvRelu:
      return z > 0 || z != z ? z : T(0);
    case kConvSigmoid:
      return sigmoid_of(z);
    case kConvTanh:
      return tanh_of(z);
    default:
      return z;
  }
}

// dy * f'(z), from y = f(z).
template <class T>
DEVICE T conv_activation_gradient(int activation, T y, T dy) {
  switch (activation) {
    case kConvRelu:
      return y > 0 ? dy : T(0);
    case kConvSigmoid:
      return dy * (y * (1 - y));
    case kConvTanh:
      return dy * (1 - y * y);
    default:
      return dy;
  }
}

// Rows and columns of the pooled output.
template <class P>
DEVICE int pooled_rows(const P& p) {
  return (p.h + p.top + p.bottom - p.r + 1) / p.pool_h;
}
template <class P>
DEVICE int pooled_cols(const P& p) {
  return (p.w + p.left + p.right - p.s + 1) / p.pool_w;
}

// Where in w[k][c] the weight of tap r * S + s is.
template <class P>
DEVICE int weight_place(const P& p, int tap) {
  return p.flip ? p.r * p.s - 1 - tap : tap;
}

// The first maximum of a window: a later value wins if it is larger, or the first NaN.
template <class T>
DEVICE void fold_maximum(T& best, int& place, T value, int index) {
  if (value > best || (value != value && best == best)) {
    best = value;
    place = index;
  }
}
