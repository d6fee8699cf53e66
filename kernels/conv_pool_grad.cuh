// What the gradients of conv_pool read: where the maxima lie, and their gradients.
#pragma once

#include "conv_activation.cuh"

// Where the window's maximum lies in the padded image.
struct ArgmaxPlace {
  int row, col;
};
DEVICE ArgmaxPlace argmax_place_at(const ConvPoolGradTileParams& p, int window, int place) {
  const int cols = pooled_cols(p);
  return {window / cols * p.pool_h + place / p.pool_w, window % cols * p.pool_w + place % p.pool_w};
}

template <class T>
struct PooledGradient {
  Global<const T> y, dy;
  Global<const unsigned char> argmax;
  int activation;

  DEVICE PooledGradient(const ConvPoolGradTileParams& p, const Args& args)
      : y(args.get<const T>(2)),
        dy(args.get<const T>(4)),
        argmax(args.get<const unsigned char>(3)),
        activation(p.activation) {}
  DEVICE T value(ll i) const { return conv_activation_gradient(activation, T(y[i]), T(dy[i])); }
  DEVICE int place(ll i) const {
    const unsigned char a = argmax[i];
    return a;
  }
};
