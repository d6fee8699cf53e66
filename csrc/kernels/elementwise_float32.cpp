// Element-wise functions of float32: the vectors of vmath.h and vmath_arc.h, the rest of a block through masked loads.
#include "elementwise_loops.h"
#include "vmath.h"
#include "vmath_arc.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

template <vf (*F)(vf)>
void vector_loop(const void* const* in, void* out, long long n, double) {
  const float* a = static_cast<const float*>(in[0]);
  float* y = static_cast<float*>(out);
  long long i = 0;
  for (; i + VF_WIDTH <= n; i += VF_WIDTH) store(y + i, F(load(a + i)));
  int rest = static_cast<int>(n - i);
  if (rest) store_n(y + i, F(load_n(a + i, rest)), rest);
}

// Four vectors at a time, by FOUR.
template <vf (*F)(vf), void (*FOUR)(const vf*, vf*)>
void four_loop(const void* const* in, void* out, long long n, double immediate) {
  const float* a = static_cast<const float*>(in[0]);
  float* y = static_cast<float*>(out);
  long long i = 0;
  for (; i + 4 * VF_WIDTH <= n; i += 4 * VF_WIDTH) {
    vf x[4], z[4];
#pragma GCC unroll 4
    for (int u = 0; u < 4; u++) x[u] = load(a + i + u * VF_WIDTH);
    FOUR(x, z);
#pragma GCC unroll 4
    for (int u = 0; u < 4; u++) store(y + i + u * VF_WIDTH, z[u]);
  }
  const void* rest = a + i;
  vector_loop<F>(&rest, y + i, n - i, immediate);
}

template <vf (*F)(vf, vf)>
void immediate_loop(const void* const* in, void* out, long long n, double immediate) {
  const float* a = static_cast<const float*>(in[0]);
  float* y = static_cast<float*>(out);
  vf constant = set1(static_cast<float>(immediate));
  long long i = 0;
  for (; i + VF_WIDTH <= n; i += VF_WIDTH) store(y + i, F(load(a + i), constant));
  int rest = static_cast<int>(n - i);
  if (rest) store_n(y + i, F(load_n(a + i, rest), constant), rest);
}

vf trunc(vf a) { return copy_sign(floor(abs(a)), a); }
vf reciprocal(vf a) { return 1.0f / a; }
vf leaky_relu(vf a, vf slope) { return select(a > 0.0f, a, a * slope); }
vf elu(vf a, vf alpha) { return select(a > 0.0f, a, expm1(min(vf{}, a)) * alpha); }

struct Div {
  static float apply(float a, float b) { return a / b; }
};

template <vf (*F)(vf, vf)>
void binary_vector_loop(const void* const* in, void* out, long long n, double) {
  const float *a = static_cast<const float*>(in[0]), *b = static_cast<const float*>(in[1]);
  float* y = static_cast<float*>(out);
  long long i = 0;
  for (; i + VF_WIDTH <= n; i += VF_WIDTH) store(y + i, F(load(a + i), load(b + i)));
  int rest = static_cast<int>(n - i);
  if (rest) store_n(y + i, F(load_n(a + i, rest), load_n(b + i, rest)), rest);
}

}  // namespace

Loop float32_loop(int op) {
  switch (op) {
    case op_div:
      return binary_loop<Div, float>;
    case op_pow:
      return binary_vector_loop<pow>;
    case op_sqrt:
      return vector_loop<sqrt>;
    case op_reciprocal:
      return vector_loop<reciprocal>;
    case op_floor:
      return vector_loop<floor>;
    case op_ceil:
      return vector_loop<ceil>;
    case op_trunc:
      return vector_loop<trunc>;
    case op_round:
      return vector_loop<round_even>;
    case op_leaky_relu:
      return immediate_loop<leaky_relu>;
    case op_elu:
      return immediate_loop<elu>;
    case op_exp:
      return four_loop<exp, exps<4>>;
    case op_expm1:
      return vector_loop<expm1>;
    case op_log:
      return vector_loop<log>;
    case op_log1p:
      return vector_loop<log1p>;
    case op_tanh:
      return vector_loop<tanh>;
    case op_sigmoid:
      return four_loop<sigmoid, sigmoids<4>>;
    case op_softplus:
      return vector_loop<softplus>;
    case op_sin:
      return vector_loop<sin>;
    case op_cos:
      return vector_loop<cos>;
    case op_tan:
      return vector_loop<tan>;
    case op_erf:
      return vector_loop<erf>;
    case op_erfc:
      return vector_loop<erfc>;
    case op_arcsin:
      return vector_loop<arcsin>;
    case op_arccos:
      return vector_loop<arccos>;
    case op_arctan:
      return vector_loop<arctan>;
    case op_arctan2:
      return binary_vector_loop<arctan2>;
  }
  return nullptr;
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
