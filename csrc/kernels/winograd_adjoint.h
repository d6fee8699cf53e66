// The adjoints of Winograd's transforms (conv_winograd.h) of outputs and of weights, for gradients of the weights.
#pragma once
#include "conv_winograd.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

struct Adjoint3 : Window3 {
  // t = A y
  static inline void spread(const vf* y, vf* t) {
    t[0] = y[0], t[5] = y[3];
    vf even = y[0] + y[2] * 0.5f, odd = (y[1] + y[3] * 0.5f) * a;
    t[1] = even + odd, t[2] = even - odd;
    even = y[0] + y[2] * 2.0f, odd = (y[1] + y[3] * 2.0f) * b;
    t[3] = even + odd, t[4] = even - odd;
  }
  // g = G' t
  static inline void collect(const vf* t, vf* g) {
    const vf s1 = (t[1] + t[2]) * (-2.0f / 3), d1 = (t[1] - t[2]) * (a * (-2.0f / 3)),
             s2 = (t[3] + t[4]) * (1.0f / 6), d2 = (t[3] - t[4]) * (b / 6);
    g[0] = t[0] + s1 + s2;
    g[1] = d1 + d2;
    g[2] = s1 * 0.5f + s2 * 2.0f + t[5];
  }
};

struct Adjoint4 : Window4 {
  static inline void spread(const vf* y, vf* t) {
    vf even = y[0] + y[2] * 0.25f, odd = y[1] * 0.5f + y[3] * 0.125f;
    t[0] = even + odd, t[1] = even - odd;
    even = y[0] + y[2], odd = y[1] + y[3];
    t[2] = even + odd, t[3] = even - odd;
    even = y[0] + y[2] * 4.0f, odd = y[1] * 2.0f + y[3] * 8.0f;
    t[4] = even + odd, t[5] = even - odd;
    t[6] = y[3];
  }
  static inline void collect(const vf* t, vf* g) {
    const vf e1 = (t[0] - t[1]) * (16.0f / 45), o1 = (t[0] + t[1]) * (16.0f / 45),
             e2 = (t[2] - t[3]) * (-2.0f / 9), o2 = (t[2] + t[3]) * (-2.0f / 9),
             e3 = (t[4] - t[5]) * (1.0f / 45), o3 = (t[4] + t[5]) * (1.0f / 45);
    g[0] = e1 + e2 + e3;
    g[1] = o1 * 0.5f + o2 + o3 * 2.0f;
    g[2] = e1 * 0.25f + e2 + e3 * 4.0f;
    g[3] = o1 * 0.125f + o2 + o3 * 8.0f + t[6];
  }
};

struct Adjoint5 : Window5 {
  static inline void spread(const vf* y, vf* t) {
    t[0] = y[0], t[7] = y[3];
    vf even = y[0] + y[2], odd = y[1] + y[3];
    t[1] = even + odd, t[2] = even - odd;
    even = y[0] + y[2] * 4.0f, odd = y[1] * 2.0f + y[3] * 8.0f;
    t[3] = even + odd, t[4] = even - odd;
    even = y[0] + y[2] * 0.25f, odd = y[1] * 0.5f + y[3] * 0.125f;
    t[5] = even + odd, t[6] = even - odd;
  }
  static inline void collect(const vf* t, vf* g) {
    const vf s1 = (t[1] + t[2]) * (-2.0f / 9), d1 = (t[1] - t[2]) * (-2.0f / 9),
             s2 = (t[3] + t[4]) * (1.0f / 90), d2 = (t[3] - t[4]) * (1.0f / 90),
             s3 = (t[5] + t[6]) * (32.0f / 45), d3 = (t[5] - t[6]) * (32.0f / 45);
    g[0] = t[0] + s1 + s2 + s3;
    g[1] = d1 + d2 * 2.0f + d3 * 0.5f;
    g[2] = s1 + s2 * 4.0f + s3 * 0.25f;
    g[3] = d1 + d2 * 8.0f + d3 * 0.125f;
    g[4] = s1 + s2 * 16.0f + s3 * 0.0625f + t[7];
  }
};

struct AdjointStrided3 : Strided3 {
  static inline void spread(const vf* y, vf* t) {
    vf odd = y[1] * 0.5f + y[3] * 0.125f, even = y[0] + y[2] * 0.25f;
    t[0] = even + odd, t[1] = even - odd;
    odd = y[1] * 1.5f + y[3] * 3.375f, even = y[0] + y[2] * 2.25f;
    t[2] = even + odd, t[3] = even - odd;
    t[4] = y[3];
    for (int i = 0; i < 4; i++) t[5 + i] = y[i];
  }
  static inline void collect(const vf* t, vf* g) {
    g[0] = (t[1] - t[0]) * 0.5f + (t[2] - t[3]) * (1.0f / 6);
    g[1] = t[5];
    g[2] = (t[2] + t[3] - t[0] - t[1]) * 0.25f + t[4];
  }
};

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
