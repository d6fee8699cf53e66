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
    case op_expm1:
      return vector_loop<expm1>;
    case op_log1p:
      return vector_loop<log1p>;
    case op_sin:
      return vector_loop<sin>;
    case op_cos:
      return vector_loop<cos>;
    case op_tan:
      return vector_loop<tan>;
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
  return scaled_loop(op, false, false);
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
