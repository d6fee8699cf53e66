// Element-wise functions of float64, by the C library: a few ulp, one element at a time.
#include <math.h>

#include "elementwise_loops.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

template <double (*F)(double)>
void library_loop(const void* const* in, void* out, long long n, double) {
  const double* a = static_cast<const double*>(in[0]);
  double* y = static_cast<double*>(out);
  for (long long i = 0; i < n; i++) y[i] = F(a[i]);
}

template <double (*F)(double, double)>
void immediate_loop(const void* const* in, void* out, long long n, double immediate) {
  const double* a = static_cast<const double*>(in[0]);
  double* y = static_cast<double*>(out);
  for (long long i = 0; i < n; i++) y[i] = F(a[i], immediate);
}

double reciprocal(double a) { return 1.0 / a; }
double sigmoid(double a) {
  double t = ::exp(-::fabs(a));
  return (a < 0 ? t : 1.0) / (1.0 + t);
}
double softplus(double a) { return (a < 0 ? 0.0 : a) + ::log1p(::exp(-::fabs(a))); }
double leaky_relu(double a, double slope) { return a > 0 ? a : a * slope; }
double elu(double a, double alpha) { return a > 0 ? a : alpha * ::expm1(a); }

struct Div {
  static double apply(double a, double b) { return a / b; }
};
struct Pow {
  static double apply(double a, double b) { return ::pow(a, b); }
};
struct ArcTan2 {
  static double apply(double y, double x) { return ::atan2(y, x); }
};
struct Sqrt {
  static double apply(double a) { return __builtin_sqrt(a); }
};

}  // namespace

Loop float64_loop(int op) {
  switch (op) {
    case op_div:
      return binary_loop<Div, double>;
    case op_pow:
      return binary_loop<Pow, double>;
    case op_sqrt:
      return unary_loop<Sqrt, double>;
    case op_reciprocal:
      return library_loop<reciprocal>;
    case op_floor:
      return library_loop<::floor>;
    case op_ceil:
      return library_loop<::ceil>;
    case op_trunc:
      return library_loop<::trunc>;
    case op_round:
      return library_loop<::rint>;
    case op_leaky_relu:
      return immediate_loop<leaky_relu>;
    case op_elu:
      return immediate_loop<elu>;
    case op_exp:
      return library_loop<::exp>;
    case op_expm1:
      return library_loop<::expm1>;
    case op_log:
      return library_loop<::log>;
    case op_log1p:
      return library_loop<::log1p>;
    case op_tanh:
      return library_loop<::tanh>;
    case op_sigmoid:
      return library_loop<sigmoid>;
    case op_softplus:
      return library_loop<softplus>;
    case op_sin:
      return library_loop<::sin>;
    case op_cos:
      return library_loop<::cos>;
    case op_tan:
      return library_loop<::tan>;
    case op_erf:
      return library_loop<::erf>;
    case op_erfc:
      return library_loop<::erfc>;
    case op_arcsin:
      return library_loop<::asin>;
    case op_arccos:
      return library_loop<::acos>;
    case op_arctan:
      return library_loop<::atan>;
    case op_arctan2:
      return binary_loop<ArcTan2, double>;
  }
  return nullptr;
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
